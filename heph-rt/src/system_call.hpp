#pragma once

// What system calls have in common.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <system_error>

namespace heph::rt::detail {

/// The kernel takes a length of 32 bits; what is longer takes several calls.
inline constexpr std::size_t transfer_bytes_max = std::size_t{1} << 30U;

[[nodiscard]] inline std::error_code system_error(int number) noexcept {
    return {number, std::system_category()};
}
/// Gives the error of the call before.
[[nodiscard]] inline std::error_code last_error() noexcept { return system_error(errno); }

/// Calls until it is not interrupted. Gives what it gave, or a negative errno.
template <typename Call>
[[nodiscard]] std::int32_t retry(Call call) noexcept {
    for (;;) {
        const auto result = call();
        if (result >= 0) { return static_cast<std::int32_t>(result); }
        if (errno != EINTR) { return -errno; }
    }
}

}  // namespace heph::rt::detail
