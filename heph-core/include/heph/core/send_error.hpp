#pragma once

// Why a message did not arrive.

#include <optional>
#include <string_view>
#include <utility>

namespace heph {

/// Says why a message was not sent.
enum class send_failure {
    full,          ///< The inbox is full: try later, or `send`, which waits.
    disconnected,  ///< The actor is finished: nobody will ever receive it.
    refused,       ///< The reference's mapping or function does not take this message.
};

/// Says it in words.
[[nodiscard]] constexpr std::string_view to_string(send_failure reason) noexcept {
    switch (reason) {
        case send_failure::full: return "the actor's inbox is full";
        case send_failure::disconnected: return "the actor is finished";
        case send_failure::refused: break;
    }
    return "the reference does not take this message";
}

/// Says why a message was not sent, and gives it back.
///
/// A mapped reference can give back messages that are trivially copyable, or that it converted to
/// or from an alternative of a variant; others are lost in the conversion. What a function takes by
/// value is lost, too.
template <typename M>
class [[nodiscard]] send_error {
public:
    explicit send_error(send_failure reason) noexcept : reason_(reason) {}
    send_error(send_failure reason, M message) : reason_(reason), message_(std::move(message)) {}

    [[nodiscard]] send_failure reason() const noexcept { return reason_; }
    [[nodiscard]] std::string_view message() const noexcept { return to_string(reason_); }

    /// Tells whether the message came back. Always true when the reference leads
    /// to an actor directly.
    [[nodiscard]] bool has_value() const noexcept { return message_.has_value(); }

    /// Gives the message back. *Requires*: `has_value()`.
    [[nodiscard]] M& value() & noexcept { return *message_; }
    [[nodiscard]] M&& value() && noexcept { return std::move(*message_); }

private:
    send_failure reason_;
    std::optional<M> message_;
};

}  // namespace heph
