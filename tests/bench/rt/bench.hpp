#pragma once

// What the benchmarks of heph-rt have in common: a stopwatch, and a runtime to run on.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string_view>
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

/// One figure: a name, and what measures it once.
struct figure {
    const char* name;
    const char* unit;
    std::function<double()> measure;
    std::vector<double> values = {};
};

/// Keeps those whose name has `part` in it; all when it is empty.
inline void select(std::vector<figure>& figures, std::string_view part) {
    std::erase_if(figures, [part](const figure& each) {
        return std::string_view(each.name).find(part) == std::string_view::npos;
    });
}

/// Measures all in turn, so many times, and prints smallest and median values.
inline void report(const char* title, std::vector<figure>& figures, std::size_t repeats) {
    for (std::size_t repeat = 0; repeat < repeats; ++repeat) {
        for (figure& each : figures) { each.values.push_back(each.measure()); }
    }
    std::printf("%s, %zu repeats\n%-58s %10s %10s\n", title, repeats, "", "min", "median");
    for (figure& each : figures) {
        std::sort(each.values.begin(), each.values.end());
        std::printf("%-58s %10.1f %10.1f %s\n", each.name, each.values.front(),
                    each.values[repeats / 2], each.unit);
    }
    std::printf("\n");
    (void)std::fflush(stdout);
}

}  // namespace heph::bench
