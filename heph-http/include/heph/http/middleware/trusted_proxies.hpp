#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <heph/http/router.hpp>

namespace heph::http {

/// Where a proxy says whom it asks for.
enum class forwarded_by : std::uint8_t {
    x_forwarded,  ///< In `X-Forwarded-For` and `X-Forwarded-Proto`, as most proxies do.
    forwarded,    ///< In `Forwarded` (RFC 7239).
};

/// Which proxies are believed, and what they write.
struct trusted_proxies_options {
    /// Their addresses and networks: `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`; and `unix:` for whoever
    /// can connect to the server's Unix socket.
    std::vector<std::string> networks = {"127.0.0.0/8", "::1", "unix:"};
    /// The one way that they write. What a proxy does not write it lets pass from the client, who
    /// then says what he likes: so the other way is never looked at.
    forwarded_by header = forwarded_by::x_forwarded;
};

/// Makes a middleware by which `request.peer()` is the client, and `is_secure()` tells of its
/// connection, where a trusted proxy is in between: for the log, for limits by address, for
/// `https_only`. Put it around these.
///
/// Each proxy adds whom it was asked by at the end of a list. From its end, addresses are passed
/// over as long as they are those of trusted proxies; the first other one is the client. What is no
/// address (`unknown`, a name) ends the search at the proxy that wrote it. Requests of anybody else
/// are left alone, whatever they say. A port that is not told is 0.
///
/// *Errors*: throws `std::invalid_argument` for what is no network.
[[nodiscard]] middleware trusted_proxies(trusted_proxies_options options = {});

}  // namespace heph::http
