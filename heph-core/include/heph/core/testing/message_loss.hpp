#pragma once

// A reference that loses messages, as networks and crashed processes do.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include <heph/core/actor_ref.hpp>
#include <heph/core/detail/any_future.hpp>
#include <heph/core/detail/ref_target.hpp>

namespace heph::testing {

namespace detail {

/// Decides what is lost. *Thread safety*: safe.
class loss_state {
public:
    loss_state(unsigned percent, std::uint64_t seed) : random_(seed), percent_(percent) {}

    [[nodiscard]] bool lose() {
        const std::scoped_lock lock(mutex_);
        const bool lost = random_() % 100 < percent_;
        ++(lost ? lost_ : passed_);
        return lost;
    }
    void set_percent(unsigned percent) {
        const std::scoped_lock lock(mutex_);
        percent_ = percent;
    }
    [[nodiscard]] std::size_t lost() const {
        const std::scoped_lock lock(mutex_);
        return lost_;
    }
    [[nodiscard]] std::size_t passed() const {
        const std::scoped_lock lock(mutex_);
        return passed_;
    }

private:
    mutable std::mutex mutex_;
    std::mt19937_64 random_;
    std::size_t lost_ = 0;
    std::size_t passed_ = 0;
    unsigned percent_;
};

template <typename M>
class lossy_target final : public heph::detail::ref_target<M> {
    using result_type = heph::detail::send_result<M>;

public:
    lossy_target(actor_ref<M> to, std::shared_ptr<loss_state> state)
        : to_(std::move(to)), state_(std::move(state)) {}

    result_type try_send(M&& message) const override {
        if (state_->lose()) {
            [[maybe_unused]] const M lost(std::move(message));
            return {};
        }
        return to_.try_send(std::move(message));
    }
    heph::detail::any_future<result_type> send(M&& message) const override {
        if (state_->lose()) {
            [[maybe_unused]] const M lost(std::move(message));
            return heph::detail::any_future<result_type>(
                heph::detail::ready_future<result_type>(result_type()));
        }
        return heph::detail::any_future<result_type>(to_.send(std::move(message)));
    }
    heph::detail::any_future<void> join() const override {
        return heph::detail::any_future<void>(to_.join());
    }
    bool is_connected() const noexcept override { return to_.is_connected(); }
    inbox::channel_id id() const noexcept override { return to_.id(); }
    std::optional<inbox::observer> observe() const noexcept override { return to_.observe(); }

private:
    actor_ref<M> to_;
    std::shared_ptr<loss_state> state_;
};

}  // namespace detail

/// Makes references to an actor that lose some of the messages. What is lost is destroyed, and its
/// sender is told that it was sent. A lost `rpc` tells its caller `no_reply` at once: the request
/// is gone, and that much is always noticed.
///
///     heph::testing::message_loss<int> loss(ref, 30, 42);  // 30 %, by the seed 42
///     auto client = run.spawn(run.supervisor(), heph::actor_fn(sender), loss.ref());
///     run.run();
///     CHECK(loss.lost() != 0);
///     loss.set_percent(0);  // the network has healed
///
/// The same seed loses the same, message by message, as long as they come in the same order.
/// *Thread safety*: safe.
template <typename M>
class message_loss {
public:
    /// *Requires*: `percent` is 0 to 100.
    message_loss(actor_ref<M> to, unsigned percent, std::uint64_t seed = 0)
        : state_(std::make_shared<detail::loss_state>(percent, seed)),
          ref_(heph::detail::ref_access::to_target<M>(
              std::make_shared<const detail::lossy_target<M>>(std::move(to), state_))) {}

    /// Gives a reference that loses messages. It equals one that does not.
    [[nodiscard]] actor_ref<M> ref() const { return ref_; }

    /// Changes how many are lost from now on, 0 to 100.
    void set_percent(unsigned percent) { state_->set_percent(percent); }

    /// Counts what was lost.
    [[nodiscard]] std::size_t lost() const { return state_->lost(); }
    /// Counts what was not lost; the actor may have been full, or finished.
    [[nodiscard]] std::size_t passed() const { return state_->passed(); }

private:
    std::shared_ptr<detail::loss_state> state_;
    actor_ref<M> ref_;
};

}  // namespace heph::testing
