// Coroutines that know nothing of heph, awaiting its futures.

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/inbox/awaitable.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/inbox/oneshot.hpp>

#include "foreign.hpp"
#include "odd_futures.hpp"
#include "probe.hpp"

using namespace heph;
using namespace heph::inbox::test;
using inbox::channel;
using inbox::receiver;
using inbox::sender;

namespace {

foreign await_int(event_loop& loop, manual<int> future, int& result) {
    result = co_await resume_on(&loop, std::move(future));
}

std::string message_of(const std::exception_ptr& error) {
    if (!error) { return "no exception"; }
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& caught) { return caught.what(); }
}

}  // namespace

TEST_CASE("awaitable: a value that is there is given without a suspension", "[awaitable]") {
    event_loop loop;
    auto state = std::make_shared<manual_state<int>>();
    state->value = 7;
    int result = 0;
    const foreign waiting = await_int(loop, manual<int>(state), result);
    CHECK(waiting.done());
    CHECK(result == 7);
    CHECK(loop.posts() == 0);
    CHECK_FALSE(state->alive);
}

TEST_CASE("awaitable: a wake posts once, and neither polls nor resumes", "[awaitable]") {
    event_loop loop;
    auto state = std::make_shared<manual_state<int>>();
    int result = 0;
    const foreign waiting = await_int(loop, manual<int>(state), result);
    CHECK(state->polls == 1);
    state->value = 7;
    const waker who = state->last;
    for (int i = 0; i < 3; ++i) { who.wake(); }
    CHECK(loop.posts() == 1);
    CHECK(state->polls == 1);
    CHECK_FALSE(waiting.done());
    loop.run_ready();
    CHECK(waiting.done());
    CHECK(result == 7);
    who.wake();  // Late.
    CHECK(loop.posts() == 1);
}

TEST_CASE("awaitable: a spurious wake costs one poll, and the coroutine waits on", "[awaitable]") {
    event_loop loop;
    auto state = std::make_shared<manual_state<int>>();
    int result = 0;
    const foreign waiting = await_int(loop, manual<int>(state), result);
    for (int i = 0; i < 3; ++i) {
        state->last.wake();
        loop.run_ready();
    }
    CHECK(state->polls == 4);
    CHECK_FALSE(waiting.done());
    state->value = 1;
    state->last.wake();
    loop.run_ready();
    CHECK(waiting.done());
}

TEST_CASE("awaitable: a wake from within a poll leads to another poll", "[awaitable]") {
    event_loop loop;
    auto state = std::make_shared<manual_state<int>>();
    state->on_poll = [&] {
        if (state->polls == 3) { state->value = 3; }
        state->last.wake();
    };
    int result = 0;
    const foreign waiting = await_int(loop, manual<int>(state), result);
    CHECK_FALSE(waiting.done());
    CHECK(state->polls == 1);  // Others run in between.
    loop.run_one();
    CHECK(state->polls == 2);
    loop.run_ready();
    CHECK(waiting.done());
    CHECK(result == 3);
    state->on_poll = nullptr;
}

TEST_CASE("awaitable: a coroutine destroyed while it waits cancels its future", "[awaitable]") {
    event_loop loop;
    auto state = std::make_shared<manual_state<int>>();
    int result = 0;
    std::optional<foreign> waiting = await_int(loop, manual<int>(state), result);
    const waker who = state->last;

    SECTION("before a wake") { waiting.reset(); }
    SECTION("when its resumption is in the queue, which then finds nothing") {
        who.wake();
        waiting.reset();
        CHECK(loop.size() == 1);
    }
    CHECK_FALSE(state->alive);
    loop.run_ready();
    who.wake();
    CHECK(loop.size() == 0);
    CHECK(state->polls == 1);
    CHECK(result == 0);
}

TEST_CASE("awaitable: nothing of an executor is used once coroutine and executor are gone",
          "[awaitable]") {
    auto loop = std::make_unique<event_loop>();
    auto state = std::make_shared<manual_state<int>>();
    int result = 0;
    std::optional<foreign> waiting = await_int(*loop, manual<int>(state), result);
    const waker who = state->last;
    who.wake();
    SECTION("the coroutine first") {
        waiting.reset();
        loop.reset();
    }
    SECTION("the executor first, with the resumption in its queue") {
        loop.reset();
        waiting.reset();
    }
    who.wake();
    CHECK_FALSE(state->alive);
}

TEST_CASE("awaitable: an exception out of poll leaves the co_await", "[awaitable]") {
    event_loop loop;
    const int poll = GENERATE(0, 1, 2);
    waker last;
    const foreign waiting = [](event_loop& where, throws_at future) -> foreign {
        (void)co_await resume_on(&where, std::move(future));
    }(loop, throws_at(poll, last));
    for (int i = 0; i < poll; ++i) {
        CHECK_FALSE(waiting.done());
        last.wake();
        loop.run_ready();
    }
    REQUIRE(waiting.done());
    CHECK(message_of(waiting.error()) == "thrown by poll");
}

TEST_CASE("awaitable: when the executor cannot post, the coroutine that is running learns",
          "[awaitable]") {
    auto state = std::make_shared<manual_state<int>>();
    state->on_poll = [&] { state->last.wake(); };
    struct full {
        static void post(const resumption&) { throw std::runtime_error("the queue is full"); }
    };
    const foreign waiting = [](manual<int> future) -> foreign {
        (void)co_await resume_on(full(), std::move(future));
    }(manual<int>(state));
    state->on_poll = nullptr;
    REQUIRE(waiting.done());
    CHECK(message_of(waiting.error()) == "the queue is full");
    CHECK_FALSE(state->alive);
    state->last.wake();
}

TEST_CASE("awaitable: values may be void, move-only, and without a default", "[awaitable]") {
    event_loop loop;
    auto state = std::make_shared<manual_state<no_default>>();
    auto [tx, rx] = channel<int>(1);
    std::vector<int> seen;
    const foreign waiting = [](event_loop& where, manual<no_default> future, receiver<int> from,
                               std::vector<int>& out) -> foreign {
        const no_default value = co_await resume_on(&where, std::move(future));
        out.push_back(value.value());
        co_await resume_on(&where, from.join());
        out.push_back(-1);
    }(loop, manual<no_default>(state), std::move(rx), seen);
    state->value.emplace(3);
    state->last.wake();
    loop.run_ready();
    CHECK(seen == std::vector<int>{3});
    { const auto gone = std::move(tx); }
    loop.run_ready();
    CHECK(seen == std::vector<int>{3, -1});
    CHECK(waiting.done());
}

TEST_CASE("awaitable: a future given as an lvalue stays with the caller", "[awaitable]") {
    event_loop loop;
    auto state = std::make_shared<manual_state<int>>();
    manual<int> future(state);
    std::optional<foreign> waiting = [](event_loop& where, manual<int>& awaited) -> foreign {
        (void)co_await resume_on(&where, awaited);
    }(loop, future);
    waiting.reset();
    CHECK(state->alive);
    state->value = 4;
    CHECK(future.poll(waker()).is_ready());
}

TEST_CASE("awaitable: all that a channel and a one-shot offer can be awaited", "[awaitable]") {
    event_loop loop;
    std::string log;
    auto [tx, rx] = channel<std::string>(2);
    auto [answer, question] = inbox::oneshot<int>();
    const foreign reader = [](event_loop& where, receiver<std::string> from,
                              inbox::oneshot_sender<int> to, std::string& out) -> foreign {
        auto* next = co_await resume_on(&where, from.peek());
        out += "peek " + *next;
        const auto first = co_await resume_on(&where, from.recv());
        out += ", recv " + *first;
        std::vector<std::string> rest;
        while (rest.size() < 3) { (void)co_await resume_on(&where, from.recv_many(rest, 8)); }
        for (const std::string& message : rest) { out += ", many " + message; }
        co_await resume_on(&where, from.join());
        out += ", join";
        (void)std::move(to).try_send(42);
    }(loop, std::move(rx), std::move(answer), log);
    const foreign writer = [](event_loop& where, sender<std::string> to,
                              inbox::oneshot_receiver<int> from, std::string& out) -> foreign {
        for (const char* word : {"a", "b", "c", "d"}) {
            const auto sent = co_await resume_on(&where, to.send(word));
            if (!sent) { co_return; }
        }
        { const auto gone = std::move(to); }
        const auto last = co_await resume_on(&where, std::move(from).recv_once());
        out += ", answer " + std::to_string(*last);
    }(loop, std::move(tx), std::move(question), log);
    loop.run_ready();
    CHECK(writer.done());
    CHECK(reader.done());
    CHECK(log == "peek a, recv a, many b, many c, many d, join, answer 42");
}

TEST_CASE("awaitable: an executor is called, has a member post, or points to one", "[awaitable]") {
    auto loop = std::make_shared<event_loop>();
    struct handle {
        event_loop* where;
        void post(resumption next) const { where->post(std::move(next)); }
    };
    auto by_call = [to = loop.get()](resumption next) { to->post(std::move(next)); };
    int done = 0;
    const auto wait = [](auto executor, manual<int> future, int& count) -> foreign {
        count += co_await resume_on(executor, std::move(future));
    };
    std::vector<std::shared_ptr<manual_state<int>>> states;
    const auto next = [&] {
        states.push_back(std::make_shared<manual_state<int>>());
        return manual<int>(states.back());
    };
    const foreign a = wait(by_call, next(), done);
    const foreign b = wait(handle{loop.get()}, next(), done);
    const foreign c = wait(loop.get(), next(), done);
    const foreign d = wait(loop, next(), done);
    for (const auto& state : states) {
        state->value = 1;
        state->last.wake();
    }
    CHECK(loop->size() == 4);
    loop->run_ready();
    CHECK(done == 4);
}

TEST_CASE("awaitable: a resumption does its work once, however often it is run", "[awaitable]") {
    std::vector<resumption> queue;
    auto keep = [&queue](const resumption& next) { queue.push_back(next); };
    auto state = std::make_shared<manual_state<int>>();
    int result = 0;
    const foreign waiting = [](auto executor, manual<int> future, int& out) -> foreign {
        out += co_await resume_on(executor, std::move(future));
    }(keep, manual<int>(state), result);
    state->last.wake();
    REQUIRE(queue.size() == 1);
    const resumption copy = queue[0];
    copy();
    copy();
    CHECK(state->polls == 2);
    state->value = 5;
    state->last.wake();
    REQUIRE(queue.size() == 2);
    for (const resumption& each : queue) { each(); }
    CHECK(result == 5);
    CHECK(waiting.done());
}

namespace {

// Turns a function into a coroutine, for executors that only take handles.
struct detached {
    struct promise_type {
        detached get_return_object() {
            return {std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        static std::suspend_always initial_suspend() noexcept { return {}; }
        static std::suspend_never final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
    };
    std::coroutine_handle<> handle;
};

detached as_coroutine(resumption next) {
    next();
    co_return;
}

}  // namespace

TEST_CASE("awaitable: an executor that only takes coroutine handles needs six lines of help",
          "[awaitable]") {
    std::vector<std::coroutine_handle<>> queue;
    auto post = [&queue](resumption next) {
        queue.push_back(as_coroutine(std::move(next)).handle);
    };
    auto state = std::make_shared<manual_state<int>>();
    int result = 0;
    const foreign waiting = [](auto executor, manual<int> future, int& out) -> foreign {
        out = co_await resume_on(executor, std::move(future));
    }(post, manual<int>(state), result);
    state->value = 9;
    state->last.wake();
    REQUIRE(queue.size() == 1);
    queue[0].resume();
    CHECK(result == 9);
    CHECK(waiting.done());
}

TEST_CASE("awaitable: messages between threads and coroutines arrive once and in order",
          "[awaitable]") {
    constexpr int threads = 2;
    constexpr int messages = 4'000;
    event_loop loop;
    auto [tx, rx] = channel<std::pair<int, int>>(4);
    auto [back, results] = channel<std::pair<int, int>>(4);
    // A coroutine passes on what threads send, and a thread checks it. The loop has two threads.
    const foreign relay = [](event_loop& where, receiver<std::pair<int, int>> from,
                             sender<std::pair<int, int>> to) -> foreign {
        while (auto message = co_await resume_on(&where, from.recv())) {
            const auto sent = co_await resume_on(&where, to.send(*message));
            if (!sent) { co_return; }
        }
        { const auto gone = std::move(to); }
    }(loop, std::move(rx), std::move(back));
    int wrong = 0;
    int received = 0;
    {
        std::vector<std::jthread> running;
        for (int i = 0; i < 2; ++i) {
            running.emplace_back([&] { loop.run(); });
        }
        for (int i = 0; i < threads; ++i) {
            running.emplace_back([i, to = tx] {
                for (int n = 0; n < messages; ++n) { (void)to.send_blocking({i, n}); }
            });
        }
        { const auto gone = std::move(tx); }
        std::vector<int> next(threads, 0);
        while (auto message = results.recv_blocking()) {
            ++received;
            if (next[static_cast<std::size_t>(message->first)]++ != message->second) { ++wrong; }
        }
        loop.stop();
    }
    CHECK(wrong == 0);
    CHECK(received == threads * messages);
    CHECK(relay.done());
}

TEST_CASE("awaitable: coroutines are destroyed on their loop while threads wake them",
          "[awaitable]") {
    constexpr int rounds = 2'000;
    auto [tx, rx_unmoved] = channel<int>(2);
    receiver<int> rx = std::move(rx_unmoved);
    std::atomic<bool> stop = false;
    std::atomic<int> sent = 0;
    int received = 0;
    {
        const std::jthread producer([&stop, &sent, to = std::move(tx)] {
            for (int n = 0; !stop; ++n) {
                if (to.try_send(n)) { ++sent; }
            }
        });
        const auto wait = [](event_loop& where, receiver<int>& from, int& count) -> foreign {
            const auto got = co_await resume_on(&where, from.recv());
            if (got) { ++count; }
        };
        for (int round = 0; round < rounds; ++round) {
            // The loop goes as well, directly after the coroutine.
            event_loop loop;
            const foreign waiting = wait(loop, rx, received);
            for (int turn = round % 3; turn > 0; --turn) { loop.run_one(); }
        }
        stop = true;
    }
    while (rx.try_recv()) { ++received; }
    CHECK(received == sent);
}
