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
    /// Adds the reference that a copy needs, and gives it back.
    static void add_reference(const waker& who) noexcept {
        if (who.vtable_ != nullptr) { who.vtable_->clone(who.data_); }
    }
    static void drop_reference(const waker& who) noexcept {
        if (who.vtable_ != nullptr) { who.vtable_->drop(who.data_); }
    }
    /// Holds a copy, whose reference was added. *Requires*: it holds none, or that one was taken.
    void hold(const waker& who) noexcept {
        data_ = who.data_;
        vtable_ = who.vtable_;
    }
    /// Holds a copy likewise, and adds the reference.
    void keep(const waker& who) noexcept {
        add_reference(who);
        hold(who);
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
