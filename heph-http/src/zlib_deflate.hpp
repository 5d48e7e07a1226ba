#pragma once

#include <string>
#include <string_view>

#include <zlib.h>

#include "content_encoder.hpp"

namespace heph::http::detail {

/// Appends what a stream makes of `text`, and of what `flush` asks it to give up (Z_SYNC_FLUSH,
/// Z_FINISH). *Errors*: throws `std::bad_alloc`.
void deflate_all(z_stream& stream, std::string_view text, int flush, std::string& out);

/// Gives zlib the bytes of a text, which it does not write to.
[[nodiscard]] Bytef* zlib_bytes(std::string_view text) noexcept;

/// Takes off the front of a text as much as zlib counts in its 32 bits.
[[nodiscard]] std::string_view take_zlib_step(std::string_view& text) noexcept;

/// Compresses one body as gzip (RFC 1952).
class gzip_writer final : public content_encoder {
public:
    /// *Errors*: throws `std::bad_alloc`.
    explicit gzip_writer(int level);
    ~gzip_writer() override;

    void add(std::string_view piece, std::string& out) override {
        deflate_all(stream_, piece, Z_SYNC_FLUSH, out);
    }
    void end(std::string_view piece, std::string& out) override {
        deflate_all(stream_, piece, Z_FINISH, out);
    }

private:
    z_stream stream_{};
};

}  // namespace heph::http::detail
