#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <heph/core/actor_group.hpp>
#include <heph/core/testing/message_loss.hpp>
#include <heph/remote/codec/json.hpp>
#include <heph/remote/protocol/datagram.hpp>
#include <heph/remote/route.hpp>
#include <heph/remote/udp_relay.hpp>
#include <heph/rt/net/udp.hpp>

#include "remote/hex.hpp"
#include "remote/nodes.hpp"

namespace heph::remote::testing {

namespace {

namespace route = heph::remote::route;
using protocol::datagram_key;
using protocol::datagram_opener;
using protocol::datagram_refusal;
using protocol::datagram_sealer;
using bytes = std::vector<std::byte>;
using wall_time = datagram_sealer::clock::time_point;

constexpr wall_time noon{std::chrono::milliseconds(1'700'000'000'000)};

datagram_key key_of(std::string_view secret, std::string_view channel = "") {
    return {std::as_bytes(std::span(secret)), channel};
}

/// A sealer with the number 7, and an opener with the number 8.
struct ends {
    explicit ends(std::optional<std::string_view> secret, protocol::datagram_limits limits = {})
        : sealer(secret ? std::optional(key_of(*secret)) : std::nullopt, 7, limits.bytes_max),
          opener(secret ? std::vector<datagram_key>{key_of(*secret)} : std::vector<datagram_key>{},
                 8, limits) {}

    bytes sealed(std::string_view body, wall_time when = noon) {
        bytes made;
        REQUIRE(sealer.seal(made, "test.text@1", std::as_bytes(std::span(body)), when));
        return made;
    }
    std::string why(const bytes& datagram, wall_time when = noon) {
        const auto opened = opener.open(datagram, when);
        return opened ? "none" : std::string(to_string(opened.error()));
    }

    datagram_sealer sealer;
    datagram_opener opener;
};

std::string said(datagram_refusal why) { return std::string(to_string(why)); }

}  // namespace

TEST_CASE("datagram: its bytes are those of the wire format", "[remote][datagram]") {
    ends plain(std::nullopt);
    CHECK(hex_of(plain.sealed("ab")) ==
          "68 72 6c 79 01 00 00 00 01 8b cf e5 68 00 00 00 00 00 00 00 00 07 00 00 00 00 00 00 00 "
          "01 0b 74 65 73 74 2e 74 65 78 74 40 31 61 62");
    ends secret("secret");
    const auto sealed = secret.sealed("ab");
    CHECK(hex_of(std::span(sealed).first(44)) ==
          "68 72 6c 79 01 01 00 00 01 8b cf e5 68 00 00 00 00 00 00 00 00 07 00 00 00 00 00 00 00 "
          "01 0b 74 65 73 74 2e 74 65 78 74 40 31 61 62");
    // By Python's hmac.
    CHECK(hex_of(std::span(sealed).subspan(44)) ==
          "ea 78 78 82 0f 28 a6 8a 46 35 23 41 dc a2 eb 3f f7 84 2c 0b 4d 37 84 9c a5 31 db a3 b2 "
          "ae 2a d1");
}

TEST_CASE("datagram: what is sealed is opened, once", "[remote][datagram]") {
    for (const bool has_secret : {true, false}) {
        ends both(has_secret ? std::optional<std::string_view>("secret") : std::nullopt);
        const auto first = both.sealed("first");
        const auto second = both.sealed("");
        const auto opened = both.opener.open(second, noon);
        REQUIRE(opened);
        CHECK(opened->type == "test.text@1");
        CHECK(opened->payload.empty());
        CHECK(opened->id == protocol::id128{7, 2});
        CHECK(both.why(second) == said(datagram_refusal::repeated));
        CHECK(both.why(first) == "none");
        CHECK(both.why(first) == said(datagram_refusal::repeated));
    }
}

TEST_CASE("datagram: what is not sealed as it has to be is refused", "[remote][datagram]") {
    ends both("secret");
    ends plain(std::nullopt);
    ends other("another secret");
    const auto good = both.sealed("body");
    CHECK(other.why(good) == said(datagram_refusal::wrong_secret));
    CHECK(plain.why(good) == said(datagram_refusal::other_mode));
    CHECK(both.why(plain.sealed("body")) == said(datagram_refusal::other_mode));
    datagram_opener channel({key_of("secret", "readings")}, 8);
    CHECK(channel.open(good, noon).error() == datagram_refusal::wrong_secret);
    datagram_opener itself({key_of("secret")}, 7);
    CHECK(itself.open(good, noon).error() == datagram_refusal::own);
    auto newer = good;
    newer[4] = std::byte{2};
    CHECK(both.why(newer) == said(datagram_refusal::other_version));
    CHECK(both.why({}) == said(datagram_refusal::malformed));
    protocol::datagram_limits narrow;
    narrow.bytes_max = good.size() - 1;
    CHECK(ends("secret", narrow).why(good) == said(datagram_refusal::too_large));
    // Neither cut anywhere, nor with any bit changed.
    for (std::size_t size = 0; size < good.size(); ++size) {
        CHECK(both.why(bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))) !=
              "none");
    }
    for (std::size_t i = 0; i < good.size() * 8; ++i) {
        auto changed = good;
        changed[i / 8] ^= std::byte{1} << (i % 8);
        CHECK(both.why(changed) != "none");
    }
    CHECK(both.why(good) == "none");
    // An older secret is accepted as well while secrets change.
    datagram_opener rotating({key_of("new"), key_of("secret")}, 8);
    CHECK(rotating.open(good, noon).has_value());
}

TEST_CASE("datagram: without a secret, what is cut or changed is refused or has the form of one",
          "[remote][datagram]") {
    ends plain(std::nullopt);
    const auto good = plain.sealed("");
    for (std::size_t size = 0; size < good.size(); ++size) {
        CHECK(plain.why(bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))) ==
              said(datagram_refusal::malformed));
    }
    auto long_name = good;
    long_name[30] = std::byte{200};
    CHECK(plain.why(long_name) == said(datagram_refusal::malformed));
    auto no_count = good;
    no_count[29] = std::byte{0};
    CHECK(plain.why(no_count) == said(datagram_refusal::malformed));
}

TEST_CASE("datagram: one that is too old, or of a clock ahead, is refused", "[remote][datagram]") {
    ends both("secret");
    const auto window = protocol::datagram_limits().time_window;
    CHECK(both.why(both.sealed("x", noon - window)) == "none");
    CHECK(both.why(both.sealed("x", noon + window)) == "none");
    CHECK(both.why(both.sealed("x", noon - window - 1ms)) == said(datagram_refusal::out_of_time));
    CHECK(both.why(both.sealed("x", noon + window + 1ms)) == said(datagram_refusal::out_of_time));
    CHECK(both.why(both.sealed("x", wall_time(-1ms))) == said(datagram_refusal::out_of_time));
    // Without a secret nobody's time can be relied on.
    ends plain(std::nullopt);
    CHECK(plain.why(plain.sealed("x", noon - 1h)) == "none");
}

TEST_CASE("datagram: each id within the window is accepted once, in any order",
          "[remote][datagram]") {
    ends both(std::nullopt);
    constexpr std::size_t width = datagram_opener::window_counts;
    std::vector<bytes> all;
    for (std::size_t i = 0; i < 3 * width; ++i) { all.push_back(both.sealed("x")); }
    // Those of even numbers, then those of odd ones that are still in the window.
    for (std::size_t i = 0; i < all.size(); i += 2) { CHECK(both.why(all[i]) == "none"); }
    for (std::size_t i = 1; i < all.size(); i += 2) {
        const bool is_within = i + width > all.size() - 2;
        CHECK(both.why(all[i]) == (is_within ? "none" : said(datagram_refusal::repeated)));
    }
    for (const auto& each : all) { CHECK(both.why(each) == said(datagram_refusal::repeated)); }
}

TEST_CASE("datagram: senders are bounded; with a secret none is forgotten within its time",
          "[remote][datagram]") {
    protocol::datagram_limits limits;
    limits.senders_max = 2;
    const auto sealed_by = [](bool secret, std::uint64_t sender, wall_time when) {
        datagram_sealer sealer(secret ? std::optional(key_of("secret")) : std::nullopt, sender,
                               1000);
        bytes made;
        REQUIRE(sealer.seal(made, "t", {}, when));
        return made;
    };
    ends both("secret", limits);
    const auto first = sealed_by(true, 1, noon);
    CHECK(both.why(first) == "none");
    CHECK(both.why(sealed_by(true, 2, noon + 1s), noon + 1s) == "none");
    CHECK(both.why(sealed_by(true, 3, noon + 1s), noon + 1s) ==
          said(datagram_refusal::too_many_senders));
    const auto later = noon + limits.time_window + 1ms;
    CHECK(both.why(sealed_by(true, 3, later), later) == "none");
    CHECK(both.why(first, later) == said(datagram_refusal::out_of_time));
    CHECK(both.opener.senders() == 2);

    ends plain(std::nullopt, limits);
    for (std::uint64_t sender = 10; sender < 100; ++sender) {
        CHECK(plain.why(sealed_by(false, sender, noon)) == "none");
    }
    CHECK(plain.opener.senders() == 2);
}

TEST_CASE("datagram: one that would be too large is not sealed", "[remote][datagram]") {
    for (const bool has_secret : {true, false}) {
        protocol::datagram_limits limits;
        limits.bytes_max = 200;
        ends both(has_secret ? std::optional<std::string_view>("secret") : std::nullopt, limits);
        const std::size_t room = 200 - 31 - 11 - (has_secret ? 32U : 0U);
        CHECK(both.sealed(std::string(room, 'x')).size() == 200);
        bytes none;
        const bytes more(room + 1);
        CHECK_FALSE(both.sealer.seal(none, "test.text@1", more, noon));
        CHECK_FALSE(both.sealer.seal(none, std::string(256, 'n'), {}, noon));
        CHECK(none.empty());
    }
}

namespace {

using relayed = std::variant<add, text>;

udp_relay_options relay_options() {
    return udp_relay_options(shared_secret()).bind("127.0.0.1:0").inbox_size(256);
}
template <typename M>
udp_relay<M> start_relay(rt::worker& worker, const udp_relay_options& settings, actor_ref<M> to) {
    auto started = udp_relay<M>::start(worker, settings, std::move(to));
    if (!started) { throw std::runtime_error(started.error().message()); }
    return std::move(*started);
}

/// Keeps what a route took.
struct taken {
    std::atomic<int> count = 0;
    std::atomic<int> sum = 0;
    std::atomic<std::size_t> bytes = 0;
};

template <typename M = relayed>
actor_ref<M> into(std::shared_ptr<taken> where) {
    return route::to_function<M>([where](const M& message) {
        heph::match(
            message, [&](const add& m) { where->sum += m.amount; },
            [&](const text& m) { where->bytes += m.body.size(); });
        ++where->count;
    });
}

task<> relay_both_ways(rt::worker worker) {
    auto at_a = std::make_shared<taken>();
    auto at_b = std::make_shared<taken>();
    auto a = start_relay<relayed>(worker, relay_options(), into(at_a));
    auto b = start_relay<relayed>(worker, relay_options(), into(at_b));
    const auto to_b = a.to(b.endpoint());
    const auto to_a = b.to(a.endpoint());
    // Loopback loses nothing as long as the socket's buffer has room.
    for (int i = 1; i <= 20; ++i) { CHECK(to_b.try_send(relayed(add(i)))); }
    CHECK(to_a.try_send(relayed(text(std::string(1000, 'x')))));
    const bool arrived = co_await eventually([&] { return at_b->count == 20 && at_a->count == 1; });
    CHECK(arrived);
    CHECK(at_b->sum == 210);
    CHECK(at_a->bytes == 1000);
    CHECK(a.counters().sent == 20);
    CHECK(b.counters().routed == 20);

    CHECK(to_a.try_send(relayed(text(std::string(2000, 'x')))));
    const bool counted = co_await eventually([&] { return b.counters().too_large == 1; });
    CHECK(counted);
}

task<> refuse_what_is_not_theirs(rt::worker worker) {
    auto seen = std::make_shared<taken>();
    auto a = start_relay<relayed>(worker, relay_options(), into(seen));
    auto stranger = start_relay<relayed>(
        worker, udp_relay_options(secret_of("another one, not theirs")).bind("127.0.0.1:0"),
        route::to_nothing<relayed>());
    auto plain =
        start_relay<relayed>(worker, udp_relay_options::insecure_plain_text().bind("127.0.0.1:0"),
                             route::to_nothing<relayed>());
    auto newer = start_relay<finish>(worker, relay_options(), route::to_nothing<finish>());
    CHECK(log_lines::with("takes datagrams of anyone") == 1);
    CHECK(stranger.to(a.endpoint()).try_send(relayed(add(1))));
    CHECK(plain.to(a.endpoint()).try_send(relayed(add(1))));
    CHECK(newer.to(a.endpoint()).try_send(finish()));

    // Bytes of nobody, and what is too large.
    auto raw = rt::net::udp_socket::bind(rt::net::endpoint::loopback(0));
    REQUIRE(raw);
    auto garbage = rt::buffer::copy_of(std::string(5000, 'g'));
    const auto sent = co_await raw->send_to(std::move(garbage), a.endpoint());
    CHECK(sent);
    const bool counted = co_await eventually(
        [&] { return a.counters().refused == 3 && a.counters().undeliverable == 1; });
    CHECK(counted);
    CHECK(seen->count == 0);
    CHECK(newer.to(a.endpoint()).is_connected());
}

task<> outlive_a_throw(rt::worker worker) {
    auto seen = std::make_shared<taken>();
    auto a = start_relay<relayed>(worker, relay_options(),
                                  route::to_function<relayed>([seen](const relayed& message) {
                                      if (std::holds_alternative<text>(message)) {
                                          throw std::runtime_error("no texts");
                                      }
                                      ++seen->count;
                                  }));
    auto b = start_relay<relayed>(worker, relay_options(), route::to_nothing<relayed>());
    const auto to_a = b.to(a.endpoint());
    for (int i = 0; i < 5; ++i) {
        CHECK(to_a.try_send(relayed(text("x"))));
        CHECK(to_a.try_send(relayed(add(1))));
    }
    const bool arrived =
        co_await eventually([&] { return seen->count == 5 && a.counters().undeliverable == 5; });
    CHECK(arrived);
    CHECK(a.counters().routed == 5);
    CHECK(a.counters().receive_failures == 0);
}

task<> lose_some(rt::worker worker) {
    auto seen = std::make_shared<taken>();
    auto a = start_relay<relayed>(worker, relay_options(), route::to_nothing<relayed>());
    auto b = start_relay<relayed>(worker, relay_options(), into(seen));
    const heph::testing::message_loss<relayed> loss(a.to(b.endpoint()), 30, 42);
    const auto lossy = loss.ref();
    for (int i = 0; i < 200; ++i) { CHECK(lossy.try_send(relayed(add(1)))); }
    const auto passed = static_cast<int>(loss.passed());
    CHECK(passed > 100);
    CHECK(passed < 180);
    const bool arrived = co_await eventually([&] { return seen->count == passed; });
    CHECK(arrived);
    CHECK(a.counters().sent == static_cast<std::uint64_t>(passed));
}

}  // namespace

TEST_CASE("relay: messages reach the routes of relays at other addresses, both ways",
          "[remote][relay]") {
    run_nodes(relay_both_ways);
}

TEST_CASE("relay: what strangers send is refused and counted, and nothing else is disturbed",
          "[remote][relay]") {
    const log_lines lines;
    run_nodes(refuse_what_is_not_theirs);
}

TEST_CASE("relay: a route that throws loses that message only", "[remote][relay]") {
    run_nodes(outlive_a_throw);
}

TEST_CASE("relay: what is lost is lost, and nothing else", "[remote][relay]") {
    run_nodes(lose_some);
}

TEST_CASE("relay: bad settings are refused with a word", "[remote][relay]") {
    run_nodes([](rt::worker worker) -> task<> {
        const auto error_of = [&](const udp_relay_options& settings) {
            const auto started = udp_relay<relayed>::start(worker, settings);
            return started ? std::string() : std::string(started.error().message());
        };
        CHECK(error_of(relay_options().bind("localhost")).contains("'localhost' is no address"));
        CHECK(error_of(relay_options().datagram_bytes_max(100)).contains("128 to 65,507"));
        CHECK(error_of(relay_options().time_window(0ms)).contains("at least a second"));
        const auto first = udp_relay<relayed>::start(worker, relay_options());
        REQUIRE(first);
        const auto taken_port = first->endpoint().to_string();
        CHECK(error_of(relay_options().bind(taken_port)).contains("cannot receive at"));
        co_return;
    });
}

namespace {

task<> keeps(rt::local_context<text> ctx, std::shared_ptr<taken> where, bool until_first) {
    while (auto message = co_await ctx.receive()) {
        where->bytes += message->body.size();
        ++where->count;
        if (until_first) { co_return; }
    }
}

actor_ref<text> spawn_keeper(rt::worker& worker, const std::shared_ptr<taken>& where,
                             bool until_first = false) {
    heph::actor_options small;
    small.inbox_size = 1;
    return worker.spawn(std::move(small), heph::no_supervisor(), heph::actor_fn(keeps), where,
                        until_first);
}

struct three {
    explicit three(rt::worker& worker) {
        for (auto& each : seen) {
            each = std::make_shared<taken>();
            group.add(spawn_keeper(worker, each));
        }
    }
    std::shared_ptr<taken> seen[3];
    actor_group<text> group;
};

task<> share_out(rt::worker worker) {
    three all(worker);
    auto a = start(worker, listening("a"));
    a.publish("one", route::to_one(all.group));
    auto b = start(worker, quick_options("b").peer("a", a.address()));
    const auto to_one = co_await b.find<text>("a", "one", plenty);
    REQUIRE(to_one);
    CHECK(to_json(*to_one).starts_with(R"({"node":"a","address":"127.0.0.1:)"));
    const text message("x");
    for (int i = 0; i < 90; ++i) {
        const auto sent = co_await to_one->send(message);
        REQUIRE(sent);
    }
    const auto total = [&] { return all.seen[0]->count + all.seen[1]->count + all.seen[2]->count; };
    const bool arrived = co_await eventually([&] { return total() == 90; });
    CHECK(arrived);
    for (const auto& each : all.seen) { CHECK(each->count > 0); }
}

task<> copy_to_all(rt::worker worker) {
    three all(worker);
    auto a = start(worker, listening("a"));
    // One that is finished is passed over.
    auto gone = std::make_shared<taken>();
    all.group.add(spawn_keeper(worker, gone, true));
    a.publish("all", route::to_all(all.group));
    auto b = start(worker, quick_options("b").peer("a", a.address()));
    const auto to_all = co_await b.find<text>("a", "all", plenty);
    REQUIRE(to_all);
    const text message("x");
    for (int i = 0; i < 50; ++i) {
        const auto sent = co_await to_all->send(message);
        REQUIRE(sent);
    }
    // Inboxes of one message: nobody misses any.
    const bool arrived = co_await eventually([&] {
        return all.seen[0]->count == 50 && all.seen[1]->count == 50 && all.seen[2]->count == 50;
    });
    CHECK(arrived);
    CHECK(gone->count == 1);
}

task<> route_by_hand(rt::worker worker) {
    three all(worker);
    const auto to_one = route::to_one(all.group);
    const auto to_all = route::to_all(all.group);
    // Nobody has run yet: each inbox has room for one.
    for (int i = 0; i < 3; ++i) { CHECK(to_one.try_send(text("x"))); }
    auto full = to_one.try_send(text("back"));
    REQUIRE_FALSE(full);
    CHECK(full.error().reason() == send_failure::full);
    CHECK(full.error().value().body == "back");
    CHECK(to_all.try_send(text("y")).error().reason() == send_failure::full);
    text waits("waits");
    auto sending = to_one.send(std::move(waits));
    const auto sent = co_await sending;
    CHECK(sent);
    text for_all("all");
    auto copying = to_all.send(std::move(for_all));
    const auto copied = co_await copying;
    CHECK(copied);
    const auto total = [&] { return all.seen[0]->count + all.seen[1]->count + all.seen[2]->count; };
    const bool arrived = co_await eventually([&] { return total() == 3 + 1 + 3; });
    CHECK(arrived);
    CHECK(to_one.is_connected());

    const auto nobody = route::to_one(actor_group<text>());
    CHECK_FALSE(nobody.is_connected());
    CHECK(nobody.try_send(text("x")).error().reason() == send_failure::disconnected);
    CHECK(route::to_all(actor_group<text>()).try_send(text("x")).error().reason() ==
          send_failure::disconnected);
    text lost("lost");
    auto failing = nobody.send(std::move(lost));
    const auto failed = co_await failing;
    CHECK_FALSE(failed);
    CHECK(route::to_nothing<text>().try_send(text("x")));

    // Joined when the last member is finished.
    actor_group<text> short_lived;
    auto first = std::make_shared<taken>();
    short_lived.add(spawn_keeper(worker, first, true));
    short_lived.add(spawn_keeper(worker, first, true));
    const auto both = route::to_all(short_lived);
    CHECK(both.try_send(text("end")));
    co_await both.join();
    CHECK(first->count == 2);
    CHECK_FALSE(both.is_connected());
}

}  // namespace

TEST_CASE("route: what is published as a group to one is shared out", "[remote][relay]") {
    run_nodes(share_out);
}

TEST_CASE("route: what is published as a group to all reaches each, at the pace of the slowest",
          "[remote][relay]") {
    run_nodes(copy_to_all);
}

TEST_CASE("route: to one, to all, to nothing, and their ends", "[remote][relay]") {
    run_nodes(route_by_hand);
}

}  // namespace heph::remote::testing
