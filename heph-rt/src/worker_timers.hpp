#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/rt/detail/timer_node.hpp>
#include <heph/rt/time_source.hpp>
#include <heph/rt/timer_queue.hpp>

#include "timing_wheel.hpp"

namespace heph::rt::detail {

/// The timers of a worker: in its wheel, or in a queue of the program's, which nobody asks while it
/// has none. For the wheel that costs a branch when a timer is added or removed, and a few a turn.
///
/// Invariant: where there is a queue, the wheel is empty, and `queued_` timers are in the queue.
///
/// *Thread safety*: unsafe.
class worker_timers {
public:
    /// Puts a queue in the wheel's place. *Requires*: no timer was added yet.
    void replace(std::unique_ptr<timer_queue> by) noexcept { queue_ = std::move(by); }

    /// Adds a node for `node.when`. *Requires*: it is among no timers. *Errors*: what the queue
    /// throws; it is not added then.
    void add(timer_node& node) {
        if (queue_ == nullptr) [[likely]] {
            wheel_.add(node);
        } else {
            add_to_queue(node);
        }
    }
    /// Removes a node. *Requires*: it is among these.
    void remove(timer_node& node) noexcept {
        if (queue_ == nullptr) [[likely]] {
            wheel_.remove(node);
        } else {
            remove_from_queue(node);
        }
    }

    /// Calls `fire` with each node whose time has come, after taking it out, in the order of their
    /// times, and with whether it has come, which only a queue of the program's may get wrong.
    template <typename Fire>
    void advance(std::uint64_t now_ms, Fire fire) {
        wheel_.advance(now_ms, [&fire](timer_node& node) { fire(node, true); });
        if (queued_ != 0) [[unlikely]] { advance_queue(now_ms, fire); }
    }

    /// Gives when they have to be advanced next: at or before the earliest node's time.
    [[nodiscard]] std::optional<std::uint64_t> next_expiry() const noexcept {
        if (queued_ != 0) [[unlikely]] {
            const std::uint64_t next = next_of_queue();
            return next == never ? std::nullopt : std::optional(next);
        }
        return wheel_.next_expiry();
    }

    [[nodiscard]] bool empty() const noexcept { return wheel_.size() == 0 && queued_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return wheel_.size() + queued_; }

private:
    static constexpr std::uint64_t never = ~std::uint64_t{0};

    // Not inline: whoever has a wheel would save registers for them.
    [[gnu::noinline]] void add_to_queue(timer_node& node) {
        queue_->add(node);
        ++queued_;
    }
    [[gnu::noinline]] void remove_from_queue(timer_node& node) noexcept {
        queue_->remove(node);
        --queued_;
    }
    template <typename Fire>
    [[gnu::noinline]] void advance_queue(std::uint64_t now_ms, Fire& fire) {
        const std::chrono::milliseconds now(static_cast<std::int64_t>(now_ms));
        while (queued_ != 0) {
            armed_timer* given = queue_->expire(now);
            if (given == nullptr) { return; }
            --queued_;
            auto& node = static_cast<timer_node&>(*given);
            HEPH_ASSERT(node.armed());  // Otherwise it was given twice, or after its removal.
            fire(node, node.when <= now_ms);
        }
    }
    [[nodiscard]] [[gnu::noinline]] std::uint64_t next_of_queue() const noexcept {
        const auto next = queue_->next();
        if (!next) { return never; }
        // Within what the clock can hold.
        constexpr auto last = std::chrono::floor<std::chrono::milliseconds>(clock::duration::max());
        return static_cast<std::uint64_t>(
            std::clamp(*next, std::chrono::milliseconds::zero(), last).count());
    }

    timing_wheel wheel_;
    std::unique_ptr<timer_queue> queue_;
    std::size_t queued_ = 0;
};

}  // namespace heph::rt::detail
