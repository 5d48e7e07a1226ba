#pragma once

// What only a runtime has: timers. A workload of `workloads.hpp`'s kind.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/context.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/timer.hpp>

#include "bench/core/workloads.hpp"

namespace heph::bench {

/// Sets and cancels so many timers while 1,000,000 others wait. A future, as that takes a waker.
class [[nodiscard]] set_and_cancel {
public:
    using value_type = double;
    explicit set_and_cancel(number count) noexcept : count_(count) {}
    polled<double> poll(const waker& waker) {
        std::deque<rt::timer> others;
        for (number i = 0; i < 1'000'000; ++i) {
            require(!others.emplace_back(later(i)).poll(waker).is_ready());
        }
        const stopwatch watch;
        for (number i = 0; i < count_; ++i) {
            rt::timer one(later(i));
            require(!one.poll(waker).is_ready());
        }
        return watch.per(count_);
    }

private:
    // In an hour, or up to an hour later.
    static std::chrono::milliseconds later(number index) {
        return std::chrono::milliseconds(3'600'000 + index * 3571 % 3'600'000);
    }
    number count_;
};

/// Runs the workload if it is among the names, or when there are none; see `run_all`.
inline task<> run_timers(std::vector<std::string> names) {
    constexpr const char* name = "timer_cancel";
    constexpr number count = 1'000'000;
    if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) { co_return; }
    (void)co_await set_and_cancel(count / 20);
    const double took = co_await set_and_cancel(count);
    std::printf("%s %.2f\n", name, took);
}

}  // namespace heph::bench
