#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <heph/http/headers.hpp>
#include <heph/http/url.hpp>

namespace heph::http {

/// Bounds what a jar keeps. Beyond it, those that were not used for longest go, first those without
/// `Secure`; in the place of one with it nothing comes that was set over plain http.
struct cookie_jar_limits {
    std::size_t cookies_max = 3'000;
    std::size_t cookies_per_domain_max = 50;
    /// Name and value together; a larger cookie is not kept.
    std::size_t cookie_bytes_max = 4'096;
};

/// Keeps the cookies that servers set, and gives those that belong to a request (RFC 6265, 5).
///
///     http::client_options options;
///     options.cookies = std::make_shared<http::cookie_jar>();
///
/// A cookie goes to the host that set it, or, with `Domain`, to the hosts below that domain too; to
/// paths below its `Path`; with `Secure` to https only; until it expires, or the jar ends. Plain
/// http neither sets cookies with `Secure` nor replaces such ones; the names `__Secure-…` and
/// `__Host-…` are held to what they promise. No cookie is kept for longer than 400 days.
///
/// It knows no public suffixes: a domain without a dot, such as `com`, is refused, but `co.uk` is
/// taken for a domain like others. Use a jar of its own for each server that is not trusted with
/// the others' cookies. `SameSite` and `HttpOnly` tell browsers about pages and scripts, which
/// there are none of here.
///
/// *Thread safety*: unsafe: used on the worker of its client.
class cookie_jar {
public:
    /// What is kept of one cookie.
    struct kept {
        std::string name;
        std::string value;
        std::string domain;  ///< In lower case, without a dot in front or at the end.
        std::string path;
        std::chrono::sys_seconds expires = std::chrono::sys_seconds::max();
        bool host_only = true;  ///< Just for this host, and not for those below it.
        bool secure = false;
        std::uint64_t created = 0;  ///< The order in which they came.
        std::uint64_t used = 0;     ///< The order in which they were sent last.
    };

    explicit cookie_jar(cookie_jar_limits within = {}) noexcept : limits_(within) {}

    /// Keeps what the `Set-Cookie` lines of an answer ask for; what they may not ask for is passed
    /// over. Removes those that have expired. *Errors*: throws `std::bad_alloc`.
    void store(const url& from, const headers& answer,
               std::chrono::sys_seconds now = current_time());

    /// Gives the value of the `Cookie` header of a request; empty when it has no cookies.
    [[nodiscard]] std::string header_for(const url& to,
                                         std::chrono::sys_seconds now = current_time());

    /// Gives the cookies, in no order; those that have expired may be among them.
    [[nodiscard]] const std::vector<kept>& cookies() const noexcept { return cookies_; }
    void clear() noexcept { cookies_.clear(); }

private:
    [[nodiscard]] static std::chrono::sys_seconds current_time() {
        return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    }
    void store_line(const url& from, std::string_view line, std::chrono::sys_seconds now);
    [[nodiscard]] bool hides_secure(const kept& made) const noexcept;
    void put(kept&& made, std::chrono::sys_seconds now, bool is_plain);
    [[nodiscard]] bool make_room(const std::string& domain, bool is_plain);

    cookie_jar_limits limits_;
    std::vector<kept> cookies_;
    std::uint64_t order_ = 0;
};

}  // namespace heph::http
