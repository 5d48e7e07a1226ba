// Streams that are dropped wherever they are.

#include <heph/rt/tls/stream.hpp>

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>

#include <heph/rt/net/unix.hpp>

#include "rt/on_runtime.hpp"
#include "rt_tls/certified.hpp"
#include "support/random_drop.hpp"

using namespace heph_tests;
using heph::task;
using heph::rt::buffer;
using heph::test::pick;
namespace net = heph::rt::net;

namespace {

using unix_tls = tls::basic_stream<net::unix_stream>;

struct tally {
    int alive = 0;
    int finished = 0;
};

using alive_mark = heph::test::alive_mark<tally>;

task<> answer(alive_mark, net::unix_stream socket, tls::server_context context) {
    auto stream = co_await tls::accept(std::move(socket), std::move(context));
    if (!stream) { co_return; }
    for (;;) {
        auto chunk = co_await stream->next();
        if (!chunk || chunk->empty()) { break; }
        auto bytes = buffer::copy_of(chunk->view());
        const auto sent = co_await stream->send_all(std::move(bytes));
        if (!sent) { break; }
    }
    (void)co_await stream->shutdown();
}

task<> ask(net::unix_stream socket, tls::client_context context, std::size_t size, tally* counts) {
    auto stream = co_await tls::connect(std::move(socket), std::move(context), "a");
    if (!stream) { co_return; }
    auto bytes = buffer::copy_of(std::string(size, 'q'));
    const auto sent = co_await stream->send_all(std::move(bytes));
    if (!sent) { co_return; }
    std::size_t got = 0;
    while (got < size) {
        auto chunk = co_await stream->next();
        if (!chunk || chunk->empty()) { co_return; }
        got += chunk->size();
    }
    const auto ended = co_await stream->shutdown();
    auto last = co_await stream->next();
    if (ended && last && last->empty()) { ++counts->finished; }
}

task<> client(alive_mark, heph::test::drop_after dropped) { (void)co_await dropped; }

}  // namespace

TEST_CASE("tls stream: either end may be dropped at any point", "[rt][tls][stream]") {
    const authority ca;
    const auto server = make_server_context(tls::server_config(to_certificate(ca.issue("a"))));
    const auto from = make_client_context(trust_in(ca));
    tally counts;
    constexpr int rounds = 250;
    heph::test::run_on_worker(heph::test::quiet_setup(), [&](heph::rt::worker& worker) {
        heph::test::random_engine random(99);
        for (int i = 0; i < rounds; ++i) {
            auto sockets = net::unix_stream::pair();
            REQUIRE(sockets);
            const std::size_t size = 1 + pick(random, pick(random, 3) == 0 ? 200'000 : 100);
            // Every tenth runs to its end; the others are dropped after some polls.
            const int polls = i % 10 == 0 ? 1'000'000 : static_cast<int>(pick(random, 12));
            worker.spawn_future(answer(alive_mark(counts), std::move(sockets->second), server));
            heph::test::drop_after asking(polls,
                                          ask(std::move(sockets->first), from, size, &counts));
            worker.spawn_future(client(alive_mark(counts), std::move(asking)));
        }
    });
    CHECK(counts.alive == 0);
    CHECK(counts.finished >= rounds / 10);
}
