#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace heph::remote {

/// Puts a 64-bit integer, in two's complement when it is negative, into one of `T` if it fits.
template <std::integral T>
[[nodiscard]] constexpr bool narrow(std::uint64_t bits, bool is_negative, T& value) noexcept {
    if (is_negative) {
        if constexpr (std::is_unsigned_v<T>) {
            return false;
        } else {
            const auto wide = static_cast<std::int64_t>(bits);
            if (wide < static_cast<std::int64_t>(std::numeric_limits<T>::min())) { return false; }
            value = static_cast<T>(wide);
            return true;
        }
    }
    if (bits > static_cast<std::uint64_t>(std::numeric_limits<T>::max())) { return false; }
    value = static_cast<T>(bits);
    return true;
}

}  // namespace heph::remote
