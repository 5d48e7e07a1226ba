#pragma once

#include <heph/http/router.hpp>
#include <heph/http/status.hpp>

namespace heph::http {

/// What nginx's log has for a client that went before it was answered; no registered status.
inline constexpr auto client_closed_request = static_cast<status>(499);

/// Makes a middleware that drops a handler whose client has gone: its coroutine is destroyed where
/// it waits, with all that it holds, instead of working on for nobody.
///
///     router.get("/report", http::with(http::drop_when_gone(), make_report));
///
/// The answer is then `client_closed_request`, which the access log shows, and the connection ends.
/// Who only ends its side of the connection, and waits for the answer, counts as gone: see
/// `request::client_gone`. Do not put it around handlers that must not stop half-way.
[[nodiscard]] middleware drop_when_gone();

}  // namespace heph::http
