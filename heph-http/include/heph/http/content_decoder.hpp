#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <heph/http/error.hpp>
#include <heph/http/h1/event.hpp>
#include <heph/http/headers.hpp>

namespace heph::http {

namespace detail {
class decode_stage;
}  // namespace detail

/// Bounds what compressed content may grow to, so that a few bytes do not become a flood of them.
struct decoding_limits {
    /// Bytes of the decoded content, and of each step between two codings:
    /// `error::body_too_large`.
    std::uint64_t bytes_max = std::uint64_t{1024} * 1024 * 1024;
    /// Decoded bytes for each byte received, once there are more than `ratio_free_bytes`:
    /// `error::decompression_bomb`. Text seldom goes beyond 30; deflate ends at 1,032.
    std::uint64_t ratio_max = 200;
    /// Decoded bytes that may come of however few.
    std::uint64_t ratio_free_bytes = std::uint64_t{1024} * 1024;
    /// The window that Brotli may ask for, which is memory: `error::decompression_bomb` beyond it.
    /// What is made once and kept as a file often has all of these 16 MiB, what is made for an
    /// answer seldom more than 4.
    std::size_t window_bytes_max = std::size_t{16} * 1024 * 1024;
    /// Codings that lie around one another: `error::unknown_content_encoding` for more.
    std::size_t codings_max = 2;
};

/// Decodes the content of one message by its `Content-Encoding` (RFC 9110, 8.4): bytes in, pieces
/// out, no I/O.
///
/// It knows `gzip` (RFC 1952, also of several members), `x-gzip`, `deflate` (RFC 1950, and without
/// the wrapping, RFC 1951, which some servers send), `br` (RFC 7932), and `identity`; and lists of
/// them. An empty
/// body is empty content, however it is said to be encoded. What comes behind the end of compressed
/// data is an error, and so is data that lacks its end or has another checksum. However much
/// the data would become, a piece has at most 16 KiB, and the next is made when it is asked for.
///
///     http::content_decoder decoder(answer.headers());
///     for (;;) {
///         const auto event = decoder.next(bytes);
///         if (event.kind == http::h1::event_kind::body) { use(event.data); }
///         else { break; }  // More input is needed, or it is broken.
///     }
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe. Memory: about 60 KiB for each
/// coding, from the first byte on; for `br` as much as its window as well, as far as it is filled,
/// and up to some 3 MiB for the tables that hostile data may ask for.
class content_decoder {
public:
    /// Takes the codings from a message's fields. One that is not known is told by `next`.
    explicit content_decoder(const headers& fields, decoding_limits limits = {});
    content_decoder(content_decoder&&) noexcept;
    content_decoder& operator=(content_decoder&&) noexcept;
    ~content_decoder();

    /// Tells whether nothing is encoded: bytes come out as they go in.
    [[nodiscard]] bool is_identity() const noexcept { return stages_.empty() && !failed_; }
    /// Tells whether nothing is wrong up to here; before the first `next`: all codings are known.
    [[nodiscard]] bool is_good() const noexcept { return !failed_; }

    /// Uses up the front of `input` until there is a piece: `body`. Without input it
    /// gives what the input before it still stands for, then `need_input`.
    ///
    /// *Errors*: `error` events, each time from then on: `error::unknown_content_encoding`,
    /// `error::bad_content_encoding`, `error::body_too_large`, `error::decompression_bomb`.
    /// Throws `std::bad_alloc`. *Lifetime*: the piece is valid until the next call, and lies in
    /// `input` when nothing is encoded.
    h1::event next(std::string_view& input);

    /// Tells what the end of the message means now: `end`, or an `error`.
    /// *Requires*: `next` gave `need_input`.
    h1::event end_of_input() noexcept;

private:
    h1::event fail(error what) noexcept;
    h1::event next_plain(std::string_view& input) noexcept;
    bool counts(std::uint64_t& total, std::size_t more) noexcept;

    decoding_limits limits_;
    /// In the order of decoding: the last coding of the list is the first that is undone.
    std::vector<std::unique_ptr<detail::decode_stage>> stages_;
    std::uint64_t received_ = 0;
    error failure_{};
    bool failed_ = false;
};

}  // namespace heph::http
