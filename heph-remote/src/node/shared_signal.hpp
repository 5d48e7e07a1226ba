#pragma once

#include <cstdint>
#include <mutex>
#include <utility>

#include <heph/inbox/future.hpp>
#include <heph/inbox/waker.hpp>

namespace heph::remote::detail {

/// Tells tasks of any thread that something changed.
///
/// *Thread safety*: safe. *Lifetime*: outlives its futures.
//
// Invariants
//     1. Who waits is in the list, in the order of what was seen: behind those who saw less.
//     2. A waker is woken and destroyed outside of the lock: what it refers to may be a task that
//        waits here, and goes with it.
class shared_signal {
    struct node {
        heph::waker wanted;
        std::uint64_t seen = 0;
        node* next = nullptr;
        node* previous = nullptr;
        bool linked = false;
    };

public:
    shared_signal() = default;
    shared_signal(const shared_signal&) = delete;
    shared_signal& operator=(const shared_signal&) = delete;

    /// Counts the changes.
    [[nodiscard]] std::uint64_t count() const noexcept {
        const std::lock_guard lock(mutex_);
        return count_;
    }

    void notify() noexcept {
        std::uint64_t now = 0;
        {
            const std::lock_guard lock(mutex_);
            now = ++count_;
        }
        for (;;) {
            heph::waker wakes;
            {
                const std::lock_guard lock(mutex_);
                // Those behind it came after this change.
                if (first_ == nullptr || first_->seen >= now) { return; }
                wakes = std::exchange(first_->wanted, heph::waker());
                unlink(*first_);
            }
            wakes.wake();
        }
    }

    /// Is ready once there were changes beyond those that were seen.
    class [[nodiscard]] next_future {
    public:
        using value_type = void;
        next_future(shared_signal& of, std::uint64_t seen) noexcept : of_(&of) {
            node_.seen = seen;
        }
        /// Moves a future that was not polled yet.
        next_future(next_future&& other) noexcept : of_(other.of_) {
            node_.seen = other.node_.seen;
        }
        next_future& operator=(next_future&&) = delete;
        ~next_future() {
            heph::waker gone;  // Goes outside of the lock.
            const std::lock_guard lock(of_->mutex_);
            gone = std::exchange(node_.wanted, heph::waker());
            of_->unlink(node_);
        }

        polled<void> poll(const waker& waker) {
            heph::waker former = waker;  // Goes outside of the lock.
            const std::lock_guard lock(of_->mutex_);
            if (of_->count_ != node_.seen) { return ready; }
            std::swap(node_.wanted, former);
            of_->link(node_);
            return pending;
        }

    private:
        shared_signal* of_;
        node node_;
    };

    [[nodiscard]] next_future beyond(std::uint64_t seen) noexcept { return {*this, seen}; }

private:
    // *Requires*: `mutex_`, both of them.
    void link(node& one) noexcept {
        if (std::exchange(one.linked, true)) { return; }
        one.next = nullptr;
        one.previous = last_;
        (last_ != nullptr ? last_->next : first_) = &one;
        last_ = &one;
    }
    void unlink(node& one) noexcept {
        if (!std::exchange(one.linked, false)) { return; }
        (one.next != nullptr ? one.next->previous : last_) = one.previous;
        (one.previous != nullptr ? one.previous->next : first_) = one.next;
    }

    mutable std::mutex mutex_;  // Guards what follows, and the nodes of the list.
    std::uint64_t count_ = 0;
    node* first_ = nullptr;
    node* last_ = nullptr;
};

}  // namespace heph::remote::detail
