#include "checksum.hpp"

#include <array>

namespace notes {

namespace {

// Tables for eight bytes at a time: row n is what a byte does n bytes further on.
using tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr tables make_tables() {
    tables made{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t remainder = byte;
        for (int bit = 0; bit < 8; ++bit) {
            remainder = remainder >> 1 ^ ((remainder & 1) != 0 ? 0x82f63b78U : 0U);
        }
        made[0][byte] = remainder;
    }
    for (std::size_t byte = 0; byte < 256; ++byte) {
        for (std::size_t row = 1; row < made.size(); ++row) {
            const std::uint32_t before = made[row - 1][byte];
            made[row][byte] = before >> 8 ^ made[0][before & 0xff];
        }
    }
    return made;
}

constexpr tables table = make_tables();

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before) noexcept {
    const auto octet = [&bytes](std::size_t at) {
        return std::to_integer<std::uint32_t>(bytes[at]);
    };
    std::uint32_t crc = ~before;
    while (bytes.size() >= 8) {
        const std::uint32_t low =
            crc ^ (octet(0) | octet(1) << 8 | octet(2) << 16 | octet(3) << 24);
        crc = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^ table[5][low >> 16 & 0xff] ^
              table[4][low >> 24] ^ table[3][octet(4)] ^ table[2][octet(5)] ^ table[1][octet(6)] ^
              table[0][octet(7)];
        bytes = bytes.subspan(8);
    }
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        crc = crc >> 8 ^ table[0][(crc ^ octet(at)) & 0xff];
    }
    return ~crc;
}

}  // namespace notes
