#pragma once

#include <cstdint>
#include <string_view>

#include <zlib.h>

#include "decode_stage.hpp"

namespace heph::http::detail {

/// Undoes gzip, of one member or several, or deflate as HTTP names it.
///
/// All that comes before a mistake is given, however the input is cut. It does not move: zlib keeps
/// a pointer to the stream.
class inflate_stage final : public decode_stage {
public:
    enum class coding : std::uint8_t { gzip, deflate };

    explicit inflate_stage(coding what) noexcept : coding_(what) {}
    ~inflate_stage() override;

    [[nodiscard]] bool is_complete() const noexcept override {
        return state_ == state::done || (state_ == state::start && begun_);
    }

private:
    bool begin(std::string_view& input) override;
    void run(std::string_view& input) override;

    z_stream stream_{};
    coding coding_;
    bool begun_ = false;  // zlib has memory; that was not for nothing.
    bool held_ = false;   // `first_` was taken.
    char first_ = 0;      // The first byte of deflate: two tell what it is wrapped in.
};

}  // namespace heph::http::detail
