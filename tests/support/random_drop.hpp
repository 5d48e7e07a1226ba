#pragma once

// What tests that destroy tasks at random suspension points have in common.

#include <cstddef>
#include <random>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/inbox/future.hpp>

namespace heph::test {

using random_engine = std::mt19937;

/// Gives a number less than `below`. *Requires*: `below` is not 0.
inline std::size_t pick(random_engine& random, std::size_t below) { return random() % below; }

/// Counts in `Counts::alive` how many of its kind are alive, so that a frame that was not destroyed
/// is seen.
template <typename Counts>
class alive_mark {
public:
    explicit alive_mark(Counts& counts) noexcept : counts_(&counts) { ++counts_->alive; }
    alive_mark(alive_mark&& other) noexcept : counts_(std::exchange(other.counts_, nullptr)) {}
    alive_mark& operator=(alive_mark&&) = delete;
    ~alive_mark() {
        if (counts_ != nullptr) { --counts_->alive; }
    }

private:
    Counts* counts_;
};

/// Gives up after a number of polls of the task inside, which is dropped with it. Tells whether the
/// task ended before that.
class drop_after {
public:
    using value_type = bool;
    drop_after(int polls, task<> inner) noexcept : polls_(polls), inner_(std::move(inner)) {}
    polled<bool> poll(const waker& waker) {
        if (polls_-- <= 0) { return false; }
        if (inner_.poll(waker).is_ready()) { return true; }
        return pending;
    }

private:
    int polls_;
    task<> inner_;
};

}  // namespace heph::test
