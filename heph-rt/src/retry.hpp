#pragma once

#include <cerrno>
#include <cstdint>

namespace heph::rt::detail {

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
