#pragma once

// Why a message did not go in or come out.

#include <type_traits>
#include <utility>

namespace heph::inbox {

/// Says why a message was not sent.
enum class send_failure {
    full,          ///< The inbox has no room right now, or others wait for room already.
    disconnected,  ///< The receiver is gone, and nothing can make a new one.
};

/// Says why no message was received.
enum class recv_error {
    empty,         ///< There is no message right now.
    disconnected,  ///< There is no message, and no sender is left to send one.
};

/// Says why a one-shot channel cannot be used again.
enum class reset_error {
    in_use,  ///< The sender is still there, or its value was not received yet.
};

/// Says why a manager made no new receiver.
enum class manager_error {
    receiver_connected,  ///< There is one already, and a channel has at most one.
};

/// Describes a failure for a log line.
[[nodiscard]] constexpr const char* to_string(send_failure failure) noexcept {
    return failure == send_failure::full ? "the inbox is full; wait with send(), or try later"
                                         : "the receiver is gone";
}

/// Describes a failure for a log line.
[[nodiscard]] constexpr const char* to_string(recv_error error) noexcept {
    return error == recv_error::empty ? "the inbox is empty; wait with recv(), or try later"
                                      : "all senders are gone";
}

/// Gives back a message that was not sent, with the reason.
template <typename T>
class [[nodiscard]] send_error {
public:
    send_error(send_failure reason, T&& value) noexcept(std::is_nothrow_move_constructible_v<T>)
        : value_(std::move(value)), reason_(reason) {}
    send_error(send_failure reason,
               const T& value) noexcept(std::is_nothrow_copy_constructible_v<T>)
        requires std::is_copy_constructible_v<T>
        : value_(value), reason_(reason) {}

    [[nodiscard]] send_failure reason() const noexcept { return reason_; }
    [[nodiscard]] bool is_full() const noexcept { return reason_ == send_failure::full; }
    [[nodiscard]] bool is_disconnected() const noexcept {
        return reason_ == send_failure::disconnected;
    }

    /// Gives the message.
    [[nodiscard]] T& value() & noexcept { return value_; }
    [[nodiscard]] const T& value() const& noexcept { return value_; }
    [[nodiscard]] T&& value() && noexcept { return std::move(value_); }

private:
    T value_;
    send_failure reason_;
};

}  // namespace heph::inbox
