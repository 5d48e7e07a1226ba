#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <heph/http/router.hpp>

namespace heph::http {

/// Which pages of other origins may use a service (the CORS protocol of the WHATWG Fetch standard).
struct cors_options {
    /// Origins such as `https://app.example`, compared exactly; `*` alone allows every page, which
    /// excludes credentials.
    std::vector<std::string> origins = {};
    /// Methods that may be used beyond GET, HEAD and POST.
    std::vector<std::string> methods = {"PUT", "PATCH", "DELETE"};
    /// Request headers that may be set beyond those that are safe.
    std::vector<std::string> headers = {"Content-Type", "Authorization"};
    /// Response headers that pages may read beyond those that are safe.
    std::vector<std::string> exposed_headers = {};
    /// Whether requests may carry cookies and the like.
    bool credentials = false;
    /// How long a browser may remember the answer to a preflight.
    std::chrono::seconds max_age{600};
};

/// Makes a middleware that answers preflights, and tells browsers what pages may read.
///
/// A preflight is answered with 204, without asking the route; one of an origin that is not allowed
/// gets no permission. Other requests are answered as ever: it is the browser that keeps the answer
/// from the page. `Vary: Origin` is set where the answer depends on it.
/// *Errors*: throws `std::invalid_argument` for `*` together with credentials, or with other
/// origins.
[[nodiscard]] middleware cors(cors_options options);

}  // namespace heph::http
