#pragma once

#include <expected>

#include <heph/core/task.hpp>
#include <heph/http/router.hpp>

namespace heph::http::test {

/// Makes the routes that most tests of the server use:
///
///     GET  /hello          "Hello, World!"                      (without waiting)
///     GET  /hello/{name}   "Hello, NAME!"                       (a coroutine)
///     GET  /later          "later", after 20 ms
///     GET  /stream/{count} that many pieces "piece N\n", streamed
///     POST /length         reads all of the body and gives its length
///     POST /echo           streams the body back as it comes
///     POST /ignore         leaves the body unread
///     GET  /throw          throws
///     GET  /throw-later    throws after 5 ms
///     GET  /cut            a stream that throws after its first piece
///     GET  /early-cut      a stream that throws before its first piece
///     GET  /bad-header     sets a header that cannot be sent
///     GET  /big/{bytes}    a body of that size
router make_test_routes();

/// Streams a request's body back.
task<std::expected<void, error>> copy(body_reader& from, body_writer& to);

}  // namespace heph::http::test
