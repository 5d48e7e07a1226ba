#pragma once

// Runs futures in the order in which they were woken, on the calling thread.

#include <cstddef>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include <heph/inbox/future.hpp>

namespace heph::test {

/// A deterministic executor. *Thread safety*: unsafe: wakes come from its own thread too.
class poll_loop {
public:
    poll_loop() = default;
    poll_loop(const poll_loop&) = delete;
    poll_loop& operator=(const poll_loop&) = delete;
    ~poll_loop() {
        drop_all();
        run();
        for (process* one : all_) { drop(one); }
    }

    /// Adds a future, whose value will be dropped. It is polled by the next `run`.
    template <future F>
    void spawn(F running) {
        auto* added = new process(*this, std::make_unique<holder<F>>(std::move(running)));
        all_.push_back(added);
        wake(added);
    }

    /// Polls what is ready, at most `polls_max` times. Gives the number of polls.
    std::size_t run(std::size_t polls_max = static_cast<std::size_t>(-1)) {
        std::size_t polls = 0;
        while (!woken_.empty() && polls < polls_max) {
            process* next = woken_.front();
            woken_.pop_front();
            next->queued = false;
            if (next->running != nullptr) {
                ++polls;
                clone(next);
                const waker waker(next, &functions);
                if (next->running->poll(waker)) { next->running.reset(); }
            }
            drop(next);
        }
        return polls;
    }

    /// Counts the futures that are not finished.
    [[nodiscard]] std::size_t unfinished() const noexcept {
        std::size_t count = 0;
        for (const process* one : all_) { count += one->running != nullptr ? 1U : 0U; }
        return count;
    }

    /// Cancels every future.
    void drop_all() {
        for (process* one : all_) { one->running.reset(); }
    }

private:
    struct runnable {
        runnable() = default;
        runnable(const runnable&) = delete;
        runnable& operator=(const runnable&) = delete;
        virtual ~runnable() = default;
        virtual bool poll(const waker& waker) = 0;
    };
    template <typename F>
    struct holder final : runnable {
        explicit holder(F&& running) : held(std::move(running)) {}
        bool poll(const waker& waker) override { return held.poll(waker).is_ready(); }
        F held;
    };
    struct process {
        process(poll_loop& owner, std::unique_ptr<runnable> future)
            : loop(&owner), running(std::move(future)) {}
        poll_loop* loop;
        std::unique_ptr<runnable> running;
        std::size_t references = 1;
        bool queued = false;
    };

    static void clone(void* data) noexcept { ++static_cast<process*>(data)->references; }
    static void drop(void* data) noexcept {
        auto* one = static_cast<process*>(data);
        if (--one->references == 0) { delete one; }
    }
    static void wake(void* data) noexcept {
        auto* one = static_cast<process*>(data);
        if (one->running == nullptr || one->queued) { return; }
        one->queued = true;
        clone(one);
        one->loop->woken_.push_back(one);
    }
    static constexpr waker_vtable functions{&clone, &wake, &drop};

    std::deque<process*> woken_;
    std::vector<process*> all_;
};

}  // namespace heph::test
