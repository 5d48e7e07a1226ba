#pragma once

// Letting others run.

#include <heph/inbox/future.hpp>

namespace heph {

/// Completes at its second poll, and asks for that at the first.
class [[nodiscard]] yield_future {
public:
    using value_type = void;

    constexpr yield_future() noexcept = default;

    polled<void> poll(const waker& waker) noexcept {
        if (yielded_) { return ready; }
        yielded_ = true;
        waker.wake();
        return pending;
    }

private:
    bool yielded_ = false;
};

/// Lets everything else that is ready run first: `co_await heph::yield();`.
[[nodiscard]] inline yield_future yield() noexcept { return {}; }

}  // namespace heph
