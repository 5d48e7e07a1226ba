#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include <heph/http/error.hpp>
#include <heph/http/request_head.hpp>
#include <heph/http/response.hpp>

namespace heph::http::h1 {

/// Writes responses as bytes, no I/O.
///
/// For each response: `write` once; when `expects_body()` then tells so, `write_piece` for each
/// piece of the streamed body, then `write_end`.
///
/// It sets `Date`, `Content-Length` or `Transfer-Encoding`, and `Connection`; it leaves the body
/// out for HEAD and where the status has none (204, 205, 304); for HTTP/1.0 it ends a body of
/// unknown length by the end of the connection (RFC 9112, 6.3). A `Trailer` header is sent where
/// trailers can follow: with a chunked body.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class response_writer {
public:
    /// Appends the head, and the body unless it is streamed, to `out`: of the body no more than
    /// `body_bytes_max`, for it may be cheaper to send the rest from where it is.
    ///
    /// `keep_alive` tells whether the connection can be used further, as far as the server knows;
    /// `keeps_alive()` then tells whether it is.
    /// *Errors*: `bad_response`, and `out` is as before: a header that would break the framing, a
    /// framing header set by hand, a status that is not final, or one that would begin a tunnel.
    std::expected<void, error> write(std::string& out, const response& response, method method,
                                     version version, bool keep_alive,
                                     std::size_t body_bytes_max = unlimited);

    /// Tells how many bytes at the end of the response's body `write` has left out.
    [[nodiscard]] std::size_t left_out() const noexcept { return left_out_; }

    /// Tells how many bytes of the response's body `write` has appended.
    [[nodiscard]] std::size_t body_written() const noexcept { return body_written_; }

    /// Appends a piece of a streamed body. *Errors*: `bad_response`: more than was announced; so
    /// do all further pieces, and the end, for the client must not take this body for a whole one.
    std::expected<void, error> write_piece(std::string& out, std::string_view piece);

    /// Appends what goes before a piece of `size` bytes that is sent apart. *Errors*: as those of
    /// `write_piece`. *Requires*: `size` is not 0.
    std::expected<void, error> begin_piece(std::string& out, std::uint64_t size);
    /// Appends what goes behind such a piece.
    void end_piece(std::string& out);

    /// Appends what ends a streamed body, with the lines of its trailer section, which are left out
    /// unless it is chunked. *Errors*: `bad_response`: less than was announced.
    std::expected<void, error> write_end(std::string& out, std::string_view trailers = {});

    /// Appends a line to those of a trailer section.
    /// *Errors*: `bad_response`, and `lines` is as before: what would break the message, or may not
    /// stand behind a body (RFC 9110, 6.5.1).
    static std::expected<void, error> add_trailer(std::string& lines, std::string_view name,
                                                  std::string_view value);

    /// Appends an interim response, such as a 103 (Early Hints), of which any number may come
    /// before `write`. For HTTP/1.0, which knows none, it appends nothing (RFC 9110, 15.2).
    /// *Errors*: `bad_response`, and `out` is as before: a status that is not 102 to 199, or a
    /// header that would break the framing.
    static std::expected<void, error> write_interim(std::string& out, status status,
                                                    const headers& fields, version version);

    /// Tells whether a streamed body is to follow.
    [[nodiscard]] bool expects_body() const noexcept { return framing_ != framing::none; }
    /// Tells whether a streamed body is to follow that only the connection's end will end.
    [[nodiscard]] bool ends_with_connection() const noexcept {
        return framing_ == framing::until_close;
    }
    /// Tells whether the connection can be used after this response.
    [[nodiscard]] bool keeps_alive() const noexcept { return keeps_alive_; }

private:
    enum class framing : std::uint8_t {
        none,
        length,
        chunked,
        until_close,
        broken,  // More than `length` was written.
    };

    static constexpr auto unlimited = static_cast<std::size_t>(-1);

    std::uint64_t left_ = 0;
    std::size_t left_out_ = 0;
    std::size_t body_written_ = 0;
    framing framing_ = framing::none;
    bool keeps_alive_ = true;
};

/// The interim response that tells a client to send the body it announced.
inline constexpr std::string_view continue_response = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace heph::http::h1
