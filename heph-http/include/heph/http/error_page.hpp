#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include <heph/http/error.hpp>
#include <heph/http/request_head.hpp>
#include <heph/http/response.hpp>
#include <heph/http/status.hpp>

namespace heph::http {

/// What the server answers with an error by itself.
struct refusal {
    http::status status = http::status::internal_server_error;
    std::optional<error> why;  ///< Nothing where the status says all: 404, 405, a CONNECT.
    std::string_view detail;   ///< A sentence that may be shown to the peer; maybe empty.
    /// The request; null where none was taken whole: it is malformed, too large or late, or the
    /// connection is one too many. *Lifetime*: until the page is made.
    const request_head* asked = nullptr;
};

/// Makes what a client gets to see of an error: body and headers. See `router::render_errors`.
/// *Thread safety*: it is called by all workers, at the same time.
using error_page = std::function<response(const refusal&)>;

}  // namespace heph::http
