// Actors on one worker: what spawning, a message, a call and a restart cost on the runtime.

#include <malloc.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <heph/core/actor_future.hpp>
#include <heph/core/rpc.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/runtime.hpp>

#include "bench.hpp"
#include "figures.hpp"

namespace heph::bench {

namespace {

using rt::local_context;

rt::setup one_worker() {
    rt::setup settings;
    settings.name("bench").cpu_affinity().ignore_signals();
    return settings;
}

task<> takes_one(local_context<std::uint64_t> ctx, std::uint64_t* done) {
    auto message = co_await ctx.receive();
    if (message) { *done += *message; }
}

// Batches, so that what is measured is not the growth of the heap.
task<> spawns(local_context<> ctx, std::uint64_t count, std::uint64_t* done, stopwatch* watch) {
    constexpr std::uint64_t batch = 100;
    watch->start();
    for (std::uint64_t i = 0; i < count; i += batch) {
        for (std::uint64_t each = 0; each < batch; ++each) {
            auto ref = ctx.runtime().spawn(no_supervisor(), actor_fn(takes_one), done);
            (void)ref.try_send(1);
        }
        co_await yield();
        co_await yield();
    }
    while (*done < count) { co_await yield(); }
    watch->stop();
}

double spawn() {
    constexpr std::uint64_t count = 500'000;
    std::uint64_t done = 0;
    stopwatch watch;
    run(one_worker(), [&](rt::worker& worker) {
        worker.spawn(no_supervisor(), actor_fn(spawns), count, &done, &watch);
    });
    require(done == count, "spawn");
    return watch.each(count);
}

using number_ref = actor_ref<std::uint64_t>;

// Plays until it hits 0, which it passes on.
task<> plays(local_context<std::uint64_t> ctx, std::shared_ptr<std::optional<number_ref>> to,
             stopwatch* watch) {
    while (auto left = co_await ctx.receive()) {
        if (*left == 0) {
            watch->stop();
            (void)(*to)->try_send(0);
            co_return;
        }
        (void)(*to)->try_send(*left - 1);
    }
}

// Sends one number around a ring of actors; each hop is a message and a wake.
double around(std::size_t size, std::uint64_t hops) {
    stopwatch watch;
    run(one_worker(), [&](rt::worker& worker) {
        std::vector<std::shared_ptr<std::optional<number_ref>>> next;
        std::vector<number_ref> refs;
        for (std::size_t i = 0; i < size; ++i) {
            next.push_back(std::make_shared<std::optional<number_ref>>());
            refs.push_back(worker.spawn(no_supervisor(), actor_fn(plays), next.back(), &watch));
        }
        for (std::size_t i = 0; i < size; ++i) { *next[i] = refs[(i + 1) % size]; }
        watch.start();
        (void)refs[0].try_send(hops);
    });
    return watch.each(hops);
}

double ping_pong() { return 2 * around(2, 2'000'000); }
double ring() { return around(503, 2'000'000); }

task<> sends(local_context<>, number_ref to, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
        auto sent = co_await to.send(1);
        if (!sent) { co_return; }
    }
}

task<> counts(local_context<std::uint64_t> ctx, std::uint64_t* sum, stopwatch* watch) {
    while (auto message = co_await ctx.receive()) { *sum += *message; }
    watch->stop();
}

double fan_in() {
    constexpr std::uint64_t senders = 100;
    constexpr std::uint64_t each = 10'000;
    std::uint64_t sum = 0;
    stopwatch watch;
    run(one_worker(), [&](rt::worker& worker) {
        auto ref = worker.spawn(actor_options{.inbox_size = 512}, no_supervisor(), actor_fn(counts),
                                &sum, &watch);
        watch.start();
        for (std::uint64_t i = 0; i < senders; ++i) {
            worker.spawn(no_supervisor(), actor_fn(sends), ref, each);
        }
    });
    require(sum == senders * each, "fan-in");
    return watch.each(senders * each);
}

using add = rpc<std::uint64_t, std::uint64_t>;

task<> adds(local_context<add> ctx) {
    std::uint64_t sum = 0;
    while (auto call = co_await ctx.receive()) { call->respond(sum += call->request()); }
}

task<> asks(local_context<>, actor_ref<add> ref, std::uint64_t count, std::uint64_t* last,
            stopwatch* watch) {
    watch->start();
    for (std::uint64_t i = 0; i < count; ++i) {
        auto answer = co_await ref.rpc(std::uint64_t{1});
        if (!answer) { co_return; }
        *last = *answer;
    }
    watch->stop();
}

double call() {
    constexpr std::uint64_t count = 1'000'000;
    std::uint64_t last = 0;
    stopwatch watch;
    run(one_worker(), [&](rt::worker& worker) {
        auto ref = worker.spawn(no_supervisor(), actor_fn(adds));
        worker.spawn(no_supervisor(), actor_fn(asks), std::move(ref), count, &last, &watch);
    });
    require(last == count, "rpc");
    return watch.each(count);
}

task<> yields(std::uint64_t count, stopwatch* watch) {
    watch->start();
    for (std::uint64_t i = 0; i < count; ++i) { co_await yield(); }
    watch->stop();
}

double wake_and_poll() {
    constexpr std::uint64_t count = 3'000'000;
    stopwatch watch;
    run(one_worker(), [&](rt::worker& worker) { worker.spawn_future(yields(count, &watch)); });
    return watch.each(count);
}

task<std::expected<void, int>> fails(local_context<std::uint64_t>, std::uint64_t* left) {
    if (--*left == 0) { co_return std::expected<void, int>(); }
    co_return std::unexpected(1);
}

class restarts_all {
public:
    explicit restarts_all(std::uint64_t* left) : left_(left) {}
    auto operator()(const failure&) const { return restart(left_); }

private:
    std::uint64_t* left_;
};

double restart_after_error() {
    constexpr std::uint64_t count = 500'000;
    std::uint64_t left = count;
    stopwatch watch;
    watch.start();
    run(one_worker(),
        [&](rt::worker& worker) { worker.spawn(restarts_all(&left), actor_fn(fails), &left); });
    watch.stop();
    require(left == 0, "restart");
    return watch.each(count);
}

task<> idles(local_context<std::uint64_t> ctx) {
    while (auto message = co_await ctx.receive()) { (void)*message; }
}

task<> spawns_idle(local_context<> ctx, std::size_t count, double* bytes) {
    std::vector<number_ref> refs;
    refs.reserve(count);
    const auto before = ::mallinfo2();
    for (std::size_t i = 0; i < count; ++i) {
        refs.push_back(ctx.runtime().spawn(no_supervisor(), actor_fn(idles)));
    }
    co_await yield();
    co_await yield();
    const auto after = ::mallinfo2();
    *bytes = static_cast<double>(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) /
             static_cast<double>(count);
}

double idle_bytes() {
    double bytes = 0;
    run(one_worker(), [&](rt::worker& worker) {
        worker.spawn(no_supervisor(), actor_fn(spawns_idle), std::size_t{100'000}, &bytes);
    });
    return bytes;
}

}  // namespace

std::vector<figure> actor_figures() {
    return {
        {"wake and poll", "ns", &wake_and_poll},
        {"spawn, one message, finish", "ns", &spawn},
        {"ping-pong round trip", "ns", &ping_pong},
        {"fan-in, 100 senders to an inbox of 512, a message", "ns", &fan_in},
        {"ring of 503, a hop", "ns", &ring},
        {"RPC", "ns", &call},
        {"restart after an error", "ns", &restart_after_error},
        {"memory of an idle actor, with the allocator's", "bytes", &idle_bytes},
    };
}

}  // namespace heph::bench
