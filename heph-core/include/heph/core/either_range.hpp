#pragma once

// Waiting for the first of as many futures as there are at run time.

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include <heph/core/detail/future_traits.hpp>
#include <heph/core/sendable.hpp>
#include <heph/inbox/assert.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

/// Says which future of several was ready first, and what it gave: nothing if `T` is `void`.
template <typename T>
class first_ready {
public:
    template <typename... Value>
    explicit first_ready(std::size_t index, Value&&... value)
        : index_(index), value_(std::forward<Value>(value)...) {}

    /// Gives the position of the future, from 0.
    [[nodiscard]] std::size_t index() const noexcept { return index_; }
    [[nodiscard]] detail::value_or_monostate_t<T>& value() & noexcept { return value_; }
    [[nodiscard]] detail::value_or_monostate_t<T>&& value() && noexcept {
        return std::move(value_);
    }

private:
    std::size_t index_;
    detail::value_or_monostate_t<T> value_;
};

/// Waits for the first of several futures of one type. See `either`.
template <future F>
class [[nodiscard]] either_range_future {
public:
    using value_type = first_ready<future_value_t<F>>;
    static constexpr bool is_sendable = sendable<F>;

    explicit either_range_future(std::vector<F> futures) noexcept : futures_(std::move(futures)) {
        HEPH_ASSERT(!futures_.empty());
    }

    polled<value_type> poll(const waker& waker) {
        for (std::size_t i = 0; i != futures_.size(); ++i) {
            auto now = futures_[i].poll(waker);
            if (!now.is_ready()) { continue; }
            if constexpr (std::is_void_v<future_value_t<F>>) {
                return polled<value_type>(std::in_place, i);
            } else {
                return polled<value_type>(std::in_place, i, std::move(now).value());
            }
        }
        return pending;
    }

private:
    std::vector<F> futures_;
};

/// Waits for whichever of the futures is ready first, and gives its position and its value. When
/// several are ready, the first one wins; the others are cancelled when the result of this call is
/// destroyed. Each poll polls all of them. *Requires*: at least one future.
///
///     std::vector<heph::task<page>> mirrors = …;
///     auto first = co_await heph::either(std::move(mirrors));
///     use(first.index(), first.value());
///
/// *Errors*: an exception of a future leaves `poll`. *Cancellation*: cancels the futures.
template <future F>
[[nodiscard]] either_range_future<F> either(std::vector<F> futures) noexcept {
    return either_range_future<F>(std::move(futures));
}

}  // namespace heph
