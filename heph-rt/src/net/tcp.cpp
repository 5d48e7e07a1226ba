#include <heph/rt/net/tcp.hpp>

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include <heph/rt/error.hpp>

#include "../worker_core.hpp"
#include "address.hpp"

namespace heph::rt::net {

namespace {

using detail::acquire_slot;
using detail::current_worker;
using detail::slot;
using detail::slot_kind;
using detail::slot_state;
using detail::worker_core;

// So many bytes a stream receives at once when the provided buffers are used up.
constexpr std::size_t starved_receive_bytes = 4096;

std::error_code system_error(int number) noexcept { return {number, std::system_category()}; }

// Tells whether an operation is completed; else keeps the waker.
bool is_completed(slot& operation, const waker& waker) noexcept {
    if (operation.state == slot_state::completed) { return true; }
    operation.waker = waker;
    return false;
}

}  // namespace

polled<recv_future::value_type> recv_future::poll(const waker& waker) {
    if (!operation_.started()) {
        worker_core* worker = current_worker();
        if (worker == nullptr) { return value_type(std::unexpect, errc::no_worker); }
        if (!stream_->is_open()) { return value_type(std::unexpect, errc::closed); }
        if (stream_->socket_.multishot.started()) {
            return value_type(std::unexpect, errc::conflicting_operation);
        }
        if (buffer_.spare() == 0) {
            return value_type(std::unexpect, std::make_error_code(std::errc::invalid_argument));
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
    tcp_stream& stream = *stream_;
    worker_core* worker = current_worker();
    if (worker == nullptr) { return value_type(std::unexpect, errc::no_worker); }
    if (!stream.is_open()) { return value_type(std::unexpect, errc::closed); }
    if (!stream.socket_.multishot.started()) {
        slot& operation = acquire_slot(*worker, slot_kind::receives);
        operation.starved = !worker->driver().receives_many();
        operation.short_is_all = true;
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

polled<connect_future::value_type> connect_future::poll(const waker& waker) {
    if (!operation_.started()) {
        worker_core* worker = current_worker();
        if (worker == nullptr) { return value_type(std::unexpect, errc::no_worker); }
        const int family = to_.is_v6() ? AF_INET6 : AF_INET;
        socket_ = socket_handle(
            ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | worker->driver().socket_flags(), 0));
        if (!socket_.is_open()) { return value_type(std::unexpect, system_error(errno)); }
        slot& operation = acquire_slot(*worker, slot_kind::plain);
        operation_ = detail::operation(&operation);
        const unsigned bytes = detail::to_socket_address(to_, operation.address);
        worker->driver().connect(operation, socket_.get(), bytes);
    }
    slot& operation = operation_.state();
    if (!is_completed(operation, waker)) { return pending; }
    const int result = operation.result;
    operation_.finish();
    if (result < 0) { return value_type(std::unexpect, system_error(-result)); }
    tcp_stream connected(std::move(socket_));
    if (const auto failed = connected.set_no_delay(true)) {
        return value_type(std::unexpect, failed);
    }
    return value_type(std::move(connected));
}

polled<accept_future::value_type> accept_future::poll(const waker& waker) {
    tcp_listener& listener = *listener_;
    worker_core* worker = current_worker();
    if (worker == nullptr) { return value_type(std::unexpect, errc::no_worker); }
    if (listener.descriptor() < 0) { return value_type(std::unexpect, errc::closed); }
    if (!listener.socket_.multishot.started()) {
        slot& operation = acquire_slot(*worker, slot_kind::accepts);
        operation.state = slot_state::completed;
        listener.socket_.multishot = detail::operation(&operation);
    }
    slot& operation = listener.socket_.multishot.state();
    if (!worker->owns(operation)) { return value_type(std::unexpect, errc::wrong_worker); }
    for (;;) {
        if (operation.accepted_waiting() != 0) {
            const int descriptor = operation.accepted[operation.accepted_taken++];
            if (operation.accepted_waiting() == 0) {
                operation.accepted.clear();
                operation.accepted_taken = 0;
            }
            return value_type(std::in_place, socket_handle(descriptor));
        }
        if (operation.result < 0) {
            const int number = -std::exchange(operation.result, 0);
            return value_type(std::unexpect, system_error(number));
        }
        if (operation.armed) {
            operation.waker = waker;
            return pending;
        }
        operation.state = slot_state::in_flight;
        worker->driver().accept_many(operation, listener.descriptor());
    }
}

}  // namespace heph::rt::net
