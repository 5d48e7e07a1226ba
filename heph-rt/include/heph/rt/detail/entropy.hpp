#pragma once

// Random bits, for who must not be guessed, and must be repeatable in a simulation.

#include <cstddef>
#include <span>

namespace heph::rt::detail {

/// Fills bytes with random ones: the system's, or on a host of a simulation those of its seed.
/// *Errors*: throws `std::system_error` when the system has none.
void fill_randomly(std::span<std::byte> bytes);

/// Gives a number of random bits.
template <typename Number>
[[nodiscard]] Number random_number() {
    Number made{};
    fill_randomly(std::as_writable_bytes(std::span(&made, 1)));
    return made;
}

}  // namespace heph::rt::detail
