#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <heph/http/h1/event.hpp>
#include <heph/http/headers.hpp>
#include <heph/http/limits.hpp>

namespace heph::http::h1 {

/// Takes a chunked body apart (RFC 9112, 7.1), bytes in, pieces out.
///
/// It takes exactly the grammar: digits of size, of which 16 count and zeros before them may be as
/// many as `limits::chunk_extension_bytes_max`, CR LF after sizes, data and trailers, nothing but
/// extensions behind a size. Extensions are checked and left out. All extensions of a body together
/// may take 64 times `limits::chunk_extension_bytes_max`, and a byte more for each byte of the
/// body.
///
/// Where it is lenient it also takes white space and a semicolon alone behind a size, with which
/// some servers pad their lines, LF alone after sizes, data and trailers, and trailers that go on
/// in lines that begin with white space.
class chunked_decoder {
public:
    /// Begins a new body. A server is not lenient: what stands before it may read a line otherwise.
    void start(bool lenient = false) noexcept {
        *this = chunked_decoder();
        lenient_ = lenient;
    }

    /// Tells whether a line was taken that somebody else may refuse or read otherwise.
    [[nodiscard]] bool is_sloppy() const noexcept { return sloppy_; }

    /// Uses up the front of `input` until there is something to tell: a piece of the body, its end,
    /// or what is wrong with it.
    ///
    /// Trailer fields are added to `trailers`, the same object for all of a body, but for those
    /// that have no place in a trailer section, such as `Content-Length` and `Authorization` (RFC
    /// 9110, 6.5.1): these are left out. *Errors*: throws `std::bad_alloc`.
    event next(std::string_view& input, const limits& limits, headers& trailers);

private:
    enum class state : std::uint8_t {
        size_begin,      // The first digit of a size.
        size,            // Further digits, or what is behind them.
        size_line_end,   // The LF of a size's line.
        ext_before,      // Blanks before a semicolon.
        ext_semicolon,   // Behind a semicolon.
        ext_name,        // Within a name.
        ext_name_end,    // Blanks behind a name.
        ext_equals,      // Behind an equals sign.
        ext_token,       // Within a value that is not quoted.
        ext_quoted,      // Within a quoted value.
        ext_escape,      // Behind a backslash in a quoted value.
        ext_quoted_end,  // Behind a quoted value.
        data,
        data_cr,
        data_lf,
        trailer_begin,  // The first byte of a trailer's line, or of the empty line.
        trailer_name,
        trailer_value,
        trailer_lf,
        last_lf,  // The LF of the empty line.
        done,
    };

    event take_data(std::string_view& input) noexcept;
    bool take_size(char c, const limits& limits, error& failure) noexcept;
    bool take_extension(char c, const limits& limits, error& failure) noexcept;
    bool end_size(const limits& limits, error& failure) noexcept;
    [[nodiscard]] bool may_end_extension() const noexcept;
    bool is_bare_end(char c) noexcept;
    bool take_data_end(char c) noexcept;
    bool take_trailer(char c, const limits& limits, headers& trailers, error& failure);
    bool end_trailer(const limits& limits, headers& trailers, error& failure);
    bool go(state next) noexcept {
        state_ = next;
        return true;
    }

    std::uint64_t left_ = 0;        // Of the chunk's size.
    std::uint64_t total_ = 0;       // Of all chunks so far.
    std::uint64_t extensions_ = 0;  // Bytes of all extensions so far.
    std::size_t line_ = 0;  // Digits of the size, then bytes of the extension, or of all trailers.
    std::uint32_t name_at_ = 0;   // Where the current trailer begins in the text of the trailers.
    std::uint32_t value_at_ = 0;  // And its value.
    state state_ = state::size_begin;
    bool lenient_ = false;
    bool sloppy_ = false;
    bool pending_ = false;  // A trailer is there, and may go on in the next line.
};

}  // namespace heph::http::h1
