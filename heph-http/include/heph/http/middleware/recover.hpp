#pragma once

#include <heph/http/router.hpp>

namespace heph::http {

/// Makes a middleware that answers with 500 what is thrown further in, and logs it, as the server
/// itself does: without details. Those around it see an answer then, and may add to it:
///
///     router.use(http::request_id()).use(http::cors(pages)).use(http::recover());
///
/// Without it the server answers, outside of all middleware. *Thread safety*: safe.
[[nodiscard]] middleware recover();

}  // namespace heph::http
