#pragma once

// What is measured, in nanoseconds per message.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include <malloc.h>

#include "placement.hpp"
#include "queues.hpp"

namespace heph::bench {

using clock = std::chrono::steady_clock;

inline double nanoseconds(clock::time_point since, std::uint64_t operations) {
    const std::chrono::duration<double, std::nano> took = clock::now() - since;
    return took.count() / static_cast<double>(operations);
}

/// A wrong sum means that the queue under test is broken, and its times mean nothing.
inline void check(std::uint64_t sum, std::uint64_t expected, const char* who) {
    if (sum == expected) { return; }
    (void)std::fprintf(stderr, "%s lost or repeated messages\n", who);
    std::exit(1);
}

/// A few tries, with a pause in between as in any polite loop, then the time slice: there may be
/// more threads than cores.
class patience {
public:
    void lose() {
        heph::inbox::detail::standard_environment::pause();
        if (++tries_ % 256 == 0) { std::this_thread::yield(); }
    }

private:
    unsigned tries_ = 0;
};

/// Starts threads together, once all are at the line, and times from then on.
class starting_line {
public:
    void wait() {
        there_.fetch_add(1, std::memory_order_relaxed);
        while (!go_.load(std::memory_order_acquire)) { std::this_thread::yield(); }
    }
    clock::time_point start(std::uint64_t threads) {
        while (there_.load(std::memory_order_relaxed) != threads) { std::this_thread::yield(); }
        const auto now = clock::now();
        go_.store(true, std::memory_order_release);
        return now;
    }

private:
    std::atomic<std::uint64_t> there_ = 0;
    std::atomic<bool> go_ = false;
};

/// Sends and receives by turns on one thread.
template <typename Queue, typename M>
double on_one_thread(std::size_t capacity) {
    constexpr std::uint64_t count = 1'000'000;
    Queue queue(capacity);
    std::uint64_t sum = 0;
    const auto start = clock::now();
    for (std::uint64_t i = 0; i < count; ++i) {
        if (!queue.try_send(make_message<M>(i))) { break; }
        if (!queue.try_recv([&sum](const M& got) { sum += got.value(); })) { break; }
    }
    const double took = nanoseconds(start, count);
    check(sum, count * (count - 1) / 2, Queue::name);
    return took;
}

/// Sends from threads of their own to this one. All try again until it works.
template <typename Queue, typename M, std::uint64_t Senders, placement (*Where)() = receiver_apart>
double between_threads(std::size_t capacity) {
    constexpr std::uint64_t each = 200'000 / Senders;
    const placement where = Where();
    const stay here(0);
    Queue queue(capacity);
    starting_line line;
    std::vector<std::jthread> threads;
    for (std::uint64_t sender = 0; sender < Senders; ++sender) {
        threads.emplace_back([&queue, &line, on = where.senders[sender]] {
            const stay there(on);
            auto&& mine = queue.sending_end();
            line.wait();
            patience waiting;
            for (std::uint64_t i = 0; i < each; ++i) {
                const M next = make_message<M>(i);
                while (!mine.try_send(next)) { waiting.lose(); }
            }
        });
    }
    std::uint64_t sum = 0;
    const auto start = line.start(Senders);
    patience waiting;
    for (std::uint64_t left = Senders * each; left != 0;) {
        if (queue.try_recv([&sum](const M& got) { sum += got.value(); })) {
            --left;
        } else {
            waiting.lose();
        }
    }
    const double took = nanoseconds(start, Senders * each);
    check(sum, Senders * (each * (each - 1) / 2), Queue::name);
    return took;
}

/// As above, but whoever has to wait sleeps.
template <typename Queue, typename M>
double blocking(std::size_t capacity) {
    constexpr std::uint64_t count = 20'000;
    const stay here(0);
    Queue queue(capacity);
    starting_line line;
    std::jthread sender([&queue, &line] {
        const stay there(1);
        line.wait();
        auto&& mine = queue.sending_end();
        for (std::uint64_t i = 0; i < count; ++i) { mine.send(make_message<M>(i)); }
    });
    std::uint64_t sum = 0;
    const auto start = line.start(1);
    for (std::uint64_t i = 0; i < count; ++i) { sum += queue.recv().value(); }
    const double took = nanoseconds(start, count);
    check(sum, count * (count - 1) / 2, Queue::name);
    return took;
}

/// Tells how much memory a queue takes before it is used: what it is, and what it allocates.
template <typename Queue>
std::size_t idle_bytes(std::size_t capacity) {
    const Queue other(
        capacity);  // What is made only once, or kept for the next one, is not its own.
    const auto in_use = [] {
        const auto now = mallinfo2();
        return now.uordblks + now.hblkhd;
    };
    const std::size_t before = in_use();
    const Queue queue(capacity);
    return in_use() - before + sizeof(Queue);
}

/// Tells how long a cache line takes from one core to another and back, halved. It moves every
/// figure between threads, and it changes with where the threads run.
inline double bounce() {
    constexpr int rounds = 10'000;
    std::atomic<int> line = 0;
    const auto move = [&line](int mine) {
        patience waiting;
        for (int i = 0; i < rounds; ++i) {
            while (line.load(std::memory_order_acquire) != 2 * i + mine) { waiting.lose(); }
            line.store(2 * i + mine + 1, std::memory_order_release);
        }
    };
    const stay here(0);
    const auto start = clock::now();
    {
        const std::jthread other([&move] {
            const stay there(1);
            move(1);
        });
        move(0);
    }
    return nanoseconds(start, 2 * rounds);
}

}  // namespace heph::bench
