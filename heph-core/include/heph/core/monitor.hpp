#pragma once

// Death watch: learning that an actor ended, and how.
//
//     heph::monitor_future watching = heph::monitor(worker_ref);
//     auto first = co_await heph::either(ctx.receive(), watching);
//     if (first.index() == 1) {
//         const heph::actor_end& end = std::get<1>(first);
//         if (end.reason() == heph::end_reason::failed) { … end.text() … }
//     }
//
//     // Or as a message, by a task of its own:
//     runtime.spawn_future(heph::tell_end(heph::monitor(worker_ref), ctx.self()));
//
// An actor leaves a word in its inbox when it ends, and a monitor keeps the inbox's memory: so it
// gives the same answer whenever it was made, also after the end, and on any thread. It costs the
// actor nothing until it ends, and no memory that it does not have anyway.
//
// A restart is no end: the inbox, and with it what the reference leads to, goes on.

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

#include <heph/core/actor_end.hpp>
#include <heph/core/actor_ref.hpp>
#include <heph/core/task.hpp>
#include <heph/inbox/future.hpp>
#include <heph/inbox/observer.hpp>

namespace heph {

/// Waits until an actor ended, and tells how. Made by `monitor`; the same type for actors of any
/// message. It does not keep the actor running, as a reference does by what it may still send.
///
/// It may be moved before its first poll. *Cancellation*: ends the watch.
class [[nodiscard]] monitor_future {
public:
    using value_type = actor_end;

    /// Watches through an observer. Without one it is never ready.
    explicit monitor_future(std::optional<inbox::observer> observer) noexcept
        : observer_(std::move(observer)) {
        if (observer_) { joining_.emplace(observer_->join()); }
    }
    /// Moves a future that was not polled yet.
    monitor_future(monitor_future&& other) noexcept = default;
    monitor_future& operator=(monitor_future&&) = delete;
    ~monitor_future() = default;

    /// *Errors*: throws `std::bad_alloc` when there is no memory for the failure's text.
    polled<actor_end> poll(const waker& waker) {
        if (!joining_ || !joining_->poll(waker).is_ready()) { return pending; }
        return polled<actor_end>(detail::read_end_word(observer_->word()));
    }

    /// Tells whether the actor ended, without waiting.
    [[nodiscard]] bool is_ended() const noexcept {
        return observer_.has_value() && !observer_->is_connected();
    }

private:
    std::optional<inbox::observer> observer_;
    std::optional<inbox::join_future> joining_;  // Borrows the channel, not the observer itself.
};

/// Watches the actor behind a reference. It is ready at once when that has ended already. To
/// stop watching, drop it. Behind a reference to a function, or to nothing, nobody ever ends.
///
/// *Thread safety*: the actor may run, and end, on any thread.
template <typename M>
[[nodiscard]] monitor_future monitor(const actor_ref<M>& watched) noexcept {
    return monitor_future(watched.observe());
}

/// Sends the end of an actor to another one as a message: waits for it, then for room. For an
/// executor to run: `runtime.spawn_future(tell_end(monitor(ref), ctx.self()))`. `to` takes an
/// `actor_end`, or what can be made from one; `to.map_fn<actor_end>(…)` says who it was.
///
/// While it waits it holds a reference to the receiver. *Cancellation*: ends the watch.
template <typename M>
    requires std::constructible_from<M, actor_end>
[[nodiscard]] task<> tell_end(monitor_future watching, actor_ref<M> to) {
    actor_end end = co_await std::move(watching);
    M message(std::move(end));
    // When the receiver has ended, too, there is nobody left to tell.
    (void)co_await to.send(std::move(message));
}

}  // namespace heph
