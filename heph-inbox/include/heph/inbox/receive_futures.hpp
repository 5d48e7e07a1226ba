#pragma once

// Receives that wait for a message.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <heph/inbox/future.hpp>
#include <heph/inbox/receiver.hpp>

namespace heph::inbox {

namespace detail {

/// What the futures of a receiver share: who waits leaves nothing behind, and takes nothing away
/// that another one has left.
template <typename T, typename Layout>
class receive_future_base {
public:
    /// Moves a future that was not polled yet.
    receive_future_base(receive_future_base&& other) noexcept : word_(other.word_) {
        HEPH_ASSERT(!other.waits());
    }
    receive_future_base& operator=(receive_future_base&&) = delete;

protected:
    explicit receive_future_base(receiver<T, Layout>& from) noexcept
        : word_(reinterpret_cast<std::uintptr_t>(&from)) {}
    ~receive_future_base() {
        if (waits()) [[unlikely]] { from().stop_waiting(this); }
    }

    // Asks for a message, and leaves the waker when there is none yet.
    [[nodiscard]] readiness poll_ready(const waker& who) noexcept {
        receiver<T, Layout>& its = from();
        if (its.state_->has_message(its.place_)) [[likely]] {
            note(its, readiness::message);  // Who claimed its position has taken the waker.
            return readiness::message;
        }
        return wait(who);
    }

    [[nodiscard]] receiver<T, Layout>& from() const noexcept {
        return *reinterpret_cast<receiver<T, Layout>*>(word_ & ~readiness_bits);
    }
    /// Tells whether the last poll said `disconnected`.
    [[nodiscard]] bool is_over() const noexcept {
        return (word_ & std::to_underlying(readiness::disconnected)) != 0;
    }

private:
    static constexpr std::uintptr_t readiness_bits = 3;

    // In three parts, each of which ends with a call at most, and so has few registers to save: to
    // wait is what most receives do.
    [[gnu::noinline]] readiness wait(const waker& who) noexcept {
        kept_waker::add_reference(who);
        receiver<T, Layout>& its = from();
        if (!its.try_wait(who, this)) [[unlikely]] { return wait_otherwise(who); }
        if (!its.state_->has_senders()) [[unlikely]] { return has_waited(); }
        note(its, readiness::nothing_yet);
        return readiness::nothing_yet;
    }
    [[gnu::noinline]] readiness wait_otherwise(const waker& who) noexcept {
        kept_waker::drop_reference(who);
        receiver<T, Layout>& its = from();
        const readiness now = its.wait_ready(who, this);
        note(its, now);
        return now;
    }
    [[gnu::noinline]] readiness has_waited() noexcept {
        receiver<T, Layout>& its = from();
        const readiness now = its.has_waited();
        note(its, now);
        return now;
    }

    [[nodiscard]] bool waits() const noexcept {
        return (word_ & std::to_underlying(readiness::nothing_yet)) != 0;
    }
    void note(receiver<T, Layout>& its, readiness now) noexcept {
        word_ = reinterpret_cast<std::uintptr_t>(&its) | std::to_underlying(now);
    }

    // The receiver's address and, in the lowest bits, what the last poll came to: so whether the
    // channel may have our waker. Each await of a message keeps one word less in its frame.
    static_assert(alignof(void*) > readiness_bits);  // A receiver has pointers in it.
    std::uintptr_t word_;
};

}  // namespace detail

/// Gives the next message. Made by `receiver::recv`.
///
/// *Cancellation*: loses nothing: a message stays in the channel until a poll gives it.
/// *Lifetime*: the receiver must outlive it, and stay where it is.
template <typename T, typename Layout>
class [[nodiscard]] recv_future : detail::receive_future_base<T, Layout> {
public:
    using value_type = std::optional<T>;

    recv_future(recv_future&& other) noexcept = default;

    polled<value_type> poll(const waker& who) noexcept {
        const auto now = this->poll_ready(who);
        if (now == detail::readiness::message) {
            receiver<T, Layout>& its = this->from();
            return its.template take<polled<value_type>>(*its.state_, its.place_, std::in_place,
                                                         std::in_place);
        }
        if (now == detail::readiness::nothing_yet) { return pending; }
        return polled<value_type>(std::nullopt);
    }

    /// Asks like `poll`, and leaves the value where it is until `take` gives it: who awaits the
    /// future needs no room for it. Nobody else may receive in between.
    [[nodiscard]] bool ready_to_take(const waker& who) noexcept {
        return this->poll_ready(who) != detail::readiness::nothing_yet;
    }
    /// Gives the value. *Requires*: `ready_to_take` said so, and it was not given yet.
    [[nodiscard, gnu::always_inline]] value_type take() noexcept {
        receiver<T, Layout>& its = this->from();
        if (this->is_over()) [[unlikely]] { return std::nullopt; }
        detail::channel_state<T, Layout>& state = *its.state_;
        const detail::cursor place = its.place_;
        HEPH_ASSERT(state.has_message(place));
        if constexpr (receiver<T, Layout>::fits_register) {
            // Not as an optional, which comes in two registers: g++ would write it to memory in
            // parts and read it as a whole, for which the processor has to wait.
            return value_type(std::in_place, its.take_small(state, place));
        } else {
            return its.template take<value_type>(state, place, std::in_place);
        }
    }

private:
    friend class receiver<T, Layout>;
    using detail::receive_future_base<T, Layout>::receive_future_base;
};

/// Gives all messages that are there, once there are some. Made by `receiver::recv_many`.
///
/// *Cancellation*: loses nothing: messages stay in the channel until a poll takes them.
/// *Lifetime*: the receiver, and the vector, must outlive it, and stay where they are.
template <typename T, typename Layout>
class [[nodiscard]] recv_many_future : detail::receive_future_base<T, Layout> {
public:
    using value_type = std::size_t;

    recv_many_future(recv_many_future&& other) noexcept = default;

    polled<value_type> poll(const waker& who) {
        const auto now = this->poll_ready(who);
        if (now == detail::readiness::nothing_yet) { return pending; }
        if (now == detail::readiness::disconnected) { return value_type{0}; }
        return this->from().try_recv_many(*out_, limit_);
    }

private:
    friend class receiver<T, Layout>;

    recv_many_future(receiver<T, Layout>& from, std::vector<T>& out, std::size_t limit) noexcept
        : detail::receive_future_base<T, Layout>(from), out_(&out), limit_(limit) {
        HEPH_ASSERT(limit != 0);
    }

    std::vector<T>* out_;
    std::size_t limit_;
};

/// Gives all messages that are there, as many as there is room for, once there are some. Made by
/// `receiver::recv_many`.
///
/// *Cancellation*: loses nothing: messages stay in the channel until a poll takes them.
/// *Lifetime*: the receiver, and the span, must outlive it, and stay where they are.
template <typename T, typename Layout>
class [[nodiscard]] recv_span_future : detail::receive_future_base<T, Layout> {
public:
    using value_type = std::size_t;

    recv_span_future(recv_span_future&& other) noexcept = default;

    polled<value_type> poll(const waker& who) noexcept {
        const auto now = this->poll_ready(who);
        if (now == detail::readiness::nothing_yet) { return pending; }
        if (now == detail::readiness::disconnected) { return value_type{0}; }
        return this->from().try_recv_many(out_);
    }

private:
    friend class receiver<T, Layout>;

    recv_span_future(receiver<T, Layout>& from, std::span<T> out) noexcept
        : detail::receive_future_base<T, Layout>(from), out_(out) {
        HEPH_ASSERT(!out.empty());
    }

    std::span<T> out_;
};

/// Shows the next message. Made by `receiver::peek`.
///
/// *Cancellation*: changes nothing.
/// *Lifetime*: the receiver must outlive it, and stay where it is.
template <typename T, typename Layout>
class [[nodiscard]] peek_future : detail::receive_future_base<T, Layout> {
public:
    using value_type = T*;

    peek_future(peek_future&& other) noexcept = default;

    polled<value_type> poll(const waker& who) noexcept {
        const auto now = this->poll_ready(who);
        if (now == detail::readiness::nothing_yet) { return pending; }
        if (now == detail::readiness::disconnected) { return value_type{nullptr}; }
        receiver<T, Layout>& its = this->from();
        return std::addressof(its.state_->next(its.place_));
    }

private:
    friend class receiver<T, Layout>;
    using detail::receive_future_base<T, Layout>::receive_future_base;
};

template <typename T, typename Layout>
recv_future<T, Layout> receiver<T, Layout>::recv() noexcept {
    static_assert(detail::check_awaited_type<T>());
    return recv_future<T, Layout>(*this);
}

template <typename T, typename Layout>
recv_many_future<T, Layout> receiver<T, Layout>::recv_many(std::vector<T>& out,
                                                           std::size_t limit) noexcept {
    return recv_many_future<T, Layout>(*this, out, limit);
}

template <typename T, typename Layout>
recv_span_future<T, Layout> receiver<T, Layout>::recv_many(std::span<T> out) noexcept {
    return recv_span_future<T, Layout>(*this, out);
}

template <typename T, typename Layout>
peek_future<T, Layout> receiver<T, Layout>::peek() noexcept {
    return peek_future<T, Layout>(*this);
}

template <typename T, typename Layout>
std::optional<T> receiver<T, Layout>::recv_blocking() {
    recv_future<T, Layout> receiving(*this);
    return detail::wait_for<environment>(receiving).value();
}

template <typename T, typename Layout>
template <typename Clock, typename Duration>
std::expected<T, recv_error> receiver<T, Layout>::recv_blocking(
    const std::chrono::time_point<Clock, Duration>& deadline) {
    recv_future<T, Layout> receiving(*this);
    auto polled = detail::wait_until<environment>(receiving, deadline);
    if (!polled.is_ready()) { return std::unexpected(recv_error::empty); }
    std::optional<T> received = std::move(polled).value();
    if (!received) { return std::unexpected(recv_error::disconnected); }
    return *std::move(received);
}

template <typename T, typename Layout>
std::size_t receiver<T, Layout>::recv_many_blocking(std::span<T> out) {
    recv_span_future<T, Layout> receiving(*this, out);
    return detail::wait_for<environment>(receiving).value();
}

template <typename T, typename Layout>
template <typename Clock, typename Duration>
std::size_t receiver<T, Layout>::recv_many_blocking(
    std::span<T> out, const std::chrono::time_point<Clock, Duration>& deadline) {
    recv_span_future<T, Layout> receiving(*this, out);
    auto polled = detail::wait_until<environment>(receiving, deadline);
    return polled.is_ready() ? polled.value() : 0;
}

}  // namespace heph::inbox
