#pragma once

// Looking on at a channel, without taking part.

#include <utility>

#include <heph/inbox/channel_id.hpp>
#include <heph/inbox/detail/channel_core.hpp>
#include <heph/inbox/detail/channel_state.hpp>
#include <heph/inbox/join_future.hpp>

namespace heph::inbox {

using detail::last_word;

/// Sees when the receiving side of a channel goes, and why. It is no sender: a receiver whose
/// senders are all gone is disconnected, however many observers there are. It keeps the channel's
/// memory, and so its id from being used again.
///
/// A moved-from observer may only be destroyed or assigned to.
///
/// *Thread safety*: distinct objects: safe. Shared objects: safe for everything but assignment.
class observer {
public:
    /// Observes a channel. *Requires*: the caller keeps it alive, as a sender for one.
    template <typename T, typename Layout>
    [[nodiscard]] static observer of(detail::channel_state<T, Layout>& state) noexcept {
        return observer(state, [](detail::channel_core& core) noexcept {
            static_cast<detail::channel_state<T, Layout>&>(core).free();
        });
    }

    observer(const observer& other) noexcept : core_(other.core_), free_(other.free_) {
        if (core_ != nullptr) { core_->add_hold(); }
    }
    observer(observer&& other) noexcept
        : core_(std::exchange(other.core_, nullptr)), free_(other.free_) {}
    observer& operator=(observer other) noexcept {
        std::swap(core_, other.core_);
        std::swap(free_, other.free_);
        return *this;
    }
    ~observer() {
        if (core_ != nullptr && core_->drop_hold()) { free_(*core_); }
    }

    /// Is ready when the receiver, and the manager that could make a new one, are gone.
    /// *Lifetime*: borrows the observer.
    [[nodiscard]] join_future join() const noexcept { return join_future(*core_, side::receiver); }

    /// Tells whether a message may still be received.
    [[nodiscard]] bool is_connected() const noexcept { return !core_->closed(); }

    /// Gives the word that the manager left when it went; null when it left none, and as long as
    /// the channel is connected. *Lifetime*: the observer's.
    [[nodiscard]] const last_word* word() const noexcept {
        return core_->closed() ? core_->word() : nullptr;
    }

    [[nodiscard]] channel_id id() const noexcept { return channel_id(core_); }

private:
    using free_function = void (*)(detail::channel_core&) noexcept;

    observer(detail::channel_core& core, free_function free) noexcept : core_(&core), free_(free) {
        core.add_hold();
    }

    detail::channel_core* core_;
    free_function free_;
};

}  // namespace heph::inbox
