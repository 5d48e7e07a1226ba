#include "pool_call.hpp"

#include <fcntl.h>
#include <liburing.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <heph/rt/error.hpp>
#include <heph/rt/fs/file.hpp>

#include "../system_call.hpp"
#include "../worker_core.hpp"
#include "address.hpp"
#include "socket_calls.hpp"

namespace heph::rt::detail {

std::size_t pool_call::header_bytes(pool_source source) noexcept {
    constexpr std::size_t said = sizeof(io_uring_recvmsg_out);
    switch (source) {
        case pool_source::datagrams: return said + sizeof(sockaddr_in6);
        case pool_source::messages: return said;
        case pool_source::unix_datagrams: return said + sizeof(sockaddr_un);
        case pool_source::stream:
        case pool_source::pipe:
        case pool_source::file: break;
    }
    return 0;
}

// Of bytes that are read each operation takes some: pipes have no multishot read in older kernels,
// and files have an offset.
pool_call::pool_call(std::shared_ptr<pool_state> pool, int descriptor, pool_source source,
                     bool many, std::uint64_t offset, bool by_ring) noexcept
    : io_call(descriptor, waits::to_read, true),
      pool_(std::move(pool)),
      header_bytes_(header_bytes(source)),
      offset_(offset),
      source_(source),
      many_(many && source != pool_source::pipe) {
    if (!reads_bytes() || by_ring) { return; }
    on_thread_ = source == pool_source::file || (::fcntl(descriptor, F_GETFL) & O_NONBLOCK) == 0;
    if (!on_thread_) { return; }
    set(descriptor, source == pool_source::file ? waits::on_thread : waits::to_read_on_thread,
        true);
}

bool pool_call::get_ready() noexcept {
    if (!on_thread_ || held_) { return true; }
    held_ = pool_->take_free();
    if (!held_) { last_ = -ENOBUFS; }
    return held_.has_value();
}

pool_call::~pool_call() {
    if (held_) { pool_->give_back(*held_); }
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
    header_.msg_namelen = static_cast<socklen_t>(header_bytes_ - sizeof(io_uring_recvmsg_out));
    if (by_kernel) { return; }  // It finds its places by itself.
    const std::size_t skipped = at_front_ ? 0 : header_bytes_;
    header_.msg_name = header_.msg_namelen != 0 ? &from_ : nullptr;
    part_ = {buffer == nullptr ? nullptr : buffer + skipped, pool_->bytes() - skipped};
    header_.msg_iov = &part_;
    header_.msg_iovlen = 1;
}

std::int32_t pool_call::receive(std::byte* buffer) noexcept {
    if (reads_bytes()) {
        iovec into{buffer, std::min(pool_->bytes(), transfer_bytes_max)};
        if (source_ == pool_source::pipe || offset_ == fs::file::current_position) {
            return retry([&] { return ::read(descriptor(), into.iov_base, into.iov_len); });
        }
        return retry([&] {
            return ::pread(descriptor(), into.iov_base, into.iov_len, static_cast<off_t>(offset_));
        });
    }
    if (!is_message()) {
        return retry(
            [&] { return calls::recv(descriptor(), buffer, pool_->bytes(), MSG_DONTWAIT); });
    }
    prepare(buffer);
    const std::int32_t result =
        retry([&] { return calls::recvmsg(descriptor(), &header_, MSG_DONTWAIT | MSG_TRUNC); });
    if (result < 0) { return result; }
    io_uring_recvmsg_out said{};
    said.namelen = header_.msg_namelen;
    said.payloadlen = static_cast<std::uint32_t>(result);
    said.flags = static_cast<std::uint32_t>(header_.msg_flags);
    std::memcpy(buffer, &said, sizeof(said));
    std::memcpy(buffer + sizeof(said), &from_, header_bytes_ - sizeof(said));
    return result;
}

std::int32_t pool_call::perform() noexcept {
    if (on_thread_) {
        // The queue is the worker's, which may look at it meanwhile.
        was_performed_ = true;
        return receive(pool_->data(*held_));
    }
    bool came = false;
    while (queue_.count < queue_max()) {
        const auto id = pool_->take_free();
        if (!id) { return came ? 1 : -ENOBUFS; }
        const std::int32_t result = receive(pool_->data(*id));
        if (result < 0 || (result == 0 && !is_message())) {
            pool_->give_back(*id);
            // Of what is not for want of more the next attempt tells again.
            return came ? 1 : result;
        }
        pool_->enqueue(queue_, *id, static_cast<std::size_t>(result));
        if (result == 0) { return 1; }  // It may be the end of a connection, told each time.
        came = true;
    }
    return 1;
}

void pool_call::submit(io_uring_sqe& entry) noexcept {
    at_front_ = !many_;
    if (reads_bytes()) {
        io_uring_prep_read(&entry, descriptor(), nullptr,
                           static_cast<unsigned>(std::min(pool_->bytes(), transfer_bytes_max)),
                           source_ == pool_source::pipe ? fs::file::current_position : offset_);
    } else if (!is_message()) {
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
    if (std::exchange(was_performed_, false) && result > 0) {
        pool_->enqueue(queue_, *std::exchange(held_, std::nullopt),
                       static_cast<std::size_t>(result));
    }
    if ((flags & IORING_CQE_F_BUFFER) != 0) {
        const auto id = static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT);
        pool_->note_taken();
        worked_ = true;
        if (result > 0 || (result == 0 && is_message())) {
            pool_->enqueue(queue_, id, static_cast<std::size_t>(result));
        } else {
            pool_->give_back(id);
        }
    } else if (result == 0 && is_message() && !many_) {
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
        case 0: return is_message() ? next_step::go_on : next_step::end;
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

void pool_call::set_sender(pool_arrival& arrived, const std::byte* address,
                           std::size_t bytes) const {
    if (source_ == pool_source::datagrams) {
        socket_address from{};
        std::memcpy(&from, address, sizeof(from.v6));
        arrived.from = from_socket_address(from);
    } else if (source_ == pool_source::unix_datagrams) {
        arrived.unix_from.assign(reinterpret_cast<const char*>(address),
                                 std::min(bytes, sizeof(sockaddr_un)));
    }
}

pool_arrival pool_call::pop() {
    const auto* from = reinterpret_cast<const std::byte*>(&from_);
    if (queue_.count == 0) {
        came_empty_ = false;
        pool_arrival nothing(buffer(), 0, false);
        set_sender(nothing, from, header_.msg_namelen);
        return nothing;
    }
    const auto [id, bytes] = pool_->dequeue(queue_);
    if (!is_message()) { return {pool_->lease(id, 0, bytes), bytes, false}; }
    io_uring_recvmsg_out said{};
    said.namelen = header_.msg_namelen;
    said.payloadlen = static_cast<std::uint32_t>(bytes);
    said.flags = static_cast<std::uint32_t>(header_.msg_flags);
    std::size_t begin = 0;
    if (!at_front_) {
        std::memcpy(&said, pool_->data(id), sizeof(said));
        from = pool_->data(id) + sizeof(said);
        begin = header_bytes_;
    }
    const std::size_t size = said.payloadlen;
    const std::size_t there = std::min(size, pool_->bytes() - begin);
    pool_arrival arrived(pool_->lease(id, begin, there), size, (said.flags & MSG_TRUNC) != 0);
    set_sender(arrived, from, said.namelen);
    return arrived;
}

pool_receiving::pool_receiving(const rt::buffer_pool& pool, int descriptor, pool_source source,
                               bool many, std::uint64_t offset)
    : pool_(pool.state()), offset_(offset), descriptor_(descriptor), source_(source), many_(many) {
    if (pool.buffer_bytes() <= pool_call::header_bytes(source)) {
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
        auto call = std::make_unique<pool_call>(pool_, descriptor_, source_, many_, offset_,
                                                worker->driver().kind() == driver_kind::io_uring);
        slot& begun = acquire_slot(*worker, slot_kind::takes);
        begun.state = slot_state::completed;  // As one that has to go on.
        begun.call = std::move(call);
        operation_ = detail::operation(&begun);
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
            return outcome(std::in_place, buffer(), std::size_t{0}, false);
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
        if (step == pool_call::next_step::await_data) {
            operation.state = slot_state::in_flight;
            worker->driver().await_readiness(operation);
        } else if (call.get_ready()) {
            operation.state = slot_state::in_flight;
            worker->driver().call(operation);
        }
    }
}

}  // namespace heph::rt::detail
