#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "content_encoder.hpp"

struct BrotliEncoderStateStruct;

namespace heph::http::detail {

/// Compresses one body by Brotli (RFC 7932).
///
/// Its window is 256 KiB at most, which bounds the memory of both sides; a body whose size is known
/// to be smaller gets a smaller one.
class brotli_writer final : public content_encoder {
public:
    /// *Requires*: `quality` is 0 to 11. *Errors*: throws `std::bad_alloc`.
    explicit brotli_writer(int quality, std::optional<std::size_t> size = {});
    ~brotli_writer() override;

    void add(std::string_view piece, std::string& out) override;
    void end(std::string_view piece, std::string& out) override;

private:
    void run(int operation, std::string_view piece, std::string& out);

    BrotliEncoderStateStruct* state_;
};

}  // namespace heph::http::detail
