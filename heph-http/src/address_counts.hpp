#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include <heph/rt/net/endpoint.hpp>

namespace heph::http::detail {

/// Counts the connections of each address, for as long as it has any. IPv6 addresses count by their
/// first 64 bits, since whoever has one mostly has all of these; IPv4 ones within IPv6 count as
/// such, also behind NAT64 (RFC 6052, 2.1), where they would all share their first 64 bits.
class address_counts {
public:
    using key = std::uint64_t;

    [[nodiscard]] static key key_of(const rt::net::endpoint& peer) noexcept {
        const std::array<std::uint8_t, 16>& bytes = peer.address();
        const auto number = [&bytes](std::size_t from, std::size_t size) {
            std::uint64_t value = 0;
            for (std::size_t i = from; i < from + size; ++i) { value = value << 8U | bytes[i]; }
            return value;
        };
        // No IPv6 address begins like this: 0:ffff::/32 is assigned to nobody.
        constexpr std::uint64_t v4 = std::uint64_t{0xffff} << 32U;
        if (!peer.is_v6()) { return v4 | number(0, 4); }
        const bool is_mapped = number(0, 8) == 0 && number(8, 4) == 0xffff;
        const bool is_nat64 = number(0, 8) == 0x0064'ff9b'0000'0000 && number(8, 4) == 0;
        if (is_mapped || is_nat64) { return v4 | number(12, 4); }
        return number(0, 8);
    }

    /// Counts one more; false, and nothing is counted, when there are `most` already.
    /// *Errors*: throws `std::bad_alloc`.
    [[nodiscard]] bool enter(key address, std::size_t most) {
        if (most == 0) { return false; }
        std::size_t& count = counts_[address];
        if (count >= most) { return false; }
        ++count;
        return true;
    }

    /// Counts one less. *Requires*: it was counted.
    void leave(key address) noexcept {
        const auto found = counts_.find(address);
        if (--found->second == 0) { counts_.erase(found); }
    }

    /// Tells how many addresses there are.
    [[nodiscard]] std::size_t size() const noexcept { return counts_.size(); }

private:
    // Neighbours must not meet in one place of the table, whoever chose them.
    struct mixed {
        std::size_t operator()(key value) const noexcept {
            std::uint64_t x = value + seed;
            x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
            x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
            return static_cast<std::size_t>(x ^ (x >> 31U));
        }
        std::uint64_t seed;
    };

public:
    explicit address_counts(std::uint64_t seed) : counts_(16, mixed{seed}) {}

private:
    std::unordered_map<key, std::size_t, mixed> counts_;
};

}  // namespace heph::http::detail
