#pragma once

// The handle by which something that becomes ready tells a task to poll again.

#include <utility>

namespace heph {

namespace inbox::detail {
class kept_waker;
}  // namespace inbox::detail

/// Lists the operations behind a `waker`. `data` is whatever the waker was made with.
///
/// `clone` adds one reference, `drop` gives one back, `wake` asks for a poll and keeps the
/// reference. None of them may throw, and none of them may run user code: a waker is called from
/// the middle of other people's critical sections. All of them are called from any thread.
///
/// `wake_and_drop` does both at once, which spares an executor that queues references the count of
/// one more and one less. It may be left out.
struct waker_vtable {
    void (*clone)(void* data) noexcept;
    void (*wake)(void* data) noexcept;
    void (*drop)(void* data) noexcept;
    void (*wake_and_drop)(void* data) noexcept = nullptr;
};

/// Asks a task to be polled again. Two words, type-erased, reference counted by what is behind it.
///
/// Waking is a hint: a wake may be spurious, may come late, and may come for a task that has long
/// finished, in which case it does nothing. A waker never dangles: it owns a reference.
///
/// *Thread safety*: distinct objects: safe, also when they wake the same task. Shared objects:
/// `wake()`, `will_wake()` and copying are safe together; assignment is not.
class waker {
public:
    /// Makes a waker that wakes nothing.
    constexpr waker() noexcept = default;

    /// Takes over one reference to `data`. `vtable` must outlive every copy.
    constexpr waker(void* data, const waker_vtable* vtable) noexcept
        : data_(data), vtable_(vtable) {}

    waker(const waker& other) noexcept : data_(other.data_), vtable_(other.vtable_) {
        if (vtable_ != nullptr) { vtable_->clone(data_); }
    }

    waker(waker&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          vtable_(std::exchange(other.vtable_, nullptr)) {}

    waker& operator=(const waker& other) noexcept {
        if (!will_wake(other)) { *this = waker(other); }
        return *this;
    }

    waker& operator=(waker&& other) noexcept {
        waker old(std::move(*this));
        data_ = std::exchange(other.data_, nullptr);
        vtable_ = std::exchange(other.vtable_, nullptr);
        return *this;
    }

    ~waker() {
        if (vtable_ != nullptr) { vtable_->drop(data_); }
    }

    /// Asks for one more poll of the task behind it. Never polls from inside the call.
    void wake() const& noexcept {
        if (vtable_ != nullptr) { vtable_->wake(data_); }
    }
    /// Does so, and gives its reference back, for less than the two cost one by one.
    [[gnu::always_inline]] void wake() && noexcept {
        const waker_vtable* functions = std::exchange(vtable_, nullptr);
        if (functions == nullptr) { return; }
        if (functions->wake_and_drop != nullptr) {
            functions->wake_and_drop(data_);
        } else {
            functions->wake(data_);
            functions->drop(data_);
        }
    }

    /// Tells whether both wake the same task, so that one of them need not be kept.
    [[nodiscard]] constexpr bool will_wake(const waker& other) const noexcept {
        return data_ == other.data_ && vtable_ == other.vtable_;
    }

    /// Tells whether there is a task behind it at all.
    [[nodiscard]] constexpr explicit operator bool() const noexcept { return vtable_ != nullptr; }

private:
    friend class inbox::detail::kept_waker;

    void* data_ = nullptr;
    const waker_vtable* vtable_ = nullptr;
};

}  // namespace heph
