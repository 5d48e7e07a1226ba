#pragma once

#include <heph/http/router.hpp>

namespace heph::http {

/// Makes a middleware that answers conditional requests and ranges by `apply_conditions`.
///
/// A successful answer to GET or HEAD that has no `ETag` and is not streamed gets one of its
/// content, which takes about a nanosecond a byte: set one in the handler where that is cheaper.
[[nodiscard]] middleware conditional();

}  // namespace heph::http
