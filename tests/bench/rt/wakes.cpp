// Wakes from worker to worker.

#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/timer.hpp>

#include "bench.hpp"
#include "figures.hpp"

namespace heph::bench {

namespace {

using namespace std::chrono_literals;
using rt::local_context;
using number_ref = actor_ref<std::uint64_t>;

rt::setup two_workers() {
    rt::setup settings;
    settings.name("bench").threads(2).cpu_affinity().ignore_signals();
    return settings;
}

// Hands references over between workers before the measurement.
class meeting_place {
public:
    void put(std::size_t index, number_ref ref) {
        const std::lock_guard lock(mutex_);
        refs_[index].emplace(std::move(ref));
    }
    std::optional<number_ref> get(std::size_t index) {
        const std::lock_guard lock(mutex_);
        return refs_[index];
    }

private:
    std::mutex mutex_;
    std::array<std::optional<number_ref>, 2> refs_;
};

task<> answers(local_context<std::uint64_t> ctx, std::shared_ptr<meeting_place> place,
               std::size_t index, std::uint64_t count, stopwatch* watch) {
    std::optional<number_ref> to;
    while (!to) {
        co_await rt::timer(1ms);
        to = place->get(1 - index);
    }
    if (index == 0) {
        co_await rt::timer(5ms);
        watch->start();
        (void)to->try_send(2 * count - 1);
    }
    while (auto left = co_await ctx.receive()) {
        if (*left == 0) { break; }
        (void)to->try_send(*left - 1);
    }
    if (index == 0) { watch->stop(); }
    (void)to->try_send(0);
}

task<> keeps_busy(local_context<>, const std::atomic<bool>* over) {
    while (!over->load(std::memory_order_relaxed)) { co_await yield(); }
}

task<> ends(task<> inner, std::atomic<bool>* over) {
    co_await std::move(inner);
    over->store(true, std::memory_order_relaxed);
}

// A message there and one back. `busy` workers have something else to run all the time.
double round_trip(std::chrono::nanoseconds spin, std::uint64_t count, bool busy) {
    stopwatch watch;
    std::atomic<bool> over{false};
    auto place = std::make_shared<meeting_place>();
    auto settings = two_workers();
    settings.spin_before_sleep(spin);
    run(settings, [&](rt::worker& worker) {
        auto ref = worker.spawn(
            no_supervisor(),
            actor_fn(+[](local_context<std::uint64_t> ctx, std::shared_ptr<meeting_place> meeting,
                         std::size_t index, std::uint64_t times, stopwatch* taken,
                         std::atomic<bool>* done) {
                return ends(answers(std::move(ctx), std::move(meeting), index, times, taken), done);
            }),
            place, worker.index(), count, &watch, &over);
        place->put(worker.index(), std::move(ref));
        if (busy) {
            worker.spawn(no_supervisor(), actor_fn(keeps_busy),
                         static_cast<const std::atomic<bool>*>(&over));
        }
    });
    return watch.each(count);
}

double awake() { return round_trip(50us, 300'000, false); }
double asleep() { return round_trip(0us, 5'000, false) / 1000; }
double one_way_busy() { return round_trip(50us, 300'000, true) / 2; }

void pin_to(std::size_t cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

// Two threads that wake each other by messages between their rings, and nothing else: the floor of
// what waking a sleeping worker can cost.
double bare_rings() {
    constexpr std::uint64_t count = 5'000;
    std::array<io_uring, 2> rings{};
    std::array<std::thread, 2> threads;
    std::atomic<int> made{0};
    stopwatch watch;
    for (std::size_t self = 0; self < 2; ++self) {
        threads[self] = std::thread([&, self] {
            pin_to(self);
            io_uring& ring = rings[self];
            require(io_uring_queue_init(
                        64, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN) == 0,
                    "bare rings");
            (void)io_uring_register_ring_fd(&ring);
            made.fetch_add(1);
            while (made.load() != 2) {}
            const int other = rings[1 - self].ring_fd;
            if (self == 0) { watch.start(); }
            for (std::uint64_t i = 0; i < count; ++i) {
                if (self == 0 || i != 0) {
                    io_uring_sqe* entry = io_uring_get_sqe(&ring);
                    io_uring_prep_msg_ring(entry, other, 0, 1, 0);
                    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
                }
                (void)io_uring_submit_and_wait(&ring, 1);
                io_uring_cq_advance(&ring, io_uring_cq_ready(&ring));
            }
            if (self == 0) {
                watch.stop();
            } else {
                io_uring_sqe* entry = io_uring_get_sqe(&ring);
                io_uring_prep_msg_ring(entry, other, 0, 1, 0);
                (void)io_uring_submit(&ring);
            }
        });
    }
    for (std::thread& each : threads) { each.join(); }
    for (io_uring& each : rings) { io_uring_queue_exit(&each); }
    return watch.each(count) / 1000;
}

double bare_event_descriptors() {
    constexpr std::uint64_t count = 5'000;
    const std::array<int, 2> events{::eventfd(0, EFD_CLOEXEC), ::eventfd(0, EFD_CLOEXEC)};
    const auto wake = [&](std::size_t which) {
        const std::uint64_t one = 1;
        require(::write(events[which], &one, sizeof(one)) == sizeof(one), "event descriptors");
    };
    const auto wait = [&](std::size_t which) {
        std::uint64_t value = 0;
        require(::read(events[which], &value, sizeof(value)) == sizeof(value), "event descriptors");
    };
    stopwatch watch;
    std::thread other([&] {
        pin_to(1);
        for (std::uint64_t i = 0; i < count; ++i) {
            wait(1);
            wake(0);
        }
    });
    std::thread first([&] {
        pin_to(0);
        watch.start();
        for (std::uint64_t i = 0; i < count; ++i) {
            wake(1);
            wait(0);
        }
        watch.stop();
    });
    other.join();
    first.join();
    for (const int each : events) { ::close(each); }
    return watch.each(count) / 1000;
}

task<> sends(local_context<>, number_ref to, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
        auto sent = co_await to.send(1);
        if (!sent) { co_return; }
    }
}

// One actor writes it, and the runtime's end comes before it is read.
struct counted {
    static constexpr bool is_shareable = true;
    std::uint64_t sum = 0;
    stopwatch watch;
};

task<> counts(rt::shared_context<std::uint64_t> ctx, counted* into) {
    into->watch.start();
    while (auto message = co_await ctx.receive()) { into->sum += *message; }
    into->watch.stop();
}

// Senders on every worker, which wait for room in one actor's inbox most of the time.
template <std::size_t Workers>
double full_inbox() {
    constexpr std::uint64_t each = 100'000;
    counted result;
    rt::setup settings;
    settings.name("bench").threads(Workers).ignore_signals();
    auto runtime = settings.build();
    if (!runtime) { std::exit(rt::report(runtime.error())); }
    auto ref = runtime->spawn(no_supervisor(), actor_fn(counts), &result);
    runtime->run_on_workers(
        [ref](rt::worker& worker) { worker.spawn(no_supervisor(), actor_fn(sends), ref, each); });
    { const number_ref gone = std::move(ref); }
    const auto ended = runtime->start();
    if (!ended) { std::exit(rt::report(ended)); }
    require(result.sum == each * Workers, "full inbox");
    return result.watch.each(each * Workers);
}

}  // namespace

std::vector<figure> wake_figures() {
    return {
        {"  a cache line there and back", "ns", &bounce},
        {"round trip, both awake", "ns", &awake, true},
        {"one way, both busy with something else", "ns", &one_way_busy, true},
        {"round trip, both asleep", "us", &asleep},
        {"  two bare rings (MSG_RING)", "us", &bare_rings},
        {"  two event descriptors", "us", &bare_event_descriptors},
#ifdef HEPH_BENCH_ASIO
        {"  Boost.Asio, two contexts", "us", &asio_wakes},
#endif
#ifdef HEPH_BENCH_UV
        {"  libuv, two loops", "us", &uv_wakes},
#endif
        {"senders on 2 workers to a full inbox, a message", "ns", &full_inbox<2>, true},
        {"senders on 4 workers to a full inbox, a message", "ns", &full_inbox<4>, true},
    };
}

}  // namespace heph::bench
