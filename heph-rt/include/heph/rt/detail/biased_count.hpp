#pragma once

#include <atomic>
#include <cstdint>

namespace heph::rt::detail {

/// Counts references that mostly come and go on one thread, its owner, without atomic operations
/// there (Choi, Shull and Torrellas: Biased Reference Counting, 2018).
///
/// States
///     biased --merge, by the owner--> merged   (for good)
///
/// Invariants
///     1. The number of references is `local_` plus what `shared_` counts. Either may be negative:
///        a reference may come on one thread and go on another.
///     2. While biased the owner holds a reference of its own: nobody sees the count reach zero.
///     3. Merged, `local_` is not used any more. Whoever brings the count to zero is told so, once.
///
/// *Thread safety*: `owner_…` and `merge` are the owner's, `other_…` everybody's.
class biased_count {
public:
    /// Starts with one reference, biased.
    biased_count() noexcept = default;
    biased_count(const biased_count&) = delete;
    biased_count& operator=(const biased_count&) = delete;

    void owner_add() noexcept { ++local_; }
    void owner_drop() noexcept { --local_; }

    void other_add() noexcept { shared_.fetch_add(one, std::memory_order_relaxed); }
    /// Tells whether that was the last one.
    [[nodiscard]] bool other_drop() noexcept {
        // Release: what this thread did with the object comes before its end. Acquire: pairs with
        // the release of the others.
        return shared_.fetch_sub(one, std::memory_order_acq_rel) == one + merged;
    }

    /// Ends the bias and drops one reference, the owner's. Tells whether that was the last one.
    [[nodiscard]] bool merge() noexcept {
        const std::int32_t added = (local_ - 1) * one + merged;
        return shared_.fetch_add(added, std::memory_order_acq_rel) + added == merged;
    }
    /// Ends the bias. *Requires*: nobody else knows of the object yet.
    void share() noexcept { shared_.store(local_ * one + merged, std::memory_order_relaxed); }

private:
    static constexpr std::int32_t merged = 1;  // The lowest bit.
    static constexpr std::int32_t one = 2;

    std::int32_t local_ = 1;
    std::atomic<std::int32_t> shared_{0};
};

}  // namespace heph::rt::detail
