#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <expected>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>

#include <heph/core/match.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/rpc.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::actor_ref;
using heph::task;
using heph::rt::local_context;
using heph::rt::shared_context;
using heph::rt::worker;
using heph::test::quiet_setup;
using heph::test::run_on_worker;

namespace {

struct add {
    explicit add(int n) : amount(n) {}
    int amount;
};
using get_total = heph::rpc<void, int>;
using counter_message = std::variant<add, get_total>;

// The same actor runs on one worker or on any.
template <typename RT>
task<> counter(heph::context<counter_message, RT> ctx) {
    int total = 0;
    while (auto message = co_await ctx.receive()) {
        heph::match(
            *message, [&](add& each) { total += each.amount; },
            [&](get_total& call) { (void)call.respond(total); });
    }
}

constexpr auto local_counter = counter<heph::rt::local_runtime>;
constexpr auto shared_counter = counter<heph::rt::shared_runtime>;

task<> add_and_ask(local_context<> /*ctx*/, actor_ref<counter_message> ref, std::atomic<int>* got) {
    for (int i = 1; i <= 100; ++i) {
        const auto sent = co_await ref.emplace<add>(i);  // Waits when the inbox is full.
        if (!sent) { co_return; }
    }
    const auto total = co_await ref.rpc();
    if (total) { got->fetch_add(*total); }
}

}  // namespace

TEST_CASE("actor: messages and calls reach a local actor, and it ends with its references",
          "[rt][actor]") {
    std::atomic<int> got{0};
    run_on_worker(quiet_setup(), [&](worker& worker) {
        auto ref = worker.spawn(heph::no_supervisor{}, heph::actor_fn(local_counter));
        worker.spawn(heph::no_supervisor{}, heph::actor_fn(add_and_ask), ref, &got);
    });
    CHECK(got == 5050);
}

TEST_CASE("actor: workers call an actor that any of them may run", "[rt][actor]") {
    std::atomic<int> got{0};
    auto runtime = quiet_setup().threads(4).build();
    REQUIRE(runtime);
    {
        auto ref = runtime->spawn(heph::no_supervisor{}, heph::actor_fn(shared_counter));
        runtime->run_on_workers([&got, ref](worker& worker) {
            for (int i = 0; i < 25; ++i) {
                worker.spawn(heph::no_supervisor{}, heph::actor_fn(add_and_ask), ref, &got);
            }
        });
    }
    CHECK(runtime->start());
    // Each asks after its own hundred: at least that much, at most all.
    CHECK(got >= 100 * 5050);
    CHECK(got <= 100 * 100 * 5050);
}

namespace {

task<> relay(local_context<int> ctx, actor_ref<int> next) {
    while (auto hops = co_await ctx.receive()) {
        const auto sent = co_await next.send(*hops - 1);
        if (!sent || *hops <= 1) { co_return; }
    }
}

task<> home(local_context<int> ctx, std::atomic<int>* left) {
    const auto arrived = co_await ctx.receive();
    if (arrived) { left->store(*arrived); }
}

}  // namespace

TEST_CASE("actor: a message travels through local actors of several workers", "[rt][actor]") {
    std::atomic<int> left{-1};
    auto runtime = quiet_setup().threads(3).build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](worker& first) {
        if (first.index() != 0) { return; }
        auto end = first.spawn(heph::no_supervisor{}, heph::actor_fn(home), &left);
        // Each of the chain is made on its own worker by a task that hands the reference on.
        auto third = first.spawn(heph::no_supervisor{}, heph::actor_fn(relay), end);
        auto second = first.spawn(heph::no_supervisor{}, heph::actor_fn(relay), third);
        auto shared = first.shared();
        auto sender =
            shared.spawn(heph::no_supervisor{},
                         heph::actor_fn([](shared_context<int> ctx, actor_ref<int> next) -> task<> {
                             const auto hops = co_await ctx.receive();
                             if (!hops) { co_return; }
                             const auto sent = co_await next.send(*hops);
                             if (!sent) { throw std::runtime_error("the relay is gone"); }
                         }),
                         second);
        CHECK(sender.try_send(2));
    });
    CHECK(runtime->start());
    CHECK(left == 0);
}

namespace {

// Fails twice, at a timer and in a message, and works then.
task<std::expected<void, std::string>> moody(local_context<int> ctx, int* starts,
                                             std::atomic<int>* sum) {
    const int start = ++*starts;
    co_await heph::rt::timer(1ms);
    if (start == 1) { co_return std::unexpected(std::string("not today")); }
    while (auto value = co_await ctx.receive()) {
        if (start == 2 && *value == 3) { throw std::runtime_error("three is too much"); }
        sum->fetch_add(*value);
    }
    co_return {};
}

}  // namespace

TEST_CASE("actor: one that is restarted keeps its inbox, and loses what it failed on",
          "[rt][actor]") {
    int starts = 0;
    std::atomic<int> sum{0};
    run_on_worker(quiet_setup(), [&](worker& worker) {
        auto ref =
            worker.spawn(heph::actor_options{8, "moody"}, heph::restart_supervisor(&starts, &sum),
                         heph::actor_fn(moody), &starts, &sum);
        for (int value = 1; value <= 6; ++value) { CHECK(ref.try_send(value)); }
    });
    CHECK(starts == 3);
    CHECK(sum == 1 + 2 + 4 + 5 + 6);
}

namespace {

task<std::expected<void, std::error_code>> serve_one(local_context<> /*ctx*/,
                                                     heph::rt::net::tcp_stream stream) {
    auto buffer = heph::rt::buffer::with_capacity(64);
    for (;;) {
        auto received = co_await stream.recv(std::move(buffer));
        if (!received) { co_return std::unexpected(received.error()); }
        if (received->empty()) { co_return {}; }
        auto sent = co_await stream.send_all(std::move(*received));
        if (!sent) { co_return std::unexpected(sent.error()); }
        buffer = std::move(*sent);
        buffer.clear();
    }
}

task<> ask_twice(heph::rt::net::endpoint to, std::atomic<int>* answers) {
    auto stream = co_await heph::rt::net::tcp_stream::connect(to);
    if (!stream) { co_return; }
    for (int i = 0; i < 2; ++i) {
        heph::rt::buffer question;
        question.append("marco");
        auto sent = co_await stream->send_all(std::move(question));
        if (!sent) { co_return; }
        std::string answer;
        while (answer.size() < 5) {
            auto piece = co_await stream->next();
            if (!piece || piece->empty()) { co_return; }
            answer += piece->view();
        }
        if (answer == "marco") { answers->fetch_add(1); }
    }
}

task<> accept_some(local_context<> ctx, heph::rt::net::tcp_listener listener, int count) {
    for (int i = 0; i < count; ++i) {
        auto accepted = co_await listener.accept();
        if (!accepted) { co_return; }
        ctx.runtime().spawn(heph::stop_supervisor{}, heph::actor_fn(serve_one),
                            std::move(*accepted));
    }
}

}  // namespace

TEST_CASE("actor: one for each connection", "[rt][actor]") {
    std::atomic<int> answers{0};
    run_on_worker(quiet_setup(), [&](worker& worker) {
        auto address = heph::rt::net::endpoint::parse("127.0.0.1:0");
        auto listener = heph::rt::net::tcp_listener::bind(*address);
        REQUIRE(listener);
        const auto local = listener->local_endpoint();
        REQUIRE(local);
        worker.spawn(heph::no_supervisor{}, heph::actor_fn(accept_some), std::move(*listener), 50);
        for (int i = 0; i < 50; ++i) { worker.spawn_future(ask_twice(*local, &answers)); }
    });
    CHECK(answers == 100);
}

namespace {

task<> ask_for_ever(local_context<> /*ctx*/, actor_ref<counter_message> ref,
                    std::shared_ptr<std::atomic<int>> kept) {
    for (;;) {
        const auto total = co_await ref.rpc();
        if (!total) { co_return; }
        co_await heph::rt::timer(1ms);
        *kept = *total;
    }
}

}  // namespace

TEST_CASE("actor: what does not heed the stop is dropped after the grace, with all it holds",
          "[rt][actor]") {
    const auto kept = std::make_shared<std::atomic<int>>(0);
    auto runtime = quiet_setup().threads(2).stop_grace(20ms).build();
    REQUIRE(runtime);
    {
        auto ref = runtime->spawn(heph::no_supervisor{}, heph::actor_fn(shared_counter));
        runtime->run_on_workers([ref, kept](worker& worker) {
            worker.spawn(heph::no_supervisor{}, heph::actor_fn(ask_for_ever), ref, kept);
            if (worker.index() == 0) { worker.request_stop(); }
        });
    }
    CHECK(runtime->start());
    CHECK(kept.use_count() == 1);
}

namespace {

task<> take_all(shared_context<int> ctx) {
    while (auto value = co_await ctx.receive()) {}
}

}  // namespace

TEST_CASE("actor: one spawned after its runtime has ended is dropped, and its reference knows",
          "[rt][actor]") {
    std::optional<heph::rt::shared_runtime> late;
    {
        auto runtime = quiet_setup().build();
        REQUIRE(runtime);
        late.emplace(runtime->shared());
        CHECK(runtime->start());
    }
    auto ref = late->spawn(heph::no_supervisor{}, heph::actor_fn(take_all));
    CHECK_FALSE(ref.is_connected());
    CHECK_FALSE(ref.try_send(1));
}
