#pragma once

// Keeps a channel alive while its receiver is replaced.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <utility>

#include <heph/inbox/channel_id.hpp>
#include <heph/inbox/fwd.hpp>
#include <heph/inbox/gauge.hpp>
#include <heph/inbox/receiver.hpp>
#include <heph/inbox/sender.hpp>

namespace heph::inbox {

using detail::last_word;

/// Makes new senders and, when the receiver is gone, a new receiver of a channel. As long as it is
/// there, messages stay queued and senders stay connected, with or without a receiver. It is no
/// sender: a receiver whose senders are all gone is disconnected nevertheless.
///
/// A moved-from manager may only be destroyed or assigned to.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe. The receiver may be used, and
/// dropped, on another thread.
template <typename T, typename Layout>
class manager {
public:
    manager(manager&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    manager& operator=(manager&& other) noexcept {
        manager old(std::move(*this));
        state_ = std::exchange(other.state_, nullptr);
        return *this;
    }
    ~manager() {
        if (state_ != nullptr) { go(nullptr); }
    }

    /// Goes, and leaves a word that observers can read. The word is dropped with the channel, or at
    /// once when a receiver goes on without the manager. See `observer::word`.
    void leave(const last_word& word) && noexcept {
        if (!go(&word) && word.drop != nullptr) { word.drop(word); }
    }

    /// Tells whether anyone can still send, or ask an observer.
    [[nodiscard]] bool is_watched() const noexcept { return state_->is_watched(); }

    /// Makes a sender, also when none was left.
    [[nodiscard]] sender<T, Layout> new_sender() const noexcept {
        state_->add_sender();
        return sender<T, Layout>(*state_);
    }

    /// Makes a receiver, which goes on where the last one stopped.
    /// *Errors*: `receiver_connected` while there is one.
    [[nodiscard]] std::expected<receiver<T, Layout>, manager_error> new_receiver() noexcept {
        if (!state_->try_add_receiver()) {
            return std::unexpected(manager_error::receiver_connected);
        }
        return receiver<T, Layout>(*state_, state_->saved_position());
    }

    /// Tells whether there is a receiver.
    [[nodiscard]] bool has_receiver() const noexcept { return state_->has_receiver(); }

    /// Gives how many messages are in the channel and how many were received. It costs senders and
    /// the receiver nothing, and is right for a moment of the call.
    [[nodiscard]] detail::channel_counts counts() const noexcept { return state_->counts(); }

    /// Makes a gauge, which reads the same on other threads, and for longer than the channel is
    /// connected.
    [[nodiscard]] gauge<T, Layout> new_gauge() const noexcept { return gauge<T, Layout>(*state_); }

    /// Tells how many messages the channel holds at most.
    [[nodiscard]] std::size_t capacity() const noexcept { return state_->capacity(); }

    [[nodiscard]] channel_id id() const noexcept { return channel_id(state_); }

private:
    friend struct detail::access;

    // Takes over a manager that was counted already.
    explicit manager(detail::channel_state<T, Layout>& state) noexcept : state_(&state) {}

    // Tells whether the word was left.
    [[gnu::noinline]] bool go(const last_word* word) noexcept {
        detail::channel_state<T, Layout>& state = *std::exchange(state_, nullptr);
        if (state.manager_is_alone()) {
            state.close_alone(state.saved_position());
            return false;
        }
        if (!state.drop_manager()) { return false; }
        const std::uint64_t position = state.saved_position();
        if (word != nullptr) { state.leave_word(*word); }
        state.close(position);
        return true;
    }

    detail::channel_state<T, Layout>* state_;
};

}  // namespace heph::inbox
