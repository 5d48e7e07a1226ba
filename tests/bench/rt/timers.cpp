// Timers: adding, cancelling and expiring them, with few and with many alive.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <utility>
#include <vector>

#ifdef HEPH_BENCH_ASIO
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#endif
#ifdef HEPH_BENCH_UV
#include <uv.h>
#endif

#include "bench.hpp"
#include "figures.hpp"
#include "timing_wheel.hpp"

namespace heph::bench {

namespace {

constexpr std::uint64_t hour_ms = 3'600'000;

// The times of timers: anywhere in the next hour, the same for all.
std::vector<std::uint64_t> times(std::size_t count) {
    std::mt19937_64 random(1);
    std::vector<std::uint64_t> made(count);
    for (std::uint64_t& each : made) { each = 1 + random() % hour_ms; }
    return made;
}

constexpr std::size_t changes = 1'000'000;

// The wheel of a worker, by itself.
double wheel_add_cancel(std::size_t live) {
    rt::detail::timing_wheel wheel;
    std::vector<rt::detail::timer_node> nodes(live);
    const auto when = times(live);
    for (std::size_t i = 0; i < live; ++i) {
        nodes[i].when = when[i];
        wheel.add(nodes[i]);
    }
    rt::detail::timer_node extra;
    stopwatch watch;
    watch.start();
    for (std::size_t i = 0; i < changes; ++i) {
        extra.when = when[i % live];
        wheel.add(extra);
        wheel.remove(extra);
    }
    watch.stop();
    for (auto& each : nodes) { wheel.remove(each); }
    return watch.each(changes);
}

double wheel_add_expire(std::size_t count) {
    rt::detail::timing_wheel wheel;
    std::vector<rt::detail::timer_node> nodes(count);
    const auto when = times(count);
    std::size_t expired = 0;
    stopwatch watch;
    watch.start();
    for (std::size_t i = 0; i < count; ++i) {
        nodes[i].when = when[i];
        wheel.add(nodes[i]);
    }
    for (std::uint64_t now = 0; now <= hour_ms; now += 100) {
        wheel.advance(now, [&expired](rt::detail::timer_node&) { ++expired; });
    }
    watch.stop();
    require(expired == count, "wheel");
    return watch.each(count);
}

double map_add_cancel(std::size_t live) {
    std::multimap<std::uint64_t, std::size_t> timers;
    const auto when = times(live);
    for (std::size_t i = 0; i < live; ++i) { timers.emplace(when[i], i); }
    stopwatch watch;
    watch.start();
    for (std::size_t i = 0; i < changes; ++i) { timers.erase(timers.emplace(when[i % live], i)); }
    watch.stop();
    return watch.each(changes);
}

double queue_add_expire(std::size_t count) {
    std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> timers;
    const auto when = times(count);
    std::size_t expired = 0;
    stopwatch watch;
    watch.start();
    for (const std::uint64_t each : when) { timers.push(each); }
    for (std::uint64_t now = 0; now <= hour_ms; now += 100) {
        for (; !timers.empty() && timers.top() <= now; timers.pop()) { ++expired; }
    }
    watch.stop();
    require(expired == count, "priority queue");
    return watch.each(count);
}

#ifdef HEPH_BENCH_ASIO
double asio_add_cancel(std::size_t live) {
    boost::asio::io_context context(1);
    const auto when = times(live);
    const auto start = std::chrono::steady_clock::now() + std::chrono::hours(1);
    std::vector<boost::asio::steady_timer> timers;
    timers.reserve(live);
    for (std::size_t i = 0; i < live; ++i) {
        timers.emplace_back(context, start + std::chrono::milliseconds(when[i]));
        timers.back().async_wait([](const boost::system::error_code&) {});
    }
    boost::asio::steady_timer extra(context);
    stopwatch watch;
    watch.start();
    for (std::size_t i = 0; i < changes; ++i) {
        extra.expires_at(start + std::chrono::milliseconds(when[i % live]));
        extra.async_wait([](const boost::system::error_code&) {});
        extra.cancel();
        if (i % 64 == 0) { context.poll(); }
    }
    watch.stop();
    return watch.each(changes);
}
#endif

#ifdef HEPH_BENCH_UV
double uv_add_cancel(std::size_t live) {
    uv_loop_t loop;
    require(uv_loop_init(&loop) == 0, "libuv");
    const auto when = times(live);
    std::vector<uv_timer_t> timers(live);
    const auto nothing = [](uv_timer_t*) {};
    for (std::size_t i = 0; i < live; ++i) {
        (void)uv_timer_init(&loop, &timers[i]);
        (void)uv_timer_start(&timers[i], nothing, hour_ms + when[i], 0);
    }
    uv_timer_t extra;
    (void)uv_timer_init(&loop, &extra);
    stopwatch watch;
    watch.start();
    for (std::size_t i = 0; i < changes; ++i) {
        (void)uv_timer_start(&extra, nothing, hour_ms + when[i % live], 0);
        (void)uv_timer_stop(&extra);
    }
    watch.stop();
    for (uv_timer_t& each : timers) { uv_close(reinterpret_cast<uv_handle_t*>(&each), nullptr); }
    uv_close(reinterpret_cast<uv_handle_t*>(&extra), nullptr);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    return watch.each(changes);
}
#endif

}  // namespace

std::vector<figure> timer_figures() {
    constexpr std::size_t few = 10'000;
    constexpr std::size_t many = 1'000'000;
    return {
        {"add + cancel, 10,000 live", "ns", [] { return wheel_add_cancel(few); }},
        {"add + cancel, 1,000,000 live", "ns", [] { return wheel_add_cancel(many); }},
        {"  std::multimap", "ns", [] { return map_add_cancel(many); }},
#ifdef HEPH_BENCH_ASIO
        {"  Boost.Asio", "ns", [] { return asio_add_cancel(many); }},
#endif
#ifdef HEPH_BENCH_UV
        {"  libuv", "ns", [] { return uv_add_cancel(many); }},
#endif
        {"add + expire 10,000", "ns", [] { return wheel_add_expire(few); }},
        {"add + expire 1,000,000", "ns", [] { return wheel_add_expire(many); }},
        {"  std::priority_queue", "ns", [] { return queue_add_expire(many); }},
    };
}

}  // namespace heph::bench
