#pragma once

// What the benchmarks of heph-rt have in common: a stopwatch, and a runtime to run on.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <heph/rt/runtime.hpp>

namespace heph::bench {

/// A benchmark that did not do what it claims has no figure.
inline void require(bool done, const char* what) {
    if (done) { return; }
    (void)std::fprintf(stderr, "a benchmark did not do its work: %s\n", what);
    std::exit(1);
}

/// Takes the time between two points within a run.
class stopwatch {
public:
    void start() { start_ = std::chrono::steady_clock::now(); }
    void stop() { took_ = std::chrono::steady_clock::now() - start_; }
    /// Gives nanoseconds for each of `count`.
    [[nodiscard]] double each(std::uint64_t count) const {
        return took_.count() / static_cast<double>(count);
    }

private:
    std::chrono::steady_clock::time_point start_;
    std::chrono::duration<double, std::nano> took_{};
};

/// Runs `set_up` on each worker of a runtime, and the runtime to its end.
inline void run(const rt::setup& settings, std::function<void(rt::worker&)> set_up) {
    auto runtime = settings.build();
    if (!runtime) { std::exit(rt::report(runtime.error())); }
    runtime->run_on_workers(std::move(set_up));
    const auto ended = runtime->start();
    if (!ended) { std::exit(rt::report(ended)); }
}

/// Tells how long a cache line takes from one processor to another and back, in ns. It moves every
/// figure between threads, and on a virtual machine it changes with where the host runs its
/// processors: by a factor of four from one second to the next.
inline double bounce() {
    constexpr int rounds = 20'000;
    std::atomic<int> line = 0;
    const auto move = [&line](int mine) {
        for (int i = 0; i < rounds; ++i) {
            while (line.load(std::memory_order_acquire) != 2 * i + mine) {}
            line.store(2 * i + mine + 1, std::memory_order_release);
        }
    };
    stopwatch watch;
    watch.start();
    {
        const std::jthread other([&move] { move(1); });
        move(0);
    }
    watch.stop();
    return watch.each(rounds);
}

/// One figure: a name, and what measures it once.
struct figure {
    const char* name;
    const char* unit;
    std::function<double()> measure;
    bool crosses = false;  // In ns, between threads: told in bounces of a cache line, too.
    std::vector<double> values = {};
    std::vector<double> bounces = {};
};

/// Measures a figure once. One between threads counts only if the probe says the same before and
/// after, but for the last of four tries.
inline void measure(figure& each) {
    for (int tries = 1;; ++tries) {
        const double before = each.crosses ? bounce() : 0;
        const double value = each.measure();
        const double after = each.crosses ? bounce() : 0;
        if (std::max(before, after) > 1.3 * std::min(before, after) && tries < 4) { continue; }
        each.values.push_back(value);
        if (each.crosses) { each.bounces.push_back(value / std::max(before, after)); }
        return;
    }
}

/// Gives the middle one; sorts them.
inline double median(std::vector<double>& values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// Keeps those whose name has `part` in it; all when it is empty.
inline void select(std::vector<figure>& figures, std::string_view part) {
    std::erase_if(figures, [part](const figure& each) {
        return std::string_view(each.name).find(part) == std::string_view::npos;
    });
}

/// Measures all in turn, so many times, and prints smallest and median values.
inline void report(const char* title, std::vector<figure>& figures, std::size_t repeats) {
    for (std::size_t repeat = 0; repeat < repeats; ++repeat) {
        for (figure& each : figures) { measure(each); }
    }
    std::printf("%s, %zu repeats\n%-58s %10s %10s\n", title, repeats, "", "min", "median");
    for (figure& each : figures) {
        const double middle = median(each.values);
        std::printf("%-58s %10.1f %10.1f %s", each.name, each.values.front(), middle, each.unit);
        if (each.crosses) {
            std::printf(", %.2f times a cache line there and back", median(each.bounces));
        }
        std::printf("\n");
    }
    std::printf("\n");
    (void)std::fflush(stdout);
}

}  // namespace heph::bench
