#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <heph/http/exchange.hpp>
#include <heph/http/response.hpp>
#include <heph/http/router.hpp>

namespace heph::http {

namespace detail {
class metrics_state;
}

/// How metrics are named and measured.
struct metrics_options {
    /// What the names of the metrics begin with.
    std::string prefix = "http";
    /// The upper bounds of the histogram's buckets, rising; one without a bound comes behind them.
    std::vector<std::chrono::microseconds> bounds{
        std::chrono::microseconds(500),   std::chrono::milliseconds(1),
        std::chrono::microseconds(2'500), std::chrono::milliseconds(5),
        std::chrono::milliseconds(10),    std::chrono::milliseconds(25),
        std::chrono::milliseconds(50),    std::chrono::milliseconds(100),
        std::chrono::milliseconds(250),   std::chrono::milliseconds(500),
        std::chrono::milliseconds(1'000), std::chrono::milliseconds(2'500),
        std::chrono::milliseconds(5'000), std::chrono::milliseconds(10'000)};
};

/// Counts and times requests, and tells of them in Prometheus' text format (version 0.0.4).
///
///     http::metrics metrics;
///     routes.get("/metrics", metrics.endpoint());   // Not counted itself: it is added before.
///     routes.use(metrics.around());
///     routes.get("/notes/{id}", read_note);
///
/// - `http_requests_total{method, status}`: requests that were answered, by method and class of
///   the status, `2xx` for one; what a handler throws counts as `5xx`.
/// - `http_request_duration_seconds`: a histogram of how long the answers took to be ready. The
///   time that a streamed body or a slow client takes comes on top.
/// - `http_requests_in_flight`: requests that are being answered.
/// - `http_requests_dropped_total`: requests that were given up before there was an answer, for
///   example because the server stopped.
///
/// Requests that no middleware sees, such as malformed ones, are not among them:
/// `routes.observe(metrics.observer())` adds, of all connections,
///
/// - `http_refused_total{status}`: what the server refused by itself before any handler or
///   middleware, by status, `431` for one; `none` for those that were not told, such as
///   connections far beyond the limits.
/// - `http_response_body_bytes_total`: see `exchange::body_bytes_sent`.
/// - `http_responses_incomplete_total`: answers of which not all was sent.
///
/// Counting takes a
/// few relaxed atomic operations on memory that the thread hardly shares, and no lock; what is told
/// while requests are under way may be a few of them behind.
///
/// *Thread safety*: safe. Copies share what they count.
class metrics {
public:
    /// *Errors*: throws `std::invalid_argument` when `prefix` is no name for metrics, or the bounds
    /// are not positive and rising.
    explicit metrics(metrics_options options = {});

    /// Gives the middleware that counts. Put it around all others that should be part of the time.
    [[nodiscard]] middleware around() const;
    /// Gives what counts that which middleware does not see, see above. Its metrics are told from
    /// then on.
    [[nodiscard]] exchange_observer observer() const;
    /// Gives a handler that answers with `text()`.
    [[nodiscard]] handler endpoint() const;

    /// Writes what was counted so far.
    [[nodiscard]] std::string text() const;
    /// Tells how many requests are being answered.
    [[nodiscard]] std::uint64_t in_flight() const noexcept;

private:
    std::shared_ptr<detail::metrics_state> state_;
};

}  // namespace heph::http
