// A link under a connection that is cut again and again, and under bytes that are not right.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/remote/protocol/link.hpp>

#include "remote/wire.hpp"

using namespace heph::remote::protocol;
using namespace heph::remote::testing;

namespace {

constexpr std::uint64_t actors = 3;

// A sanitizer takes some 15 times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool is_sanitized = true;
#elif defined(__has_feature)
constexpr bool is_sanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool is_sanitized = false;
#endif

// One direction: numbered messages to several actors, which take them after a while.
struct traffic {
    traffic(wire_end& sender, wire_end& receiver, std::uint64_t to_each)
        : from(&sender), to(&receiver), messages(to_each) {
        listen();
    }

    wire_end* from;
    wire_end* to;
    std::uint64_t messages;
    std::vector<std::uint64_t> sent = std::vector<std::uint64_t>(actors, 0);
    std::vector<std::uint64_t> arrived = std::vector<std::uint64_t>(actors, 0);
    std::vector<std::pair<std::uint64_t, std::size_t>> not_taken;
    bool in_order = true;

    void listen() {
        to->on_event = [this](const event& told) {
            const auto* message = std::get_if<message_arrived>(&told);
            if (message == nullptr) { return; }
            std::uint64_t number = 0;
            if (message->payload.size() < sizeof number) {
                in_order = false;
                return;
            }
            std::memcpy(&number, message->payload.data(), sizeof number);
            in_order = in_order && number == arrived[message->actor];
            ++arrived[message->actor];
            not_taken.emplace_back(message->actor, message->payload.size());
        };
    }

    void send_some(std::mt19937& random) {
        for (std::size_t tries = random() % 200; tries > 0; --tries) {
            const std::uint64_t actor = random() % actors;
            if (sent[actor] == messages) { continue; }
            std::vector<std::byte> payload(sizeof(std::uint64_t) + random() % 40);
            std::memcpy(payload.data(), &sent[actor], sizeof(std::uint64_t));
            if (from->peers.send(actor, actor + 1, 0, payload)) { ++sent[actor]; }
        }
        from->events.clear();
    }

    void take_some(std::mt19937& random) {
        const auto count = std::min<std::size_t>(not_taken.size(), random() % 300);
        for (std::size_t i = 0; i < count; ++i) {
            to->peers.grant(not_taken[i].first, not_taken[i].second);
        }
        not_taken.erase(not_taken.begin(), not_taken.begin() + static_cast<std::ptrdiff_t>(count));
    }

    [[nodiscard]] bool done() const {
        return std::ranges::all_of(arrived, [this](auto count) { return count == messages; });
    }
};

// Moves a random part of what one end has to say.
void move_some(wire_end& from, wire_end& to, std::mt19937& random, bool all) {
    from.flush(8 * 1024);
    const std::size_t size =
        all ? from.out.size() : std::min<std::size_t>(random() % 8192, from.out.size());
    const std::vector<std::byte> some(from.out.begin(),
                                      from.out.begin() + static_cast<std::ptrdiff_t>(size));
    from.out.erase(from.out.begin(), from.out.begin() + static_cast<std::ptrdiff_t>(size));
    to.feed(some);
}

}  // namespace

TEST_CASE("link: a million messages over a thousand cuts arrive exactly once and in order",
          "[remote][link][stress]") {
    const auto seed = GENERATE(1U, 2U, 3U);
    std::mt19937 random(seed);
    session_limits limits;
    limits.frames_max = 500;
    wire_end a("a", 1, {}, limits);
    wire_end b("b", 2, {}, limits);
    constexpr std::uint64_t each = (is_sanitized ? 100'000 : 500'000) / actors + 1;
    traffic there(a, b, each);
    traffic back(b, a, each);
    connect(a, b);
    std::size_t cuts = 0;
    std::size_t rounds = 0;
    while (!there.done() || !back.done() || cuts < 1000) {
        REQUIRE(++rounds < 1'000'000);
        there.send_some(random);
        back.send_some(random);
        there.take_some(random);
        back.take_some(random);
        move_some(a, b, random, false);
        move_some(b, a, random, false);
        REQUIRE_FALSE(a.failed);
        REQUIRE_FALSE(b.failed);
        const bool is_up =
            a.peers.current() == link::state::up && b.peers.current() == link::state::up;
        // From the first message to the last.
        const bool is_time = 1000 * there.sent[0] > cuts * each;
        if (is_up && (cuts >= 1000 || !is_time || random() % 3 != 0)) { continue; }
        a.cut();
        b.cut();
        ++cuts;
        wire_end& dialing = random() % 2 == 0 ? a : b;
        wire_end& accepting = &dialing == &a ? b : a;
        accepting.accept();
        dialing.dial(accepting.self.name);
        // The handshake itself may be cut, too: at the hello, or at the welcome.
        if (random() % 4 == 0) { continue; }
        move_some(dialing, accepting, random, true);
        if (random() % 4 == 0) { continue; }
        move_some(accepting, dialing, random, true);
    }
    CHECK(there.in_order);
    CHECK(back.in_order);
    CHECK(cuts >= 1000);
    CHECK(there.arrived == there.sent);
    CHECK(back.arrived == back.sent);
    // Nothing was reported as lost.
    for (const auto* end : {&a, &b}) {
        CHECK(std::ranges::none_of(end->events, [](const event& told) {
            return std::holds_alternative<message_failed>(told);
        }));
    }
}

TEST_CASE("link: a stream that is changed at random ends the link or changes nothing",
          "[remote][link]") {
    std::mt19937 random(11);
    std::size_t refused = 0;
    for (int round = 0; round < 2'000; ++round) {
        wire_end a("a", 1);
        wire_end b("b", 2);
        connect(a, b);
        for (int i = 0; i < 5; ++i) {
            REQUIRE(a.peers.send(1, 0, 0, bytes_of_text("payload")).has_value());
            REQUIRE(a.peers.call(1, 0, bytes_of_text("payload")).has_value());
        }
        (void)a.peers.find("name");
        a.flush();
        auto bytes = std::exchange(a.out, {});
        switch (random() % 3) {
            case 0: bytes[random() % bytes.size()] = static_cast<std::byte>(random()); break;
            case 1: bytes.resize(random() % bytes.size()); break;
            default:
                bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(random() % 9),
                             std::byte{1});
        }
        b.feed(bytes);
        if (b.failed) { ++refused; }
        CHECK(b.events.size() <= 11);
        CHECK(b.frames.held_bytes() <= bytes.size());
    }
    CHECK(refused > 100);
}

TEST_CASE("link: random bytes are refused at any stage", "[remote][link]") {
    std::mt19937 random(12);
    for (int round = 0; round < 5'000; ++round) {
        std::vector<std::byte> bytes(4 + random() % 200);
        for (auto& byte : bytes) { byte = static_cast<std::byte>(random()); }
        if (round % 2 == 0) {
            // A length that fits, so that the frame itself is read.
            const auto size = static_cast<std::uint32_t>(bytes.size() - 4);
            for (std::size_t i = 0; i < 4; ++i) {
                bytes[i] = static_cast<std::byte>(size >> (8 * (3 - i)));
            }
        }
        wire_end fresh("b", 2);
        fresh.accept();
        if (bytes.size() > 4) { fresh.feed(bytes); }
        CHECK(fresh.peers.current() == link::state::down);

        wire_end a("a", 1);
        wire_end b("b", 2);
        connect(a, b);
        b.feed(bytes);
        // One byte suffices for a goodbye; nothing else is that short.
        CHECK(std::ranges::all_of(b.events, [](const event& told) {
            return std::holds_alternative<goodbye_arrived>(told);
        }));
    }
}

TEST_CASE("link: a session whose first welcome was lost goes on, also when its other end dials",
          "[remote][link]") {
    wire_end a("a", 1);
    wire_end b("b", 2);
    b.accept();
    a.dial("b");
    b.feed(std::exchange(a.out, {}));
    REQUIRE(b.peers.current() == link::state::up);
    REQUIRE(b.peers.send(1, 2, 0, bytes_of_text("first")));
    b.flush();
    b.cut();  // With the welcome.
    a.cut();
    REQUIRE(a.peers.current() == link::state::down);
    connect(b, a);
    REQUIRE(a.peers.current() == link::state::up);
    REQUIRE(b.peers.current() == link::state::up);
    CHECK(b.events.empty());  // Nothing is reported as lost.
    CHECK(take_event<message_arrived>(a).actor == 1);
    CHECK(a.events.empty());
}

TEST_CASE("link: a hello from before the peer acknowledged more is outdated", "[remote][link]") {
    wire_end a("a", 1);
    wire_end b("b", 2);
    connect(a, b);
    const session_offer offer = a.peers.offer({1, 9});
    hello said;
    said.incarnation = a.self.incarnation;
    said.session = offer.session;
    said.fresh = offer.fresh;
    said.received = offer.received;
    CHECK_FALSE(b.peers.is_outdated(said));
    REQUIRE(b.peers.send(1, 2, 0, bytes_of_text("more")));
    CHECK_FALSE(b.peers.is_outdated(said));
    exchange(a, b);
    CHECK(b.peers.is_outdated(said));
    // It would be taken for a peer that lost what it had.
    hello other = said;
    other.session = {3, 3};
    CHECK_FALSE(b.peers.is_outdated(other));
    other = said;
    other.incarnation = {3, 3};
    CHECK_FALSE(b.peers.is_outdated(other));
    said.received = a.peers.offer({1, 9}).received;
    CHECK_FALSE(b.peers.is_outdated(said));
}

TEST_CASE("link: a first hello is outdated once its sender has begun the session it offers",
          "[remote][link]") {
    const bool is_first = GENERATE(true, false);  // Or one that offers another session, too.
    const bool says_a = GENERATE(true, false);    // Who dialed says something, or who accepted.
    wire_end a("a", 1);
    wire_end b("b", 2);
    const id128 fresh{1, a.fresh};
    connect(a, b);
    hello said;
    said.incarnation = a.self.incarnation;
    said.fresh = fresh;
    if (!is_first) {
        said.session = {3, 3};
        said.received = 5;
    }
    // As far as b knows, its welcome was lost: such a hello is taken.
    CHECK_FALSE(b.peers.is_outdated(said));
    CHECK((b.peers.choose(said).first == fresh));
    REQUIRE((says_a ? a : b).peers.send(1, 2, 0, bytes_of_text("more")));
    exchange(a, b);
    CHECK(b.peers.is_outdated(said));
    b.cut();
    CHECK(b.peers.is_outdated(said));
    // Who has it as its session, or has begun anew, is no such hello.
    hello other = said;
    other.session = fresh;
    other.received = a.peers.offer({1, 9}).received;
    CHECK_FALSE(b.peers.is_outdated(other));
    other = said;
    other.fresh = {1, 9};
    CHECK_FALSE(b.peers.is_outdated(other));
    other = said;
    other.incarnation = {3, 3};
    CHECK_FALSE(b.peers.is_outdated(other));
}

TEST_CASE("link: a first hello that another connection overtook leaves the session alone",
          "[remote][link]") {
    wire_end a("a", 1);
    wire_end b("b", 2);
    a.dial("b");
    const auto late = std::exchange(a.out, {});  // a gives up waiting, and dials again.
    connect(a, b);
    REQUIRE(b.peers.send(1, 2, 0, bytes_of_text("first")));
    exchange(a, b);
    REQUIRE(a.events.size() == 1);
    b.accept();
    b.feed(late);
    CHECK(b.failed == error::duplicate_connection);
    a.cut();
    REQUIRE(b.peers.send(1, 3, 0, bytes_of_text("second")));
    connect(a, b);
    CHECK(a.events.size() == 2);
    CHECK(b.events.empty());  // Nothing is reported as lost.
    CHECK(b.peers.links() == 2);
}
