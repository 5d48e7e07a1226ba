#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include <heph/http/error.hpp>

namespace heph::http {

/// An absolute `http` or `https` URL (RFC 9110, 4.2), taken apart.
///
/// The scheme and the host are in lower case; a fragment is dropped, as it is never sent.
struct url {
    std::string scheme;  ///< `http` or `https`.
    std::string host;    ///< A name or an address; an IPv6 address without its brackets.
    std::uint16_t port = 80;
    std::string target = "/";  ///< Path and query, as they stand in a request line.

    /// Reads a URL. In the path and the query, characters that no URI has are percent-encoded, as
    /// browsers do; dot segments are resolved. A host's characters are decoded; one that is not
    /// ASCII has to be given as `xn--…`. An IPv4 address has four decimal numbers: the system
    /// takes `0x7f.1` and `2130706433` for addresses, too, and these are refused.
    /// *Errors*: `bad_target` for what is no absolute URL of these schemes, or has user
    /// information, which RFC 9110, 4.2.4, says not to accept; `bad_host`.
    [[nodiscard]] static std::expected<url, error> parse(std::string_view text);

    /// Resolves a reference, such as the value of `Location`, against this URL (RFC 3986, 5.2).
    [[nodiscard]] std::expected<url, error> resolve(std::string_view reference) const;

    /// Gives host and port as they stand in `Host`: the port only if it is not the scheme's.
    [[nodiscard]] std::string authority() const;

    /// Gives scheme, host and port: what connections are shared by. `http://[::1]:80`
    [[nodiscard]] std::string origin() const;

    /// Writes the URL.
    [[nodiscard]] std::string to_string() const { return scheme + "://" + authority() + target; }

    bool operator==(const url&) const noexcept = default;
};

}  // namespace heph::http
