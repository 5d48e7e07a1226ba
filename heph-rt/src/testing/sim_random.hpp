#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace heph::rt::detail {

/// The numbers of a seed: SplitMix64 (Steele, Lea and Flood: Fast Splittable Pseudorandom Number
/// Generators, 2014), which is the same on every machine and with every standard library.
class sim_random {
public:
    explicit sim_random(std::uint64_t seed) noexcept : state_(seed) {}

    std::uint64_t next() noexcept {
        state_ += 0x9e37'79b9'7f4a'7c15U;
        std::uint64_t mixed = state_;
        mixed = (mixed ^ mixed >> 30U) * 0xbf58'476d'1ce4'e5b9U;
        mixed = (mixed ^ mixed >> 27U) * 0x94d0'49bb'1331'11ebU;
        return mixed ^ mixed >> 31U;
    }
    /// Gives a number from 0 to one less than `bound`, which is not 0.
    std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }
    void fill(std::span<std::byte> bytes) noexcept {
        for (std::byte& each : bytes) { each = static_cast<std::byte>(next()); }
    }
    /// Gives true with a probability. What never happens takes no number.
    bool chance(double probability) noexcept {
        if (probability <= 0) { return false; }
        return static_cast<double>(next() >> 11U) * 0x1.0p-53 < probability;
    }

private:
    std::uint64_t state_;
};

}  // namespace heph::rt::detail
