#pragma once

// What polling a future gives: not yet, or the value.

#include <optional>
#include <utility>

namespace heph {

/// Stands for "not ready yet" in a `return` from `poll`.
struct pending_t {
    explicit constexpr pending_t() noexcept = default;
};

/// The `pending_t` to return.
inline constexpr pending_t pending{};

/// Holds either nothing, because the future is still pending, or the future's value.
template <typename T>
class [[nodiscard]] polled {
public:
    using value_type = T;

    constexpr polled(pending_t) noexcept {}  // NOLINT(google-explicit-constructor)

    constexpr polled(T value)  // NOLINT(google-explicit-constructor)
        : value_(std::in_place, std::move(value)) {}

    /// Builds the value in place.
    template <typename... Args>
    constexpr explicit polled(std::in_place_t, Args&&... args)
        : value_(std::in_place, std::forward<Args>(args)...) {}

    [[nodiscard]] constexpr bool is_ready() const noexcept { return value_.has_value(); }
    [[nodiscard]] constexpr explicit operator bool() const noexcept { return is_ready(); }

    /// Gives the value. *Requires*: `is_ready()`.
    [[nodiscard]] constexpr T& value() & noexcept { return *value_; }
    [[nodiscard]] constexpr T&& value() && noexcept { return std::move(*value_); }
    [[nodiscard]] constexpr const T& value() const& noexcept { return *value_; }

private:
    std::optional<T> value_;
};

/// A future without a value is either pending or done.
template <>
class [[nodiscard]] polled<void> {
public:
    using value_type = void;

    constexpr polled(pending_t) noexcept {}  // NOLINT(google-explicit-constructor)
    constexpr explicit polled(std::in_place_t) noexcept : ready_(true) {}

    [[nodiscard]] constexpr bool is_ready() const noexcept { return ready_; }
    [[nodiscard]] constexpr explicit operator bool() const noexcept { return ready_; }
    constexpr void value() const noexcept {}

private:
    bool ready_ = false;
};

/// The finished `polled<void>` to return.
inline constexpr polled<void> ready{std::in_place};

}  // namespace heph
