#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include <heph/http/exchange.hpp>
#include <heph/http/router.hpp>

namespace heph::http {

/// Names the forms of a line in an access log.
enum class access_log_format : std::uint8_t {
    common,    ///< `127.0.0.1 - - [25/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 13`
    combined,  ///< As `common`, with `Referer` and `User-Agent` behind it, each in quotes.
    json,      ///< One JSON object, with the time taken in microseconds.
};

/// Takes the lines of an access log, without line ends.
/// *Thread safety*: it is called by all workers, at the same time.
using access_log_sink = std::function<void(std::string_view line)>;

/// Makes an observer that writes a line for all that is asked of a server, also for what never
/// gets to a handler: malformed, late and oversized requests, and connections beyond the limits.
///
///     router.observe(http::log_exchanges(http::access_log_format::combined));
///
/// The line is written when the answer was sent, or cut short. Its bytes are those of
/// `exchange::body_bytes_sent`, what nginx's log has; its time goes from the request's first byte
/// to there. The status is `-`, or left out, where no answer was begun; in the place of what is no
/// request stands its first line, or `-`. What the client sent is escaped, so that it cannot forge
/// a line. A JSON line of an answer that was not sent whole has `"complete":false`, and `"error"`
/// where there was one.
///
/// The user is who `authenticated_user` of `<heph/http/middleware/auth.hpp>` says.
///
/// Without a sink, the lines go to the log at the level `info`.
[[nodiscard]] exchange_observer log_exchanges(access_log_format format = access_log_format::common,
                                              access_log_sink sink = {});

/// Makes a middleware that writes the same lines about the requests that come to it, for a log of
/// some routes. Those that go into `log_exchanges` as well have a line of each.
///
/// A request that is from no connection, as in a test, has its line when the handler has answered:
/// with the size of the body, or `-` for a streamed one, and 500 for what is thrown.
[[nodiscard]] middleware access_log(access_log_format format = access_log_format::common,
                                    access_log_sink sink = {});

}  // namespace heph::http
