#pragma once

#include <cstddef>

namespace heph::http::detail {

/// Copying a body that is not larger costs less than to send it apart from its head.
inline constexpr std::size_t copied_body_bytes_max = 32 * 1024;

/// Gives how much of a body leaves with its head: all, or the beginning of what is then sent from
/// where it is.
[[nodiscard]] constexpr std::size_t bytes_with_head(std::size_t body_bytes) noexcept {
    constexpr std::size_t first_bytes = 16 * 1024;
    return body_bytes > copied_body_bytes_max ? first_bytes : copied_body_bytes_max;
}

}  // namespace heph::http::detail
