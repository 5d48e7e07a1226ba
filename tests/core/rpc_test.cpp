#include <heph/core/rpc.hpp>

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <catch2/catch.hpp>
#include <heph/core/actor_ref.hpp>
#include <heph/core/either.hpp>
#include <heph/core/task.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/inbox/oneshot.hpp>

#include "core/manual_time.hpp"
#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using namespace std::chrono_literals;

using heph::actor_ref;
using heph::rpc;
using heph::rpc_error;
using heph::waker;

namespace {

using size_of = rpc<std::string, std::size_t>;
using get_total = rpc<void, int>;
using forget = rpc<std::string, void>;
using flush = rpc<void, void>;
using message = std::variant<size_of, get_total, flush>;

// Two calls with the same types need names.
struct first_name : rpc<void, std::string> {
    using rpc::rpc;
};
struct last_name : rpc<void, std::string> {
    using rpc::rpc;
};
using person_message = std::variant<first_name, last_name>;

template <typename M>
struct callee {
    explicit callee(std::size_t capacity = 4) : callee(heph::inbox::channel<M>(capacity)) {}
    explicit callee(std::pair<heph::inbox::sender<M>, heph::inbox::receiver<M>> ends)
        : ref(std::move(ends.first)), inbox(std::move(ends.second)) {}
    M next() { return std::move(*inbox->try_recv()); }
    actor_ref<M> ref;
    std::optional<heph::inbox::receiver<M>> inbox;
};

// Works on a request until it is done, or nobody wants the answer.
heph::task<> works(heph::inbox::receiver<get_total> inbox, heph::test::gate* work,
                   std::string* log) {
    while (auto call = co_await inbox.recv()) {
        auto first = co_await heph::either(call->closed(), work->wait());
        *log += first.index() == 0 ? "given up;" : "done;";
        if (first.index() == 1) { call->respond(std::get<1>(first)); }
    }
    *log += "ended";
}

heph::task<> gives_up(actor_ref<get_total> ref, heph::test::gate* patience) {
    auto first = co_await heph::either(ref.rpc(), patience->wait());
    CHECK(first.index() == 1);
}

heph::task<> waits(actor_ref<get_total> ref, int* answer) {
    auto given = co_await ref.rpc();
    *answer = given.value_or(-1);
}

}  // namespace

static_assert(!std::is_aggregate_v<get_total> && !std::is_aggregate_v<size_of>);
static_assert(std::is_nothrow_move_constructible_v<get_total>);

TEST_CASE("rpc: the answer comes back, and the request's type says which call it is",
          "[core][rpc]") {
    callee<message> actor;
    auto sizing = actor.ref.rpc(std::string("four"));
    auto totalling = actor.ref.rpc<get_total>();
    CHECK_FALSE(sizing.poll(waker()).is_ready());
    CHECK_FALSE(totalling.poll(waker()).is_ready());
    auto first = actor.next();
    auto& sized = std::get<size_of>(first);
    CHECK(sized.request() == "four");
    CHECK(sized.respond(4U));
    auto second = actor.next();
    CHECK(std::get<get_total>(second).respond(9));
    CHECK(sizing.poll(waker()).value() == 4U);
    CHECK(totalling.poll(waker()).value() == 9);
}

TEST_CASE("rpc: a request that converts chooses the call too", "[core][rpc]") {
    callee<message> actor;
    auto sizing = actor.ref.rpc("four");
    CHECK_FALSE(sizing.poll(waker()).is_ready());
    auto received = actor.next();
    CHECK(std::get<size_of>(received).request() == "four");
}

TEST_CASE("rpc: calls with the same types are told apart by name", "[core][rpc]") {
    callee<person_message> actor;
    auto asking = actor.ref.rpc<last_name>();
    CHECK_FALSE(asking.poll(waker()).is_ready());
    auto received = actor.next();
    CHECK(std::get<last_name>(received).respond("Hopper"));
    CHECK(asking.poll(waker()).value() == "Hopper");
}

TEST_CASE("rpc: nothing can be asked and nothing answered", "[core][rpc]") {
    callee<message> actor;
    auto flushing = actor.ref.rpc<flush>();
    CHECK_FALSE(flushing.poll(waker()).is_ready());
    auto received = actor.next();
    CHECK(std::get<flush>(received).respond());
    CHECK(flushing.poll(waker()).value().has_value());
}

TEST_CASE("rpc: a request dropped without an answer is told as no_reply", "[core][rpc]") {
    callee<message> actor;
    auto calling = actor.ref.rpc<get_total>();
    CHECK_FALSE(calling.poll(waker()).is_ready());
    { auto dropped = actor.next(); }
    auto answer = calling.poll(waker());
    REQUIRE(answer.is_ready());
    CHECK(answer.value().error() == rpc_error::no_reply);
    CHECK(to_string(answer.value().error()) ==
          "the called actor dropped the request without an answer");
}

TEST_CASE("rpc: an actor that ends with the request in its inbox gives no reply", "[core][rpc]") {
    callee<message> actor;
    auto calling = actor.ref.rpc<get_total>();
    CHECK_FALSE(calling.poll(waker()).is_ready());
    actor.inbox.reset();
    CHECK(calling.poll(waker()).value().error() == rpc_error::no_reply);
}

TEST_CASE("rpc: a finished actor is told as disconnected", "[core][rpc]") {
    callee<message> actor;
    actor.inbox.reset();
    auto calling = actor.ref.rpc<get_total>();
    auto answer = calling.poll(waker());
    REQUIRE(answer.is_ready());
    CHECK(answer.value().error() == rpc_error::disconnected);
}

TEST_CASE("rpc: an actor that ends while the request waits for room is disconnected",
          "[core][rpc]") {
    callee<message> actor(1);
    auto fills = actor.ref.rpc<flush>();
    CHECK_FALSE(fills.poll(waker()).is_ready());
    auto waits = actor.ref.rpc<get_total>();
    CHECK_FALSE(waits.poll(waker()).is_ready());
    actor.inbox.reset();
    CHECK(fills.poll(waker()).value().error() == rpc_error::no_reply);
    CHECK(waits.poll(waker()).value().error() == rpc_error::disconnected);
}

TEST_CASE("rpc: a function that refuses is told as refused", "[core][rpc]") {
    const auto ref = actor_ref<get_total>::to_function([](const get_total&) { return false; });
    auto calling = ref.rpc();
    CHECK(calling.poll(waker()).value().error() == rpc_error::refused);
    const auto drops = actor_ref<get_total>::to_nothing();
    auto dropped = drops.rpc();
    CHECK(dropped.poll(waker()).value().error() == rpc_error::no_reply);
}

TEST_CASE("rpc: the callee sees that the caller gave up", "[core][rpc]") {
    callee<message> actor;
    int asked = 0;
    const auto answer = [&asked] { return ++asked; };
    std::optional calling(actor.ref.rpc<get_total>());
    CHECK_FALSE(calling->poll(waker()).is_ready());
    auto received = actor.next();
    auto& call = std::get<get_total>(received);
    CHECK_FALSE(call.is_cancelled());
    auto closed = call.closed();
    CHECK_FALSE(closed.poll(waker()).is_ready());
    calling.reset();
    CHECK(closed.poll(waker()).is_ready());
    CHECK(call.is_cancelled());
    CHECK_FALSE(call.handle(answer));
    CHECK_FALSE(call.respond(1));
    CHECK(asked == 0);
}

TEST_CASE("rpc: who works for a caller is woken when that gives up, and callers by the answer",
          "[core][rpc]") {
    heph::test::poll_loop loop;
    heph::test::gate work;
    heph::test::gate patience;
    std::string log;
    int answer = 0;
    auto [tx, rx] = heph::inbox::channel<get_total>(2);
    actor_ref<get_total> ref(std::move(tx));
    loop.spawn(works(std::move(rx), &work, &log));
    loop.spawn(gives_up(ref, &patience));
    loop.run();
    CHECK(log.empty());
    patience.open();
    loop.run();
    CHECK(log == "given up;");
    loop.spawn(waits(std::move(ref), &answer));
    loop.run();
    work.open(7);
    loop.run();
    CHECK(answer == 7);
    CHECK(log == "given up;done;ended");
    CHECK(loop.unfinished() == 0);
}

TEST_CASE("rpc: a call dropped before it was sent was not sent", "[core][rpc]") {
    callee<message> actor(1);
    auto fills = actor.ref.rpc<flush>();
    CHECK_FALSE(fills.poll(waker()).is_ready());
    {
        auto waits = actor.ref.rpc<get_total>();
        CHECK_FALSE(waits.poll(waker()).is_ready());
    }
    auto received = actor.next();
    CHECK(std::holds_alternative<flush>(received));
    CHECK(actor.inbox->try_recv().error() == heph::inbox::recv_error::empty);
}

TEST_CASE("rpc: only the first answer counts", "[core][rpc]") {
    callee<message> actor;
    auto calling = actor.ref.rpc<get_total>();
    CHECK_FALSE(calling.poll(waker()).is_ready());
    auto received = actor.next();
    auto& call = std::get<get_total>(received);
    CHECK(call.respond(1));
    CHECK_FALSE(call.respond(2));
    CHECK(call.is_cancelled());
    CHECK(calling.poll(waker()).value() == 1);
}

TEST_CASE("rpc: handle answers with what the function returns", "[core][rpc]") {
    callee<std::variant<size_of, forget, flush>> actor;
    auto sizing = actor.ref.rpc<size_of>("abc");
    auto forgetting = actor.ref.rpc<forget>("abc");
    auto flushing = actor.ref.rpc<flush>();
    CHECK_FALSE(sizing.poll(waker()).is_ready());
    CHECK_FALSE(forgetting.poll(waker()).is_ready());
    CHECK_FALSE(flushing.poll(waker()).is_ready());
    auto first = actor.next();
    CHECK(std::get<size_of>(first).handle([](std::string text) { return text.size(); }));
    auto second = actor.next();
    std::string forgotten;
    CHECK(std::get<forget>(second).handle(
        [&forgotten](std::string text) { forgotten = std::move(text); }));
    auto third = actor.next();
    bool flushed = false;
    CHECK(std::get<flush>(third).handle([&flushed] { flushed = true; }));
    CHECK(sizing.poll(waker()).value() == 3U);
    CHECK(forgetting.poll(waker()).value().has_value());
    CHECK(flushing.poll(waker()).value().has_value());
    CHECK(forgotten == "abc");
    CHECK(flushed);
}

TEST_CASE("rpc: try_handle gives an error back and leaves the caller waiting", "[core][rpc]") {
    callee<message> actor;
    auto calling = actor.ref.rpc(std::string("abc"));
    CHECK_FALSE(calling.poll(waker()).is_ready());
    auto received = actor.next();
    auto& call = std::get<size_of>(received);
    // An error that can only be moved.
    auto failed =
        call.try_handle([](const std::string&) -> std::expected<std::size_t, std::unique_ptr<int>> {
            return std::unexpected(std::make_unique<int>(5));
        });
    REQUIRE_FALSE(failed);
    CHECK(*failed.error() == 5);
    CHECK_FALSE(calling.poll(waker()).is_ready());
    auto done = call.try_handle(
        [](const std::string& text) -> std::expected<std::size_t, int> { return text.size(); });
    REQUIRE(done);
    CHECK(*done);
    CHECK(calling.poll(waker()).value() == 3U);
}

TEST_CASE("rpc: try_handle does not ask when the caller gave up", "[core][rpc]") {
    callee<message> actor;
    {
        auto calling = actor.ref.rpc<flush>();
        CHECK_FALSE(calling.poll(waker()).is_ready());
    }
    auto received = actor.next();
    int asked = 0;
    auto handled = std::get<flush>(received).try_handle([&asked]() -> std::expected<void, int> {
        ++asked;
        return std::unexpected(1);
    });
    REQUIRE(handled.has_value());
    CHECK_FALSE(*handled);
    CHECK(asked == 0);
}

TEST_CASE("rpc: requests and answers that can only be moved travel", "[core][rpc]") {
    using swap = rpc<std::unique_ptr<int>, std::unique_ptr<int>>;
    callee<swap> actor;
    auto calling = actor.ref.rpc(std::make_unique<int>(1));
    CHECK_FALSE(calling.poll(waker()).is_ready());
    auto call = actor.next();
    CHECK(*call.request() == 1);
    CHECK(call.respond(std::move(call.request())));
    auto answer = calling.poll(waker());
    REQUIRE(answer.is_ready());
    CHECK(**answer.value() == 1);
}

TEST_CASE("rpc: an answer that nobody takes any more is destroyed once", "[core][rpc]") {
    using get = rpc<void, heph::test::probe>;
    int live = 0;
    {
        callee<get> actor;
        std::optional calling(actor.ref.rpc());
        CHECK_FALSE(calling->poll(waker()).is_ready());
        auto call = actor.next();
        CHECK(call.respond(heph::test::probe(live)));
        CHECK(live == 1);
        calling.reset();
        CHECK(live == 0);
    }
    CHECK(live == 0);
}

TEST_CASE("rpc: an answer before the deadline is given", "[core][rpc][deadline]") {
    callee<message> to;
    heph::test::manual_time time;
    heph::test::manual_runtime runtime(time);
    auto calling = to.ref.rpc(heph::bind_deadline(runtime, heph::deadline_in(1s)), "four");
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<decltype(calling)>);
    CHECK_FALSE(calling.poll(waker()).is_ready());
    time.advance(999ms);
    CHECK_FALSE(calling.poll(waker()).is_ready());
    message got = to.next();
    CHECK(std::get<size_of>(got).respond(4U));
    CHECK(calling.poll(waker()).value() == 4U);
}

TEST_CASE("rpc: a call whose deadline passes is given up, and the callee sees it",
          "[core][rpc][deadline]") {
    callee<message> to;
    heph::test::manual_time time;
    heph::test::manual_runtime runtime(time);
    std::optional calling(
        to.ref.rpc<get_total>(heph::bind_deadline(runtime, heph::deadline_in(1s))));
    CHECK_FALSE(calling->poll(waker()).is_ready());
    message got = to.next();
    auto& call = std::get<get_total>(got);
    CHECK_FALSE(call.is_cancelled());
    time.advance(1s);
    CHECK(calling->poll(waker()).value().error() == rpc_error::timed_out);
    calling.reset();
    CHECK(call.is_cancelled());
    CHECK_FALSE(call.respond(1));
    CHECK(time.waiting() == 0);
}

TEST_CASE("rpc: a request that waits for room at its deadline is not sent",
          "[core][rpc][deadline]") {
    callee<get_total> to(1);
    auto filling = to.ref.rpc();
    CHECK_FALSE(filling.poll(waker()).is_ready());
    {
        heph::test::tripwire patience;
        auto calling = to.ref.rpc(heph::bind_deadline(patience.wait()));
        CHECK_FALSE(calling.poll(waker()).is_ready());
        patience.trip();
        CHECK(calling.poll(waker()).value().error() == rpc_error::timed_out);
    }
    get_total first = to.next();
    CHECK(first.respond(1));
    CHECK_FALSE(to.inbox->try_recv().has_value());
}

TEST_CASE("rpc: one that was moved from has nobody to answer", "[core][rpc]") {
    auto [tx, rx] = heph::inbox::oneshot<int>();
    get_total call(std::move(tx));
    get_total moved(std::move(call));
    CHECK(call.is_cancelled());  // NOLINT(bugprone-use-after-move): that is what is tested.
    CHECK_FALSE(call.respond(1));
    CHECK(moved.respond(2));
    CHECK(rx.try_recv() == 2);
}

TEST_CASE("rpc: assigning to one drops the call that it was", "[core][rpc]") {
    auto [tx_a, rx_a] = heph::inbox::oneshot<std::size_t>();
    auto [tx_b, rx_b] = heph::inbox::oneshot<std::size_t>();
    size_of call("a", std::move(tx_a));
    call = size_of("b", std::move(tx_b));
    CHECK_FALSE(rx_a.is_connected());
    CHECK(call.request() == "b");
    CHECK(call.respond(1U));
    CHECK(rx_b.try_recv() == 1U);
}

TEST_CASE("rpc: every error has words of its own", "[core][rpc]") {
    CHECK(to_string(rpc_error::timed_out) != to_string(rpc_error::refused));
    CHECK(to_string(rpc_error::no_reply) != to_string(rpc_error::disconnected));
}

TEST_CASE("rpc: a call that is assigned to itself counts as dropped", "[rpc][regression]") {
    auto [tx, rx] = heph::inbox::oneshot<int>();
    get_total call(std::move(tx));
    get_total& same = call;
    call = std::move(same);
    CHECK(call.is_cancelled());
    CHECK_FALSE(call.respond(3));
    CHECK(rx.try_recv().error() == heph::inbox::recv_error::disconnected);
}
