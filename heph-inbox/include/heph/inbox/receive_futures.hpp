#pragma once

// Receives that wait for a message.

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include <heph/inbox/future.hpp>
#include <heph/inbox/receiver.hpp>

namespace heph::inbox {

namespace detail {

/// What the futures of a receiver share: who waits leaves nothing behind.
template <typename T>
class receive_future_base {
public:
    /// Moves a future that was not polled yet.
    receive_future_base(receive_future_base&& other) noexcept : from_(other.from_) {
        HEPH_ASSERT(!other.waits_);
    }
    receive_future_base& operator=(receive_future_base&&) = delete;

protected:
    explicit receive_future_base(receiver<T>& from) noexcept : from_(&from) {}
    ~receive_future_base() = default;

    receiver<T>* from_;
    bool waits_ = false;  // Whether the channel may have our waker.
};

}  // namespace detail

/// Gives the next message. Made by `receiver::recv`.
///
/// *Cancellation*: loses nothing: a message stays in the channel until a poll gives it.
/// *Lifetime*: the receiver must outlive it, and stay where it is.
template <typename T>
class [[nodiscard]] recv_future : detail::receive_future_base<T> {
public:
    using value_type = std::optional<T>;

    recv_future(recv_future&& other) noexcept = default;
    ~recv_future() {
        if (this->waits_) { this->from_->state_->forget_receiver(); }
    }

    polled<value_type> poll(const waker& who) noexcept {
        const auto now = this->from_->poll_ready(who);
        this->waits_ = now == detail::readiness::nothing_yet;
        if (this->waits_) { return pending; }
        if (now == detail::readiness::disconnected) { return polled<value_type>(std::nullopt); }
        return this->from_->template take<polled<value_type>>(std::in_place, std::in_place);
    }

private:
    friend class receiver<T>;
    using detail::receive_future_base<T>::receive_future_base;
};

/// Gives all messages that are there, once there are some. Made by `receiver::recv_many`.
///
/// *Cancellation*: loses nothing: messages stay in the channel until a poll takes them.
/// *Lifetime*: the receiver, and the vector, must outlive it, and stay where they are.
template <typename T>
class [[nodiscard]] recv_many_future : detail::receive_future_base<T> {
public:
    using value_type = std::size_t;

    recv_many_future(recv_many_future&& other) noexcept = default;
    ~recv_many_future() {
        if (this->waits_) { this->from_->state_->forget_receiver(); }
    }

    polled<value_type> poll(const waker& who) {
        const auto now = this->from_->poll_ready(who);
        this->waits_ = now == detail::readiness::nothing_yet;
        if (this->waits_) { return pending; }
        if (now == detail::readiness::disconnected) { return value_type{0}; }
        return this->from_->try_recv_many(*out_, limit_);
    }

private:
    friend class receiver<T>;

    recv_many_future(receiver<T>& from, std::vector<T>& out, std::size_t limit) noexcept
        : detail::receive_future_base<T>(from), out_(&out), limit_(limit) {
        HEPH_ASSERT(limit != 0);
    }

    std::vector<T>* out_;
    std::size_t limit_;
};

/// Shows the next message. Made by `receiver::peek`.
///
/// *Cancellation*: changes nothing.
/// *Lifetime*: the receiver must outlive it, and stay where it is.
template <typename T>
class [[nodiscard]] peek_future : detail::receive_future_base<T> {
public:
    using value_type = T*;

    peek_future(peek_future&& other) noexcept = default;
    ~peek_future() {
        if (this->waits_) { this->from_->state_->forget_receiver(); }
    }

    polled<value_type> poll(const waker& who) noexcept {
        const auto now = this->from_->poll_ready(who);
        this->waits_ = now == detail::readiness::nothing_yet;
        if (this->waits_) { return pending; }
        if (now == detail::readiness::disconnected) { return value_type{nullptr}; }
        return &this->from_->state_->at(this->from_->position_);
    }

private:
    friend class receiver<T>;
    using detail::receive_future_base<T>::receive_future_base;
};

template <typename T>
recv_future<T> receiver<T>::recv() noexcept {
    static_assert(detail::check_awaited_type<T>());
    return recv_future<T>(*this);
}

template <typename T>
recv_many_future<T> receiver<T>::recv_many(std::vector<T>& out, std::size_t limit) noexcept {
    return recv_many_future<T>(*this, out, limit);
}

template <typename T>
peek_future<T> receiver<T>::peek() noexcept {
    return peek_future<T>(*this);
}

template <typename T>
std::optional<T> receiver<T>::recv_blocking() {
    recv_future<T> receiving(*this);
    return detail::wait_for(receiving).value();
}

template <typename T>
template <typename Clock, typename Duration>
std::expected<T, recv_error> receiver<T>::recv_blocking(
    const std::chrono::time_point<Clock, Duration>& deadline) {
    recv_future<T> receiving(*this);
    auto polled = detail::wait_until(receiving, deadline);
    if (!polled.is_ready()) { return std::unexpected(recv_error::empty); }
    std::optional<T> received = std::move(polled).value();
    if (!received) { return std::unexpected(recv_error::disconnected); }
    return *std::move(received);
}

}  // namespace heph::inbox
