#include <heph/rt/net/unix.hpp>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <heph/rt/error.hpp>

#include "sockets.hpp"

namespace heph::rt::net {

namespace {

using detail::last_error;

// The zero byte behind a path, or before an abstract name, needs one more.
constexpr std::size_t name_bytes_max = sizeof(sockaddr_un::sun_path) - 1;

// Writes an address as the kernel wants it. Gives the bytes in use.
unsigned to_sockaddr(const unix_address& from, sockaddr_un& to) noexcept {
    to = {};
    to.sun_family = AF_UNIX;
    if (from.is_unnamed()) { return offsetof(sockaddr_un, sun_path); }
    const std::size_t first = from.is_abstract() ? 1 : 0;
    std::memcpy(to.sun_path + first, from.name().data(), from.name().size());
    return static_cast<unsigned>(offsetof(sockaddr_un, sun_path) + 1 + from.name().size());
}

template <typename Query>
std::expected<unix_address, std::error_code> ask_address(int descriptor, Query query) {
    sockaddr_un address{};
    socklen_t bytes = sizeof(address);
    if (query(descriptor, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) {
        return std::unexpected(last_error());
    }
    if (bytes <= offsetof(sockaddr_un, sun_path)) { return unix_address(); }
    const std::size_t used = bytes - offsetof(sockaddr_un, sun_path);
    if (address.sun_path[0] == '\0') {
        if (used == 1) { return unix_address(); }
        return unix_address::abstract({address.sun_path + 1, used - 1});
    }
    return unix_address::path({address.sun_path, ::strnlen(address.sun_path, used)});
}

// Tells whether a path is a socket at which nobody listens.
bool is_stale(const sockaddr_un& address, unsigned bytes) noexcept {
    // A connection to another file is refused, too.
    struct stat status{};
    if (::lstat(address.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) { return false; }
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) { return false; }
    const bool refused =
        ::connect(probe, reinterpret_cast<const sockaddr*>(&address), bytes) != 0 &&
        errno == ECONNREFUSED;
    ::close(probe);
    return refused;
}

std::error_code bind_to(int descriptor, const unix_address& local, bool replace_stale) noexcept {
    sockaddr_un address{};
    const unsigned bytes = to_sockaddr(local, address);
    const auto bind_it = [&] {
        return ::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), bytes) == 0
                   ? std::error_code()
                   : last_error();
    };
    const std::error_code failed = bind_it();
    if (failed != std::errc::address_in_use || !replace_stale || local.is_abstract() ||
        !is_stale(address, bytes)) {
        return failed;
    }
    if (::unlink(address.sun_path) != 0 && errno != ENOENT) { return last_error(); }
    return bind_it();
}

}  // namespace

std::expected<unix_address, std::error_code> unix_address::path(std::string_view path) {
    if (path.empty() || path.find('\0') != std::string_view::npos) {
        return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    }
    if (path.size() > name_bytes_max) {
        return std::unexpected(std::make_error_code(std::errc::filename_too_long));
    }
    return unix_address(std::string(path), false);
}

std::expected<unix_address, std::error_code> unix_address::abstract(std::string_view name) {
    if (name.empty()) { return std::unexpected(std::make_error_code(std::errc::invalid_argument)); }
    if (name.size() > name_bytes_max) {
        return std::unexpected(std::make_error_code(std::errc::filename_too_long));
    }
    return unix_address(std::string(name), true);
}

std::string unix_address::to_string() const {
    if (is_unnamed()) { return "(unnamed)"; }
    return abstract_ ? '@' + name_ : name_;
}

polled<unix_connect_future::value_type> unix_connect_future::poll(const waker& waker) {
    if (to_.is_unnamed()) {
        return value_type(std::unexpect, std::make_error_code(std::errc::invalid_argument));
    }
    sockaddr_un address{};
    const unsigned bytes = to_sockaddr(to_, address);
    return detail::to_stream<unix_stream>(
        detail::poll_connect(state_, reinterpret_cast<const sockaddr&>(address), bytes, waker));
}

std::expected<std::pair<unix_stream, unix_stream>, std::error_code> unix_stream::pair() {
    std::array<int, 2> made{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, made.data()) != 0) {
        return std::unexpected(last_error());
    }
    return std::pair(unix_stream(socket_handle(made[0])), unix_stream(socket_handle(made[1])));
}

std::expected<peer_credentials, std::error_code> unix_stream::credentials() const {
    ucred known{};
    socklen_t bytes = sizeof(known);
    if (::getsockopt(descriptor(), SOL_SOCKET, SO_PEERCRED, &known, &bytes) != 0) {
        return std::unexpected(last_error());
    }
    return peer_credentials(known.pid, known.uid, known.gid);
}

std::expected<unix_address, std::error_code> unix_stream::local_address() const {
    return ask_address(descriptor(), ::getsockname);
}

std::expected<unix_address, std::error_code> unix_stream::peer_address() const {
    return ask_address(descriptor(), ::getpeername);
}

polled<unix_accept_future::value_type> unix_accept_future::poll(const waker& waker) {
    return detail::to_stream<unix_stream>(detail::poll_accept(listener_->socket_, waker));
}

std::expected<unix_listener, std::error_code> unix_listener::bind(
    const unix_address& local, const unix_listen_options& options) {
    if (local.is_unnamed()) {
        return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    }
    socket_handle socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket.is_open()) { return std::unexpected(last_error()); }
    if (const auto failed = bind_to(socket.get(), local, options.replace_stale)) {
        return std::unexpected(failed);
    }
    if (::listen(socket.get(), options.backlog) != 0) { return std::unexpected(last_error()); }
    return unix_listener(std::move(socket));
}

std::expected<unix_listener, std::error_code> unix_listener::adopt(socket_handle socket) {
    if (!detail::is_listening(socket.get(), AF_UNIX)) {
        return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    }
    return unix_listener(std::move(socket));
}

std::expected<unix_address, std::error_code> unix_listener::local_address() const {
    return ask_address(descriptor(), ::getsockname);
}

}  // namespace heph::rt::net
