#pragma once

// Telling channels apart.

#include <compare>
#include <cstddef>
#include <functional>

namespace heph::inbox {

/// Names a channel as long as it lives: equal for all senders, receivers and managers of one
/// channel. A channel made later may get the name of one that is gone.
class channel_id {
public:
    explicit constexpr channel_id(const void* address) noexcept : address_(address) {}

    friend constexpr bool operator==(channel_id, channel_id) noexcept = default;
    friend std::strong_ordering operator<=>(channel_id a, channel_id b) noexcept {
        if (a.address_ == b.address_) { return std::strong_ordering::equal; }
        return std::less<>()(a.address_, b.address_) ? std::strong_ordering::less
                                                     : std::strong_ordering::greater;
    }

    /// Gives a hash, for unordered containers.
    [[nodiscard]] std::size_t hash() const noexcept { return std::hash<const void*>()(address_); }

private:
    const void* address_;
};

}  // namespace heph::inbox

/// Hashes by identity.
template <>
struct std::hash<heph::inbox::channel_id> {
    std::size_t operator()(heph::inbox::channel_id id) const noexcept { return id.hash(); }
};
