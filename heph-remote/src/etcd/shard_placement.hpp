#pragma once

// Which shard a key belongs to, and which host a shard belongs to: the same at every node, at any
// time, so neither is ever asked for.
//
// Rendezvous hashing (Thaler and Ravishankar 1998): of all hosts, a shard belongs to the one that
// has the greatest weight with it. So a host that joins takes shards only to itself, about its
// share, and one that leaves gives up its own only; no other shard moves, and nobody has to agree
// with anybody about more than who the hosts are. A placement that evens the numbers out would move
// more, and depend on the order of events, of which each node sees another one when it is cut off.
// What it costs: of s shards over n hosts, each has s/n give or take sqrt(s/n).

#include <cstdint>
#include <string_view>

namespace heph::remote::etcd {

/// Spreads a number over 64 bits (the finaliser of splitmix64).
[[nodiscard]] constexpr std::uint64_t spread(std::uint64_t number) noexcept {
    number += 0x9e3779b97f4a7c15U;
    number = (number ^ (number >> 30U)) * 0xbf58476d1ce4e5b9U;
    number = (number ^ (number >> 27U)) * 0x94d049bb133111ebU;
    return number ^ (number >> 31U);
}

/// Hashes bytes: FNV-1a of 64 bits, spread.
[[nodiscard]] constexpr std::uint64_t hash_of(std::string_view bytes) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char each : bytes) {
        hash = (hash ^ static_cast<unsigned char>(each)) * 0x100000001b3U;
    }
    return spread(hash);
}

/// Weighs a host for a shard. The host with the greatest weight has it.
[[nodiscard]] constexpr std::uint64_t weight_of(std::uint32_t shard,
                                                std::uint64_t host_hash) noexcept {
    return spread(host_hash ^ spread(shard));
}

}  // namespace heph::remote::etcd
