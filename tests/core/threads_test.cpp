// An actor that is polled by one thread after another, while other threads send to it.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/match.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "core/probes.hpp"

using heph::context;
using heph::task;
using heph::waker;
using namespace std::chrono_literals;

namespace {

class add {
public:
    add(std::size_t from, int number) : from_(from), number_(std::make_unique<int>(number)) {}
    [[nodiscard]] std::size_t from() const { return from_; }
    [[nodiscard]] int number() const { return *number_; }

private:
    std::size_t from_;
    std::unique_ptr<int> number_;
};
using get_total = heph::rpc<void, long>;
using message = std::variant<add, get_total>;

constexpr std::size_t senders = 3;
constexpr int each = 2000;

task<> nap() { co_await heph::yield(); }

task<> counter(context<message> ctx, std::vector<int>* expected, std::atomic<int>* wrong) {
    long total = 0;
    int received = 0;
    while (auto got = co_await ctx.receive()) {
        heph::match(
            *got,
            [&](add& adding) {
                int& next = (*expected)[adding.from()];
                if (adding.number() != next++) { ++*wrong; }
                total += adding.number();
            },
            [&](get_total& call) { call.respond(total); });
        if (++received % 16 == 0) { co_await nap(); }
    }
}

/// Polls one future on several threads, one at a time and never the same twice in a row if
/// another one is free. Keeps its state alive as long as there are wakers.
template <heph::future F>
class hot_potato {
public:
    explicit hot_potato(F held) : state_(new state(std::move(held))) {}
    hot_potato(const hot_potato&) = delete;
    hot_potato& operator=(const hot_potato&) = delete;
    ~hot_potato() { drop(state_); }

    /// Takes part in polling until the future is ready. False when that takes too long.
    bool work() {
        std::unique_lock lock(state_->mutex);
        const auto me = std::this_thread::get_id();
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        for (;;) {
            const bool in_time = state_->changed.wait_until(lock, deadline, [&] {
                return state_->finished || (state_->woken && !state_->polling &&
                                            (state_->last != me || state_->workers == 1));
            });
            if (!in_time) { return false; }
            if (state_->finished) { return true; }
            state_->woken = false;
            state_->polling = true;
            state_->last = me;
            lock.unlock();
            bool finished = false;
            {
                clone(state_);
                const waker mine(state_, &functions);
                finished = state_->held->poll(mine).is_ready();
            }
            lock.lock();
            state_->polling = false;
            ++state_->polls;
            if (finished) { state_->finished = true; }
            state_->changed.notify_all();
        }
    }

    void set_workers(int count) {
        const std::lock_guard lock(state_->mutex);
        state_->workers = count;
    }
    /// Destroys the future. *Requires*: nobody works on it.
    void drop_future() { state_->held.reset(); }
    [[nodiscard]] int polls() const {
        const std::lock_guard lock(state_->mutex);
        return state_->polls;
    }

private:
    struct state {
        explicit state(F&& future) : held(std::in_place, std::move(future)) {}
        std::atomic<int> references = 1;
        std::mutex mutex;
        std::condition_variable changed;
        std::optional<F> held;
        std::thread::id last;
        int workers = 2;
        int polls = 0;
        bool woken = true;
        bool polling = false;
        bool finished = false;
    };
    static void clone(void* data) noexcept { ++static_cast<state*>(data)->references; }
    static void wake(void* data) noexcept {
        auto* woken = static_cast<state*>(data);
        const std::lock_guard lock(woken->mutex);
        woken->woken = true;
        woken->changed.notify_all();
    }
    static void drop(void* data) noexcept {
        auto* dropped = static_cast<state*>(data);
        if (--dropped->references == 0) { delete dropped; }
    }
    static constexpr heph::waker_vtable functions{&clone, &wake, &drop};

    state* state_;
};

}  // namespace

TEST_CASE("threads: an actor may be polled by one thread after another", "[core][threads]") {
    std::vector<int> expected(senders, 0);
    std::atomic<int> wrong = 0;
    std::atomic<int> failed = 0;
    heph::actor_options options;
    options.inbox_size = 4;
    auto [running, made] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(counter),
                                            heph::no_runtime(), options, &expected, &wrong);
    hot_potato potato(std::move(running));
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 2; ++i) {
            threads.emplace_back([&potato, &failed] {
                if (!potato.work()) { ++failed; }
            });
        }
        for (std::size_t who = 0; who < senders; ++who) {
            threads.emplace_back([ref = made, who, &failed] {
                for (int i = 0; i < each; ++i) {
                    if (!heph::block_on(ref.emplace<add>(who, i))) { ++failed; }
                    if (i % 100 == 99 && !heph::block_on(ref.rpc<get_total>())) { ++failed; }
                }
            });
        }
        { auto gone = std::move(made); }
    }
    CHECK(failed == 0);
    CHECK(wrong == 0);
    CHECK(expected == std::vector<int>(senders, each));
    CHECK(potato.polls() > 1);
}

TEST_CASE("threads: senders on other threads learn that the actor was dropped", "[core][threads]") {
    for (int round = 0; round < 50; ++round) {
        std::vector<int> expected(senders, 0);
        std::atomic<int> wrong = 0;
        std::atomic<std::size_t> told = 0;
        auto [running, made] =
            heph::make_actor(heph::no_supervisor(), heph::actor_fn(counter), heph::no_runtime(),
                             heph::actor_options(), &expected, &wrong);
        std::optional dropped(std::move(running));
        std::vector<std::jthread> threads;
        for (std::size_t who = 0; who < senders; ++who) {
            threads.emplace_back([ref = made, who, &told] {
                for (int i = 0;; ++i) {
                    if (i % 7 == 3) {
                        if (!heph::block_on(ref.rpc<get_total>())) { break; }
                        continue;
                    }
                    if (!heph::block_on(ref.emplace<add>(who, i))) { break; }
                }
                heph::block_on(ref.join());
                ++told;
            });
        }
        for (int polls = 0; polls < round; ++polls) { (void)dropped->poll(waker()); }
        // On another thread than the one that polled it.
        std::jthread([&dropped] { dropped.reset(); }).join();
        threads.clear();
        REQUIRE(told == senders);
    }
}

TEST_CASE("threads: a mapped reference is used by several threads at once", "[core][threads]") {
    auto [tx, rx] = heph::inbox::channel<std::string>(4);
    const auto mapped = heph::actor_ref<std::string>(std::move(tx)).map_fn<int>([](int number) {
        return std::to_string(number);
    });
    std::atomic<int> failed = 0;
    std::vector<std::jthread> threads;
    for (int who = 0; who < 3; ++who) {
        threads.emplace_back([&mapped, &failed] {
            for (int i = 0; i < 500; ++i) {
                if (!heph::block_on(mapped.send(1))) { ++failed; }
            }
        });
    }
    int sum = 0;
    for (int i = 0; i < 1500; ++i) { sum += std::stoi(*rx.recv_blocking()); }
    threads.clear();
    CHECK(failed == 0);
    CHECK(sum == 1500);
}
