#pragma once

// Where a watch stands, without I/O.
//
// States
//     listing   --listed()-->                        opening   (what is there was told)
//     opening   --opened()-->                        reading   (a connection has the request)
//     reading   --lost(): the connection ended-->    opening   (goes on behind the last change)
//     reading   --compacted, or another cluster-->   listing   (what was missed cannot be told)
//     reading   --unreadable(): a bad message-->     listing   (it would come again)
//     reading   --the store is behind us-->          checking  (a member that lags, or a store that
//                                                               was restored from a backup)
//     checking  --checked(): it has what we saw-->   reading   (the member will catch up)
//     checking  --checked(): it has not-->           listing
//
// Invariants
//     1. Each change is told once, in order, or a list is told that replaces all.
//     2. The position is that of the last change told or of a progress notice: the revision in the
//        header of a message with changes may be that of later ones, which come in the next
//        message.
//     3. A compacted watch keeps its connection open, silent for good: it is left.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "etcd/gateway.hpp"

namespace heph::remote::etcd {

class watch_state {
public:
    enum class phase : std::uint8_t { listing, opening, reading, checking };
    /// What to do with a message.
    enum class step : std::uint8_t {
        nothing,  ///< Read on.
        tell,     ///< Tell the changes, and read on.
        leave,    ///< Close the connection and go on by the phase.
        check,    ///< Find out the store's revision from a majority of its members: `checked`.
    };

    [[nodiscard]] phase now() const noexcept { return phase_; }
    /// Gives the first revision that is not told yet.
    [[nodiscard]] std::int64_t from() const noexcept { return seen_ + 1; }
    /// Gives the revision that the store had at least, as far as is known.
    [[nodiscard]] std::int64_t floor() const noexcept { return std::max(seen_, floor_); }
    /// Takes that the store had this revision, as it said so to somebody else: a transaction's
    /// answer comes before the watch tells of it.
    void had(std::int64_t revision) noexcept { floor_ = std::max(floor_, revision); }

    void listed(std::int64_t revision, std::uint64_t cluster) noexcept {
        seen_ = revision;
        floor_ = revision;
        cluster_ = cluster;
        phase_ = phase::opening;
    }
    void opened() noexcept { phase_ = phase::reading; }
    void lost() noexcept { phase_ = phase::opening; }
    void unreadable() noexcept { phase_ = phase::listing; }
    void checked(std::int64_t revision) noexcept {
        phase_ = revision < floor() ? phase::listing : phase::reading;
    }

    /// Takes a message; changes that were told already are taken out of it.
    [[nodiscard]] step take(gateway::watch_message& message);

private:
    step list_again() noexcept {
        phase_ = phase::listing;
        return step::leave;
    }

    phase phase_ = phase::listing;
    std::int64_t seen_ = 0;
    std::int64_t floor_ = 0;
    std::uint64_t cluster_ = 0;
};

}  // namespace heph::remote::etcd
