// Loops written by hand, as short as they can be: what a runtime is measured against.

#include <liburing.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "servers.hpp"

namespace heph::bench {

namespace {

constexpr std::size_t message_bytes_max = 4096;

}  // namespace

void serve_with_epoll(int listener, std::string_view reply) {
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event asked{};
    asked.events = EPOLLIN;
    asked.data.fd = listener;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &asked);
    std::array<epoll_event, 256> events{};
    std::array<char, message_bytes_max> bytes{};
    for (;;) {
        const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
        for (int i = 0; i < count; ++i) {
            const int descriptor = events[static_cast<std::size_t>(i)].data.fd;
            if (descriptor == listener) {
                asked.data.fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
                ::epoll_ctl(epoll, EPOLL_CTL_ADD, asked.data.fd, &asked);
                continue;
            }
            const auto got = ::recv(descriptor, bytes.data(), bytes.size(), 0);
            if (got > 0) {
                const std::string_view received(bytes.data(), static_cast<std::size_t>(got));
                const std::string_view answer = reply.empty() ? received : reply;
                (void)::send(descriptor, answer.data(), answer.size(), MSG_NOSIGNAL);
            } else if (got == 0 || errno != EAGAIN) {
                ::close(descriptor);
            }
        }
    }
}

namespace {

// What a submission is for, in its user data: the connection's descriptor, and one of these above.
enum class purpose : std::uint32_t { accept, receive, send };

constexpr std::uint64_t tag(purpose why, int descriptor) {
    return std::uint64_t{static_cast<std::uint32_t>(why)} << 32U |
           static_cast<std::uint32_t>(descriptor);
}

constexpr int group = 0;
constexpr unsigned buffers = 1024;

struct uring_server {
    io_uring ring{};
    io_uring_buf_ring* provided = nullptr;
    std::string_view reply;  // Instead of what was received; empty: that.
    std::vector<char> memory = std::vector<char>(buffers * message_bytes_max);
    // Of each connection, by descriptor: the buffer that is being sent.
    std::vector<std::uint16_t> sending = std::vector<std::uint16_t>(65'536);

    io_uring_sqe* next() {
        io_uring_sqe* entry = io_uring_get_sqe(&ring);
        if (entry == nullptr) {
            io_uring_submit(&ring);
            entry = io_uring_get_sqe(&ring);
        }
        return entry;
    }
    void provide(std::uint16_t id) {
        io_uring_buf_ring_add(provided, memory.data() + id * message_bytes_max, message_bytes_max,
                              id, io_uring_buf_ring_mask(buffers), 0);
        io_uring_buf_ring_advance(provided, 1);
    }
    void accept_many(int listener) {
        io_uring_sqe* entry = next();
        io_uring_prep_multishot_accept(entry, listener, nullptr, nullptr, SOCK_CLOEXEC);
        entry->user_data = tag(purpose::accept, listener);
    }
    void receive_many(int descriptor) {
        io_uring_sqe* entry = next();
        io_uring_prep_recv_multishot(entry, descriptor, nullptr, 0, 0);
        entry->flags |= IOSQE_BUFFER_SELECT;
        entry->buf_group = group;
        entry->user_data = tag(purpose::receive, descriptor);
    }
    void send_back(int descriptor, std::uint16_t id, int bytes) {
        io_uring_sqe* entry = next();
        const std::string_view received(memory.data() + id * message_bytes_max,
                                        static_cast<std::size_t>(bytes));
        const std::string_view answer = reply.empty() ? received : reply;
        io_uring_prep_send(entry, descriptor, answer.data(), answer.size(), MSG_NOSIGNAL);
        entry->user_data = tag(purpose::send, descriptor);
        sending[static_cast<std::size_t>(descriptor)] = id;
    }
    void take(const io_uring_cqe& entry) {
        const auto descriptor = static_cast<int>(static_cast<std::uint32_t>(entry.user_data));
        const bool last = (entry.flags & IORING_CQE_F_MORE) == 0;
        switch (static_cast<purpose>(entry.user_data >> 32U)) {
            case purpose::accept:
                if (entry.res >= 0) { receive_many(entry.res); }
                if (last) { accept_many(descriptor); }
                break;
            case purpose::receive:
                if (entry.res > 0) {
                    send_back(descriptor,
                              static_cast<std::uint16_t>(entry.flags >> IORING_CQE_BUFFER_SHIFT),
                              entry.res);
                    if (last) { receive_many(descriptor); }
                } else if (entry.res == -ENOBUFS) {
                    receive_many(descriptor);
                } else {
                    ::close(descriptor);
                }
                break;
            case purpose::send: provide(sending[static_cast<std::size_t>(descriptor)]); break;
        }
    }
};

}  // namespace

void serve_with_uring(int listener, std::string_view reply) {
    uring_server server;
    server.reply = reply;
    io_uring_params parameters{};
    parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                       IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL;
    if (io_uring_queue_init_params(1024, &server.ring, &parameters) != 0) { std::_Exit(1); }
    (void)io_uring_register_ring_fd(&server.ring);
    const std::size_t page = 4096;
    server.provided =
        static_cast<io_uring_buf_ring*>(std::aligned_alloc(page, buffers * sizeof(io_uring_buf)));
    io_uring_buf_ring_init(server.provided);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(server.provided);
    registration.ring_entries = buffers;
    registration.bgid = group;
    if (io_uring_register_buf_ring(&server.ring, &registration, 0) != 0) { std::_Exit(1); }
    for (unsigned id = 0; id < buffers; ++id) { server.provide(static_cast<std::uint16_t>(id)); }
    server.accept_many(listener);
    for (;;) {
        io_uring_submit_and_wait(&server.ring, 1);
        unsigned head = 0;
        unsigned taken = 0;
        io_uring_cqe* entry = nullptr;
        io_uring_for_each_cqe(&server.ring, head, entry) {
            server.take(*entry);
            ++taken;
        }
        io_uring_cq_advance(&server.ring, taken);
    }
}

}  // namespace heph::bench
