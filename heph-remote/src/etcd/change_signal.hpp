#pragma once

#include <cstdint>

#include <heph/inbox/future.hpp>
#include <heph/inbox/waker.hpp>

namespace heph::remote::etcd::detail {

/// Tells tasks of one worker that something changed. *Lifetime*: outlives its futures.
class change_signal {
public:
    change_signal() = default;
    change_signal(const change_signal&) = delete;
    change_signal& operator=(const change_signal&) = delete;

    /// Counts the changes.
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

    void notify() noexcept {
        ++count_;
        while (first_ != nullptr) {
            node& each = *first_;
            unlink(each);
            each.wanted.wake();
        }
    }

private:
    struct node {
        waker wanted;
        node* next = nullptr;
        node* previous = nullptr;
        bool linked = false;
    };

public:
    /// Is ready once there were changes beyond those that were seen.
    class [[nodiscard]] next_future {
    public:
        using value_type = void;
        next_future(change_signal& of, std::uint64_t seen) noexcept : of_(&of), seen_(seen) {}
        next_future(next_future&& other) noexcept : of_(other.of_), seen_(other.seen_) {}
        next_future& operator=(next_future&&) = delete;
        ~next_future() { of_->unlink(node_); }

        polled<void> poll(const waker& waker) {
            if (of_->count_ != seen_) { return ready; }
            if (!node_.wanted.will_wake(waker)) { node_.wanted = waker; }
            of_->link(node_);
            return pending;
        }

    private:
        change_signal* of_;
        std::uint64_t seen_;
        node node_;
    };

    [[nodiscard]] next_future beyond(std::uint64_t seen) noexcept { return {*this, seen}; }
    [[nodiscard]] next_future next() noexcept { return {*this, count_}; }

private:
    void link(node& one) noexcept {
        if (one.linked) { return; }
        one.linked = true;
        one.previous = nullptr;
        one.next = first_;
        if (first_ != nullptr) { first_->previous = &one; }
        first_ = &one;
    }
    void unlink(node& one) noexcept {
        if (!one.linked) { return; }
        one.linked = false;
        if (one.next != nullptr) { one.next->previous = one.previous; }
        (one.previous != nullptr ? one.previous->next : first_) = one.next;
    }

    std::uint64_t count_ = 0;
    node* first_ = nullptr;
};

}  // namespace heph::remote::etcd::detail
