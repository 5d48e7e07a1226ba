#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include <heph/http/error.hpp>
#include <heph/http/status.hpp>
#include <heph/rt/net/endpoint.hpp>

namespace heph::http {

class request;

/// What became of a request, or of what was to be one: told once, when the answer is on its way to
/// the client, or was given up.
///
/// *Lifetime*: its pointers and views are valid until who is told of it returns.
struct exchange {
    /// The request; null where none was taken whole: it is malformed, too large or late, or the
    /// connection is one too many.
    const http::request* asked = nullptr;
    /// What has come of the request's first line, at most 1 KiB, where there is no request.
    std::string_view first_line;
    /// What was answered; nothing where no answer was begun, as the client went before, or the
    /// server stopped.
    std::optional<http::status> status;
    /// What was wrong, where the server knows.
    std::optional<error> why;
    /// Bytes behind the answer's head that the kernel has taken, with the framing of chunks, before
    /// any encryption: nginx's `$body_bytes_sent`. Those of an upgraded connection do not count.
    std::uint64_t body_bytes_sent = 0;
    /// From the request's first byte to here; of what was asked for by `request::when_done` alone,
    /// from that call on.
    std::chrono::steady_clock::duration took{0};
    /// Who is at the other end, as far as it is known; behind a proxy see `request::peer`.
    std::optional<rt::net::endpoint> peer;
    /// Tells whether a handler or a middleware was called for it.
    bool handled = false;
    /// Tells whether all of the answer was sent.
    bool complete = false;
};

/// Is told of exchanges. What it throws is logged. See `router::observe`, `request::when_done`.
using exchange_observer = std::function<void(const exchange&)>;

}  // namespace heph::http
