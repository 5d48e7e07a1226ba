#pragma once

// Datagrams of relays, without I/O. doc/wire-format.md has their bytes.
//
// A datagram has an id of 128 bits: a number that its sender drew at random, and the count of what
// that sender has sent. With a secret, a tag (HMAC-SHA256) covers all of it.
//
// Invariants
//     1. Of a datagram whose tag is not right nothing but its head was looked at.
//     2. An id is accepted once. A sender's counts are kept in a window of `window_counts`, and
//     what
//        lies behind it is refused.
//     3. With a secret, a sender is forgotten only when all that it sent is refused for its time.
//     4. At most `senders_max` senders are kept, whatever comes.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <heph/remote/protocol/handshake.hpp>

namespace heph::remote::protocol {

/// Says why a datagram is dropped.
enum class datagram_refusal : std::uint8_t {
    malformed,         ///< It does not have the form of this protocol.
    other_version,     ///< It is of another version.
    too_large,         ///< It has more bytes than are taken.
    other_mode,        ///< One end authenticates, the other one does not.
    wrong_secret,      ///< Its tag is not that of any secret, or channel, that is accepted.
    out_of_time,       ///< It is too old, or the clocks of the two machines differ.
    repeated,          ///< It came already, or so many others came since that this is not known.
    own,               ///< It is one of this relay's own.
    too_many_senders,  ///< No further sender is kept.
};

/// Says it in words.
[[nodiscard]] std::string_view to_string(datagram_refusal why) noexcept;

struct datagram_limits {
    /// What passes every path over IPv6, whose least MTU is 1,280 bytes (RFC 8200, 5).
    std::size_t bytes_max = 1232;
    /// How old a datagram may be, and how far ahead, by the clocks of both machines.
    std::chrono::milliseconds time_window{30'000};
    std::size_t senders_max = 1024;
};

/// Is what a secret gives for one channel. Wiped from memory when it is destroyed.
class datagram_key {
public:
    datagram_key(std::span<const std::byte> secret, std::string_view channel);
    datagram_key(const datagram_key&) = default;
    datagram_key& operator=(const datagram_key&) = default;
    ~datagram_key();

    using tag = std::array<std::byte, 32>;
    [[nodiscard]] tag tag_of(std::span<const std::byte> bytes) const;

private:
    tag bytes_{};
};

/// Writes datagrams. *Thread safety*: unsafe.
class datagram_sealer {
public:
    using clock = std::chrono::system_clock;

    /// Takes the key, if what is sent is authenticated, and the sender's random number.
    datagram_sealer(std::optional<datagram_key> key, std::uint64_t sender,
                    std::size_t bytes_max) noexcept
        : key_(std::move(key)), sender_(sender), bytes_max_(bytes_max) {}

    /// Appends a datagram with the next id to `out`: a message of the type of that name.
    /// *Errors*: it would be larger than the limit; then nothing is appended.
    [[nodiscard]] std::expected<id128, datagram_refusal> seal(std::vector<std::byte>& out,
                                                              std::string_view type,
                                                              std::span<const std::byte> payload,
                                                              clock::time_point now);

private:
    std::optional<datagram_key> key_;
    std::uint64_t sender_;
    std::uint64_t count_ = 0;
    std::size_t bytes_max_;
};

/// Is what a datagram has. *Lifetime*: the bytes'.
struct opened_datagram {
    id128 id;
    std::string_view type;
    std::span<const std::byte> payload;
};

/// Reads and checks datagrams. *Thread safety*: unsafe.
class datagram_opener {
public:
    using clock = datagram_sealer::clock;
    static constexpr std::size_t window_counts = 1024;

    /// Takes the keys of which one has to fit; none: what comes is not authenticated. `own` is the
    /// number of this end's sealer.
    datagram_opener(std::vector<datagram_key> keys, std::uint64_t own,
                    const datagram_limits& limits = {})
        : keys_(std::move(keys)), own_(own), limits_(limits) {}

    [[nodiscard]] std::expected<opened_datagram, datagram_refusal> open(
        std::span<const std::byte> bytes, clock::time_point now);

    [[nodiscard]] std::size_t senders() const noexcept { return senders_.size(); }

private:
    struct window {
        std::uint64_t highest = 0;
        std::int64_t newest_ms = 0;  // Of what came: its time, or, without a secret, when it came.
        std::array<std::uint64_t, window_counts / 64> seen{};

        [[nodiscard]] bool accept(std::uint64_t count) noexcept;
    };

    [[nodiscard]] window* window_of(std::uint64_t sender, std::int64_t now_ms);

    std::vector<datagram_key> keys_;
    std::uint64_t own_;
    datagram_limits limits_;
    std::unordered_map<std::uint64_t, window> senders_;
};

}  // namespace heph::remote::protocol
