#pragma once

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

/// Is never ready.
class [[nodiscard]] never_ready {
public:
    using value_type = void;
    never_ready() noexcept = default;
    polled<void> poll(const waker&) noexcept { return pending; }
};

}  // namespace heph::remote::detail
