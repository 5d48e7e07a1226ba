#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <heph/rt/scheduler.hpp>

namespace heph::rt::detail {

/// The ready processes of a worker, in the order in which they run: first in, first out, except for
/// those that had more than their share of the time.
///
/// Weighted fair queueing with an eligibility test (Bennett and Zhang: WF2Q, 1996), simplified:
/// the queue's virtual time advances by the time that processes ran, divided by the weight of all
/// that want to run. A process's virtual time advances by the time it ran, divided by its weight.
/// Nothing is compared but by its distance from the queue's time, so that neither may be exact.
///
/// Invariants
///     1. A process that is no more than a `quantum` ahead of the queue is in `eligible_`; those
///        that are further ahead are in `ahead_`, each list in the order of their times. Whenever
///        the queue's time goes on, who is no longer that far ahead is moved.
///     2. Who wakes is at most a quantum behind: who slept has no claim to what it missed.
///     3. When nobody is eligible the queue's time jumps to the first one ahead: no time is wasted.
///     4. Each queue has a time of its own. Who goes from one to another is as far ahead, or
///        behind, as before: `carry`. Otherwise who changes all the time would never pay. It is
///        no more than `carried_max` ahead: the time of the queue that it left may have stood
///        still for long, and what it ran then is not to be paid for among others now.
///
/// The order is kept where it costs next to nothing: what has just run is mostly the last of its
/// list.
///
/// *Thread safety*: unsafe.
class fair_queue {
public:
    /// Takes a process that was idle, or is new.
    void push(schedulable& process) noexcept {
        if (process.virtual_time < time_ - quantum) { process.virtual_time = time_ - quantum; }
        push_again(process);
    }
    /// Takes a process that has just run and goes on: what others took meanwhile is owed to it.
    void push_again(schedulable& process) noexcept {
        load_ += load_of(process);
        if (process.virtual_time <= time_ + quantum) [[likely]] {
            eligible_.push_back(process);
        } else {
            push_ahead(process);
        }
    }

    /// Gives the next one, or null.
    [[nodiscard]] schedulable* pop() noexcept {
        if (eligible_.head == nullptr) [[unlikely]] {
            if (empty()) { return nullptr; }
            skip_to_next();
        }
        schedulable* first = eligible_.pop_front();
        load_ -= load_of(*first);
        return first;
    }

    [[nodiscard]] bool empty() const noexcept { return load_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return load_ >> size_shift; }

    /// Notes that a process ran. It may be in the queue: then it is as far ahead from its next
    /// push.
    static void charge(schedulable& process, std::chrono::nanoseconds ran) noexcept {
        process.virtual_time += static_cast<std::uint64_t>(ran.count())
                                << cost_shift[static_cast<std::size_t>(process.priority())];
    }

    /// Gives the virtual time of a process for another queue, as far from its time `to` as it is
    /// from that of the queue that it leaves, `from`.
    [[nodiscard]] static std::uint64_t carry(std::uint64_t process, std::uint64_t from,
                                             std::uint64_t to) noexcept {
        if (process < from) { return to - std::min(from - process, quantum); }
        return to + std::min(process - from, carried_max);
    }
    /// Gives a process's weight among others.
    [[nodiscard]] static std::uint64_t weight_of(const schedulable& process) noexcept {
        return weights[static_cast<std::size_t>(process.priority())];
    }
    /// Gives the queue's time.
    [[nodiscard]] std::uint64_t time() const noexcept { return time_; }
    /// Is that of a queue in which nothing ran yet.
    static constexpr std::uint64_t first_time = 2'000'000;

    /// Notes that processes of this queue ran for so long, in all. `running` is the weight of those
    /// among them that are not queued again: they shared the time with those that are.
    void advance(std::chrono::nanoseconds ran, std::uint64_t running = 0) noexcept {
        // Of one that is gone nothing is known: it had all of the time.
        const std::uint64_t all = (load_ & weight_mask) + running;
        const std::uint64_t weight = all != 0 ? all : weight_max;
        time_ += static_cast<std::uint64_t>(ran.count()) * weight_max / weight;
        if (first_ahead_ <= time_ + quantum) [[unlikely]] { admit(); }
    }

private:
    static constexpr std::size_t levels = 3;
    static constexpr std::uint64_t weight_max = 16;
    static constexpr std::array<std::uint64_t, levels> weights{1, 4, weight_max};
    static constexpr std::array<unsigned, levels> cost_shift{4, 2, 0};  // weight_max / weight.
    // The weight of all that are queued, and above it how many they are: one sum for both.
    static constexpr unsigned size_shift = 32;
    static constexpr std::uint64_t weight_mask = (std::uint64_t{1} << size_shift) - 1;
    static constexpr std::array<std::uint64_t, levels> loads{weights[0] | (weight_mask + 1),
                                                             weights[1] | (weight_mask + 1),
                                                             weights[2] | (weight_mask + 1)};
    // What one may be ahead, in virtual nanoseconds: 1 ms at the highest priority.
    static constexpr std::uint64_t quantum = 1'000'000;
    static_assert(first_time >= 2 * quantum);
    static constexpr std::uint64_t carried_max = 16 * quantum;
    static constexpr std::uint64_t never = ~std::uint64_t{0};

    struct list {
        void push_back(schedulable& process) noexcept {
            process.next = nullptr;
            (head != nullptr ? tail->next : head) = &process;
            tail = &process;
        }
        schedulable* pop_front() noexcept { return std::exchange(head, head->next); }

        schedulable* head = nullptr;
        schedulable* tail = nullptr;
    };

    [[nodiscard]] static std::uint64_t load_of(const schedulable& process) noexcept {
        return loads[static_cast<std::size_t>(process.priority())];
    }

    void push_ahead(schedulable& process) noexcept;
    void admit() noexcept;
    void skip_to_next() noexcept;

    list eligible_;
    std::uint64_t load_ = 0;
    std::uint64_t time_ = first_time;  // So that one may be behind.
    std::uint64_t first_ahead_ = never;
    std::array<list, levels> ahead_;
};

}  // namespace heph::rt::detail
