#pragma once

#include <string_view>

#include <heph/http/headers.hpp>

namespace heph::http::detail {

// Tells whether a cookie's name begins with one of the prefixes that promise something of it, as
// browsers see it: without regard to case (RFC 6265bis, section 5.5).
inline bool has_cookie_prefix(std::string_view name, std::string_view prefix) noexcept {
    return equal_ignoring_case(name.substr(0, prefix.size()), prefix);
}

}  // namespace heph::http::detail
