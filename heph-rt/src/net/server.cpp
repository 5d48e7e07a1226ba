#include <heph/rt/net/server.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <new>

#include <heph/core/log.hpp>

#include "../worker_core.hpp"

namespace heph::rt::detail {

void log_accept_error(std::error_code failure) noexcept {
    try {
        log(log_level::error, "net: cannot accept connections: " + failure.message());
    } catch (...) { log(log_level::error, "net: cannot accept connections"); }
}

void log_connection_failure(const std::exception_ptr& failure) noexcept {
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

std::vector<net::socket_handle> take_waiting(int descriptor, std::size_t most) {
    std::vector<net::socket_handle> taken;
    most = std::min(most, taken_at_once);
    if (most == 0) { return taken; }
    taken.reserve(most);
    worker_core* worker = current_worker();
    const int flags = SOCK_CLOEXEC | (worker != nullptr ? worker->driver().socket_flags() : 0);
    // Another process may take a connection between the look and the accept: a limit of time, which
    // is the socket's and does not change how others wait for it, keeps this from blocking.
    timeval before{};
    socklen_t size = sizeof(before);
    const timeval at_once{0, 1000};
    if (::getsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &before, &size) != 0 ||
        ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &at_once, sizeof(at_once)) != 0) {
        return taken;
    }
    while (taken.size() < most) {
        pollfd readable{descriptor, POLLIN, 0};
        if (::poll(&readable, 1, 0) != 1) { break; }
        const int accepted = ::accept4(descriptor, nullptr, nullptr, flags);
        if (accepted < 0) { break; }
        taken.emplace_back(accepted);
    }
    (void)::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &before, size);
    return taken;
}

}  // namespace heph::rt::detail

namespace heph::rt::net {

std::expected<std::vector<tcp_listener>, std::error_code> listen_on(const endpoint& local,
                                                                    std::size_t workers,
                                                                    listen_options options) {
    std::vector<tcp_listener> all;
    endpoint address = local;
    options.reuse_port = workers > 1;
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
