#pragma once

// What the tests of the channels share.

#include <atomic>
#include <memory>
#include <utility>

#include <heph/inbox/waker.hpp>

namespace heph::inbox::test {

/// Counts its wakes, and the wakers that refer to it. Must outlive all of them.
class wake_counter {
public:
    wake_counter() = default;
    wake_counter(const wake_counter&) = delete;
    wake_counter& operator=(const wake_counter&) = delete;

    waker get() noexcept {
        ++references_;
        return waker(this, &vtable);
    }
    int wakes() const noexcept { return wakes_; }
    int references() const noexcept { return references_; }
    /// Tells whether it was woken since the last call.
    bool take() noexcept { return wakes_.exchange(0) != 0; }

private:
    static void clone(void* self) noexcept { ++static_cast<wake_counter*>(self)->references_; }
    static void wake(void* self) noexcept { ++static_cast<wake_counter*>(self)->wakes_; }
    static void drop(void* self) noexcept { --static_cast<wake_counter*>(self)->references_; }
    static constexpr waker_vtable vtable{&clone, &wake, &drop};

    std::atomic<int> wakes_ = 0;
    std::atomic<int> references_ = 0;
};

/// A message that can only be moved, has no default, and counts how many of its kind there are.
class counted {
public:
    counted(int value, int& alive) noexcept : alive_(&alive), value_(value) { ++alive; }
    counted(counted&& other) noexcept
        : alive_(std::exchange(other.alive_, nullptr)), value_(other.value_) {}
    counted& operator=(counted&&) = delete;
    ~counted() {
        if (alive_ != nullptr) { --*alive_; }
    }
    int value() const noexcept { return value_; }

private:
    int* alive_;
    int value_;
};

}  // namespace heph::inbox::test
