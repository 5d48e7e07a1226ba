#pragma once

#include <heph/http/router.hpp>

namespace bookmarks {

/// Makes the routes of the API, with a collection of their own.
heph::http::router make_routes();

}  // namespace bookmarks
