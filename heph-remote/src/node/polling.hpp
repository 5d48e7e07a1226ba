#pragma once

#include <utility>

#include <heph/inbox/future.hpp>
#include <heph/inbox/waker.hpp>

namespace heph::remote::detail {

/// Polls something that has no type of its own here. Borrows it.
template <typename Erased>
class [[nodiscard]] polling {
public:
    using value_type = typename Erased::value_type;
    explicit polling(Erased& what) noexcept : what_(&what) {}
    polled<value_type> poll(const waker& waker) { return what_->poll(waker); }

private:
    Erased* what_;
};

/// Lets everything else run once. Takes no memory.
class [[nodiscard]] next_turn {
public:
    using value_type = void;
    next_turn() noexcept = default;
    polled<void> poll(const waker& waker) {
        if (std::exchange(has_waited_, true)) { return ready; }
        waker.wake();
        return pending;
    }

private:
    bool has_waited_ = false;
};

}  // namespace heph::remote::detail
