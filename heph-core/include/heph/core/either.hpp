#pragma once

// Waiting for the first of several futures.

#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <heph/core/detail/future_traits.hpp>
#include <heph/core/dump.hpp>
#include <heph/core/sendable.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

/// Waits for the first of several futures. See `either`.
template <typename... Held>
class [[nodiscard]] either_future {
public:
    /// Says by its index which future was first. A `void` value is a `std::monostate`.
    using value_type = std::variant<detail::held_value_t<Held>...>;
    static constexpr bool is_sendable = (sendable<Held> && ...);

    explicit either_future(Held&&... futures) : futures_(std::forward<Held>(futures)...) {}

    polled<value_type> poll(const waker& waker) noexcept((detail::polls_noexcept<Held> && ...)) {
        return poll_from<0>(waker);
    }

    /// Shows the tasks it holds to `heph::dump`.
    void visit_tasks(detail::task_stack_visitor& visitor) const {
        std::apply([&](const auto&... each) { (detail::visit_tasks_of(each, visitor), ...); },
                   futures_);
    }

private:
    template <std::size_t Index>
    polled<value_type> poll_from(const waker& waker) {
        auto polled_one = std::get<Index>(futures_).poll(waker);
        if (polled_one.is_ready()) {
            if constexpr (std::is_void_v<typename decltype(polled_one)::value_type>) {
                return polled<value_type>(std::in_place, std::in_place_index<Index>);
            } else {
                return polled<value_type>(std::in_place, std::in_place_index<Index>,
                                          std::move(polled_one).value());
            }
        }
        if constexpr (Index + 1 < sizeof...(Held)) {
            return poll_from<Index + 1>(waker);
        } else {
            return pending;
        }
    }

    std::tuple<Held...> futures_;
};

/// Waits for whichever future is ready first, and gives its value in a variant whose index says
/// which it was. When several are ready, the leftmost wins.
///
///     auto first = co_await heph::either(ctx.receive(), heph::rt::timer(1s));
///     if (first.index() == 1) { /* nothing came within a second */ }
///
/// Futures given as temporaries or moved are kept; the losers are cancelled when the result of
/// this call is destroyed. Those given as lvalues are borrowed, and can be awaited again later.
///
/// *Errors*: an exception of a future leaves `poll`. *Cancellation*: cancels the futures it keeps.
template <typename... Futures>
    requires(sizeof...(Futures) > 0 && (future<std::remove_cvref_t<Futures>> && ...))
[[nodiscard]] either_future<Futures...> either(Futures&&... futures) {
    return either_future<Futures...>(std::forward<Futures>(futures)...);
}

}  // namespace heph

#include <heph/core/either_range.hpp>  // IWYU pragma: export
