#pragma once

// Futures that tests make ready, and wake, by hand.

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include <heph/inbox/future.hpp>

namespace heph::inbox::test {

/// What a `manual` future and its test share. Not for several threads.
template <typename T>
struct manual_state {
    std::optional<T> value;
    waker last;  // What the last pending poll left.
    int polls = 0;
    bool alive = true;              // Whether the future is still there.
    std::function<void()> on_poll;  // Runs within each poll, after `last` was set.
};

/// Is ready when its test says so.
template <typename T>
class manual {
public:
    using value_type = T;

    explicit manual(std::shared_ptr<manual_state<T>> state) noexcept : state_(std::move(state)) {}
    manual(manual&& other) noexcept = default;
    manual& operator=(manual&&) = delete;
    ~manual() {
        if (state_) { state_->alive = false; }
    }

    polled<T> poll(const waker& who) noexcept {
        ++state_->polls;
        state_->last = who;
        if (state_->on_poll) { state_->on_poll(); }
        if (!state_->value) { return pending; }
        return polled<T>(std::in_place, *std::move(state_->value));
    }

private:
    std::shared_ptr<manual_state<T>> state_;
};

/// Throws from the poll with the given number, counted from 0; pending before.
class throws_at {
public:
    using value_type = int;

    throws_at(int poll, waker& last) noexcept : left_(poll), last_(&last) {}

    polled<int> poll(const waker& who) {
        if (left_-- == 0) { throw std::runtime_error("thrown by poll"); }
        *last_ = who;
        return pending;
    }

private:
    int left_;
    waker* last_;
};

/// A value that moves but has neither a default nor a copy.
class no_default {
public:
    explicit no_default(int value) : value_(std::make_unique<int>(value)) {}
    int value() const { return *value_; }

private:
    std::unique_ptr<int> value_;
};

}  // namespace heph::inbox::test
