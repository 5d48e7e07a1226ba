#pragma once

// Waiting until the other side of a channel is gone.

#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/inbox/detail/channel_core.hpp>
#include <heph/inbox/future.hpp>
#include <heph/inbox/fwd.hpp>

namespace heph::inbox {

/// Which side of a channel is waited for.
enum class side : unsigned char {
    senders,   ///< All senders.
    receiver,  ///< The receiver, and the manager that could make a new one.
};

/// Is ready when the other side is gone. Made by `sender::join` and `receiver::join`.
///
/// *Cancellation*: leaves nothing behind.
/// *Lifetime*: what made it must outlive it.
template <typename Environment>
class [[nodiscard]] basic_join_future {
public:
    using value_type = void;

    basic_join_future(detail::basic_channel_core<Environment>& core, side awaited) noexcept
        : core_(&core), awaited_(awaited) {}
    /// Moves a future that was not polled yet.
    basic_join_future(basic_join_future&& other) noexcept
        : core_(other.core_), awaited_(other.awaited_) {
        HEPH_ASSERT(!other.waited_);
    }
    basic_join_future& operator=(basic_join_future&&) = delete;
    ~basic_join_future() {
        if (waited_) { core_->forget_join(node_); }
    }

    polled<void> poll(const waker& who) noexcept {
        const auto is_gone = [this]() noexcept {
            return awaited_ == side::receiver ? core_->closed() : !core_->has_senders();
        };
        if (!waited_ && is_gone()) { return ready; }
        waited_ = !core_->gone_or_wait(node_, who, is_gone);
        if (waited_) { return pending; }
        return ready;
    }

private:
    detail::basic_channel_core<Environment>* core_;
    detail::wait_node node_;
    side awaited_;
    bool waited_ = false;  // Whether `node_` may be in the list.
};

using join_future = basic_join_future<detail::standard_environment>;

}  // namespace heph::inbox
