#pragma once

// How full a channel is, and how much went through it, read from anywhere.

#include <utility>

#include <heph/inbox/channel_id.hpp>
#include <heph/inbox/detail/channel_state.hpp>
#include <heph/inbox/fwd.hpp>

namespace heph::inbox {

using detail::channel_counts;

/// Reads what a channel counts, on any thread and for as long as it likes: it takes no part in the
/// channel, and keeps its memory. It costs senders and the receiver nothing; both go on meanwhile,
/// so what it reads may be a message or two old. Made by `manager::new_gauge`.
///
/// A moved-from gauge may only be destroyed or assigned to.
///
/// *Thread safety*: distinct objects: safe. Shared objects: safe for everything but assignment.
template <typename T, typename Layout>
class gauge {
public:
    gauge(const gauge& other) noexcept : state_(other.state_) {
        if (state_ != nullptr) { state_->add_hold(); }
    }
    gauge(gauge&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    gauge& operator=(gauge other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~gauge() {
        if (state_ != nullptr && state_->drop_hold()) { state_->free(); }
    }

    /// Gives how many messages are in the channel and how many were received.
    [[nodiscard]] channel_counts counts() const noexcept { return state_->counts(); }

    [[nodiscard]] channel_id id() const noexcept { return channel_id(state_); }

private:
    template <typename, typename>
    friend class manager;

    explicit gauge(detail::channel_state<T, Layout>& state) noexcept : state_(&state) {
        state.add_hold();
    }

    detail::channel_state<T, Layout>* state_;
};

}  // namespace heph::inbox
