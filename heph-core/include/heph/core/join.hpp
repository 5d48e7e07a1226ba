#pragma once

// Waiting for all of several futures.

#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <heph/core/detail/future_traits.hpp>
#include <heph/core/dump.hpp>
#include <heph/core/sendable.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

/// Waits for all of several futures. See `join`.
template <typename... Held>
class [[nodiscard]] join_future {
    static constexpr bool all_void =
        (std::is_void_v<future_value_t<std::remove_cvref_t<Held>>> && ...);

public:
    /// The values in the order of the futures; nothing when no future has a value. A `void` value
    /// among others is a `std::monostate`.
    using value_type =
        std::conditional_t<all_void, void, std::tuple<detail::held_value_t<Held>...>>;
    static constexpr bool is_sendable = (sendable<Held> && ...);

    explicit join_future(Held&&... futures) : parts_(part<Held>(std::forward<Held>(futures))...) {}

    polled<value_type> poll(const waker& waker) noexcept((detail::polls_noexcept<Held> && ...)) {
        const bool all_ready = std::apply(
            [&waker](auto&... parts) {
                // Not short-circuiting: each part has to be polled.
                return (static_cast<unsigned>(parts.poll(waker)) & ...) != 0;
            },
            parts_);
        if (!all_ready) { return pending; }
        if constexpr (all_void) {
            return ready;
        } else {
            return std::apply(
                [](auto&... parts) {
                    return polled<value_type>(std::in_place, std::move(*parts.value)...);
                },
                parts_);
        }
    }

    /// Shows the tasks it holds to `heph::dump`.
    void visit_tasks(detail::task_stack_visitor& visitor) const {
        std::apply([&](const auto&... parts) { (parts.visit_tasks(visitor), ...); }, parts_);
    }

private:
    template <typename H>
    struct part {
        using value_type = detail::held_value_t<H>;

        explicit part(H&& held) : future(std::forward<H>(held)) {}

        bool poll(const waker& waker) {
            if (value.has_value()) { return true; }
            auto result = future.poll(waker);
            if (!result.is_ready()) { return false; }
            if constexpr (std::is_void_v<future_value_t<std::remove_cvref_t<H>>>) {
                value.emplace();
            } else {
                value.emplace(std::move(result).value());
            }
            return true;
        }

        void visit_tasks(detail::task_stack_visitor& visitor) const {
            if (!value.has_value()) { detail::visit_tasks_of(future, visitor); }
        }

        H future;
        std::optional<value_type> value;
    };

    std::tuple<part<Held>...> parts_;
};

/// Waits until every future is ready, and gives their values as a tuple.
///
///     auto [a, b] = co_await heph::join(first.rpc(), second.rpc());
///
/// Futures given as temporaries or moved are kept, those given as lvalues are borrowed.
///
/// *Errors*: an exception of a future leaves `poll` at once, whatever the others do.
/// *Cancellation*: cancels the futures it keeps.
template <typename... Futures>
    requires(sizeof...(Futures) > 0 && (future<std::remove_cvref_t<Futures>> && ...))
[[nodiscard]] join_future<Futures...> join(Futures&&... futures) {
    return join_future<Futures...>(std::forward<Futures>(futures)...);
}

}  // namespace heph

#include <heph/core/join_range.hpp>  // IWYU pragma: export
