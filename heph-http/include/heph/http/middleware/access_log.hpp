#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

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

/// Makes a middleware that writes a line for each answer. Put it around all others.
///
/// The line is written when the handler has answered: of a streamed body the size is not known
/// then, and is given as `-`, or left out. What a handler throws is written with status 500. What
/// the client sent is escaped, so that it cannot forge a line.
///
/// The user is who `authenticated_user` of `<heph/http/middleware/auth.hpp>` says.
///
/// Without a sink, the lines go to the log at the level `info`.
[[nodiscard]] middleware access_log(access_log_format format = access_log_format::common,
                                    access_log_sink sink = {});

}  // namespace heph::http
