#pragma once

// Addresses of Unix sockets as the kernel has them.

#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstddef>
#include <expected>
#include <memory>
#include <system_error>

#include <heph/rt/net/unix.hpp>

#include "socket_file.hpp"

namespace heph::rt::detail {

// A path may do without the zero byte behind it.
inline constexpr std::size_t path_bytes_max = sizeof(sockaddr_un::sun_path);
// An abstract name has one before it.
inline constexpr std::size_t abstract_bytes_max = sizeof(sockaddr_un::sun_path) - 1;

/// Writes an address as the kernel wants it. Gives the bytes in use.
[[nodiscard]] unsigned to_sockaddr(const net::unix_address& from, sockaddr_un& to) noexcept;

/// Reads an address of so many bytes as the kernel counts them: with a zero byte behind a path, for
/// which there may be no room.
[[nodiscard]] net::unix_address from_sockaddr(const sockaddr_un& from, std::size_t bytes);

/// Asks `getsockname` or `getpeername`.
[[nodiscard]] std::expected<net::unix_address, std::error_code> ask_unix_address(
    int descriptor, int (*query)(int, sockaddr*, socklen_t*));

/// Asks who is at the other end.
[[nodiscard]] std::expected<net::peer_credentials, std::error_code> ask_credentials(int descriptor);

/// Binds a socket of a type; replaces a path at which nobody is any more, if asked:
///
///     unlocked --lock--> locked --bind--> bound
///     locked --in use, nobody is there--> removed --bind--> bound
///     locked --somebody is there--> unlocked --pause--> unlocked
///
/// All of it with the directory's lock: what nobody seems to have may be a socket that is being
/// bound. Without it where there is none to be had. Ends at an error, for this process's own
/// socket, and for what is no socket. It pauses for `in_use_wait` at most: who is there may be a
/// process that was killed.
[[nodiscard]] std::error_code bind_to(int descriptor, int type, const net::unix_address& local,
                                      bool replace_stale, std::chrono::milliseconds in_use_wait);

struct listening_socket {
    net::socket_handle socket;
    std::shared_ptr<socket_file> file;  // Null when it stays. Goes before the socket.
};

/// Makes a socket of a type that listens.
[[nodiscard]] std::expected<listening_socket, std::error_code> listen_at(
    int type, const net::unix_address& local, const net::unix_listen_options& options);

}  // namespace heph::rt::detail
