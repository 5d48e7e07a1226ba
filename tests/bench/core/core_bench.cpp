// Times tasks and actors on a plain run queue: what heph-core costs, without a kernel.
//
// Everything takes turns in each repeat. The run queue itself is part of each figure that polls.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "support/poll_loop.hpp"

namespace {

using heph::context;
using heph::task;
using heph::test::poll_loop;
using clock = std::chrono::steady_clock;

/// Times a function that does something so many times, in nanoseconds each.
template <typename Function>
double time(std::uint64_t count, Function function) {
    const auto start = clock::now();
    function();
    const std::chrono::duration<double, std::nano> took = clock::now() - start;
    return took.count() / static_cast<double>(count);
}

/// A benchmark that did not do what it claims has no figure.
void require(bool done) {
    if (done) { return; }
    (void)std::fputs("a benchmark did not do its work\n", stderr);
    std::exit(1);
}

task<int> child(int value) { co_return value; }

task<> awaits_children(std::uint64_t count, std::uint64_t* sum) {
    for (std::uint64_t i = 0; i < count; ++i) {
        *sum += static_cast<std::uint64_t>(co_await child(1));
    }
}

double child_task() {
    constexpr std::uint64_t count = 2'000'000;
    std::uint64_t sum = 0;
    const double took = time(count, [&sum] {
        task<> running = awaits_children(count, &sum);
        require(running.poll(heph::waker()).is_ready());
    });
    require(sum == count);
    return took;
}

task<> yields(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) { co_await heph::yield(); }
}

task<> deep(int depth, std::uint64_t count) {
    if (depth == 1) {
        co_await yields(count);
    } else {
        co_await deep(depth - 1, count);
    }
}

template <int Depth>
double wake_and_poll() {
    constexpr std::uint64_t count = 1'000'000;
    poll_loop loop;
    loop.spawn(deep(Depth, count));
    const double took = time(count, [&loop] { loop.run(); });
    require(loop.unfinished() == 0);
    return took;
}

task<> does_nothing(context<int>) { co_return; }

double spawn() {
    constexpr std::uint64_t count = 300'000;
    std::uint64_t finished = 0;
    const double took = time(count, [&finished] {
        for (std::uint64_t i = 0; i < count; ++i) {
            auto [running, ref] =
                heph::make_actor(heph::no_supervisor(), heph::actor_fn(does_nothing),
                                 heph::no_runtime(), heph::actor_options());
            if (running.poll(heph::waker()).is_ready()) { ++finished; }
        }
    });
    require(finished == count);
    return took;
}

task<> counts(context<std::uint64_t> ctx, std::uint64_t* sum) {
    while (auto message = co_await ctx.receive()) { *sum += *message; }
}

// As many messages as the inbox takes, then a poll.
double message() {
    constexpr std::uint64_t count = 2'000'000;
    std::uint64_t sum = 0;
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(counts),
                                           heph::no_runtime(), heph::actor_options(), &sum);
    poll_loop loop;
    loop.spawn(std::move(running));
    loop.run();
    const double took = time(count, [&] {
        for (std::uint64_t i = 0; i < count;) {
            while (i < count && ref.try_send(1)) { ++i; }
            loop.run();
        }
    });
    require(sum == count);
    return took;
}

class ball {
public:
    ball(std::uint64_t left, heph::actor_ref<ball> to) : left_(left), to_(std::move(to)) {}
    [[nodiscard]] std::uint64_t left() const { return left_; }
    [[nodiscard]] const heph::actor_ref<ball>& to() const { return to_; }

private:
    std::uint64_t left_;
    heph::actor_ref<ball> to_;
};

task<> player(context<ball> ctx, bool* done) {
    const heph::actor_ref<ball> self = ctx.self();
    while (auto caught = co_await ctx.receive()) {
        if (caught->left() == 0) {
            *done = true;
            co_return;
        }
        auto sent = co_await caught->to().emplace(caught->left() - 1, self);
        if (!sent) { co_return; }
    }
}

double ping_pong() {
    constexpr std::uint64_t count = 1'000'000;
    bool done = false;
    auto [one, one_ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(player),
                                           heph::no_runtime(), heph::actor_options(), &done);
    auto [two, two_ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(player),
                                           heph::no_runtime(), heph::actor_options(), &done);
    poll_loop loop;
    loop.spawn(std::move(one));
    loop.spawn(std::move(two));
    loop.run();
    require(one_ref.try_emplace(count, two_ref).has_value());
    const double took = time(count, [&loop] { loop.run(); });
    require(done);
    return took;
}

using add = heph::rpc<std::uint64_t, std::uint64_t>;

task<> adds(context<add> ctx) {
    std::uint64_t sum = 0;
    while (auto call = co_await ctx.receive()) { call->respond(sum += call->request()); }
}

task<> asks(heph::actor_ref<add> ref, std::uint64_t count, std::uint64_t* last) {
    for (std::uint64_t i = 0; i < count; ++i) {
        auto answer = co_await ref.rpc(std::uint64_t{1});
        if (!answer) { co_return; }
        *last = *answer;
    }
}

double call() {
    constexpr std::uint64_t count = 500'000;
    std::uint64_t last = 0;
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(adds),
                                           heph::no_runtime(), heph::actor_options());
    poll_loop loop;
    loop.spawn(std::move(running));
    loop.spawn(asks(std::move(ref), count, &last));
    const double took = time(count, [&loop] { loop.run(); });
    require(last == count);
    return took;
}

struct benchmark {
    const char* what;
    double (*measure)();
    std::vector<double> times = {};
};

}  // namespace

int main(int argc, char** argv) {
    std::size_t repeats = 7;
    if (argc == 3 && std::strcmp(argv[1], "--repeats") == 0) {
        repeats = static_cast<std::size_t>(std::max(1, std::atoi(argv[2])));
    } else if (argc != 1) {
        std::puts("Options: --repeats N (7)");
        return std::strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    std::vector<benchmark> all{
        {"make, run and destroy a child task", &child_task},
        {"wake and poll a task, 1 deep", &wake_and_poll<1>},
        {"wake and poll a task, 20 deep", &wake_and_poll<20>},
        {"make, run and destroy an actor, inbox of 8", &spawn},
        {"a message into an inbox of 8, and out again", &message},
        {"a message from actor to actor, each one a wake", &ping_pong},
        {"a call and its answer, two wakes", &call},
    };
    for (std::size_t repeat = 0; repeat < repeats; ++repeat) {
        for (benchmark& one : all) { one.times.push_back(one.measure()); }
    }
    std::printf("Nanoseconds each, on one thread, %zu repeats.\n\n%-50s %8s %8s\n", repeats, "",
                "min", "median");
    for (benchmark& one : all) {
        std::sort(one.times.begin(), one.times.end());
        std::printf("%-50s %8.1f %8.1f\n", one.what, one.times.front(), one.times[repeats / 2]);
    }
}
