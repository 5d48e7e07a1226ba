#include <heph/rt/net/server.hpp>

#include <cerrno>
#include <cstddef>
#include <new>
#include <string>

#include <heph/core/log.hpp>

#include "../readiness_call.hpp"
#include "../worker_core.hpp"
#include "in_use.hpp"
#include "socket_file.hpp"
#include "sockets.hpp"

namespace heph::rt::detail {

void log_accept_error(std::error_code failure) noexcept {
    try {
        log(log_level::error, "net: cannot accept connections: " + failure.message());
    } catch (...) { log(log_level::error, "net: cannot accept connections"); }
}

// What clients can make a handler throw must not fill the disk.
static bool may_log_failure() noexcept {
    worker_core* const worker = current_worker();
    if (worker == nullptr) { return true; }
    if (!worker->failed_connections().admits(worker->now())) { return false; }
    worker->log_left_out_connections();
    return true;
}

void log_connection_failure(const std::exception_ptr& failure) noexcept {
    if (!may_log_failure()) { return; }
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& exception) {
        try {
            log(log_level::error, std::string("net: a connection failed: ") + exception.what());
        } catch (...) { log(log_level::error, "net: a connection failed"); }
    } catch (...) {
        log(log_level::error, "net: a connection failed with something that is no std::exception");
    }
}

std::error_code accept_error_of(const std::exception_ptr& thrown) noexcept {
    try {
        std::rethrow_exception(thrown);
    } catch (const std::system_error& failure) {
        return failure.code();
    } catch (const std::bad_alloc&) {
        return std::make_error_code(std::errc::not_enough_memory);
    } catch (...) { return std::make_error_code(std::errc::state_not_recoverable); }
}

polled<take_waiting::value_type> take_waiting::poll(const waker& waker) {
    worker_core* worker = current_worker();
    if (worker == nullptr) { return polled<value_type>(std::in_place); }
    for (;;) {
        if (!attempt_.started()) {
            slot& operation = acquire_slot(*worker, slot_kind::opens);
            attempt_ = detail::operation(&operation);
            worker->driver().accept_one(operation, descriptor_);
        }
        slot& operation = attempt_.state();
        if (!is_completed(operation, waker)) { return pending; }
        const int result = operation.result;
        attempt_.finish();
        if (result >= 0) { return polled<value_type>(std::in_place, net::socket_handle(result)); }
        if (result == -ECONNABORTED || result == -EINTR) { continue; }
        // The attempt may have been told of a connection as it was ended: nobody else was then.
        if (result != -ECANCELED || is_ready(descriptor_, true) != 0) {
            return polled<value_type>(std::in_place);
        }
    }
}

void keep_file(const std::weak_ptr<socket_file>& of) noexcept {
    if (const auto file = of.lock()) { file->keep(); }
}

}  // namespace heph::rt::detail

namespace heph::rt::net {

std::expected<std::vector<tcp_listener>, std::error_code> listen_on(const endpoint& local,
                                                                    std::size_t workers,
                                                                    listen_options options) {
    std::vector<tcp_listener> all;
    endpoint address = local;
    options.reuse_port = workers > 1;
    if (!options.in_use_wait) { options.in_use_wait = detail::killed_process_wait; }
    for (std::size_t i = 0; i < std::max<std::size_t>(workers, 1); ++i) {
        options.first = i == 0;
        auto listener = tcp_listener::bind(address, options);
        if (!listener) { return std::unexpected(listener.error()); }
        const auto bound = listener->local_endpoint();
        if (!bound) { return std::unexpected(bound.error()); }
        address = *bound;
        all.push_back(std::move(*listener));
    }
    return all;
}

}  // namespace heph::rt::net
