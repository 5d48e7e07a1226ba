// Thousands of connections whose tasks are destroyed at random suspension points: while a head or a
// body is received, a handler waits, a stream is produced, or the end is lingered for. It is meant
// for the address sanitizer.

#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/core/either.hpp>
#include <heph/core/join.hpp>
#include <heph/http/router.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "../raw_client.hpp"
#include "../test_routes.hpp"
#include "../test_server.hpp"
#include "connection.hpp"
#include "support/random_drop.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::worker;
using heph::rt::net::endpoint;
using heph::rt::net::tcp_listener;
using heph::rt::net::tcp_stream;
using heph::test::drop_after;
using heph::test::pick;
using heph::test::random_engine;

namespace {

using outcome = std::expected<void, error>;

struct tally {
    int alive = 0;
    int dropped = 0;
    int ended = 0;
    int answers = 0;
};

using alive_mark = heph::test::alive_mark<tally>;

router make_routes(tally& counts) {
    router routes = make_test_routes();
    tally* const all = &counts;
    routes.get("/wait/{ms}", [all](request& request) -> task<response> {
        const alive_mark mark(*all);
        const int ms = std::stoi(std::string(request.param("ms")));
        co_await heph::rt::timer(std::chrono::milliseconds(ms));
        co_return response::text("waited");
    });
    routes.post("/patient", [all](request& request) -> task<response> {
        const alive_mark mark(*all);
        for (int i = 0; i < 5; ++i) {
            auto bounded = heph::rt::deadline(1ms, request.read_body());
            const auto body = co_await bounded;
            if (body) { break; }
        }
        co_return response::text("enough");
    });
    routes.post("/both", [all](request& request) {
        auto* from = &request.body();
        return response::stream(
            "text/plain", [from, all, mark = alive_mark(*all)](body_writer& to) -> task<outcome> {
                const alive_mark running(*all);
                const auto take = [](body_reader& body) -> task<outcome> {
                    for (;;) {
                        const auto piece = co_await body.next();
                        if (!piece) { co_return std::unexpected(piece.error()); }
                        if (piece->empty()) { co_return outcome(); }
                    }
                };
                const auto give = [](body_writer& out) -> task<outcome> {
                    for (int i = 0; i < 20; ++i) {
                        const auto sent = co_await out.write(std::string(500, 'b'));
                        if (!sent) { co_return sent; }
                    }
                    co_return outcome();
                };
                auto both = heph::join(take(*from), give(to));
                const auto done = co_await both;
                co_return std::get<1>(done);
            });
    });
    return routes;
}

std::string random_request(random_engine& random) {
    switch (pick(random, 11)) {
        case 0: return get_request("/hello");
        case 1: return get_request("/hello/" + std::string(pick(random, 300), 'n'));
        case 2: return get_request("/wait/" + std::to_string(pick(random, 4)));
        case 3: return get_request("/stream/" + std::to_string(pick(random, 30)));
        case 4: return get_request("/big/" + std::to_string(pick(random, 400'000)));
        case 5: return post_request("/echo", std::string(pick(random, 5'000), 'e'));
        case 6: return post_request("/length", std::string(pick(random, 5'000), 'l'));
        case 7: return post_request("/ignore", std::string(pick(random, 5'000), 'i'));
        case 8: return post_request("/patient", std::string(pick(random, 5'000), 'p'));
        case 9: return post_request("/both", std::string(pick(random, 5'000), 'x'));
        default: return pick(random, 4) == 0 ? "nonsense\r\n" : get_request("/throw-later");
    }
}

// Asks at random, in pieces, reads some of the answers, and leaves in one of several ways.
task<> client(alive_mark, endpoint to, tally* counts, std::uint32_t seed) {
    random_engine random(seed);
    auto connected = co_await tcp_stream::connect(to);
    if (!connected) { co_return; }
    tcp_stream stream = std::move(*connected);
    const std::size_t rounds = 1 + pick(random, 4);
    for (std::size_t round = 0; round < rounds; ++round) {
        std::string text = random_request(random);
        if (pick(random, 3) == 0) { text += random_request(random); }
        if (pick(random, 8) == 0) { text.resize(pick(random, text.size())); }
        const std::size_t cut = pick(random, text.size() + 1);
        auto begin = buffer::copy_of(std::string_view(text).substr(0, cut));
        const auto sent = co_await stream.send_all(std::move(begin));
        if (!sent) { co_return; }
        if (pick(random, 2) == 0) { co_await heph::rt::timer(1ms); }
        auto end = buffer::copy_of(std::string_view(text).substr(cut));
        const auto sent_rest = co_await stream.send_all(std::move(end));
        if (!sent_rest) { co_return; }
        for (std::size_t reads = pick(random, 6); reads > 0; --reads) {
            auto bounded =
                heph::rt::deadline(std::chrono::milliseconds(pick(random, 5)), stream.next());
            const auto arrived = co_await bounded;
            if (!arrived) { continue; }
            if (!*arrived || (*arrived)->empty()) { co_return; }
            ++counts->answers;
        }
    }
    switch (pick(random, 3)) {
        case 0: (void)stream.set_reset_on_close(true); break;
        case 1: (void)stream.shutdown(heph::rt::net::shutdown_how::send); break;
        default: break;
    }
}

task<> serve_one(alive_mark, tcp_stream stream, detail::worker_share* share) {
    detail::connection served(std::move(stream), *share);
    co_await served.run();
}

task<> one_victim(task<> inner, int polls, tally* counts) {
    drop_after victim(polls, std::move(inner));
    const bool ended = co_await victim;
    ++(ended ? counts->ended : counts->dropped);
}

task<> serve(tcp_listener listener, worker here, detail::worker_share* share, tally* counts,
             std::uint32_t seed) {
    random_engine random(seed);
    heph::rt::stopping stop;
    for (;;) {
        auto first = heph::either(stop, listener.accept());
        auto event = co_await first;
        if (event.index() == 0) { co_return; }
        auto& accepted = std::get<1>(event);
        if (!accepted) { continue; }
        auto inner = serve_one(alive_mark(*counts), std::move(*accepted), share);
        const auto polls = static_cast<int>(pick(random, pick(random, 2) == 0 ? 8 : 50));
        here.spawn_future(one_victim(std::move(inner), polls, counts));
    }
}

task<> drive(endpoint to, worker here, tally* counts, std::uint32_t seed, int connections) {
    random_engine random(seed);
    for (int i = 0; i < connections; ++i) {
        const auto of_client = static_cast<std::uint32_t>(random());
        here.spawn_future(client(alive_mark(*counts), to, counts, of_client));
        if (i % 40 == 39) { co_await heph::rt::timer(1ms); }
    }
    // Until nobody is left, as long as this machine takes for it within reason.
    for (int i = 0; i < 500 && counts->alive > 0; ++i) { co_await heph::rt::timer(10ms); }
    here.request_stop();
}

tally run_seed(std::uint32_t seed, int connections) {
    tally counts;
    limits bounds;
    bounds.linger_timeout = 3ms;
    bounds.body_grace = 20ms;
    const router routes = make_routes(counts);
    detail::worker_share share(routes, bounds);
    auto runtime = heph::rt::setup{}
                       .name("test")
                       .ignore_signals()
                       .stop_grace(300ms)
                       .ring_entries(64)
                       .receive_buffers(32, 256)
                       .build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](worker& here) {
        auto listener = tcp_listener::bind(endpoint::loopback(0));
        if (!listener) { throw std::system_error(listener.error()); }
        const auto server = listener->local_endpoint();
        if (!server) { throw std::system_error(server.error()); }
        here.spawn_future(serve(std::move(*listener), here, &share, &counts, seed));
        here.spawn_future(drive(*server, here, &counts, seed * 7 + 1, connections));
    });
    const auto ended = runtime->start();
    REQUIRE(ended);
    return counts;
}

}  // namespace

TEST_CASE("server: connections destroyed at any suspension point leave nothing behind",
          "[http][server][stress]") {
    const captured_log log;
    for (std::uint32_t seed = 1; seed <= 4; ++seed) {
        CAPTURE(seed);
        const tally counts = run_seed(seed, 1500);
        CHECK(counts.alive == 0);
        CHECK(counts.dropped > 200);
        CHECK(counts.ended > 200);
        CHECK(counts.answers > 200);
    }
}
