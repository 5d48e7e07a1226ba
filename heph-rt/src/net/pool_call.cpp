#include "pool_call.hpp"

#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <heph/rt/error.hpp>

#include "../system_call.hpp"
#include "../worker_core.hpp"
#include "address.hpp"

namespace heph::rt::detail {

static_assert(pool_call::header_bytes == sizeof(io_uring_recvmsg_out) + sizeof(sockaddr_in6));

pool_call::pool_call(std::shared_ptr<pool_state> pool, int descriptor, bool datagrams,
                     bool many) noexcept
    : io_call(descriptor, waits::to_read, true),
      pool_(std::move(pool)),
      datagrams_(datagrams),
      many_(many) {}

pool_call::~pool_call() {
    while (queue_.count != 0) { pool_->give_back(pool_->dequeue(queue_).first); }
}

// So much is taken ahead: the others that use the pool want some, too.
std::size_t pool_call::queue_max() const noexcept {
    constexpr std::size_t ahead_max = 16;
    return many_ ? std::clamp<std::size_t>(pool_->count() / 2, 1, ahead_max) : 1;
}

void pool_call::prepare(std::byte* buffer) noexcept {
    const bool by_kernel = buffer == nullptr && many_;
    header_ = {};
    header_.msg_namelen = sizeof(from_.v6);
    if (by_kernel) { return; }  // It finds its places by itself.
    const std::size_t skipped = at_front_ ? 0 : header_bytes;
    header_.msg_name = &from_;
    part_ = {buffer == nullptr ? nullptr : buffer + skipped, pool_->bytes() - skipped};
    header_.msg_iov = &part_;
    header_.msg_iovlen = 1;
}

std::int32_t pool_call::receive(std::byte* buffer) noexcept {
    if (!datagrams_) {
        return retry([&] { return ::recv(descriptor(), buffer, pool_->bytes(), MSG_DONTWAIT); });
    }
    prepare(buffer);
    const std::int32_t result =
        retry([&] { return ::recvmsg(descriptor(), &header_, MSG_DONTWAIT | MSG_TRUNC); });
    if (result < 0) { return result; }
    io_uring_recvmsg_out said{};
    said.namelen = header_.msg_namelen;
    said.payloadlen = static_cast<std::uint32_t>(result);
    said.flags = static_cast<std::uint32_t>(header_.msg_flags);
    std::memcpy(buffer, &said, sizeof(said));
    std::memcpy(buffer + sizeof(said), &from_, sizeof(from_.v6));
    return result;
}

std::int32_t pool_call::perform() noexcept {
    bool came = false;
    while (queue_.count < queue_max()) {
        const auto id = pool_->take_free();
        if (!id) { return came ? 1 : -ENOBUFS; }
        const std::int32_t result = receive(pool_->data(*id));
        if (result < 0 || (result == 0 && !datagrams_)) {
            pool_->give_back(*id);
            // Of what is not for want of more the next attempt tells again.
            return came ? 1 : result;
        }
        pool_->enqueue(queue_, *id, static_cast<std::size_t>(result));
        came = true;
    }
    return 1;
}

void pool_call::submit(io_uring_sqe& entry) noexcept {
    at_front_ = !many_;
    if (!datagrams_) {
        if (many_) {
            io_uring_prep_recv_multishot(&entry, descriptor(), nullptr, 0, 0);
        } else {
            io_uring_prep_recv(&entry, descriptor(), nullptr,
                               std::min(pool_->bytes(), transfer_bytes_max), 0);
        }
    } else {
        prepare(nullptr);
        if (many_) {
            io_uring_prep_recvmsg_multishot(&entry, descriptor(), &header_, MSG_TRUNC);
        } else {
            io_uring_prep_recvmsg(&entry, descriptor(), &header_, MSG_TRUNC);
        }
    }
    entry.flags |= IOSQE_BUFFER_SELECT;
    entry.buf_group = pool_->group();
}

bool pool_call::note_completion(std::int32_t result, std::uint32_t flags) noexcept {
    last_ = result;
    if ((flags & IORING_CQE_F_BUFFER) != 0) {
        const auto id = static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT);
        pool_->note_taken();
        worked_ = true;
        if (result > 0 || (result == 0 && datagrams_)) {
            pool_->enqueue(queue_, id, static_cast<std::size_t>(result));
        } else {
            pool_->give_back(id);
        }
    } else if (result == 0 && datagrams_ && !many_) {
        came_empty_ = true;
    }
    if (many_ && queue_.count >= queue_max() && (flags & IORING_CQE_F_MORE) != 0) {
        paused_ = true;
    }
    return paused_;
}

pool_call::next_step pool_call::after_last() noexcept {
    const bool was_paused = std::exchange(paused_, false);
    if (last_ > 0 || (last_ == -ECANCELED && was_paused)) { return next_step::go_on; }
    switch (-last_) {
        case 0: return datagrams_ ? next_step::go_on : next_step::end;
        case EINTR: return next_step::go_on;
        case EAGAIN: return next_step::await_data;
        case ENOBUFS: return next_step::await_buffer;
        case EINVAL:
            if (!many_ || worked_) { return next_step::fail; }
            many_ = false;  // A kernel before 6.0: one after the other.
            return next_step::go_on;
        default: return next_step::fail;
    }
}

pool_arrival pool_call::pop() {
    if (queue_.count == 0) {
        came_empty_ = false;
        return pool_arrival(buffer(), 0, false, from_socket_address(from_));
    }
    const auto [id, bytes] = pool_->dequeue(queue_);
    if (!datagrams_) { return pool_arrival(pool_->lease(id, 0, bytes), bytes, false, {}); }
    socket_address from = from_;
    std::size_t size = bytes;
    std::size_t begin = 0;
    bool truncated = (header_.msg_flags & MSG_TRUNC) != 0;
    if (!at_front_) {
        io_uring_recvmsg_out said{};
        std::memcpy(&said, pool_->data(id), sizeof(said));
        std::memcpy(&from, pool_->data(id) + sizeof(said), sizeof(from.v6));
        size = said.payloadlen;
        truncated = (said.flags & MSG_TRUNC) != 0;
        begin = header_bytes;
    }
    const std::size_t there = std::min(size, pool_->bytes() - begin);
    return pool_arrival(pool_->lease(id, begin, there), size, truncated, from_socket_address(from));
}

pool_receiving::pool_receiving(const rt::buffer_pool& pool, int descriptor, bool datagrams,
                               bool many)
    : pool_(pool.state()), descriptor_(descriptor), datagrams_(datagrams), many_(many) {
    if (datagrams && pool.buffer_bytes() <= pool_call::header_bytes) {
        refused_ = std::make_error_code(std::errc::invalid_argument);
    }
}

polled<pool_receiving::outcome> pool_receiving::poll(const waker& waker) {
    worker_core* worker = current_worker();
    if (refused_) { return outcome(std::unexpect, refused_); }
    if (worker == nullptr) { return outcome(std::unexpect, errc::no_worker); }
    if (!operation_.started()) {
        if (const auto failed = pool_->join(worker->driver())) {
            return outcome(std::unexpect, failed);
        }
        auto call = std::make_unique<pool_call>(pool_, descriptor_, datagrams_, many_);
        slot& begun = acquire_slot(*worker, slot_kind::takes);
        begun.call = std::move(call);
        operation_ = detail::operation(&begun);
        worker->driver().call(begun);
    }
    slot& operation = operation_.state();
    if (!worker->owns(operation)) { return outcome(std::unexpect, errc::wrong_worker); }
    auto& call = static_cast<pool_call&>(*operation.call);
    for (;;) {
        if (call.any()) {
            auto arrived = outcome(std::in_place, call.pop());
            if (!many_) { operation_.finish(); }
            return arrived;
        }
        if (operation.armed) {
            operation.waker = waker;
            return pending;
        }
        const auto step = call.after_last();
        if (step == pool_call::next_step::end) {
            if (!many_) { operation_.finish(); }
            return outcome(std::in_place, buffer(), std::size_t{0}, false, net::endpoint());
        }
        const bool exhausted = step == pool_call::next_step::await_buffer;
        if (exhausted && pool_->exhausted() == when_exhausted::wait) {
            if (!pool_->await_free(waker)) { return pending; }
        } else if (step == pool_call::next_step::fail || (exhausted && !pool_->has_free())) {
            const std::error_code failed = system_error(-call.last_result());
            call.forget_result();
            if (!many_) { operation_.finish(); }
            return outcome(std::unexpect, failed);
        }
        operation.state = slot_state::in_flight;
        if (step == pool_call::next_step::await_data) {
            worker->driver().await_readiness(operation);
        } else {
            worker->driver().call(operation);
        }
    }
}

}  // namespace heph::rt::detail
