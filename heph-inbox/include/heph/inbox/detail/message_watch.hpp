#pragma once

// A look at the messages of a channel while nobody receives them.

#include <cstddef>
#include <utility>

#include <heph/inbox/fwd.hpp>
#include <heph/inbox/receiver.hpp>
#include <heph/inbox/waker.hpp>

namespace heph::inbox::detail {

/// Shows the messages of a channel, each once, and leaves them there: for who holds the receiver in
/// the place of another. What a new receiver gets is not changed by it.
///
/// It sees what is in the channel, not what senders that wait for room bring.
///
/// *Thread safety*: as a receiver's.
template <typename T, typename Layout = layout::compact>
class message_watch {
public:
    explicit message_watch(receiver<T, Layout> of) noexcept : receiver_(std::move(of)) {}

    /// Shows the next message, or gives null when it is not there yet; then `who` is woken once it
    /// is. *Lifetime*: the pointer is good as long as this is.
    [[nodiscard]] const T* next(const waker& who) noexcept {
        const T* shown = receiver_.peek_or_wait(seen_, who);
        if (shown != nullptr) { ++seen_; }
        return shown;
    }

private:
    receiver<T, Layout> receiver_;
    std::size_t seen_ = 0;
};

}  // namespace heph::inbox::detail
