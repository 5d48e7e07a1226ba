// What a peer can make a link remember.

#include <cstdint>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include "remote/wire.hpp"

using namespace heph::remote::protocol;
using namespace heph::remote::testing;

TEST_CASE("link: a peer that sends to ever new actors and reads nothing is given up",
          "[remote][link]") {
    session_limits of_session;
    of_session.hard_bytes_max = 64 * 1024;
    wire_end a("a", 1);
    wire_end b("b", 2, {}, of_session);
    connect(a, b);
    const auto send_to = [&](std::uint64_t first, std::uint64_t end) {
        for (std::uint64_t actor = first; actor < end; ++actor) {
            REQUIRE(a.peers.send(actor, 0, 0, {}));
        }
        a.flush(1024 * 1024);
        b.feed(std::exchange(a.out, {}));
        for (std::uint64_t actor = first; actor < end; ++actor) { b.peers.grant(actor, 0); }
        b.out.clear();  // The peer does not read, and the writer waits for it.
    };
    send_to(1, 101);
    CHECK_FALSE(b.peers.is_overflowing());
    send_to(101, 1001);
    CHECK(b.peers.kept_bytes() < of_session.hard_bytes_max / 2);
    CHECK(b.peers.is_overflowing());
    // So it stays until the peer is told.
    b.cut();
    a.cut();
    CHECK(b.peers.is_overflowing());
    connect(b, a);
    CHECK_FALSE(b.peers.is_overflowing());
}

TEST_CASE("link: a call beyond those that may wait for answers fails at once, and takes no credit",
          "[remote][link]") {
    link_limits of_b;
    of_b.calls_max = 2;
    of_b.window_messages = 3;
    wire_end a("a", 1);
    wire_end b("b", 2, of_b);
    connect(a, b);
    const auto call = [&](std::size_t bytes) {
        const std::string payload(bytes, 'x');
        const auto number = a.peers.call(5, 0, bytes_of_text(payload));
        REQUIRE(number);
        exchange(a, b);
        return *number;
    };
    const std::uint64_t first = call(1);
    CHECK(take_event<call_arrived>(b).call == first);
    b.peers.grant(5, 1);  // The actor has taken it, and does not answer yet.
    const std::uint64_t second = call(100'000);
    CHECK(take_event<call_arrived>(b).call == second);
    b.peers.grant(5, 100'000);
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{100'000}, std::size_t{1},
                                    std::size_t{100'000}, std::size_t{1}}) {
        const std::uint64_t third = call(bytes);
        CHECK(b.events.empty());
        const auto refused = take_event<call_failed>(a);
        CHECK(refused.call == third);
        CHECK(refused.why == failure::full);
        a.peers.cancel(third);  // It is gone.
        exchange(a, b);
    }
    CHECK(b.peers.reply(first, bytes_of_text("an answer")));
    exchange(a, b);
    CHECK(take_event<reply_arrived>(a).call == first);
    const std::uint64_t next = call(1);
    CHECK(take_event<call_arrived>(b).call == next);
    // Who gives up makes place as well.
    a.peers.cancel(second);
    exchange(a, b);
    CHECK(take_event<call_cancelled>(b).call == second);
    const std::uint64_t last = call(1);
    CHECK(take_event<call_arrived>(b).call == last);
}
