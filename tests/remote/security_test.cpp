// Who may link, and who may reach what.

#include <memory>
#include <string>

#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::audience;
using heph::remote::failure;
namespace remote = heph::remote;
namespace rt = heph::rt;

namespace {

remote::options with_secret(std::string name, std::string_view secret) {
    remote::options made(std::move(name), secret_of(secret));
    made.links(quick_links());
    return made;
}

constexpr std::string_view older = "the secret that there was before";
constexpr std::string_view newer = "the secret that there is from now";

}  // namespace

TEST_CASE("security: two secrets are good while one replaces the other", "[remote][security]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        // As in the middle of a change: "a" has the new one and still accepts the old one.
        auto of_a = with_secret("a", newer);
        of_a.also_accept(secret_of("one that nobody uses any more")).also_accept(secret_of(older));
        const auto a = start(worker, of_a.listen("127.0.0.1:0"));
        const auto state = std::make_shared<counter_state>();
        a.publish("counter", spawn_counter(worker, state));
        for (const auto& [name, secret] : {std::pair("b", older), std::pair("c", newer)}) {
            const auto other = start(worker, with_secret(name, secret).peer("a", a.address()));
            auto found = co_await other.find<counter_message>("a", "counter", plenty);
            REQUIRE(found);
            const auto total = co_await found->rpc<get_total>(plenty);
            CHECK(total == 0);
        }
        CHECK(log_lines::with("turned away") == 0);
        const auto d =
            start(worker, with_secret("d", "a secret of somebody else").peer("a", a.address()));
        const bool refused =
            co_await eventually([] { return log_lines::with("turned away") >= 1; });
        CHECK(refused);
        CHECK_FALSE(d.is_linked("a"));
    });
}

TEST_CASE("security: who is not of an actor's audience cannot find it, reach it or watch it",
          "[remote][security]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto a = start(worker, listening("a"));
        const auto b = start(worker, quick_options("b").peer("a", a.address()));
        const auto c = start(worker, quick_options("c").peer("a", a.address()));
        const auto state = std::make_shared<counter_state>();
        const auto counter = spawn_counter(worker, state);
        a.publish("counter", counter, audience::of({"b", "x"}));
        auto found = co_await b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        const auto refused = co_await c.find<counter_message>("a", "counter", plenty);
        CHECK(refused.error() == failure::no_such_actor);
        // Guessing its number is of no use either.
        a.publish("open", counter);
        auto open = co_await c.find<counter_message>("a", "open", plenty);
        REQUIRE(open);
        a.publish("open", counter, audience::of({}));
        const auto total = co_await open->rpc<get_total>(plenty);
        CHECK(total.error() == failure::no_such_actor);
        const auto watched = co_await open->join();
        CHECK(watched == failure::no_such_actor);
        const auto allowed = co_await found->rpc<get_total>(plenty);
        CHECK(allowed == 0);
    });
}

TEST_CASE("security: nodes that are not on the list are refused, and told why",
          "[remote][security]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto a = start(worker, listening("a").only_peers({"b"}));
        const auto b = start(worker, quick_options("b").peer("a", a.address()));
        const auto c = start(worker, quick_options("c").peer("a", a.address()));
        const bool linked = co_await eventually([&] { return a.is_linked("b"); });
        CHECK(linked);
        const bool told = co_await eventually(
            [] { return log_lines::with("nodes of this name are not allowed") >= 2; });
        CHECK(told);
        CHECK_FALSE(c.is_linked("a"));
    });
}

TEST_CASE("security: an address whose handshakes fail all the time has to wait",
          "[remote][security]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::link_settings links = quick_links();
        links.failures_max = 3;
        links.failure_forgiven = 3'600'000ms;
        const auto a = start(worker, listening("a").links(links));
        const auto b = start(worker, quick_options("b").peer("a", a.address()));
        const bool linked = co_await eventually([&] { return a.is_linked("b"); });
        REQUIRE(linked);
        const auto c =
            start(worker, with_secret("c", "a secret of somebody else").peer("a", a.address()));
        const bool told = co_await eventually(
            [] { return log_lines::with("too many handshakes of that address failed") >= 1; });
        CHECK(told);
        CHECK(log_lines::with("has another secret") >= 1);
        CHECK(a.is_linked("b"));  // Who is linked stays so.
    });
}
