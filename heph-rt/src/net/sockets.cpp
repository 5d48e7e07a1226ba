#include "sockets.hpp"

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include <heph/rt/error.hpp>

#include "address.hpp"
#include "socket_calls.hpp"

namespace heph::rt::detail {

std::error_code set_flag(int descriptor, int level, int option, bool enabled) noexcept {
    const int value = enabled ? 1 : 0;
    if (calls::setsockopt(descriptor, level, option, &value, sizeof(value)) != 0) {
        return last_error();
    }
    return {};
}

bool is_listening(int descriptor, int family) noexcept {
    const auto ask = [descriptor](int option) {
        int value = -1;
        socklen_t size = sizeof(value);
        return calls::getsockopt(descriptor, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
    };
    const int domain = ask(SO_DOMAIN);
    const bool fits = domain == family || (family == AF_INET && domain == AF_INET6);
    return fits && ask(SO_TYPE) == SOCK_STREAM && ask(SO_ACCEPTCONN) == 1;
}

std::error_code shut_down(int descriptor, net::shutdown_how how) noexcept {
    const int direction = how == net::shutdown_how::receive ? SHUT_RD
                          : how == net::shutdown_how::send  ? SHUT_WR
                                                            : SHUT_RDWR;
    return calls::shutdown(descriptor, direction) == 0 ? std::error_code() : last_error();
}

std::expected<net::endpoint, std::error_code> ask_endpoint(int descriptor,
                                                           int (*query)(int, sockaddr*,
                                                                        socklen_t*)) noexcept {
    socket_address address{};
    socklen_t size = sizeof(address);
    if (query(descriptor, &address.any, &size) != 0) { return std::unexpected(last_error()); }
    if (address.any.sa_family != AF_INET && address.any.sa_family != AF_INET6) {
        return std::unexpected(std::make_error_code(std::errc::address_family_not_supported));
    }
    return from_socket_address(address);
}

polled<new_socket> poll_connect(connecting& state, int type, const sockaddr& to, unsigned bytes,
                                const waker& waker) {
    if (!state.attempt.started()) {
        worker_core* worker = current_worker();
        if (worker == nullptr) { return new_socket(std::unexpect, errc::no_worker); }
        state.socket = net::socket_handle(
            calls::socket(to.sa_family, type | SOCK_CLOEXEC | worker->driver().socket_flags(), 0));
        if (!state.socket.is_open()) { return new_socket(std::unexpect, last_error()); }
        auto address = std::make_unique<sockaddr_storage>();
        std::memcpy(address.get(), &to, bytes);
        slot& operation = acquire_slot(*worker, slot_kind::plain);
        operation.address = std::move(address);
        state.attempt = detail::operation(&operation);
        worker->driver().connect(operation, state.socket.get(), bytes);
    }
    slot& operation = state.attempt.state();
    if (!is_completed(operation, waker)) { return pending; }
    const int result = operation.result;
    state.attempt.finish();
    if (result < 0) { return new_socket(std::unexpect, system_error(-result)); }
    return new_socket(std::move(state.socket));
}

// So many taken ones stay in a listener's list at most; and as many as are accepted ahead go after
// them, but for a worker that was busy for long.
static constexpr std::size_t taken_max = 64;
static constexpr std::size_t accepted_room = 2 * taken_max;

static net::socket_handle pop_accepted(slot& operation) noexcept {
    const int descriptor = operation.accepted[operation.accepted_taken++];
    // Bounded also where it never runs empty.
    if (operation.accepted_waiting() == 0 || operation.accepted_taken == taken_max) {
        operation.accepted.erase(
            operation.accepted.begin(),
            operation.accepted.begin() + static_cast<std::ptrdiff_t>(operation.accepted_taken));
        operation.accepted_taken = 0;
    }
    return net::socket_handle(descriptor);
}

std::optional<net::socket_handle> take_accepted(watched_socket& listener) noexcept {
    worker_core* worker = current_worker();
    if (worker == nullptr || !listener.multishot.started()) { return std::nullopt; }
    slot& operation = listener.multishot.state();
    if (!worker->owns(operation) || operation.accepted_waiting() == 0) { return std::nullopt; }
    return pop_accepted(operation);
}

polled<void> poll_stop_accepting(watched_socket& listener, const waker& waker) {
    worker_core* worker = current_worker();
    if (worker == nullptr || !listener.multishot.started()) { return ready; }
    slot& operation = listener.multishot.state();
    if (!worker->owns(operation) || !operation.armed) { return ready; }
    worker->driver().pause(operation);
    if (!operation.armed) { return ready; }
    operation.waker = waker;
    return pending;
}

polled<new_socket> poll_accept(watched_socket& listener, const waker& waker) {
    worker_core* worker = current_worker();
    if (worker == nullptr) { return new_socket(std::unexpect, errc::no_worker); }
    if (!listener.handle.is_open()) { return new_socket(std::unexpect, errc::closed); }
    if (!listener.multishot.started()) {
        slot& operation = acquire_slot(*worker, slot_kind::accepts);
        operation.state = slot_state::completed;
        listener.multishot = detail::operation(&operation);
        // Here a want of memory is an error; when one is accepted, it would have to be closed.
        operation.accepted.reserve(accepted_room);
    }
    slot& operation = listener.multishot.state();
    if (!worker->owns(operation)) { return new_socket(std::unexpect, errc::wrong_worker); }
    for (;;) {
        if (operation.accepted_waiting() != 0) { return new_socket(pop_accepted(operation)); }
        if (operation.result < 0) {
            const int number = -std::exchange(operation.result, 0);
            return new_socket(std::unexpect, system_error(number));
        }
        if (operation.armed) {
            operation.waker = waker;
            return pending;
        }
        operation.state = slot_state::in_flight;
        operation.accepts_direct = listener.accepts_direct;
        worker->driver().accept_many(operation, listener.handle.get());
    }
}

}  // namespace heph::rt::detail
