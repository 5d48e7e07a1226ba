#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include <heph/http/headers.hpp>

namespace heph::http {

/// A cookie that a client sent, as views into its headers.
struct cookie {
    std::string_view name;
    std::string_view value;  ///< As it was sent: cookies have no encoding of their own.
};

/// Takes the first cookie off the value of a `Cookie` header such as `a=1; b=2` (RFC 6265, 4.2).
/// What is no cookie is passed over. Gives nothing at the end.
[[nodiscard]] std::optional<cookie> next_cookie(std::string_view& list) noexcept;

/// Gives the value of the first cookie of this name in a request's headers. Case matters.
[[nodiscard]] std::optional<std::string_view> find_cookie(const headers& request,
                                                          std::string_view name) noexcept;

/// Says with which requests from other sites a cookie is sent (RFC 6265bis, 5.6.7).
enum class same_site : std::uint8_t { unset, strict, lax, none };

/// Says what is wrong with a cookie to set.
enum class cookie_error : std::uint8_t {
    bad_name,    ///< The name is no token.
    bad_value,   ///< The value has blanks, quotes, commas, semicolons or control characters.
    bad_path,    ///< The path has a semicolon or a control character, or does not begin with `/`.
    bad_domain,  ///< The domain is no host name.
    insecure,    ///< `same_site::none`, `partitioned`, or a prefix of the name, ask for `secure`.
    bad_prefix,  ///< `__Host-` asks for the path `/` and no domain.
};

/// Says it in words.
[[nodiscard]] std::string_view to_string(cookie_error error) noexcept;

/// A cookie for the client to keep, with defaults that are safe: scripts do not see it, and other
/// sites do not send it along, except by a link.
///
///     http::set_cookie session;
///     session.name = "session";
///     session.value = id;
///     session.secure = true;
///     if (const auto line = session.to_string()) {
///         response.headers().append("Set-Cookie", *line);
///     }
struct set_cookie {
    std::string name;
    std::string value;
    std::string path = "/";   ///< Empty leaves it out: the request's directory.
    std::string domain = {};  ///< Empty leaves it out: just this host.
    std::optional<std::chrono::seconds> max_age = {};      ///< None: until the browser ends.
    std::optional<std::chrono::sys_seconds> expires = {};  ///< Sent as one from 1970 to 9999.
    bool secure = false;                                   ///< Only over https.
    bool http_only = true;
    bool partitioned = false;
    http::same_site same_site = http::same_site::lax;

    /// Makes the cookie that removes one of this name. *Requires*: the same path and domain as when
    /// it was set.
    [[nodiscard]] static set_cookie removal(std::string name, std::string path = "/",
                                            std::string domain = {});

    /// Gives the value of a `Set-Cookie` header. *Errors*: what a browser would refuse or misread.
    [[nodiscard]] std::expected<std::string, cookie_error> to_string() const;
};

}  // namespace heph::http
