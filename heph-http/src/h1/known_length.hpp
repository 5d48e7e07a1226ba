#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heph::http::h1 {

/// Takes what belongs to a body, or a chunk of one, off the front of `input`: as much as there is,
/// up to the `left` bytes that are still to come.
[[nodiscard]] inline std::string_view take_known_length(std::string_view& input,
                                                        std::uint64_t& left) noexcept {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(input.size(), left));
    const std::string_view piece = input.substr(0, size);
    input.remove_prefix(size);
    left -= size;
    return piece;
}

}  // namespace heph::http::h1
