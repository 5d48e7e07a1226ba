#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>

#include <heph/http/router.hpp>

namespace heph::http {

/// What is compressed, and how.
struct compression_options {
    /// Bodies of fewer bytes are sent as they are. Streamed ones without a length never count as
    /// such.
    std::size_t bytes_min = 1024;
    /// Bodies of more bytes are compressed piece by piece as they are sent, so that other requests
    /// get their turns; their length is not known before.
    std::size_t whole_bytes_max = 256 * 1024;
    /// As many bodies are compressed piece by piece at once, of all workers; what comes beyond is
    /// sent as it is. Bounds the memory, see below.
    std::size_t streams_max = 256;
    /// Of gzip: 1 (fast) to 9 (small).
    int level = 5;
    /// Of Brotli: 0 (fast) to 11 (small, and far too slow for what is made anew each time). Nothing
    /// leaves Brotli out.
    std::optional<int> brotli_level = 4;
    /// Tells whether a body of this `Content-Type` gets smaller. The default takes text, JSON, XML,
    /// JavaScript, SVG, fonts that are not compressed, and WebAssembly, but not
    /// `text/event-stream`.
    std::function<bool(std::string_view content_type)> compresses = {};
};

/// Makes a middleware that sends bodies compressed to clients that take it (RFC 9110, 8.4): by
/// Brotli (`br`) or gzip, whichever a client weighs more in `Accept-Encoding`, and Brotli when it
/// weighs them alike.
///
/// It leaves alone what has a `Content-Encoding` or is a part (206), what `Cache-Control:
/// no-transform` protects, and answers without a body. `Vary: Accept-Encoding` is set on what might
/// have been compressed; a strong `ETag` becomes a weak one, as the bytes are others. A 304 by
/// `apply_conditions` or `response::not_modified` has both as the 200 would; one that is made
/// otherwise always has `Vary`. Put it around `conditional`. Each piece of a streamed body is sent
/// at once. Memory, for as long as a stream lasts, and for a larger body: about 256 KiB by gzip; by
/// Brotli 1.4 MiB at level 4, and up to 34 MiB at level 9.
///
/// Do not compress secrets together with what an attacker chooses: the size tells (BREACH).
/// *Errors*: throws `std::invalid_argument` for another level.
[[nodiscard]] middleware compression(compression_options options = {});

}  // namespace heph::http
