#pragma once

// A waker in a place from which another thread takes it.

#include <heph/inbox/waker.hpp>

namespace heph::inbox::detail {

/// Holds a waker, and the reference that goes with it, for whoever has the right to take it. Taking
/// changes nothing here, so that it is safe beside a look at what would be woken.
///
/// It does not know whether it holds one: its owner does.
class kept_waker {
public:
    /// Holds a copy. *Requires*: it holds none, or that one was taken.
    void keep(const waker& who) noexcept {
        if (who.vtable_ != nullptr) { who.vtable_->clone(who.data_); }
        data_ = who.data_;
        vtable_ = who.vtable_;
    }
    /// Gives the waker. *Requires*: it holds one; whoever holds it now does not take it again.
    [[nodiscard]] waker take() const noexcept { return {data_, vtable_}; }
    void drop() const noexcept { const waker dropped = take(); }

    [[nodiscard]] bool will_wake(const waker& who) const noexcept {
        return data_ == who.data_ && vtable_ == who.vtable_;
    }

private:
    void* data_ = nullptr;
    const waker_vtable* vtable_ = nullptr;
};

}  // namespace heph::inbox::detail
