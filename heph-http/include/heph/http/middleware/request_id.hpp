#pragma once

#include <string>

#include <heph/http/router.hpp>

namespace heph::http {

/// How requests are named.
struct request_id_options {
    /// The header that carries the name, both ways.
    std::string header = "X-Request-Id";
    /// Keeps a name that the client sent, as a proxy in front does: up to 128 letters, digits and
    /// `-_.:+/=@`. Whoever can reach the server can then choose names.
    bool keeps_given = false;
};

/// Makes a middleware that gives each request a name of 32 random hexadecimal digits, in the
/// request's own headers, where handlers and logs find it, and in the answer's. *Errors*: throws
/// `std::invalid_argument` when the header's name is none.
[[nodiscard]] middleware request_id(request_id_options options = {});

}  // namespace heph::http
