#include "test_routes.hpp"

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include <heph/rt/timer.hpp>

namespace heph::http::test {

task<std::expected<void, error>> copy(body_reader& from, body_writer& to) {
    for (;;) {
        const auto piece = co_await from.next();
        if (!piece) { co_return std::unexpected(piece.error()); }
        if (piece->empty()) { co_return std::expected<void, error>(); }
        const auto written = co_await to.write(*piece);
        if (!written) { co_return written; }
    }
}

namespace {

using namespace std::chrono_literals;
using outcome = std::expected<void, error>;

response hello(request&) { return response::bytes("Hello, World!", "text/plain"); }

task<response> hello_name(request& request) {
    co_return response::text("Hello, " + std::string(request.param("name")) + "!");
}

task<response> later(request&) {
    co_await rt::timer(20ms);
    co_return response::text("later");
}

task<outcome> write_pieces(body_writer& to, int count) {
    for (int i = 0; i < count; ++i) {
        const std::string piece = "piece " + std::to_string(i) + "\n";
        const auto written = co_await to.write(piece);
        if (!written) { co_return written; }
    }
    co_return outcome();
}

response stream(request& request) {
    const int count = std::atoi(std::string(request.param("count")).c_str());
    return response::stream("text/plain",
                            [count](body_writer& to) { return write_pieces(to, count); });
}

task<response> length(request& request) {
    const auto body = co_await request.read_body();
    if (!body) { co_return response::problem(body.error()); }
    co_return response::text(std::to_string(body->size()));
}

response echo(request& request) {
    request.set_body_limit(1'000'000'000);
    return response::stream("application/octet-stream",
                            [from = &request.body()](body_writer& to) { return copy(*from, to); });
}

response ignore(request&) { return response::text("ignored"); }

response throw_now(request&) { throw std::runtime_error("the handler's secret"); }

task<response> throw_later(request&) {
    co_await rt::timer(5ms);
    throw std::runtime_error("the handler's secret");
}

task<outcome> cut_after(body_writer& to, int pieces) {
    const auto written = co_await write_pieces(to, pieces);
    if (!written) { co_return written; }
    throw std::runtime_error("the producer's secret");
}

response bad_header(request&) {
    return response::text("never sent").set_header("X-Bad", "two\r\nlines");
}

response big(request& request) {
    const auto bytes = std::strtoull(std::string(request.param("bytes")).c_str(), nullptr, 10);
    return response::bytes(std::string(bytes, 'b'), "application/octet-stream");
}

}  // namespace

router make_test_routes() {
    router routes;
    routes.get("/hello", hello).get("/hello/{name}", hello_name).get("/later", later);
    routes.get("/stream/{count}", stream).post("/length", length).post("/echo", echo);
    routes.post("/ignore", ignore).get("/throw", throw_now).get("/throw-later", throw_later);
    routes.get("/cut", [](request&) {
        return response::stream("text/plain", [](body_writer& to) { return cut_after(to, 1); });
    });
    routes.get("/early-cut", [](request&) {
        return response::stream("text/plain", [](body_writer& to) { return cut_after(to, 0); });
    });
    routes.get("/bad-header", bad_header).get("/big/{bytes}", big);
    return routes;
}

}  // namespace heph::http::test
