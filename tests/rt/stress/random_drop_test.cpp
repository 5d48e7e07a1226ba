// Thousands of connections whose tasks are destroyed at random suspension points. It is meant for
// the address sanitizer, which sees whatever the kernel or another thread still touches, and for
// the assertions, which see every illegal transition of a slot.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "../on_runtime.hpp"
#include "support/random_drop.hpp"

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

// Counts what is alive, so that a frame that was not destroyed is seen.
struct tally {
    int alive = 0;
    int started = 0;
    int dropped = 0;
    int served = 0;
};

using alive_mark = heph::test::alive_mark<tally>;

task<> write_somewhere(alive_mark, std::size_t bytes) {
    auto file =
        co_await heph::rt::fs::file::open("/dev/null", heph::rt::fs::open_options().write());
    if (!file) { co_return; }
    auto text = buffer::copy_of(std::string(bytes, 'x'));
    (void)co_await file->append(std::move(text));
    (void)co_await file->sync_data();
}

// One side of a connection: sends and receives in random pieces, through nested tasks.
task<> chatter(alive_mark, tcp_stream stream, tally* counts, std::uint32_t seed) {
    random_engine random(seed);
    const std::size_t rounds = 1 + pick(random, 6);
    for (std::size_t round = 0; round < rounds; ++round) {
        auto text = buffer::copy_of(std::string(1 + pick(random, 3000), 'a'));
        const auto sent = co_await stream.send_all(std::move(text));
        if (!sent) { co_return; }
        const auto patience = std::chrono::milliseconds(pick(random, 4));
        auto bounded = heph::rt::deadline(patience, stream.next());
        const auto arrived = co_await bounded;
        if (arrived && (!*arrived || (*arrived)->empty())) { co_return; }
        if (pick(random, 4) == 0) {
            auto both = heph::either(write_somewhere(alive_mark(*counts), pick(random, 500)),
                                     heph::rt::timer(std::chrono::milliseconds(pick(random, 3))));
            (void)co_await both;
        }
        if (pick(random, 40) == 0) { throw std::runtime_error("thrown at random"); }
    }
    ++counts->served;
}

task<> swallow(task<> inner) {
    try {
        co_await std::move(inner);
    } catch (const std::runtime_error&) {}
}

task<> client(alive_mark, endpoint to, tally* counts, std::uint32_t seed) {
    random_engine random(seed);
    auto connected = co_await tcp_stream::connect(to);
    if (!connected) { co_return; }
    co_await swallow(chatter(alive_mark(*counts), std::move(*connected), counts, seed + 1));
}

task<> one_victim(task<> inner, int polls, tally* counts) {
    drop_after victim(polls, std::move(inner));
    if (!co_await victim) { ++counts->dropped; }
}

int random_polls(random_engine& random) { return static_cast<int>(pick(random, 14)); }

task<> serve(tcp_listener listener, worker here, tally* counts, std::uint32_t seed) {
    random_engine random(seed);
    heph::rt::stopping stop;
    for (;;) {
        auto first = heph::either(stop, listener.accept());
        auto event = co_await first;
        if (event.index() == 0) { co_return; }
        auto& accepted = std::get<1>(event);
        if (!accepted) { continue; }
        auto inner = swallow(chatter(alive_mark(*counts), std::move(*accepted), counts,
                                     static_cast<std::uint32_t>(random())));
        here.spawn_future(one_victim(std::move(inner), random_polls(random), counts));
    }
}

task<> drive(endpoint to, worker here, tally* counts, std::uint32_t seed, int connections) {
    random_engine random(seed);
    for (int i = 0; i < connections; ++i) {
        ++counts->started;
        auto inner = client(alive_mark(*counts), to, counts, static_cast<std::uint32_t>(random()));
        here.spawn_future(one_victim(std::move(inner), random_polls(random), counts));
        if (i % 50 == 49) { co_await heph::rt::timer(1ms); }
    }
    co_await heph::rt::timer(100ms);
    here.request_stop();
}

tally run_seed(std::uint32_t seed, int connections) {
    tally counts;
    auto settings = heph::test::quiet_setup();
    settings.ring_entries(64).receive_buffers(32, 256);
    heph::test::run_on_worker(settings, [&](worker& here) {
        auto listener = tcp_listener::bind(endpoint::loopback(0));
        REQUIRE(listener);
        const auto server = listener->local_endpoint();
        REQUIRE(server);
        here.spawn_future(serve(std::move(*listener), here, &counts, seed));
        here.spawn_future(drive(*server, here, &counts, seed * 7 + 1, connections));
    });
    return counts;
}

}  // namespace

TEST_CASE("random drop: tasks destroyed at any suspension point leave nothing behind",
          "[rt][stress]") {
    for (std::uint32_t seed = 1; seed <= 4; ++seed) {
        CAPTURE(seed);
        const tally counts = run_seed(seed, 2500);
        CHECK(counts.alive == 0);
        CHECK(counts.started == 2500);
        CHECK(counts.dropped > 500);
        CHECK(counts.served > 100);
    }
}
