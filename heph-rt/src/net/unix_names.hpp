#pragma once

// Addresses of Unix sockets as the kernel has them.

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <expected>
#include <system_error>

#include <heph/rt/net/unix.hpp>

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

/// Binds a socket of a type; replaces a path at which nobody is any more, if asked.
[[nodiscard]] std::error_code bind_to(int descriptor, int type, const net::unix_address& local,
                                      bool replace_stale) noexcept;

/// Makes a socket of a type that listens.
[[nodiscard]] std::expected<net::socket_handle, std::error_code> listen_at(
    int type, const net::unix_address& local, const net::unix_listen_options& options);

}  // namespace heph::rt::detail
