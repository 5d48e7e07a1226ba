#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string_view>

#include <heph/http/error.hpp>
#include <heph/http/headers.hpp>
#include <heph/http/limits.hpp>

namespace heph::http::h1 {

/// Gathers the lines of one message's head, up to and with the empty line, as bytes come in.
///
/// Each line is checked as soon as it is complete, and each byte as soon as it is there, so that
/// what is not HTTP is refused early. A head that comes in one piece is looked at where it lies and
/// copied once; only what comes in pieces is gathered first.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class head_lines {
public:
    enum class progress : std::uint8_t {
        need_input,  ///< All of the input is used up, and more is needed.
        complete,    ///< The head is there; what follows it is left in the input.
        refused,     ///< See `failure()`.
    };

    /// Checks the start-line.
    using start_line_check = std::expected<void, error> (*)(std::string_view line) noexcept;

    /// Begins a new head. Where it is lenient, for responses at a client, a field's line may go on
    /// in lines that begin with white space: each such line end is given as blanks (RFC 9112, 5.2);
    /// lines may end in LF alone (2.2), and white space may stand before a colon, and is left out
    /// (5.1).
    void start(bool lenient = false) noexcept {
        line_at_ = scan_at_ = lines_ = 0;
        lenient_ = lenient;
        folded_ = false;
        sloppy_ = false;
    }

    /// Uses up the front of `input`, and puts the head's text and its fields into `into`; of what
    /// is refused there are no fields.
    ///
    /// *Requires*: `into` is empty at the first call for a head, and the same, unchanged, from then
    /// on. *Errors*: throws `std::bad_alloc`.
    progress take(std::string_view& input, headers& into, const limits& limits,
                  start_line_check check_start);

    /// Gives the start-line of a head that is complete.
    [[nodiscard]] std::string_view start_line(const headers& of) const noexcept {
        return of.text(0, start_size_);
    }

    /// Tells whether a line was taken that somebody else may refuse or read otherwise.
    [[nodiscard]] bool is_sloppy() const noexcept { return sloppy_; }

    [[nodiscard]] error failure() const noexcept { return failure_; }

private:
    bool scan(std::string_view text, headers& into, const limits& limits,
              start_line_check check_start, std::size_t& head_end);
    bool take_line(std::string_view line, headers& into, const limits& limits,
                   start_line_check check_start);
    bool take_field(std::string_view line, headers& into, const limits& limits);
    static void unfold_values(headers& fields) noexcept;
    progress refuse(error what, headers& into) noexcept;

    // Positions in the head's text, which is in the input or, once it came in pieces, gathered.
    std::uint32_t line_at_ = 0;  // Where the current line begins.
    std::uint32_t scan_at_ = 0;  // Up to where it was looked at.
    std::uint32_t lines_ = 0;    // Lines that are complete.
    std::uint32_t start_size_ = 0;
    bool lenient_ = false;
    bool folded_ = false;  // A line went on in another one.
    bool sloppy_ = false;
    error failure_{};
};

}  // namespace heph::http::h1
