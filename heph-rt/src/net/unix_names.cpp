#include "unix_names.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sockets.hpp"

namespace heph::rt::detail {

unsigned to_sockaddr(const net::unix_address& from, sockaddr_un& to) noexcept {
    to = {};
    to.sun_family = AF_UNIX;
    if (from.is_unnamed()) { return offsetof(sockaddr_un, sun_path); }
    const std::size_t first = from.is_abstract() ? 1 : 0;
    std::memcpy(to.sun_path + first, from.name().data(), from.name().size());
    const std::size_t used = offsetof(sockaddr_un, sun_path) + 1 + from.name().size();
    return static_cast<unsigned>(std::min(used, sizeof(to)));
}

net::unix_address from_sockaddr(const sockaddr_un& from, std::size_t bytes) {
    using net::unix_address;
    bytes = std::min(bytes, sizeof(from));
    if (bytes <= offsetof(sockaddr_un, sun_path)) { return {}; }
    const std::size_t used = bytes - offsetof(sockaddr_un, sun_path);
    // Of so many bytes, none of these is refused.
    if (from.sun_path[0] == '\0') {
        return unix_address::abstract({from.sun_path + 1, used - 1}).value_or(unix_address());
    }
    return unix_address::path({from.sun_path, ::strnlen(from.sun_path, used)})
        .value_or(unix_address());
}

std::expected<net::unix_address, std::error_code> ask_unix_address(int descriptor,
                                                                   int (*query)(int, sockaddr*,
                                                                                socklen_t*)) {
    sockaddr_un address{};
    socklen_t bytes = sizeof(address);
    if (query(descriptor, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) {
        return std::unexpected(last_error());
    }
    return from_sockaddr(address, bytes);
}

std::expected<net::peer_credentials, std::error_code> ask_credentials(int descriptor) {
    ucred known{};
    socklen_t bytes = sizeof(known);
    if (::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &known, &bytes) != 0) {
        return std::unexpected(last_error());
    }
    return net::peer_credentials(known.pid, known.uid, known.gid);
}

namespace {

// Tells whether a path is a socket at which nobody listens.
bool is_stale(const char* path, const sockaddr_un& address, unsigned bytes, int type) noexcept {
    // A connection to another file is refused, too.
    struct stat status{};
    if (::lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode)) { return false; }
    // By a socket of another type: whoever is there refuses that without learning of it.
    const int other = type == SOCK_DGRAM ? SOCK_STREAM : SOCK_DGRAM;
    const int probe = ::socket(AF_UNIX, other | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) { return false; }
    const bool refused =
        ::connect(probe, reinterpret_cast<const sockaddr*>(&address), bytes) != 0 &&
        errno == ECONNREFUSED;
    ::close(probe);
    return refused;
}

}  // namespace

std::error_code bind_to(int descriptor, int type, const net::unix_address& local,
                        bool replace_stale) noexcept {
    sockaddr_un address{};
    const unsigned bytes = to_sockaddr(local, address);
    const auto bind_it = [&] {
        return ::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), bytes) == 0
                   ? std::error_code()
                   : last_error();
    };
    const std::error_code failed = bind_it();
    if (failed != std::errc::address_in_use || !replace_stale || local.is_abstract() ||
        !is_stale(local.name().c_str(), address, bytes, type)) {
        return failed;
    }
    if (::unlink(local.name().c_str()) != 0 && errno != ENOENT) { return last_error(); }
    return bind_it();
}

std::expected<net::socket_handle, std::error_code> listen_at(
    int type, const net::unix_address& local, const net::unix_listen_options& options) {
    if (local.is_unnamed() || (local.is_abstract() && options.mode)) {
        return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    }
    net::socket_handle socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    if (!socket.is_open()) { return std::unexpected(last_error()); }
    if (const auto failed = bind_to(socket.get(), type, local, options.replace_stale)) {
        return std::unexpected(failed);
    }
    // Nobody can connect before it listens.
    if (options.mode && ::fchmodat(AT_FDCWD, local.name().c_str(), *options.mode & 07777U,
                                   AT_SYMLINK_NOFOLLOW) != 0) {
        const std::error_code failed = last_error();
        ::unlink(local.name().c_str());
        return std::unexpected(failed);
    }
    if (::listen(socket.get(), options.backlog) != 0) { return std::unexpected(last_error()); }
    return socket;
}

}  // namespace heph::rt::detail
