#pragma once

// What comes of an operation of another library, on its way to who waits for it.

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include <heph/core/operation_abandoned.hpp>
#include <heph/inbox/assert.hpp>
#include <heph/inbox/oneshot.hpp>
#include <heph/inbox/polled.hpp>
#include <heph/inbox/waker.hpp>

namespace heph::detail {

/// Holds a value or an exception, and moves without throwing whatever the value is.
template <typename T>
class outcome {
    static constexpr bool moves_safely =
        std::is_void_v<T> ||
        (std::is_nothrow_move_constructible_v<T> &&
         alignof(std::conditional_t<std::is_void_v<T>, char, T>) <= alignof(std::max_align_t));
    using value_type = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
    using kept_type = std::conditional_t<moves_safely, value_type, std::unique_ptr<value_type>>;

public:
    outcome() noexcept = default;

    template <typename... Args>
    void set_value(Args&&... args) {
        if constexpr (moves_safely) {
            value_.emplace(std::forward<Args>(args)...);
        } else {
            value_.emplace(std::make_unique<value_type>(std::forward<Args>(args)...));
        }
    }
    void set_exception(std::exception_ptr thrown) noexcept { thrown_ = std::move(thrown); }

    /// Gives the value as a future does, or throws.
    polled<T> take() {
        if (thrown_) { std::rethrow_exception(std::move(thrown_)); }
        if constexpr (std::is_void_v<T>) {
            return ready;
        } else if constexpr (moves_safely) {
            return polled<T>(std::in_place, std::move(*value_));
        } else {
            return polled<T>(std::in_place, std::move(**value_));
        }
    }

private:
    // Not a variant, in which g++ 12 would see an uninitialised exception.
    std::exception_ptr thrown_;
    std::optional<kept_type> value_;
};

/// Waits for an outcome that is sent through a one-shot channel. Moved before its first poll only.
template <typename T>
class awaited_outcome {
    using receiver_type = inbox::oneshot_receiver<outcome<T>>;

public:
    awaited_outcome() = default;
    explicit awaited_outcome(receiver_type from) : receiver_(std::move(from)) {}
    awaited_outcome(awaited_outcome&& other) noexcept
        : receiver_(std::exchange(other.receiver_, std::nullopt)) {}
    awaited_outcome& operator=(awaited_outcome&&) = delete;
    ~awaited_outcome() = default;

    void begin(receiver_type from) { receiver_.emplace(std::move(from)); }

    /// Tells whether it was begun, and its end was not seen yet.
    [[nodiscard]] bool is_waited_for() const noexcept { return receiver_.has_value(); }
    /// Tells whether, besides, an outcome may still be sent.
    [[nodiscard]] bool may_come() const noexcept {
        return receiver_.has_value() && receiver_->is_connected();
    }

    /// Stops waiting: what is sent from now on goes back to its sender.
    void forget() noexcept {
        waiting_.reset();
        receiver_.reset();
    }

    polled<T> poll(const waker& waker) {
        HEPH_ASSERT(receiver_.has_value());
        if (!waiting_) { waiting_.emplace(receiver_->recv()); }
        auto received = waiting_->poll(waker);
        if (!received.is_ready()) { return pending; }
        forget();
        if (!received.value()) { throw operation_abandoned(); }
        return received.value()->take();
    }

private:
    std::optional<receiver_type> receiver_;
    std::optional<decltype(std::declval<receiver_type&>().recv())> waiting_;
};

/// Leaves an operation alone that nobody waits for any more.
struct no_cancel {
    void operator()() const noexcept {}
};

}  // namespace heph::detail
