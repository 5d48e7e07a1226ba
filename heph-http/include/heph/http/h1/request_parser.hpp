#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <heph/http/h1/chunked_decoder.hpp>
#include <heph/http/h1/event.hpp>
#include <heph/http/h1/head_lines.hpp>
#include <heph/http/limits.hpp>
#include <heph/http/request_head.hpp>

namespace heph::http::h1 {

/// Reads the requests of one connection: bytes in, events out, no I/O.
///
///     std::string_view input = received;
///     for (;;) {
///         auto event = parser.next(input, head);
///         if (event.kind == event_kind::need_input) { break; }  // input is empty now
///         …
///     }
///
/// Each request gives `head`, any number of `body`, then `end`; the next request, pipelined or not,
/// begins with the call after that. A request is taken only when RFC 9112 leaves no doubt about
/// where it ends; all else is an `error`, after which the parser gives nothing but that error. Of a
/// refused head only `method` counts: whether it is `head`, which is to be answered without a body.
/// The answers do not depend on how the bytes are cut into calls.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
/// *Lifetime*: `limits` must outlive it.
class request_parser {
public:
    explicit request_parser(const limits& limits) noexcept : limits_(&limits) {}

    /// Uses up the front of `input` until there is something to tell.
    ///
    /// *Requires*: `head` is the same object, unchanged, from the first byte of a request up to its
    /// `head` event; from then on it is the caller's until the next request begins, but for its
    /// `trailers`, which are complete with the `end` event.
    event next(std::string_view& input, request_head& head);

    /// Goes on with a request that `next` has just refused with `error::unknown_method`, where its
    /// method is among `known`: gives what `next` gives for other methods, and the refusal again
    /// where it is not.
    event take_extension(request_head& head, const extension_methods& known);

    /// Refuses a head that has begun, for a reason that its bytes do not tell.
    event give_up(error why, request_head& head) noexcept;

    /// Gives what has come of the first line of a request that is not complete, or was refused by
    /// `next`; `input` is what was left then, and `head` is as it was.
    [[nodiscard]] static std::string_view first_line(std::string_view input,
                                                     const request_head& head) noexcept;

    /// Tells whether the parser is between two requests and has not seen a byte of the next. Empty
    /// lines before a request line, of which it takes two, are no part of a request.
    [[nodiscard]] bool is_idle() const noexcept { return state_ == state::idle; }
    /// Tells whether a head has begun and is not complete.
    [[nodiscard]] bool in_head() const noexcept { return state_ == state::head; }
    /// Tells whether the `head` event was given and the `end` event was not.
    [[nodiscard]] bool in_body() const noexcept {
        return state_ == state::length_body || state_ == state::chunked_body ||
               state_ == state::message_end;
    }
    /// Gives how much of a body with `Content-Length` is still to come.
    [[nodiscard]] std::uint64_t remaining() const noexcept { return remaining_; }

private:
    enum class state : std::uint8_t {
        idle,
        head,
        length_body,
        chunked_body,
        message_end,  // The next event is `end`.
        failed,
    };

    std::optional<error> pass_empty_lines(std::string_view& input) noexcept;
    event next_head(std::string_view& input, request_head& head);
    event next_in_length(std::string_view& input) noexcept;
    event next_in_chunks(std::string_view& input, request_head& head);
    event fail(error what) noexcept;
    event refuse_head(error what, std::string_view start, request_head& head) noexcept;
    event begin_body(request_head& head) noexcept;

    const limits* limits_;
    std::uint64_t remaining_ = 0;
    chunked_decoder chunks_;
    head_lines lines_;
    std::uint32_t empty_lines_ = 0;  // Before the request line.
    bool half_line_ = false;         // The CR of an empty line is there.
    state state_ = state::idle;
    error failure_{};
};

}  // namespace heph::http::h1
