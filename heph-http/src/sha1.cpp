#include "sha1.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace heph::http::detail {

namespace {

using hash = std::array<std::uint32_t, 5>;

constexpr std::size_t block_bytes = 64;

// RFC 3174, 6.1.
void add_block(hash& sum, std::string_view block) noexcept {
    std::array<std::uint32_t, 80> words{};
    for (std::size_t i = 0; i < block_bytes; ++i) {
        words[i / 4] = words[i / 4] << 8U | static_cast<unsigned char>(block[i]);
    }
    for (std::size_t t = 16; t < 80; ++t) {
        words[t] = std::rotl(words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16], 1);
    }
    auto [a, b, c, d, e] = sum;
    for (std::size_t t = 0; t < 80; ++t) {
        std::uint32_t mixed = 0;
        if (t < 20) {
            mixed = ((b & c) | (~b & d)) + 0x5a827999U;
        } else if (t < 40) {
            mixed = (b ^ c ^ d) + 0x6ed9eba1U;
        } else if (t < 60) {
            mixed = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcU;
        } else {
            mixed = (b ^ c ^ d) + 0xca62c1d6U;
        }
        const std::uint32_t next = std::rotl(a, 5) + mixed + e + words[t];
        e = d;
        d = c;
        c = std::rotl(b, 30);
        b = a;
        a = next;
    }
    sum = {sum[0] + a, sum[1] + b, sum[2] + c, sum[3] + d, sum[4] + e};
}

}  // namespace

std::string sha1(std::string_view text) {
    hash sum{0x67452301U, 0xefcdab89U, 0x98badcfeU, 0x10325476U, 0xc3d2e1f0U};
    const std::uint64_t bits = std::uint64_t{text.size()} * 8;
    std::string_view rest = text;
    for (; rest.size() >= block_bytes; rest.remove_prefix(block_bytes)) {
        add_block(sum, rest.substr(0, block_bytes));
    }
    std::string tail(rest);
    tail += '\x80';
    while (tail.size() % block_bytes != block_bytes - 8) { tail += '\0'; }
    for (unsigned shift = 64; shift > 0; shift -= 8) {
        tail += static_cast<char>(bits >> (shift - 8) & 0xffU);
    }
    for (std::size_t at = 0; at < tail.size(); at += block_bytes) {
        add_block(sum, std::string_view(tail).substr(at, block_bytes));
    }
    std::string bytes;
    for (const std::uint32_t word : sum) {
        for (unsigned shift = 32; shift > 0; shift -= 8) {
            bytes += static_cast<char>(word >> (shift - 8) & 0xffU);
        }
    }
    return bytes;
}

}  // namespace heph::http::detail
