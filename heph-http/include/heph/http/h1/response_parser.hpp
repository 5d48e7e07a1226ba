#pragma once

#include <cstdint>
#include <string_view>

#include <heph/http/h1/chunked_decoder.hpp>
#include <heph/http/h1/event.hpp>
#include <heph/http/h1/head_lines.hpp>
#include <heph/http/limits.hpp>
#include <heph/http/method.hpp>
#include <heph/http/response_head.hpp>

namespace heph::http::h1 {

/// Reads the responses of one connection: bytes in, events out, no I/O.
///
/// For each request that is sent, in turn: `begin(method)`, as what follows a head depends on what
/// was asked; then `next` gives any number of `head` events of interim responses (1xx), the `head`
/// of the final one, any number of `body`, and `end`. Where the framing is ambiguous (RFC
/// 9112, 6.3), the response is refused, so that nobody can slip in another one: both a length and a
/// transfer coding, lengths that differ or are no number, or a transfer coding that is not known.
/// The answers do not depend on how the bytes are cut into calls.
///
/// What old servers get wrong, and can be read in one way only, is taken, and ends the connection:
/// `response_head::keep_alive` says no, of chunks with the `end` event. These are `chunked` in
/// HTTP/1.0, the same length more than once, lines that end in LF alone, and white space before a
/// colon.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
/// *Lifetime*: `limits` must outlive it.
class response_parser {
public:
    explicit response_parser(const limits& limits) noexcept : limits_(&limits) {}

    /// Tells which request the next response is for. *Requires*: nothing is half read, and no
    /// response before ended the connection.
    void begin(method method) noexcept;

    /// Uses up the front of `input` until there is something to tell. Behind the `end` of a
    /// response it wants no input; bytes that are there were not asked for, and show that the
    /// connection cannot be used again. Behind the head of a tunnel all that is left is the
    /// tunnel's.
    ///
    /// *Requires*: `begin` was called. `head` is the same object, unchanged, from the first byte of
    /// a head up to its `head` event. The `trailers` of a body go to the one that is given then.
    event next(std::string_view& input, response_head& head);

    /// Tells what the end of the connection means now: `end` for a body that goes on until then,
    /// else `error::connection_lost`. Behind an `end` event it is `need_input`: nothing is missing.
    event end_of_input() noexcept;

    /// Tells whether not a byte of the response has come.
    [[nodiscard]] bool has_seen_nothing() const noexcept { return state_ == state::begun; }
    /// Tells whether the response was read to its end.
    [[nodiscard]] bool is_done() const noexcept { return state_ == state::idle; }

private:
    enum class state : std::uint8_t {
        idle,   // Between two requests.
        begun,  // Before the first byte of a head.
        head,
        length_body,
        chunked_body,
        open_body,  // Until the connection ends.
        message_end,
        tunnel,
        failed,
    };

    event next_head(std::string_view& input, response_head& head);
    event next_in_length(std::string_view& input) noexcept;
    event next_in_chunks(std::string_view& input, response_head& head);
    event begin_body(response_head& head) noexcept;
    event fail(error what) noexcept;
    std::expected<void, error> read(response_head& head);
    std::expected<void, error> read_status_line(response_head& head);
    std::expected<void, error> frame(response_head& head) const;

    const limits* limits_;
    std::uint64_t remaining_ = 0;
    chunked_decoder chunks_;
    head_lines lines_;
    std::uint32_t interim_ = 0;
    method method_ = method::get;
    state state_ = state::idle;
    bool sloppy_ = false;  // What others may read otherwise was there.
    error failure_{};
};

}  // namespace heph::http::h1
