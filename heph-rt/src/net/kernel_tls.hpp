#pragma once

// TLS as the kernel does it (Documentation/networking/tls.rst): a TCP socket that was given keys
// makes records of what is sent, so that a file needs no way through the program.
//
// It does the sending only. Receiving stays as it is: bytes come as they are on the wire.

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include <heph/rt/buffer.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/io_future.hpp>
#include <heph/rt/net/stream.hpp>

namespace heph::rt::detail {

/// What the kernel can do with keys.
enum class kernel_tls : std::uint8_t {
    none,         ///< It takes none.
    keys_stay,    ///< It takes them once.
    keys_change,  ///< It takes others later, as TLS 1.3 may want (Linux 6.14).
};

/// Finds out what the kernel can do, with a connection of its own to this host. Once in a process:
/// what it says stays, also if a module is loaded later. *Thread safety*: safe.
[[nodiscard]] kernel_tls kernel_tls_support() noexcept;

/// Is the type of records of data (RFC 8446 section 5.1); others are of alerts, and of handshakes.
inline constexpr std::uint8_t data_record = 23;

/// Has a socket's protocol be TLS, which changes nothing before it has keys.
[[nodiscard]] std::error_code prepare_for_keys(int socket) noexcept;
/// Gives a socket keys to send with: one of the kernel's `tls12_crypto_info_…`.
[[nodiscard]] std::error_code give_keys(int socket, std::span<const std::byte> keys) noexcept;

/// Sends all of a buffer's bytes over a socket that has keys, in records of that type, and gives
/// the buffer back. *Cancellation*: a part may have been sent. *Lifetime*: the stream outlives it.
[[nodiscard]] io_future<buffer> send_records(const net::byte_stream& stream, buffer bytes,
                                             std::uint8_t type);

/// Does as `net::send_file` over a socket that has keys.
[[nodiscard]] io_future<std::uint64_t> send_file_in_records(const net::byte_stream& stream,
                                                            const fs::file& file,
                                                            std::uint64_t offset,
                                                            std::uint64_t count);

}  // namespace heph::rt::detail
