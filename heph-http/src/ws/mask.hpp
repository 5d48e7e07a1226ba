#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace heph::http::ws::detail {

/// Masks or unmasks bytes where they are (RFC 6455, 5.3). `at` is the place in the mask of the
/// first one; gives that of the one behind the last.
inline std::uint8_t apply_mask(char* bytes, std::size_t size, const std::array<char, 4>& mask,
                               std::uint8_t at) noexcept {
    std::array<char, 8> turned{};
    for (std::size_t i = 0; i < turned.size(); ++i) { turned[i] = mask[(at + i) % 4]; }
    std::uint64_t key = 0;
    std::memcpy(&key, turned.data(), sizeof key);
    std::size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes + i, sizeof word);
        word ^= key;
        std::memcpy(bytes + i, &word, sizeof word);
    }
    for (; i < size; ++i) { bytes[i] = static_cast<char>(bytes[i] ^ turned[i % 8]); }
    return static_cast<std::uint8_t>((at + size) % 4);
}

}  // namespace heph::http::ws::detail
