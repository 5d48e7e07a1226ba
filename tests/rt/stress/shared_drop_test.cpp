// Connections between thread-safe processes on several workers, dropped at random suspension
// points, by a stop without grace, and with their chunks dropped on a foreign thread. It is meant
// for the address and thread sanitizers.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "../on_runtime.hpp"
#include "../open_descriptors.hpp"
#include "support/random_drop.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::shared_runtime;
using heph::rt::net::chunk;
using heph::rt::net::endpoint;
using heph::rt::net::tcp_listener;
using heph::rt::net::tcp_stream;
using heph::test::drop_after;
using heph::test::open_descriptors;
using heph::test::pick;
using heph::test::random_engine;

namespace {

// What all threads share.
struct world {
    std::atomic<int> alive{0};
    std::atomic<int> dropped{0};
    std::atomic<int> served{0};
    std::atomic<int> carried{0};
    std::mutex mutex;
    std::vector<chunk> bin;

    void throw_away(chunk unwanted) {
        const std::lock_guard lock(mutex);
        bin.push_back(std::move(unwanted));
    }
    void empty_bin() {
        std::vector<chunk> taken;
        {
            const std::lock_guard lock(mutex);
            taken.swap(bin);
        }
        carried += static_cast<int>(taken.size());
    }
};

using alive_mark = heph::test::alive_mark<world>;

task<> one_victim(task<> inner, int polls, world* all) {
    drop_after victim(polls, std::move(inner));
    if (!co_await victim) { ++all->dropped; }
}

task<> chatter(alive_mark, tcp_stream stream, world* all, std::uint32_t seed) {
    random_engine random(seed);
    const std::size_t rounds = 1 + pick(random, 6);
    for (std::size_t round = 0; round < rounds; ++round) {
        auto text = buffer::copy_of(std::string(1 + pick(random, 2000), 'a'));
        const auto sent = co_await stream.send_all(std::move(text));
        if (!sent) { co_return; }
        if (pick(random, 3) == 0) { co_await heph::yield(); }
        auto bounded =
            heph::rt::deadline(std::chrono::milliseconds(pick(random, 4)), stream.next());
        auto arrived = co_await bounded;
        if (!arrived) { continue; }
        if (!*arrived || (*arrived)->empty()) { co_return; }
        if (pick(random, 2) == 0) { all->throw_away(std::move(**arrived)); }
    }
    ++all->served;
}

task<> client(alive_mark mark, endpoint to, world* all, std::uint32_t seed) {
    auto connected = co_await tcp_stream::connect(to);
    if (!connected) { co_return; }
    co_await heph::yield();  // Perhaps another worker goes on with the stream.
    co_await chatter(std::move(mark), std::move(*connected), all, seed);
}

task<> serve(tcp_listener listener, shared_runtime everywhere, world* all, std::uint32_t seed) {
    random_engine random(seed);
    heph::rt::stopping stop;
    for (;;) {
        auto first = heph::either(stop, listener.accept());
        auto event = co_await first;
        if (event.index() == 0) { co_return; }
        auto& accepted = std::get<1>(event);
        if (!accepted) { continue; }
        auto inner = chatter(alive_mark(*all), std::move(*accepted), all,
                             static_cast<std::uint32_t>(random()));
        everywhere.spawn_future(
            one_victim(std::move(inner), static_cast<int>(pick(random, 14)), all));
    }
}

task<> drive(endpoint to, shared_runtime everywhere, world* all, std::uint32_t seed,
             int connections) {
    random_engine random(seed);
    for (int i = 0; i < connections; ++i) {
        auto inner = client(alive_mark(*all), to, all, static_cast<std::uint32_t>(random()));
        everywhere.spawn_future(
            one_victim(std::move(inner), static_cast<int>(pick(random, 14)), all));
        if (i % 30 == 29) { co_await heph::rt::timer(1ms); }
    }
    everywhere.request_stop();  // In the midst of what the last ones do.
}

}  // namespace

TEST_CASE("shared drop: connections dropped on any worker, at any time, leave nothing behind",
          "[rt][stress]") {
    const auto before = open_descriptors();
    for (std::uint32_t seed = 1; seed <= 6; ++seed) {
        CAPTURE(seed);
        world all;
        {
            std::jthread elsewhere([&all](const std::stop_token& end) {
                while (!end.stop_requested()) {
                    all.empty_bin();
                    std::this_thread::yield();
                }
            });
            auto settings = heph::test::quiet_setup();
            settings.threads(3).ring_entries(32).receive_buffers(32, 256);
            settings.stop_grace(std::chrono::milliseconds(seed % 2 == 0 ? 1 : 20));
            heph::test::run_on_worker(settings, [&](heph::rt::worker& here) {
                auto listener = tcp_listener::bind(endpoint::loopback(0));
                REQUIRE(listener);
                const auto server = listener->local_endpoint();
                REQUIRE(server);
                here.spawn_future(serve(std::move(*listener), here.shared(), &all, seed));
                here.spawn_future(drive(*server, here.shared(), &all, seed * 7 + 1, 1000));
            });
            CHECK(all.alive == 0);
        }
        all.empty_bin();
        CHECK(all.dropped > 100);
        CHECK(all.served > 20);
        CHECK(all.carried > 20);
    }
    CHECK(open_descriptors() == before);
}
