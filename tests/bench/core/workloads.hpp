#pragma once

// What each program of the comparison does, here written with heph, for any runtime.
//
// The peers do the same in tests/bench/core/peers: the same number of actors, the same messages of
// 8 bytes, everything on one thread. A figure is nanoseconds per unit, or bytes.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <expected>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/actor_future.hpp>
#include <heph/core/actor_group.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "bench/core/allocations.hpp"
#include "bench/core/memory.hpp"

namespace heph::bench {

using number = std::uint64_t;
using clock = std::chrono::steady_clock;
using reference = actor_ref<number>;

/// A benchmark that did not do what it claims has no figure.
inline void require(bool done) {
    if (done) { return; }
    (void)std::fputs("a benchmark did not do its work\n", stderr);
    std::exit(1);
}

/// Counts the time from when it is made.
class stopwatch {
public:
    /// Gives nanoseconds for each of so many units.
    [[nodiscard]] double per(number count) const {
        const std::chrono::duration<double, std::nano> took = clock::now() - start_;
        return took.count() / static_cast<double>(count);
    }

private:
    clock::time_point start_ = clock::now();
};

/// A reference that is known only after the actor that needs it was made.
struct late_reference {
    std::optional<reference> to;
};

template <typename RT>
struct workloads {
    using ctx_type = context<number, RT>;

    // ---- Spawn, one message, finish: in waves of 100, the last of which tells the parent. ----

    static task<> lives_once(ctx_type ctx, reference parent) {
        auto message = co_await ctx.receive();
        if (message && *message != 0) { (void)parent.try_send(*message); }
    }

    static task<double> spawn(ctx_type& ctx, number count) {
        const reference self = ctx.self();
        constexpr number wave = 100;
        const stopwatch watch;
        for (number i = 0; i < count; i += wave) {
            for (number k = 1; k <= wave; ++k) {
                auto ref = ctx.runtime().spawn(no_supervisor(), actor_fn(&lives_once), self);
                require(ref.try_send(k == wave ? 1 : 0).has_value());
            }
            auto done = co_await ctx.receive();
            require(done.has_value());
        }
        co_return watch.per(count);
    }

    // ---- Ping-pong: two actors and one message that counts down. ----

    static task<> player(ctx_type ctx, const late_reference* partner, reference parent) {
        auto first = co_await ctx.receive();
        require(first.has_value());
        const reference other = *partner->to;
        number left = *first;
        while (left != 0) {
            auto sent = co_await other.send(left - 1);
            if (!sent) { co_return; }
            auto message = co_await ctx.receive();
            if (!message) { co_return; }
            left = *message;
        }
        (void)parent.try_send(0);
    }

    static task<double> ping_pong(ctx_type& ctx, number count) {
        late_reference one;
        late_reference two;
        const reference self = ctx.self();
        one.to = ctx.runtime().spawn(no_supervisor(), actor_fn(&player), &two, self);
        two.to = ctx.runtime().spawn(no_supervisor(), actor_fn(&player), &one, self);
        const stopwatch watch;
        require(one.to->try_send(2 * count).has_value());
        auto done = co_await ctx.receive();
        const double took = watch.per(count);
        require(done.has_value());
        one.to.reset();
        two.to.reset();
        co_return took;
    }

    // ---- Fan-in: 100 actors send to one. Its inbox takes all, as the peers' unbounded ones do; in
    // ---- the bounded variant it holds 1,024 messages, and the senders wait for room.

    static constexpr number producers = 100;

    static task<> producer(ctx_type ctx, reference to, number count) {
        auto go = co_await ctx.receive();
        require(go.has_value());
        for (number i = 0; i < count; ++i) {
            auto sent = co_await to.send(i);
            require(sent.has_value());
        }
    }

    static task<> consumer(ctx_type ctx, number expected, reference parent) {
        number received = 0;
        while (received < expected) {
            auto message = co_await ctx.receive();
            require(message.has_value());
            ++received;
        }
        (void)parent.try_send(received);
    }

    static task<double> fan_in(ctx_type& ctx, number count) {
        return fan_in_with(ctx, count, count);
    }
    static task<double> fan_in_bounded(ctx_type& ctx, number count) {
        return fan_in_with(ctx, count, 1024);
    }

    static task<double> fan_in_with(ctx_type& ctx, number count, std::size_t inbox_size) {
        const number each = count / producers;
        actor_options options;
        options.inbox_size = inbox_size;
        const auto to = ctx.runtime().spawn(options, no_supervisor(), actor_fn(&consumer),
                                            each * producers, ctx.self());
        std::vector<reference> all;
        for (number i = 0; i < producers; ++i) {
            all.push_back(ctx.runtime().spawn(no_supervisor(), actor_fn(&producer), to, each));
        }
        const stopwatch watch;
        for (const reference& one : all) { require(one.try_send(1).has_value()); }
        auto done = co_await ctx.receive();
        require(done.has_value());
        co_return watch.per(each * producers);
    }

    // ---- A ring of 503 actors and one message that counts down. ----

    static task<> ring_node(ctx_type ctx, const late_reference* next, reference parent) {
        while (auto left = co_await ctx.receive()) {
            if (*left == 0) {
                (void)parent.try_send(0);
                co_return;
            }
            auto sent = co_await next->to->send(*left - 1);
            if (!sent) { co_return; }
        }
    }

    static task<double> ring(ctx_type& ctx, number count) {
        std::vector<late_reference> next(503);
        const reference self = ctx.self();
        for (std::size_t i = 0; i < next.size(); ++i) {
            late_reference& mine = next[(i + 1) % next.size()];
            next[i].to = ctx.runtime().spawn(no_supervisor(), actor_fn(&ring_node), &mine, self);
        }
        const stopwatch watch;
        require(next[0].to->try_send(count).has_value());
        auto done = co_await ctx.receive();
        const double took = watch.per(count);
        require(done.has_value());
        for (late_reference& one : next) { one.to.reset(); }
        co_return took;
    }

    // ---- RPC: a request of 8 bytes and an answer of 8 bytes. ----

    using increment = rpc<number, number>;

    static task<> server(context<increment, RT> ctx) {
        while (auto call = co_await ctx.receive()) { call->respond(call->request() + 1); }
    }

    static task<double> call(ctx_type& ctx, number count) {
        const auto ref = ctx.runtime().spawn(no_supervisor(), actor_fn(&server));
        number last = 0;
        const stopwatch watch;
        for (number i = 0; i < count; ++i) {
            auto answer = co_await ref.rpc(last);
            require(answer.has_value());
            last = *answer;
        }
        const double took = watch.per(count);
        require(last == count);
        co_return took;
    }

    // ---- Restart: a message makes the actor fail, its supervisor starts it again. ----

    class fault {};

    struct restarts {
        auto operator()(const failure&) const { return restart(); }
    };

    static task<std::expected<void, fault>> returns_an_error(ctx_type ctx) {
        auto message = co_await ctx.receive();
        if (message) { co_return std::unexpected(fault()); }
        co_return std::expected<void, fault>();
    }

    static task<> throws(ctx_type ctx) {
        auto message = co_await ctx.receive();
        if (message) { throw std::runtime_error("fault"); }
    }

    template <typename Supervisor, typename Actor>
    static task<double> restart_workload(ctx_type& ctx, number count, Supervisor supervisor,
                                         Actor actor) {
        auto ref = ctx.runtime().spawn(std::move(supervisor), actor_fn(actor));
        const stopwatch watch;
        for (number i = 0; i < count; ++i) {
            auto sent = co_await ref.send(i);
            require(sent.has_value());
        }
        co_await gone(std::move(ref));
        co_return watch.per(count);
    }

    // The actor ends when it has had every message and the last reference is gone.
    static task<> gone(reference ref) {
        std::optional<reference> last(std::move(ref));
        last.reset();
        co_await yield();
        co_await yield();
    }

    static task<double> restart_error(ctx_type& ctx, number count) {
        return restart_workload(ctx, count, restarts(), &returns_an_error);
    }

    static task<double> restart_exception(ctx_type& ctx, number count) {
        return restart_workload(ctx, count, restarts(), &throws);
    }

    // With a supervisor that keeps the time of each restart in mind.
    static task<double> restart_limited(ctx_type& ctx, number count) {
        return restart_workload(ctx, count,
                                restart_supervisor(restart_limit{2 * count, std::chrono::hours(1)}),
                                &returns_an_error);
    }

    // ---- A message to each member of a group of 1,000; only the sending is timed. ----

    class counted {
    public:
        explicit counted(number value) noexcept : value_(value) {}
        counted(const counted& other) noexcept : value_(other.value_) { ++copies; }
        counted(counted&& other) noexcept : value_(other.value_) {}
        counted& operator=(counted&&) = delete;
        ~counted() = default;

        static inline number copies = 0;

    private:
        number value_;
    };

    static constexpr number members = 1000;

    static task<> member(context<counted, RT> ctx, number* received) {
        while (auto message = co_await ctx.receive()) { ++*received; }
    }

    static task<double> group_send(ctx_type& ctx, number count) {
        number received = 0;
        actor_group<counted> group;
        for (number i = 0; i < members; ++i) {
            group.add(ctx.runtime().spawn(no_supervisor(), actor_fn(&member), &received));
        }
        counted::copies = 0;
        double took = 0;
        const number rounds = count / members;
        for (number i = 0; i < rounds; ++i) {
            counted message(i);
            const stopwatch watch;
            auto report = group.try_send_to_all(std::move(message));
            took += watch.per(1);
            require(report.failures().empty());
            co_await yield();
            co_await yield();
        }
        require(received == rounds * members);
        copies_each = static_cast<double>(counted::copies) / static_cast<double>(rounds);
        co_return took / static_cast<double>(rounds * members);
    }
    static inline double copies_each = 0;

    // ---- A message through a reference that converts it. ----

    static task<double> mapped_send(ctx_type& ctx, number count) {
        const auto to = ctx.runtime().spawn(no_supervisor(), actor_fn(&idle));
        const auto mapped = to.template map_fn<std::uint32_t>(
            [](std::uint32_t value) noexcept { return number{value}; });
        for (int i = 0; i < 4; ++i) {
            auto sent = co_await mapped.send(1);
            require(sent.has_value());
        }
        co_await yield();
        const number before = allocations;
        const stopwatch watch;
        for (number i = 0; i < count; ++i) {
            auto sent = co_await mapped.send(1);
            require(sent.has_value());
        }
        const double took = watch.per(count);
        allocations_each =
            static_cast<double>(allocations - before) * 1000.0 / static_cast<double>(count);
        co_return took;
    }
    static inline double allocations_each = 0;

    // ---- Tasks alone: a child that is made, awaited and gone; and a wake and a poll. ----

    static task<number> gives_one() { co_return 1; }

    static task<double> child(ctx_type&, number count) {
        number sum = 0;
        const stopwatch watch;
        for (number i = 0; i < count; ++i) { sum += co_await gives_one(); }
        const double took = watch.per(count);
        require(sum == count);
        co_return took;
    }

    static task<> yields(number count) {
        for (number i = 0; i < count; ++i) { co_await yield(); }
    }
    static task<> deep(int depth, number count) {
        if (depth <= 1) {
            co_await yields(count);
        } else {
            co_await deep(depth - 1, count);
        }
    }
    template <int Depth>
    static task<double> wake(ctx_type&, number count) {
        const stopwatch watch;
        co_await deep(Depth, count);
        co_return watch.per(count);
    }

    // ---- Memory of an idle actor, with an inbox for 8 messages of 8 bytes. ----

    static task<> idle(ctx_type ctx) {
        while (auto message = co_await ctx.receive()) { require(message.has_value()); }
    }

    static inline std::size_t frame_bytes = 0;

    static task<memory_use> idle_memory(ctx_type& ctx, number count) {
        std::vector<reference> all;
        all.reserve(count);
        const memory_use before = memory_now();
        for (number i = 0; i < count; ++i) {
            all.push_back(ctx.runtime().spawn(no_supervisor(), actor_fn(&idle)));
        }
        for (int i = 0; i < 3; ++i) { co_await yield(); }
        frame_bytes = last_frame_bytes;
        co_return (memory_now() - before) / count;
    }
};

/// Runs the named workloads in turn, or all, each after a short warm-up, and prints a line for
/// each: its name and its figure.
template <typename RT>
task<> run_all(context<number, RT> ctx, std::vector<std::string> names) {
    const auto wanted = [&names](const char* name) {
        return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
    };
    using all = workloads<RT>;
    struct entry {
        const char* name;
        task<double> (*run)(context<number, RT>& ctx, number count);
        number count;
    };
    static constexpr entry entries[] = {
        {"spawn", &all::spawn, 200'000},
        {"ping_pong", &all::ping_pong, 500'000},
        {"fan_in", &all::fan_in, 1'000'000},
        {"fan_in_bounded", &all::fan_in_bounded, 1'000'000},
        {"ring", &all::ring, 1'000'000},
        {"rpc", &all::call, 500'000},
        {"restart_error", &all::restart_error, 200'000},
        {"restart_exception", &all::restart_exception, 50'000},
        {"restart_limited", &all::restart_limited, 100'000},
        {"group_send", &all::group_send, 200'000},
        {"mapped_send", &all::mapped_send, 500'000},
        {"child", &all::child, 1'000'000},
        {"wake", &all::template wake<1>, 1'000'000},
        {"wake_deep", &all::template wake<20>, 1'000'000},
    };
    if (wanted("idle")) {  // First, while the heap is in order.
        auto use = co_await all::idle_memory(ctx, 100'000);
        std::printf("idle_counted %.1f\nidle_resident %.1f\nidle_frame %zu\n", use.counted,
                    use.resident, all::frame_bytes);
    }
    for (const entry& one : entries) {
        if (!wanted(one.name)) { continue; }
        (void)co_await one.run(ctx, one.count / 20);
        const double took = co_await one.run(ctx, one.count);
        std::printf("%s %.2f\n", one.name, took);
    }
    if (wanted("group_send")) { std::printf("group_copies %.2f\n", all::copies_each); }
    if (wanted("mapped_send")) { std::printf("mapped_allocations %.2f\n", all::allocations_each); }
}

}  // namespace heph::bench
