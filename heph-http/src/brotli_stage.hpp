#pragma once

#include <cstddef>
#include <string_view>

#include "decode_stage.hpp"

struct BrotliDecoderStateStruct;

namespace heph::http::detail {

/// Undoes Brotli (RFC 7932).
///
/// The decoder keeps up to a window of output to itself, so that what comes right before a mistake
/// may be lost, depending on how the input is cut.
class brotli_stage final : public decode_stage {
public:
    /// A stream that wants a larger window than `window_bytes_max` is `too_costly`.
    explicit brotli_stage(std::size_t window_bytes_max) noexcept
        : window_bytes_max_(window_bytes_max) {}
    ~brotli_stage() override;

private:
    bool begin(std::string_view& input) override;
    void run(std::string_view& input) override;

    BrotliDecoderStateStruct* decoder_ = nullptr;
    std::size_t window_bytes_max_;
};

}  // namespace heph::http::detail
