#pragma once

// Which member of a group gets a message.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <type_traits>

namespace heph {

/// Chooses the members in turn.
struct in_turn_t {
    explicit constexpr in_turn_t() noexcept = default;
};
/// Chooses the members in turn: round-robin.
inline constexpr in_turn_t in_turn{};

/// Chooses any member.
struct at_random_t {
    explicit constexpr at_random_t() noexcept = default;
};
/// Chooses any member, each as likely as the others.
inline constexpr at_random_t at_random{};

namespace detail {

/// Spreads the bits of a number over all of them (the finaliser of SplitMix64: Steele, Lea and
/// Flood, "Fast splittable pseudorandom number generators", 2014).
constexpr std::uint64_t mix_bits(std::uint64_t bits) noexcept {
    bits ^= bits >> 30U;
    bits *= 0xbf58476d1ce4e5b9U;
    bits ^= bits >> 27U;
    bits *= 0x94d049bb133111ebU;
    return bits ^ (bits >> 31U);
}

/// What a key is hashed as: two pointers to the same text are the same key.
template <typename Key>
using hashed_key = std::conditional_t<std::is_convertible_v<const Key&, const char*> &&
                                          std::is_convertible_v<const Key&, std::string_view>,
                                      std::string_view, Key>;

}  // namespace detail

/// Chooses the member that is responsible for a key: always the same one, as long as it is there.
/// When a member goes, only its keys go to others; when one comes, it takes its share of
/// everyone's.
class by_key {
public:
    /// Takes anything that `std::hash` takes. A pointer to characters is a text.
    template <typename Key>
    explicit by_key(const Key& key) noexcept(noexcept(std::hash<detail::hashed_key<Key>>()(key)))
        : hash_(std::hash<detail::hashed_key<Key>>()(key)) {}

    /// Says how much a member is responsible for the key: who has the highest weight is (rendezvous
    /// hashing: Thaler and Ravishankar, 1998).
    [[nodiscard]] constexpr std::uint64_t weight(std::uint64_t member) const noexcept {
        return detail::mix_bits(detail::mix_bits(hash_) ^ detail::mix_bits(member + 0x9e3779b9U));
    }

private:
    std::uint64_t hash_;
};

}  // namespace heph
