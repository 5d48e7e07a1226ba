#pragma once

#include <optional>
#include <utility>

#include <heph/core/task.hpp>

namespace heph::http::detail {

/// Polls a task once, and gives its value if that was enough. Otherwise the task goes on, and is
/// awaited by reference. *Lifetime*: it refers to the task.
template <typename T>
class [[nodiscard]] first_poll {
public:
    using value_type = std::optional<T>;

    explicit first_poll(task<T>& started) noexcept : task_(&started) {}

    polled<value_type> poll(const waker& waker) {
        auto outcome = task_->poll(waker);
        if (!outcome.is_ready()) { return polled<value_type>(std::in_place); }
        return polled<value_type>(std::in_place, std::move(outcome).value());
    }

private:
    task<T>* task_;
};

}  // namespace heph::http::detail
