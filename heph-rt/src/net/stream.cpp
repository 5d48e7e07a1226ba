#include <heph/rt/net/stream.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include <heph/rt/error.hpp>

#include "../worker_core.hpp"
#include "socket_calls.hpp"
#include "sockets.hpp"

namespace heph::rt::net {

namespace {

using detail::acquire_slot;
using detail::current_worker;
using detail::is_completed;
using detail::slot;
using detail::slot_kind;
using detail::slot_state;
using detail::system_error;
using detail::worker_core;

// So many bytes a stream receives at once when the provided buffers are used up.
constexpr std::size_t starved_receive_bytes = 4096;
// So many a stream receives by one call where more comes than it queues, and so many times in a row
// before others have their turn.
constexpr std::size_t bulk_receive_bytes = 64 * 1024;
constexpr std::uint8_t bulk_receives_max = 4;

// Receives much at once, without the driver, as long as all that there was room for is there.
// Gives nothing when there is nothing, or an error: the driver finds out.
buffer receive_bulk(slot& operation, int descriptor) {
    buffer received;
    try {
        received.reserve(bulk_receive_bytes);
    } catch (const std::bad_alloc&) {
        operation.flooded = false;
        return received;
    }
    const auto count =
        detail::calls::recv(descriptor, received.data(), received.capacity(), MSG_DONTWAIT);
    if (count > 0) { received.commit(static_cast<std::size_t>(count)); }
    operation.flooded = received.spare() == 0;
    return received;
}

}  // namespace

std::error_code byte_stream::shutdown(shutdown_how how) noexcept {
    return detail::shut_down(descriptor(), how);
}

std::error_code byte_stream::make_direct() noexcept {
    if (receives_ahead()) { return errc::conflicting_operation; }
    return socket_.handle.make_direct();
}

std::error_code byte_stream::make_ordinary() noexcept { return socket_.handle.make_ordinary(); }

std::error_code byte_stream::may_receive(std::size_t room) const noexcept {
    if (!is_open()) { return errc::closed; }
    if (socket_.multishot.started()) { return errc::conflicting_operation; }
    if (room == 0) { return std::make_error_code(std::errc::invalid_argument); }
    return {};
}

std::expected<std::size_t, std::error_code> byte_stream::try_send(
    std::span<const std::byte> bytes) noexcept {
    if (!is_open()) { return std::unexpected(make_error_code(errc::closed)); }
    const std::int32_t sent = detail::retry([&] {
        return detail::calls::send(descriptor(), bytes.data(),
                                   std::min(bytes.size(), detail::transfer_bytes_max),
                                   MSG_DONTWAIT | MSG_NOSIGNAL);
    });
    if (sent >= 0) { return static_cast<std::size_t>(sent); }
    if (sent == -EAGAIN || sent == -EWOULDBLOCK) { return 0; }
    return std::unexpected(system_error(-sent));
}

polled<recv_future::value_type> recv_future::poll(const waker& waker) {
    if (!operation_.started()) {
        worker_core* worker = current_worker();
        if (worker == nullptr) { return value_type(std::unexpect, errc::no_worker); }
        if (const auto refused = stream_->may_receive(buffer_.spare())) {
            return value_type(std::unexpect, refused);
        }
        slot& operation = acquire_slot(*worker, slot_kind::plain);
        operation.data = std::move(buffer_);
        operation_ = detail::operation(&operation);
        worker->driver().receive_once(operation, stream_->descriptor());
    }
    slot& operation = operation_.state();
    if (!is_completed(operation, waker)) { return pending; }
    const int result = operation.result;
    buffer received = std::move(operation.data);
    operation_.finish();
    if (result < 0) { return value_type(std::unexpect, system_error(-result)); }
    received.commit(static_cast<std::size_t>(result));
    return value_type(std::move(received));
}

polled<send_future::value_type> send_future::poll(const waker& waker) {
    worker_core* worker = current_worker();
    if (worker == nullptr) { return value_type(std::unexpect, errc::no_worker); }
    if (!operation_.started()) {
        if (!stream_->is_open()) { return value_type(std::unexpect, errc::closed); }
        if (buffer_.empty()) { return value_type(std::move(buffer_)); }
        slot& operation = acquire_slot(*worker, slot_kind::plain);
        operation.data = std::move(buffer_);
        operation_ = detail::operation(&operation);
        worker->driver().send(operation, stream_->descriptor(), 0);
    }
    slot& operation = operation_.state();
    for (;;) {
        if (!is_completed(operation, waker)) { return pending; }
        if (operation.result < 0) { break; }
        sent_ += static_cast<std::size_t>(operation.result);
        if (sent_ == operation.data.size()) { break; }
        if (!worker->owns(operation)) { return value_type(std::unexpect, errc::wrong_worker); }
        operation.state = slot_state::in_flight;
        worker->driver().send(operation, stream_->descriptor(), sent_);
    }
    const int result = operation.result;
    buffer sent = std::move(operation.data);
    operation_.finish();
    if (result < 0) { return value_type(std::unexpect, system_error(-result)); }
    return value_type(std::move(sent));
}

polled<next_chunk_future::value_type> next_chunk_future::poll(const waker& waker) {
    byte_stream& stream = *stream_;
    worker_core* worker = current_worker();
    if (worker == nullptr) { return value_type(std::unexpect, errc::no_worker); }
    if (!stream.is_open()) { return value_type(std::unexpect, errc::closed); }
    if (!stream.socket_.multishot.started()) {
        slot& operation = acquire_slot(*worker, slot_kind::receives);
        operation.starved = !worker->driver().receives_many();
        operation.short_is_all = stream.socket_.short_is_all;
        operation.state = slot_state::completed;
        stream.socket_.multishot = detail::operation(&operation);
    }
    slot& operation = stream.socket_.multishot.state();
    if (!worker->owns(operation)) { return value_type(std::unexpect, errc::wrong_worker); }
    for (;;) {
        if (operation.chunks.count != 0) {
            detail::buffer_pool& buffers = *worker->driver().buffers();
            const auto [id, size] = buffers.dequeue(operation.chunks);
            return value_type(std::in_place, buffers, id, buffers.data(id), size);
        }
        if (operation.armed) {
            operation.waker = waker;
            return pending;
        }
        if (!operation.data.empty()) {
            operation.starved = !worker->driver().receives_many();
            return value_type(std::in_place, std::move(operation.data));
        }
        if (operation.ended) { return value_type(std::in_place); }
        if (operation.result < 0) {
            return value_type(std::unexpect, system_error(-operation.result));
        }
        if (operation.flooded && !stream.is_direct()) {
            if (++operation.bulk_receives > bulk_receives_max) {
                operation.bulk_receives = 0;
                waker.wake();
                return pending;
            }
            buffer received = receive_bulk(operation, stream.descriptor());
            if (!received.empty()) { return value_type(std::in_place, std::move(received)); }
        }
        operation.bulk_receives = 0;
        operation.state = slot_state::in_flight;
        if (operation.starved) {
            // The others hold all buffers: go on with one of our own, so that none starves.
            operation.data = buffer::with_capacity(starved_receive_bytes);
            worker->driver().receive_once(operation, stream.descriptor());
        } else {
            operation.data = buffer();
            worker->driver().receive_many(operation, stream.descriptor());
        }
    }
}

}  // namespace heph::rt::net
