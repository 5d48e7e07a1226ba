// Actors with a thread of their own.

#include <heph/core/sync_actor.hpp>

#include <atomic>
#include <chrono>
#include <expected>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <pthread.h>

#include <catch2/catch.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/either.hpp>
#include <heph/core/log.hpp>
#include <heph/core/match.hpp>
#include <heph/core/monitor.hpp>
#include <heph/core/rpc.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

using heph::sync_context;
using heph::sync_options;
using namespace std::chrono_literals;

namespace {

using get_total = heph::rpc<void, int>;
using message = std::variant<int, get_total>;
using outcome = std::expected<void, std::string>;

// Adds numbers up; fails on a negative one, and throws on -2.
outcome adder(sync_context<message> ctx, int start) {
    int total = start;
    while (auto next = ctx.receive()) {
        if (auto* call = std::get_if<get_total>(&*next)) {
            call->respond(total);
            continue;
        }
        const int number = std::get<int>(*next);
        if (number == -2) { throw std::runtime_error("minus two"); }
        if (number < 0) { return std::unexpected(std::string("negative")); }
        total += number;
    }
    return {};
}

sync_options named(const char* name) {
    sync_options options;
    options.name = name;
    return options;
}

void silent(heph::log_level, std::string_view) noexcept {}

class silence {
public:
    silence() : previous_(heph::set_log_handler(heph::log_handler(&silent))) {}
    silence(const silence&) = delete;
    silence& operator=(const silence&) = delete;
    ~silence() { heph::set_log_handler(previous_); }

private:
    heph::log_handler previous_;
};

}  // namespace

TEST_CASE("sync: an actor on its own thread receives, answers, and ends with its references",
          "[core][sync]") {
    auto spawned = heph::spawn_sync(named("adder"), heph::stop_supervisor(), adder, 10);
    REQUIRE(spawned.has_value());
    auto& actor = *spawned;
    auto watching = heph::monitor(actor.ref());
    for (int i = 1; i <= 3; ++i) { REQUIRE(heph::block_on(actor.ref().send(i)).has_value()); }
    auto total = heph::block_on(actor.ref().rpc<get_total>());
    REQUIRE(total.has_value());
    CHECK(*total == 16);
    actor.join();
    CHECK(watching.is_ended());
    CHECK(heph::block_on(std::move(watching)).reason() == heph::end_reason::finished);
}

TEST_CASE("sync: the thread has the actor's name, cut to what the system takes", "[core][sync]") {
    std::string seen;
    const auto looks = [](sync_context<int> ctx, std::atomic<std::string*>* into) {
        char name[32] = {};
        pthread_getname_np(pthread_self(), name, sizeof(name));
        *into->load() = name;
        (void)ctx.receive();
    };
    std::atomic<std::string*> target = &seen;
    auto spawned =
        heph::spawn_sync(named("a name of twenty one"), heph::no_supervisor(), looks, &target);
    REQUIRE(spawned.has_value());
    spawned->join();
    CHECK(seen == "a name of twent");
}

TEST_CASE("sync: a restart keeps the inbox, after an error as after an exception", "[core][sync]") {
    const silence quiet;
    auto spawned = heph::spawn_sync(
        named("adder"), heph::restart_supervisor(heph::restart_limit{2, 1h}, 100), adder, 0);
    REQUIRE(spawned.has_value());
    const auto& ref = spawned->ref();
    for (const int number : {1, -1, 2, -2, 3}) {
        REQUIRE(heph::block_on(ref.send(number)).has_value());
    }
    auto total = heph::block_on(ref.rpc<get_total>());
    REQUIRE(total.has_value());
    CHECK(*total == 103);
    auto watching = heph::monitor(ref);
    REQUIRE(heph::block_on(ref.send(-1)).has_value());
    auto end = heph::block_on(std::move(watching));
    CHECK(end.reason() == heph::end_reason::failed);
    CHECK(end.text() == "negative");
    CHECK(ref.try_send(1).error().reason() == heph::send_failure::disconnected);
}

TEST_CASE("sync: back-off waits on the actor's own thread", "[core][sync]") {
    const silence quiet;
    heph::backoff brief;
    brief.initial = 1ms;
    brief.longest = 2ms;
    auto spawned = heph::spawn_sync(
        named("adder"), heph::backoff_supervisor(heph::restart_limit{5, 1h}, brief, 1000), adder,
        0);
    REQUIRE(spawned.has_value());
    for (const int number : {-1, -1, 5}) {
        REQUIRE(heph::block_on(spawned->ref().send(number)).has_value());
    }
    auto total = heph::block_on(spawned->ref().rpc<get_total>());
    REQUIRE(total.has_value());
    CHECK(*total == 1005);
}

TEST_CASE("sync: a lambda may have captures, and the message type may be given", "[core][sync]") {
    std::atomic<int> sum = 0;
    auto spawned = heph::spawn_sync<int>(
        named("lambda"), heph::no_supervisor(),
        [&sum](auto ctx, int factor) {
            while (auto next = ctx.receive()) { sum += *next * factor; }
        },
        3);
    REQUIRE(spawned.has_value());
    REQUIRE(spawned->ref().try_send(4));
    REQUIRE(spawned->ref().try_send(5));
    spawned->join();
    CHECK(sum == 27);
}

TEST_CASE("sync: receives until a deadline, and waits for futures until one", "[core][sync]") {
    struct seen {
        std::atomic<int> timed_out = 0;
        std::atomic<int> received = 0;
        std::atomic<int> future_timed_out = 0;
        std::atomic<int> ended = 0;
    } all;
    auto spawned = heph::spawn_sync<int>(named("patient"), heph::no_supervisor(), [&all](auto ctx) {
        if (!ctx.receive(heph::deadline_in(1ms))) { ++all.timed_out; }
        auto [tx, rx] = heph::inbox::channel<int>(1);
        if (!ctx.block_on(rx.recv(), heph::deadline_in(1ms))) { ++all.future_timed_out; }
        auto self = std::optional(ctx.self());
        const bool sent = self->try_send(7).has_value();
        self.reset();
        auto got = ctx.receive(heph::deadline_in(10s));
        if (sent && got && *got == 7) { ++all.received; }
        auto last = ctx.receive(heph::deadline_in(10s));
        if (!last && last.error() == heph::receive_error::disconnected) { ++all.ended; }
    });
    REQUIRE(spawned.has_value());
    // It counts on nobody sending: the message that it gets is its own.
    spawned->join();
    CHECK(all.future_timed_out == 1);
    CHECK(all.timed_out == 1);
    CHECK(all.received == 1);
    CHECK(all.ended == 1);
}

TEST_CASE("sync: blocks on a task that waits for another actor", "[core][sync]") {
    auto served = heph::spawn_sync(named("adder"), heph::stop_supervisor(), adder, 1);
    REQUIRE(served.has_value());
    std::atomic<int> answer = 0;
    const auto asks = [](heph::actor_ref<message> ref) -> heph::task<int> {
        auto total = co_await ref.rpc<get_total>();
        co_return total.value_or(-1);
    };
    auto asking = heph::spawn_sync<int>(
        named("asking"), heph::no_supervisor(),
        [&answer, asks](auto ctx, heph::actor_ref<message> ref) {
            answer = ctx.block_on(asks(std::move(ref)));
        },
        served->ref());
    REQUIRE(asking.has_value());
    asking->join();
    CHECK(answer == 1);
}

TEST_CASE("sync: a thread that cannot be had is an error, and leaves nothing behind",
          "[core][sync]") {
    auto held = std::make_shared<const int>(5);
    sync_options options = named("huge");
    options.stack_size = std::size_t{1} << 46U;  // More than there is address space.
    auto refused = heph::spawn_sync<int>(
        options, heph::no_supervisor(),
        [](auto ctx, std::shared_ptr<const int>) { (void)ctx.receive(); }, held);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == std::errc::resource_unavailable_try_again);
    CHECK(held.use_count() == 1);
    options.stack_size = 1;
    auto invalid = heph::spawn_sync<int>(
        options, heph::no_supervisor(),
        [](auto ctx, std::shared_ptr<const int>) { (void)ctx.receive(); }, held);
    REQUIRE_FALSE(invalid.has_value());
    CHECK(invalid.error() == std::errc::invalid_argument);
    CHECK(held.use_count() == 1);
}

TEST_CASE("sync: going out of scope waits for the actor", "[core][sync]") {
    std::atomic<int> received = 0;
    {
        auto spawned =
            heph::spawn_sync<int>(named("scoped"), heph::no_supervisor(), [&received](auto ctx) {
                while (ctx.receive()) { ++received; }
            });
        REQUIRE(spawned.has_value());
        for (int i = 0; i < 5; ++i) { REQUIRE(spawned->ref().try_send(i)); }
    }
    CHECK(received == 5);
}

TEST_CASE("sync: detached, it goes on, and its reference joins", "[core][sync]") {
    std::atomic<int> received = 0;
    auto spawned =
        heph::spawn_sync<int>(named("detached"), heph::no_supervisor(), [&received](auto ctx) {
            while (auto next = ctx.receive()) {
                received += *next;
                if (*next == 0) { return; }
            }
        });
    REQUIRE(spawned.has_value());
    auto ref = spawned->detach();
    REQUIRE(ref.try_send(3));
    REQUIRE(ref.try_send(0));
    heph::block_on(ref.join());
    CHECK(received == 3);
}

TEST_CASE("sync: many senders, one blocking receiver", "[core][sync][threads]") {
    std::atomic<long> sum = 0;
    {
        auto spawned =
            heph::spawn_sync<int>(named("sink"), heph::no_supervisor(), [&sum](auto ctx) {
                while (auto next = ctx.receive()) { sum += *next; }
            });
        REQUIRE(spawned.has_value());
        std::vector<std::jthread> threads;
        for (int who = 0; who < 3; ++who) {
            threads.emplace_back([ref = spawned->ref()] {
                for (int i = 0; i < 1000; ++i) {
                    if (!heph::block_on(ref.send(1))) { return; }
                }
            });
        }
    }
    CHECK(sum == 3000);
}
