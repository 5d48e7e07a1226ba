#include <heph/core/from_foreign.hpp>

#include <atomic>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/either.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::from_foreign;
using heph::task;
using heph::test::poll_loop;
using heph::test::probe;

namespace {

// ---- What other libraries' awaitables look like ----

enum class suspends { is_ready, by_void, by_true, by_false, by_handle, by_own_handle };

// Resumes whoever waits when the test says so.
class event {
public:
    void fire() { std::exchange(waiting, nullptr).resume(); }
    std::coroutine_handle<> waiting;
};

template <suspends How>
class awaits_event {
public:
    explicit awaits_event(event& on, int value, int* live = nullptr) : on_(&on), value_(value) {
        if (live != nullptr) { watched_ = std::make_unique<probe>(*live); }
    }
    [[nodiscard]] bool await_ready() const noexcept { return How == suspends::is_ready; }
    auto await_suspend(std::coroutine_handle<> waiting) noexcept {
        on_->waiting = waiting;
        if constexpr (How == suspends::by_true || How == suspends::by_false) {
            return How == suspends::by_true;
        } else if constexpr (How == suspends::by_handle) {
            return std::coroutine_handle<>(std::noop_coroutine());
        } else if constexpr (How == suspends::by_own_handle) {
            return waiting;
        }
    }
    [[nodiscard]] int await_resume() const noexcept { return value_; }

private:
    event* on_;
    int value_;
    std::unique_ptr<probe> watched_;
};

struct by_member {
    explicit by_member(event& on) : to(&on) {}
    awaits_event<suspends::by_void> operator co_await() && {
        return awaits_event<suspends::by_void>(*to, 11);
    }
    event* to;
};

struct by_function {
    explicit by_function(event& on) : to(&on) {}
    event* to;
};
awaits_event<suspends::by_true> operator co_await(by_function && from) {
    return awaits_event<suspends::by_true>(*from.to, 12);
}

enum class throws_in { ready, suspend, resume };

template <throws_in Where>
struct throwing {
    explicit throwing(event& on) : to(&on) {}
    [[nodiscard]] bool await_ready() const {
        if constexpr (Where == throws_in::ready) { throw std::runtime_error("ready"); }
        return false;
    }
    void await_suspend(std::coroutine_handle<> waiting) const {
        if constexpr (Where == throws_in::suspend) { throw std::runtime_error("suspend"); }
        to->waiting = waiting;
    }
    void await_resume() const {
        if constexpr (Where == throws_in::resume) { throw std::runtime_error("resume"); }
    }
    event* to;
};

// A lazy coroutine type, with symmetric transfer, as other libraries have.
template <typename T>
class foreign_task {
public:
    struct promise_type {
        foreign_task get_return_object() {
            return foreign_task(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        static std::suspend_always initial_suspend() noexcept { return {}; }
        auto final_suspend() noexcept {
            struct resumes {
                bool await_ready() noexcept { return false; }
                std::coroutine_handle<> await_suspend(
                    std::coroutine_handle<promise_type> done) noexcept {
                    return done.promise().waiting;
                }
                void await_resume() noexcept {}
            };
            return resumes{};
        }
        void return_value(T given) { value.emplace(std::move(given)); }
        void unhandled_exception() { thrown = std::current_exception(); }
        std::coroutine_handle<> waiting;
        std::optional<T> value;
        std::exception_ptr thrown;
    };

    explicit foreign_task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
    foreign_task(foreign_task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    foreign_task& operator=(foreign_task&&) = delete;
    ~foreign_task() {
        if (handle_) { handle_.destroy(); }
    }
    bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiting) noexcept {
        handle_.promise().waiting = waiting;
        return handle_;
    }
    // A reference into the coroutine, which is gone soon after.
    T& await_resume() {
        if (handle_.promise().thrown) { std::rethrow_exception(handle_.promise().thrown); }
        return *handle_.promise().value;
    }

private:
    std::coroutine_handle<promise_type> handle_;
};

foreign_task<std::string> says(event* on, bool fails) {
    const int value = co_await awaits_event<suspends::by_void>(*on, 5);
    if (fails) { throw std::runtime_error("foreign"); }
    co_return "the value is " + std::to_string(value);
}

// Has one thread resume what waits on another.
class on_a_thread {
public:
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
        std::jthread* const thread = thread_;  // This is gone when the other thread is faster.
        *thread = std::jthread([waiting] { waiting.resume(); });
    }
    [[nodiscard]] std::unique_ptr<int> await_resume() const { return std::make_unique<int>(9); }

    explicit on_a_thread(std::jthread& thread) : thread_(&thread) {}

private:
    std::jthread* thread_;
};

// Its move constructor may throw, as those of messages may not.
struct throws_on_move {
    explicit throws_on_move(int given) : value(given) {}
    throws_on_move(throws_on_move&& other) noexcept(false) : value(other.value) {}
    throws_on_move& operator=(throws_on_move&&) = delete;
    int value;
};
struct gives_throwing {
    static bool await_ready() noexcept { return true; }
    static void await_suspend(std::coroutine_handle<>) noexcept {}
    static throws_on_move await_resume() { return throws_on_move(3); }
};

template <typename F>
task<> keep(F from, std::optional<heph::future_value_t<F>>* into) {
    auto got = co_await std::move(from);
    into->emplace(std::move(got));
}

template <suspends How>
int run_with_event() {
    event on;
    std::optional<int> got;
    poll_loop loop;
    loop.spawn(keep(from_foreign(awaits_event<How>(on, 7)), &got));
    loop.run();
    if (!got) { on.fire(); }
    loop.run();
    return got.value_or(-1);
}

}  // namespace

TEST_CASE("foreign: an awaitable of each kind gives its value to a task", "[core][foreign]") {
    CHECK(run_with_event<suspends::is_ready>() == 7);
    CHECK(run_with_event<suspends::by_void>() == 7);
    CHECK(run_with_event<suspends::by_true>() == 7);
    CHECK(run_with_event<suspends::by_false>() == 7);
    CHECK(run_with_event<suspends::by_handle>() == 7);
    CHECK(run_with_event<suspends::by_own_handle>() == 7);
}

TEST_CASE("foreign: an operator co_await is used, be it a member or not", "[core][foreign]") {
    event on;
    std::optional<int> member;
    std::optional<int> free;
    poll_loop loop;
    loop.spawn(keep(from_foreign(by_member(on)), &member));
    loop.run();
    on.fire();
    loop.spawn(keep(from_foreign(by_function(on)), &free));
    loop.run();
    on.fire();
    loop.run();
    CHECK(member == 11);
    CHECK(free == 12);
}

TEST_CASE("foreign: an exception is thrown to the task, wherever the awaitable throws it",
          "[core][foreign]") {
    event on;
    CHECK_THROWS_WITH(heph::block_on(from_foreign(throwing<throws_in::ready>(on))), "ready");
    CHECK_THROWS_WITH(heph::block_on(from_foreign(throwing<throws_in::suspend>(on))), "suspend");
    auto late = from_foreign(throwing<throws_in::resume>(on));
    CHECK_FALSE(late.poll(heph::waker()).is_ready());
    on.fire();
    CHECK_THROWS_WITH(late.poll(heph::waker()), "resume");
}

TEST_CASE("foreign: a coroutine of another library is awaited, and what it refers to is copied",
          "[core][foreign]") {
    event on;
    std::optional<std::string> got;
    poll_loop loop;
    loop.spawn(keep(from_foreign(says(&on, false)), &got));
    loop.run();
    on.fire();
    loop.run();
    CHECK(got == "the value is 5");
    auto fails = from_foreign(says(&on, true));
    CHECK_FALSE(fails.poll(heph::waker()).is_ready());
    on.fire();
    CHECK_THROWS_WITH(fails.poll(heph::waker()), "foreign");
}

TEST_CASE("foreign: a function is kept with its captures until the awaitable has ended",
          "[core][foreign]") {
    event on;
    int live = 0;
    std::optional<int> got;
    poll_loop loop;
    auto source = [watched = std::make_unique<probe>(live), to = &on] {
        return awaits_event<suspends::by_void>(*to, 4);
    };
    loop.spawn(keep(from_foreign(std::move(source)), &got));
    loop.run();
    CHECK(live == 1);
    on.fire();
    CHECK(live == 0);
    CHECK_FALSE(got.has_value());
    loop.run();
    CHECK(got == 4);
}

TEST_CASE("foreign: a value that cannot be moved safely arrives all the same", "[core][foreign]") {
    std::optional<int> got;
    const auto waits = [](std::optional<int>* into) -> task<> {
        auto value = co_await from_foreign(gives_throwing());
        into->emplace(value.value);
    };
    poll_loop loop;
    loop.spawn(waits(&got));
    loop.run();
    CHECK(got == 3);
}

TEST_CASE("foreign: a resumption on another thread wakes the task's own executor",
          "[core][foreign]") {
    for (int i = 0; i < 200; ++i) {
        std::jthread thread;
        const auto waits = [](std::jthread* on, std::thread::id home) -> task<int> {
            auto value = co_await from_foreign(on_a_thread(*on));
            co_return std::this_thread::get_id() == home ? *value : -1;
        };
        REQUIRE(heph::block_on(waits(&thread, std::this_thread::get_id())) == 9);
    }
}

TEST_CASE("foreign: dropped before its first poll, an awaitable is destroyed and never begun",
          "[core][foreign]") {
    event on;
    int live = 0;
    int cancelled = 0;
    {
        auto dropped = from_foreign(awaits_event<suspends::by_void>(on, 1, &live),
                                    [&]() noexcept { ++cancelled; });
        auto moved = std::move(dropped);
        CHECK(live == 1);
    }
    CHECK(live == 0);
    CHECK(cancelled == 0);
    CHECK(on.waiting == nullptr);
}

TEST_CASE("foreign: dropped while it waits, it is cancelled once, and its result is discarded",
          "[core][foreign]") {
    event on;
    int live = 0;
    int cancelled = 0;
    {
        poll_loop loop;
        const auto waits = [](event* to, int* counted, int* cancels) -> task<> {
            auto lost = co_await heph::either(
                heph::yield(), from_foreign(awaits_event<suspends::by_void>(*to, 1, counted),
                                            [cancels]() noexcept { ++*cancels; }));
            CHECK(lost.index() == 0);
        };
        loop.spawn(waits(&on, &live, &cancelled));
        loop.run();
        CHECK(loop.unfinished() == 0);
    }
    CHECK(cancelled == 1);
    CHECK(live == 1);  // The shim still waits.
    on.fire();
    CHECK(live == 0);

    // One that has ended is not cancelled.
    {
        auto ended = from_foreign(awaits_event<suspends::by_void>(on, 1, &live),
                                  [&]() noexcept { ++cancelled; });
        CHECK_FALSE(ended.poll(heph::waker()).is_ready());
        on.fire();
    }
    CHECK(cancelled == 1);
    CHECK(live == 0);
}

TEST_CASE("foreign: a library that destroys who waits ends the wait with an exception",
          "[core][foreign]") {
    event on;
    auto waits = from_foreign(awaits_event<suspends::by_void>(on, 1));
    CHECK_FALSE(waits.poll(heph::waker()).is_ready());
    on.waiting.destroy();
    CHECK_THROWS_AS(waits.poll(heph::waker()), heph::operation_abandoned);
}

TEST_CASE("foreign: a drop may race with a resumption on another thread", "[core][foreign]") {
    for (int i = 0; i < 300; ++i) {
        std::jthread thread;
        auto waits = from_foreign(on_a_thread(thread), []() noexcept {});
        auto polled = waits.poll(heph::waker());
        if (polled.is_ready()) { CHECK(*polled.value() == 9); }
    }
}
