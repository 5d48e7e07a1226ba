#pragma once

#include <string_view>

#include <catch2/catch.hpp>

#include <heph/http/router.hpp>

#include "route_request.hpp"
#include "run_task.hpp"

namespace heph::http::test {

/// Answers a request from bytes, as a connection would.
inline response ask(const router& routes, std::string_view target, std::string_view fields = {},
                    std::string_view method = "GET") {
    request asked;
    REQUIRE(parse_head(asked, method, target, fields).kind == h1::event_kind::head);
    return run(routes.handle(asked));
}

}  // namespace heph::http::test
