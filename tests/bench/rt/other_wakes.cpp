// Wakes from thread to thread with Boost.Asio and libuv: two threads, each on a processor of its
// own, that wake each other in turn and sleep meanwhile.

#include <pthread.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

#ifdef HEPH_BENCH_ASIO
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#endif
#ifdef HEPH_BENCH_UV
#include <uv.h>
#endif

#include "bench.hpp"
#include "figures.hpp"

namespace heph::bench {

#if defined(HEPH_BENCH_ASIO) || defined(HEPH_BENCH_UV)
namespace {

constexpr std::uint64_t round_trips = 5'000;

void stay_on(std::size_t cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

}  // namespace
#endif

#ifdef HEPH_BENCH_ASIO
namespace {

namespace asio = boost::asio;

struct posts {
    std::array<asio::io_context, 2> contexts{asio::io_context(1), asio::io_context(1)};

    // Runs on the first while `left` is even, and on the second while it is odd.
    void pass_on(std::uint64_t left) {
        if (left == 0) {
            for (auto& each : contexts) { each.stop(); }
            return;
        }
        asio::post(contexts[(left - 1) % 2], [this, left] { pass_on(left - 1); });
    }
};

}  // namespace

double asio_wakes() {
    posts both;
    stopwatch watch;
    std::array<std::thread, 2> threads;
    watch.start();
    asio::post(both.contexts[0], [&both] { both.pass_on(2 * round_trips); });
    for (std::size_t i = 0; i < 2; ++i) {
        threads[i] = std::thread([&both, i] {
            stay_on(i);
            const auto guard = asio::make_work_guard(both.contexts[i]);
            both.contexts[i].run();
        });
    }
    for (std::thread& each : threads) { each.join(); }
    watch.stop();
    return watch.each(round_trips) / 1000;
}
#endif

#ifdef HEPH_BENCH_UV
namespace {

struct async_loop {
    uv_loop_t loop{};
    uv_async_t woken{};
    async_loop* other = nullptr;
    bool begins = false;
    std::uint64_t left = round_trips;

    static void pass_on(uv_async_t* handle) {
        auto& here = *static_cast<async_loop*>(handle->data);
        const bool over = --here.left == 0;
        // The last answer is for nobody.
        if (!over || here.begins) { (void)uv_async_send(&here.other->woken); }
        if (over) { uv_close(reinterpret_cast<uv_handle_t*>(handle), nullptr); }
    }
};

}  // namespace

double uv_wakes() {
    std::array<async_loop, 2> loops;
    for (std::size_t i = 0; i < 2; ++i) {
        require(uv_loop_init(&loops[i].loop) == 0, "libuv");
        require(uv_async_init(&loops[i].loop, &loops[i].woken, &async_loop::pass_on) == 0, "libuv");
        loops[i].woken.data = &loops[i];
        loops[i].other = &loops[1 - i];
    }
    loops[0].begins = true;
    stopwatch watch;
    std::array<std::thread, 2> threads;
    watch.start();
    (void)uv_async_send(&loops[0].woken);
    for (std::size_t i = 0; i < 2; ++i) {
        threads[i] = std::thread([&loops, i] {
            stay_on(i);
            (void)uv_run(&loops[i].loop, UV_RUN_DEFAULT);
        });
    }
    for (std::thread& each : threads) { each.join(); }
    watch.stop();
    for (async_loop& each : loops) { (void)uv_loop_close(&each.loop); }
    return watch.each(round_trips) / 1000;
}
#endif

}  // namespace heph::bench
