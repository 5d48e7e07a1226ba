#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <heph/http/ws/protocol.hpp>
#include <heph/http/ws/utf8_validator.hpp>

namespace heph::http::ws {

namespace detail {
class inflater;
enum class inflate_outcome : std::uint8_t;
}  // namespace detail

/// Names what a decoder found.
enum class event_kind : std::uint8_t {
    need_input,  ///< All input is used up, and more is needed.
    message,     ///< A message is complete: `take_message()`.
    ping,        ///< To be answered by a pong with the same `event::data`.
    pong,        ///< `event::data` is what it carries.
    close,       ///< `event::code`, and `event::data` is the reason. Nothing is read behind it.
    busy,        ///< Of `next_slice` only: a slice was decompressed, and there is more.
    error,       ///< The peer broke the rules: close with `event::code` and `event::data`.
};

/// One step of a decoder. *Lifetime*: `data` is valid until the next step.
struct event {
    explicit event(event_kind what, std::string_view text = {},
                   close_code why = close_code::no_status) noexcept
        : kind(what), code(why), data(text) {}

    event_kind kind;
    close_code code;
    std::string_view data;
};

/// Reads the frames of one side of a connection (RFC 6455): bytes in, messages out, no I/O.
///
///     header --fields--> length and mask --all--> payload --end--> header
///     payload --bytes to decompress--> inflating --all--> payload
///     any --a rule is broken--> failed;  payload of a close frame --end--> closed
///
/// It puts fragments together, lets control frames stand between them, unmasks, checks that text is
/// UTF-8 as it comes in, and decompresses. The answers do not depend on how the bytes are cut into
/// calls. Memory is taken as bytes arrive, not as a header announces them. Each call decompresses
/// 64 KiB at the most, for a few bytes may stand for many.
///
/// Refused with 1002: reserved bits and opcodes, a mask where there must be none or none where
/// there must be one, a length in more bytes than it needs, a control frame that is long or in
/// fragments, a continuation of nothing, a message within another, a close frame with half a code
/// or one that may not be sent. With 1007: text or a close reason that is not UTF-8, compressed
/// data that is none. With 1009: what is beyond the limits.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class decoder {
public:
    /// Reads what is sent to `receiver`. *Errors*: throws `std::bad_alloc`, then and later.
    explicit decoder(role receiver, const limits& bounds = {},
                     std::optional<deflate_parameters> deflate = {});
    decoder(decoder&&) noexcept;
    decoder& operator=(decoder&&) noexcept;
    ~decoder();

    /// Uses up the front of `input` until there is something to tell.
    [[nodiscard]] event next(std::string_view& input);
    /// Does as `next`, but decompresses about 64 KiB at the most, as a few bytes may stand for
    /// many, and gives `busy` when there is more: to be called again when others had their turn.
    [[nodiscard]] event next_slice(std::string_view& input);

    /// Gives the message that `next` told of. *Requires*: nothing was read since.
    [[nodiscard]] message take_message() noexcept;

    /// Tells whether a close frame was read, or something that is no WebSocket.
    [[nodiscard]] bool is_done() const noexcept {
        return state_ == state::closed || state_ == state::failed;
    }

private:
    enum class state : std::uint8_t { header, payload, inflating, closed, failed };

    event fail(close_code why, std::string_view text) noexcept;
    std::optional<event> take_header(std::string_view& input);
    std::optional<event> check_first_bytes() noexcept;
    std::optional<event> check_data_frame(opcode kind, bool compressed) noexcept;
    std::optional<event> read_length() noexcept;
    std::optional<event> take_payload(std::string_view& input);
    std::optional<event> take_data(std::string_view piece);
    std::optional<event> inflate_slice();
    std::optional<event> check_inflated(detail::inflate_outcome done, std::size_t before);
    std::optional<event> end_frame();
    event end_message();
    event end_control() noexcept;
    [[nodiscard]] bool is_control() const noexcept {
        return static_cast<std::uint8_t>(opcode_) >= 8;
    }

    limits limits_;
    std::unique_ptr<detail::inflater> inflater_;  // Null without permessage-deflate.
    std::string message_;
    std::string packed_;         // What is to be decompressed, unmasked.
    std::size_t packed_at_ = 0;  // What of it is done.
    std::string failure_;
    std::uint64_t left_ = 0;           // Of the current frame's payload.
    std::array<char, 14> header_{};    // The longest there is.
    std::array<char, 125> control_{};  // The longest payload of a control frame.
    std::uint8_t header_size_ = 0;     // What of it there is.
    std::uint8_t header_needed_ = 2;   // What of it there has to be.
    std::uint8_t control_size_ = 0;
    std::uint8_t mask_at_ = 0;  // Which byte of the mask is next.
    std::array<char, 4> mask_{};
    role receiver_;
    state state_ = state::header;
    opcode opcode_ = opcode::text;
    close_code failed_with_ = close_code::protocol_error;
    message_kind kind_ = message_kind::text;
    bool final_ = false;       // The current frame ends its message.
    bool in_message_ = false;  // A message has begun and not ended.
    bool compressed_ = false;  // That message is.
    utf8_validator utf8_;
};

}  // namespace heph::http::ws
