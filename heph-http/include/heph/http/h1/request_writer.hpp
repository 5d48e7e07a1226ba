#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include <heph/http/client_request.hpp>
#include <heph/http/error.hpp>

namespace heph::http::h1 {

/// Writes requests as bytes, no I/O.
///
/// For each request: `write` once; when `expects_body()` then tells so, `write_piece` for each
/// piece of the streamed body, then `write_end`.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class request_writer {
public:
    /// Appends the head, and the body unless it is streamed, to `out`: of the body no more than
    /// `body_bytes_max`, for it may be cheaper to send the rest from where it is. `target` is what
    /// stands in the request line, `host` the value of `Host` unless the request has one of its own
    /// (which does not count beside a whole URL, as for a proxy), `proxy_authorization` that of
    /// `Proxy-Authorization`, which is left out when it is empty.
    /// *Errors*: `bad_outgoing_request`, and `out` is as before: a header that would break the
    /// framing, a framing header set by hand, or a target with bytes that no request line may have.
    std::expected<void, error> write(std::string& out, const client_request& request,
                                     std::string_view target, std::string_view host,
                                     std::string_view proxy_authorization = {},
                                     std::size_t body_bytes_max = unlimited);

    /// Tells how many bytes at the end of the request's body `write` has left out.
    [[nodiscard]] std::size_t left_out() const noexcept { return left_out_; }

    /// Appends a piece of a streamed body. *Errors*: `bad_outgoing_request`: more than was
    /// announced.
    std::expected<void, error> write_piece(std::string& out, std::string_view piece);

    /// Appends what ends a streamed body, with the lines of its trailer section, which are left out
    /// unless it is chunked. *Errors*: `bad_outgoing_request`: less than was announced.
    std::expected<void, error> write_end(std::string& out, std::string_view trailers = {});

    /// Appends a line to those of a trailer section.
    /// *Errors*: `bad_outgoing_request`, and `lines` is as before: what would break the message, or
    /// may not stand behind a body (RFC 9110, 6.5.1).
    static std::expected<void, error> add_trailer(std::string& lines, std::string_view name,
                                                  std::string_view value);

    /// Tells whether a streamed body is to follow.
    [[nodiscard]] bool expects_body() const noexcept { return framing_ != framing::none; }

private:
    enum class framing : std::uint8_t { none, length, chunked, broken };

    static constexpr auto unlimited = static_cast<std::size_t>(-1);

    std::uint64_t left_ = 0;
    std::size_t left_out_ = 0;
    framing framing_ = framing::none;
};

}  // namespace heph::http::h1
