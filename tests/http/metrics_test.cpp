#include <heph/http/middleware/metrics.hpp>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/router.hpp>

#include "ask_router.hpp"
#include "route_request.hpp"

namespace http = heph::http;
using http::test::ask;
using http::test::named;
using namespace std::chrono_literals;

namespace {

/// A future that never has its value.
class never {
public:
    using value_type = int;
    heph::polled<int> poll(const heph::waker& /*waker*/) { return heph::pending; }
};

// Gives what stands behind a name, with its labels; "-" when there is no such line.
std::string value_of(const http::metrics& metrics, std::string_view name) {
    const std::string text = "\n" + metrics.text();
    const std::string begin = "\n" + std::string(name) + " ";
    const std::size_t at = text.find(begin);
    if (at == std::string::npos) { return "-"; }
    const std::size_t from = at + begin.size();
    return text.substr(from, text.find('\n', from) - from);
}

http::router routes(const http::metrics& metrics) {
    http::router made;
    made.get("/metrics", metrics.endpoint());
    made.use(metrics.around());
    made.get("/", named("root"));
    made.post("/", [](http::request&) { return http::response::empty(); });
    made.get("/throws",
             [](http::request&) -> http::response { throw std::runtime_error("on purpose"); });
    made.get("/waits", [](http::request&) -> heph::task<http::response> {
        never waited;
        co_await std::move(waited);
        co_return http::response();
    });
    return made;
}

}  // namespace

TEST_CASE("metrics: requests are counted by method and class of the status", "[http][middleware]") {
    const http::metrics metrics;
    const http::router served = routes(metrics);
    CHECK(value_of(metrics, "http_requests_total{method=\"GET\",status=\"2xx\"}") == "-");
    for (int i = 0; i < 3; ++i) { (void)ask(served, "/"); }
    (void)ask(served, "/nowhere");
    (void)ask(served, "/", {}, "POST");
    (void)ask(served, "/", {}, "HEAD");
    (void)ask(served, "/", {}, "DELETE");
    CHECK_THROWS_AS(ask(served, "/throws"), std::runtime_error);
    CHECK(value_of(metrics, "http_requests_total{method=\"GET\",status=\"2xx\"}") == "3");
    CHECK(value_of(metrics, "http_requests_total{method=\"GET\",status=\"3xx\"}") == "0");
    CHECK(value_of(metrics, "http_requests_total{method=\"GET\",status=\"4xx\"}") == "1");
    CHECK(value_of(metrics, "http_requests_total{method=\"GET\",status=\"5xx\"}") == "1");
    CHECK(value_of(metrics, "http_requests_total{method=\"POST\",status=\"2xx\"}") == "1");
    CHECK(value_of(metrics, "http_requests_total{method=\"HEAD\",status=\"2xx\"}") == "1");
    CHECK(value_of(metrics, "http_requests_total{method=\"DELETE\",status=\"4xx\"}") == "1");
    CHECK(value_of(metrics, "http_requests_total{method=\"PUT\",status=\"2xx\"}") == "-");
    CHECK(value_of(metrics, "http_request_duration_seconds_count") == "8");
    CHECK(value_of(metrics, "http_request_duration_seconds_bucket{le=\"+Inf\"}") == "8");
    CHECK(value_of(metrics, "http_requests_in_flight") == "0");
    CHECK(value_of(metrics, "http_requests_dropped_total") == "0");

    // What tells of them is not among them here, and every line is of the format.
    const http::response told = ask(served, "/metrics");
    CHECK(told.headers().get("Content-Type") == "text/plain; version=0.0.4; charset=utf-8");
    CHECK(told.body() == metrics.text());
    CHECK(metrics.text().ends_with("\n"));
    CHECK(metrics.text().find("# TYPE http_request_duration_seconds histogram\n") !=
          std::string::npos);
}

TEST_CASE("metrics: a request is in flight until it is answered or dropped", "[http][middleware]") {
    const http::metrics metrics;
    const http::router served = routes(metrics);
    http::request asked;
    REQUIRE(http::test::parse_head(asked, "GET", "/waits").kind == http::h1::event_kind::head);
    std::optional<heph::task<http::response>> answering(served.handle(asked));
    CHECK(metrics.in_flight() == 0);  // Nothing runs before it is polled.
    CHECK_FALSE(answering->poll(heph::waker()).is_ready());
    CHECK(metrics.in_flight() == 1);
    CHECK(value_of(metrics, "http_requests_in_flight") == "1");
    CHECK(value_of(metrics, "http_request_duration_seconds_count") == "0");
    answering.reset();
    CHECK(metrics.in_flight() == 0);
    CHECK(value_of(metrics, "http_requests_dropped_total") == "1");
    CHECK(value_of(metrics, "http_request_duration_seconds_count") == "0");
}

TEST_CASE("metrics: what threads count at the same time is all there", "[http][middleware]") {
    http::metrics_options options;
    options.prefix = "my:api_1";
    options.bounds = {1h};
    const http::metrics metrics(options);
    const http::router served = routes(metrics);
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&served] {
            http::request asked;
            (void)http::test::parse_head(asked, "GET", "/");
            for (int round = 0; round < 1000; ++round) {
                auto answering = served.handle(asked);
                (void)answering.poll(heph::waker());
            }
        });
    }
    while (value_of(metrics, "my:api_1_request_duration_seconds_count") == "0") {
        std::this_thread::yield();
    }
    threads.clear();
    CHECK(value_of(metrics, "my:api_1_requests_total{method=\"GET\",status=\"2xx\"}") == "4000");
    CHECK(value_of(metrics, "my:api_1_request_duration_seconds_bucket{le=\"3600\"}") == "4000");
    CHECK(value_of(metrics, "my:api_1_request_duration_seconds_bucket{le=\"+Inf\"}") == "4000");
    CHECK(metrics.in_flight() == 0);
}

TEST_CASE("metrics: bounds are told as plain decimal numbers", "[http][middleware]") {
    http::metrics_options options;
    options.bounds = {1us, 100us, 500us, 2500us, 1s, 1000h};
    const http::metrics metrics(options);
    for (const char* bound : {"0.000001", "0.0001", "0.0005", "0.0025", "1", "3600000"}) {
        CAPTURE(bound);
        CHECK(value_of(metrics, "http_request_duration_seconds_bucket{le=\"" + std::string(bound) +
                                    "\"}") == "0");
    }
    CHECK(value_of(metrics, "http_request_duration_seconds_sum") == "0");
}

TEST_CASE("metrics: names and bounds that make no metrics are refused", "[http][middleware]") {
    const auto with = [](std::string prefix, std::vector<std::chrono::microseconds> bounds) {
        http::metrics_options options;
        options.prefix = std::move(prefix);
        options.bounds = std::move(bounds);
        return options;
    };
    for (const char* prefix : {"", "1a", "a-b", "a b", "a{", "\xc3\xa4"}) {
        CHECK_THROWS_AS(http::metrics(with(prefix, {1ms})), std::invalid_argument);
    }
    CHECK_THROWS_AS(http::metrics(with("a", {0ms})), std::invalid_argument);
    CHECK_THROWS_AS(http::metrics(with("a", {-1ms, 1ms})), std::invalid_argument);
    CHECK_THROWS_AS(http::metrics(with("a", {1ms, 1ms})), std::invalid_argument);
    CHECK_THROWS_AS(http::metrics(with("a", {2ms, 1ms})), std::invalid_argument);
    CHECK_NOTHROW(http::metrics(with("_a:1", {})));
    const http::metrics none(with("a", {}));
    CHECK(value_of(none, "a_request_duration_seconds_bucket{le=\"+Inf\"}") == "0");
}
