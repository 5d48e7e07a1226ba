#pragma once

// Who gives random bits instead of the system.

#include <cstddef>
#include <span>

namespace heph::rt::detail {

/// Gives the random bits that are asked for on the thread that made it, until it is gone: the one
/// that was made last of those that are there.
///
/// *Thread safety*: used by one thread.
class random_stand_in {
public:
    random_stand_in() noexcept : before_(last_) {
        if (before_ != nullptr) { before_->after_ = this; }
        last_ = this;
    }
    random_stand_in(const random_stand_in&) = delete;
    random_stand_in& operator=(const random_stand_in&) = delete;
    virtual ~random_stand_in() {
        if (before_ != nullptr) { before_->after_ = after_; }
        (after_ != nullptr ? after_->before_ : last_) = before_;
    }

    virtual void fill_randomly(std::span<std::byte> bytes) noexcept = 0;

    /// Gives the one of this thread, or null.
    [[nodiscard]] static random_stand_in* of_this_thread() noexcept { return last_; }

private:
    static constinit inline thread_local random_stand_in* last_ = nullptr;

    random_stand_in* before_;
    random_stand_in* after_ = nullptr;
};

}  // namespace heph::rt::detail
