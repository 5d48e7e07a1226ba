#pragma once

// Server-sent events (the WHATWG HTML standard, 9.2): a response that goes on for as long as there
// is something to tell, and that browsers read by `EventSource`.
//
//     heph::task<std::expected<void, http::error>> tell(http::event_sink events) {
//         for (int i = 0;; ++i) {
//             http::server_event event("tick " + std::to_string(i));
//             event.set_id(std::to_string(i));
//             const auto sent = co_await events.send(event);
//             if (!sent) { co_return sent; }
//             co_await heph::rt::timer(1s);
//         }
//     }
//     router.get("/ticks", [](http::request&) { return http::event_stream(tell); });

#include <chrono>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/http/error.hpp>
#include <heph/http/request.hpp>
#include <heph/http/response.hpp>

namespace heph::http {

/// An event for a page.
class server_event {
public:
    /// Makes a `message` event. The data is UTF-8; it may have several lines.
    explicit server_event(std::string data) : data_(std::move(data)) {}

    /// Sets the name by which the page listens to it.
    server_event& set_name(std::string name) {
        name_ = std::move(name);
        return *this;
    }
    /// Sets what the browser sends as `Last-Event-ID` when it connects again. An empty one makes it
    /// send none.
    server_event& set_id(std::string id) {
        id_ = std::move(id);
        return *this;
    }

    /// Appends the event as it is sent. Line ends of any kind in the data arrive as LF.
    /// *Errors*: `bad_response`, and `out` is as before: a line end in the name or the id, or a NUL
    /// in the id.
    std::expected<void, error> append_to(std::string& out) const;

private:
    std::string data_;
    std::string name_;
    std::optional<std::string> id_;
};

/// Sends events. *Lifetime*: the response's body.
class event_sink {
public:
    explicit event_sink(body_writer& to) noexcept : to_(&to) {}

    /// Sends an event. Completes when the connection can take more.
    /// *Errors*: `connection_lost`, when the page is gone; `bad_response` as `append_to`.
    task<std::expected<void, error>> send(server_event event);
    /// Sends nothing that a page would notice. Every 15 seconds, it keeps proxies from closing the
    /// connection; and it is how one learns of a page that the network no longer reaches.
    task<std::expected<void, error>> keep_alive();
    /// Waits until the page has gone, while there is nothing to tell: `body_writer::gone`.
    task<void> gone() { return to_->gone(); }
    /// Says how long the browser waits before it connects again; it does so whenever the response
    /// ends, until the page closes its `EventSource`, or the answer has another status than 200.
    task<std::expected<void, error>> retry_after(std::chrono::milliseconds wait);

private:
    static task<std::expected<void, error>> write(body_writer* to, std::string text);

    body_writer* to_;
};

/// Tells events until it returns.
using event_producer = std::function<task<std::expected<void, error>>(event_sink events)>;

/// Makes a response of events, that is not cached, and not held back by a proxy.
///
/// A browser that lost the connection asks again, with the id of the last event that it saw: see
/// `last_event_id`. A 204 tells it not to.
[[nodiscard]] response event_stream(event_producer producer);

/// Gives the id of the last event that the client saw, when it connects again.
[[nodiscard]] std::optional<std::string_view> last_event_id(const request& asked) noexcept;

}  // namespace heph::http
