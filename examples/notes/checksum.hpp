#pragma once

// CRC-32C, which tells torn and rotten bytes from good ones.

#include <cstddef>
#include <cstdint>
#include <span>

namespace notes {

/// Computes the CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `bytes`, going on from `before`,
/// which is 0 or what an earlier call gave.
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes,
                                   std::uint32_t before = 0) noexcept;

}  // namespace notes
