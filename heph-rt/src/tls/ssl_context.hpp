#pragma once

// What the contexts of servers and clients with certificates have in common.

#include <string>
#include <vector>

#include <heph/rt/error.hpp>
#include <heph/rt/tls/config.hpp>
#include <heph/rt/tls/error.hpp>

#include "openssl.hpp"

namespace heph::rt::tls {

// A chain of certificates may be long, but OpenSSL takes no longer one than 100 KiB itself.
inline constexpr std::size_t certified_handshake_bytes_max = 128 * 1024;

/// Makes a context with versions and ciphers that are fit for use; null when OpenSSL fails.
[[nodiscard]] ssl_context_ptr make_ssl_context(version version_min);

/// Writes names as ALPN has them on the wire. *Errors*: `bad_protocol_name`.
[[nodiscard]] std::expected<std::string, error> write_protocols(
    const std::vector<std::string>& names);

[[nodiscard]] inline error plain_error(errc what, const std::string& detail = {}) {
    std::string text = make_error_code(what).message();
    if (!detail.empty()) { text += " (" + detail + ')'; }
    return {make_error_code(what), std::move(text)};
}

}  // namespace heph::rt::tls
