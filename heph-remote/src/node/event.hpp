#pragma once

#include <utility>

#include <heph/inbox/future.hpp>

namespace heph::remote::detail {

/// Wakes tasks of one worker when something has happened: set until it is cleared.
///
/// *Thread safety*: unsafe. *Lifetime*: outlives whatever waits for it.
class event {
    struct node {
        node* next = nullptr;
        node* previous = nullptr;
        heph::waker waker;
    };

public:
    /// Is ready while the event is set.
    class [[nodiscard]] wait_future {
    public:
        using value_type = void;
        explicit wait_future(event& of) noexcept : of_(&of) {}
        wait_future(wait_future&& other) noexcept : of_(other.of_) {}
        wait_future& operator=(wait_future&&) = delete;
        ~wait_future() { unlink(); }

        polled<void> poll(const waker& waker) noexcept {
            if (of_->set_) { return ready; }
            node_.waker = waker;
            if (!linked_) {
                node_.next = of_->first_;
                if (of_->first_ != nullptr) { of_->first_->previous = &node_; }
                of_->first_ = &node_;
                linked_ = true;
            }
            return pending;
        }

    private:
        void unlink() noexcept {
            if (!std::exchange(linked_, false)) { return; }
            if (node_.next != nullptr) { node_.next->previous = node_.previous; }
            (node_.previous != nullptr ? node_.previous->next : of_->first_) = node_.next;
        }

        event* of_;
        node node_;
        bool linked_ = false;
    };

    event() noexcept = default;
    event(const event&) = delete;
    event& operator=(const event&) = delete;

    void set() noexcept {
        if (std::exchange(set_, true)) { return; }
        for (node* each = first_; each != nullptr; each = each->next) { each->waker.wake(); }
    }
    void clear() noexcept { set_ = false; }
    [[nodiscard]] bool is_set() const noexcept { return set_; }
    [[nodiscard]] wait_future wait() noexcept { return wait_future(*this); }

private:
    node* first_ = nullptr;
    bool set_ = false;
};

}  // namespace heph::remote::detail
