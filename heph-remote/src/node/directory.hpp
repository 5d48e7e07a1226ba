#pragma once

// What each node tells others of the names it publishes: an actor without an inbox that is there
// from the start, under a name that nobody else can have.
//
// A call says which names are wanted and what the caller knows, as a digest, and is answered as
// soon as what it asks for is something else: at once the first time, then when an actor is
// published, is taken back, or is finished, or when the node is about to stop. So who asks again
// after each answer misses nothing, and there is nothing to be subscribed to, and nothing to get
// lost: a call ends with its caller, and with the session.
//
// Who takes changes is told what is other than in the list he knows, if that was told lately and
// has something in common with the one of now; else the whole list, as programs of before 0.4.3
// are in any case.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/rpc.hpp>
#include <heph/remote/codec/codec.hpp>
#include <heph/remote/detail/published.hpp>
#include <heph/remote/message.hpp>
#include <heph/remote/protocol/handshake.hpp>

#include "told_lists.hpp"

namespace heph::remote::detail {

class port;

/// The directory's name, and its number at each node.
inline constexpr std::string_view directory_name = "heph.directory";
inline constexpr std::uint64_t directory_number = std::numeric_limits<std::uint64_t>::max();

/// Asks for the actors of one name, or of all names that begin with it.
struct list_request {
    std::string name;
    bool is_prefix = false;
    std::uint64_t known = 0;     ///< The digest of what was answered last; 0: nothing.
    bool takes_changes = false;  ///< Else each answer is the whole list.
};
HEPH_MESSAGE(list_request, "heph.list_request", 1, name, is_prefix, known, takes_changes)

struct listed_actor {
    std::string name;
    std::uint64_t number = 0;
    std::vector<std::string> types;
};
HEPH_MESSAGE(listed_actor, "heph.listed_actor", 1, name, number, types)

struct list_answer {
    std::uint64_t digest = 0;
    bool is_leaving = false;  ///< The node is about to stop: there is nothing more to ask.
    std::vector<listed_actor> actors;
    /// The digest of the list that this changes: `actors` came, and `gone` are the numbers of those
    /// that went. 0: it is the whole list.
    std::uint64_t since = 0;
    std::vector<std::uint64_t> gone;
};
HEPH_MESSAGE(list_answer, "heph.list_answer", 1, digest, is_leaving, actors, since, gone)

/// Tells whether an actor is one that was asked for, by a name that actors can have: whoever
/// answers may say anything.
[[nodiscard]] inline bool is_asked_for(const listed_actor& actor, const list_request& by) {
    return protocol::is_good_name(actor.name) &&
           (by.is_prefix ? actor.name.starts_with(by.name) : actor.name == by.name);
}

/// Bounds what decoding a list may take: names of actors and types take several times their bytes,
/// which is more than other large messages may take.
[[nodiscard]] constexpr decode_limits list_limits(std::size_t payload_bytes) noexcept {
    constexpr std::size_t times = 8;
    constexpr std::size_t most = std::size_t{128} * 1024 * 1024;
    decode_limits limits = payload_limits(payload_bytes);
    limits.memory_bytes_max = std::max(limits.memory_bytes_max,
                                       payload_bytes < most / times ? times * payload_bytes : most);
    return limits;
}

struct list_actors : heph::rpc<list_request, list_answer> {
    using heph::rpc<list_request, list_answer>::rpc;
    static constexpr std::string_view message_name = "heph.list_actors";
};

/// Is the directory of a node. *Thread safety*: safe. *Lifetime*: outlived by the port.
class directory final : public published {
public:
    /// So many calls of one node may wait here.
    static constexpr std::size_t calls_max = 1024;

    explicit directory(port& of);

    [[nodiscard]] std::expected<arrival, failure> take(std::string_view from, std::uint16_t type,
                                                       bool is_call,
                                                       std::span<const std::byte> payload,
                                                       bool at_once) const override;
    [[nodiscard]] bool is_connected() const noexcept override { return true; }
    [[nodiscard]] std::unique_ptr<ending> until_finished() const override;

private:
    class listing;

    port* of_;
    mutable std::mutex mutex_;  // Guards what follows.
    mutable std::map<std::string, std::size_t, std::less<>> waiting_;
    mutable told_lists told_;
};

}  // namespace heph::remote::detail
