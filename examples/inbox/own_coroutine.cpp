// A coroutine type and an event loop that know nothing of channels, and a coroutine that receives
// from one nevertheless: heph::resume_on needs to know no more than how to post to the loop.

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <functional>
#include <iostream>
#include <mutex>
#include <thread>
#include <utility>

#include <heph/inbox/awaitable.hpp>
#include <heph/inbox/channel.hpp>

/// Runs functions on the thread that calls `run`, one after the other, until `stop`.
class event_loop {
public:
    void post(std::function<void()> next) {
        {
            const std::lock_guard lock(mutex_);
            queue_.push_back(std::move(next));
        }
        more_.notify_one();
    }
    void run() {
        while (!stopped_) {
            std::unique_lock lock(mutex_);
            more_.wait(lock, [this] { return !queue_.empty(); });
            const auto next = std::move(queue_.front());
            queue_.pop_front();
            lock.unlock();
            next();
        }
    }
    void stop() { stopped_ = true; }

private:
    std::mutex mutex_;
    std::condition_variable more_;
    std::deque<std::function<void()>> queue_;
    bool stopped_ = false;
};

/// Starts at once, and owns itself.
struct detached {
    struct promise_type {
        static detached get_return_object() { return {}; }
        static std::suspend_never initial_suspend() noexcept { return {}; }
        static std::suspend_never final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
    };
};

detached add_up(event_loop& loop, heph::inbox::receiver<int> numbers) {
    int sum = 0;
    while (const auto number = co_await heph::resume_on(&loop, numbers.recv())) { sum += *number; }
    std::cout << "the sum is " << sum << '\n';
    loop.stop();
}

int main() {
    event_loop loop;
    auto [sender, receiver] = heph::inbox::channel<int>(8);
    add_up(loop, std::move(receiver));
    const std::jthread producer([out = std::move(sender)] {
        for (int i = 1; i <= 100; ++i) { (void)out.send_blocking(i); }
    });
    loop.run();
}
