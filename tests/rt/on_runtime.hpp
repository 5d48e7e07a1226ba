#pragma once

// Runs tasks on a runtime of their own, for tests.

#include <catch2/catch.hpp>

#include <chrono>
#include <functional>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>

namespace heph::test {

/// Settings that suit a test: no signals, a short grace.
inline rt::setup quiet_setup() {
    rt::setup settings;
    settings.name("test").ignore_signals().stop_grace(std::chrono::milliseconds(2000));
    return settings;
}

/// Runs `set_up` on worker 0 of a runtime, and the runtime to its end.
inline void run_on_worker(const rt::setup& settings, std::function<void(rt::worker&)> set_up) {
    auto runtime = settings.build();
    REQUIRE(runtime);
    runtime->run_on_workers([set_up = std::move(set_up)](rt::worker& worker) {
        if (worker.index() == 0) { set_up(worker); }
    });
    const auto ended = runtime->start();
    if (!ended) { FAIL(ended.error().message()); }
}

/// Runs one task on a runtime of one worker to its end. `make_task` makes the task on the worker.
inline void run_task(const rt::setup& settings, std::function<task<>()> make_task) {
    run_on_worker(settings, [make_task = std::move(make_task)](rt::worker& worker) {
        worker.spawn_future(make_task());
    });
}

inline void run_task(std::function<task<>()> make_task) {
    run_task(quiet_setup(), std::move(make_task));
}

}  // namespace heph::test
