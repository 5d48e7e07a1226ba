#pragma once

// Waiting for all of as many futures as there are at run time.

#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <heph/core/detail/future_traits.hpp>
#include <heph/core/sendable.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

/// Waits for all of several futures of one type. See `join`.
template <future F>
class [[nodiscard]] join_range_future {
    using given_type = future_value_t<F>;

public:
    /// The values in the order of the futures; nothing when they have none.
    using value_type = std::conditional_t<std::is_void_v<given_type>, void,
                                          std::vector<detail::value_or_monostate_t<given_type>>>;
    static constexpr bool is_sendable = sendable<F>;

    explicit join_range_future(std::vector<F> futures) : futures_(std::move(futures)) {
        values_.resize(futures_.size());
        left_ = futures_.size();
    }

    polled<value_type> poll(const waker& waker) {
        for (std::size_t i = 0; i != futures_.size(); ++i) {
            if (values_[i]) { continue; }
            auto now = futures_[i].poll(waker);
            if (!now.is_ready()) { continue; }
            if constexpr (std::is_void_v<given_type>) {
                values_[i].emplace();
            } else {
                values_[i].emplace(std::move(now).value());
            }
            --left_;
        }
        if (left_ != 0) { return pending; }
        if constexpr (std::is_void_v<given_type>) {
            return ready;
        } else {
            value_type all;
            all.reserve(values_.size());
            for (auto& value : values_) { all.push_back(*std::move(value)); }
            return polled<value_type>(std::in_place, std::move(all));
        }
    }

private:
    std::vector<F> futures_;
    std::vector<std::optional<detail::value_or_monostate_t<given_type>>> values_;
    std::size_t left_ = 0;
};

/// Waits until every future is ready, and gives their values as a vector in the same order. No
/// futures are ready at once. Each poll polls all that are not ready yet.
///
///     std::vector<heph::task<int>> parts = …;
///     std::vector<int> results = co_await heph::join(std::move(parts));
///
/// *Errors*: an exception of a future leaves `poll` at once, whatever the others do.
/// *Cancellation*: cancels the futures.
template <future F>
[[nodiscard]] join_range_future<F> join(std::vector<F> futures) {
    return join_range_future<F>(std::move(futures));
}

}  // namespace heph
