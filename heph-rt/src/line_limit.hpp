#pragma once

#include <cstddef>
#include <cstdint>

namespace heph::rt::detail {

/// Bounds how many lines of a kind go to the log: so many in each minute, counted from the first
/// one on.
///
/// *Thread safety*: unsafe.
class line_limit {
public:
    explicit line_limit(std::size_t lines_per_minute) noexcept : most_(lines_per_minute) {}

    /// Tells whether a line may be written at `now_ms`; counts it among those left out when not.
    [[nodiscard]] bool admits(std::uint64_t now_ms) noexcept {
        if (now_ms - since_ms_ >= minute_ms) {
            since_ms_ = now_ms;
            written_ = 0;
        }
        if (written_ == most_) {
            ++left_out_;
            return false;
        }
        ++written_;
        return true;
    }
    /// Gives how many lines were left out since these were last forgotten.
    [[nodiscard]] std::size_t left_out() const noexcept { return left_out_; }
    void forget_left_out() noexcept { left_out_ = 0; }

private:
    static constexpr std::uint64_t minute_ms = 60'000;

    std::size_t most_;
    std::size_t written_ = 0;
    std::size_t left_out_ = 0;
    std::uint64_t since_ms_ = 0;
};

}  // namespace heph::rt::detail
