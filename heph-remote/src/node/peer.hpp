#pragma once

// What a node has with one other node.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heph/remote/detail/published.hpp>
#include <heph/remote/protocol/link.hpp>

#include "address.hpp"
#include "command.hpp"
#include "connection.hpp"
#include "event.hpp"

namespace heph::remote::detail {

/// A call or a search that the peer has not answered yet.
template <typename Result>
struct open_question {
    open_question(std::uint64_t its_id, std::string its_name,
                  inbox::oneshot_sender<Result> its_reply) noexcept
        : id(its_id), name(std::move(its_name)), reply(std::move(its_reply)) {}
    std::uint64_t id;
    std::string name;
    inbox::oneshot_sender<Result> reply;
};

/// A call of the peer that an actor here has not answered yet.
struct answering {
    event cancelled;
};

/// An actor of the peer that is watched here, by however many.
struct watching {
    std::uint64_t number = 0;                                          ///< Of the watch.
    std::map<std::uint64_t, inbox::oneshot_sender<failure>> watchers;  ///< By their commands.
};

/// An actor here that the peer watches.
struct watched_actor {
    explicit watched_actor(std::uint64_t which) noexcept : actor(which) {}
    std::uint64_t actor;
    event cancelled;
};

/// A message or call of the peer that waits for room in an actor's inbox. Only the first one of its
/// actor is decoded: the others are kept as they came, so that they take what the window allows.
struct waiting_delivery {
    waiting_delivery(std::uint64_t its_number, std::uint16_t its_type,
                     std::shared_ptr<answering> call, std::size_t bytes,
                     std::uint64_t its_session) noexcept
        : number(its_number),
          type(its_type),
          answers(std::move(call)),
          payload_bytes(bytes),
          session(its_session) {}
    std::uint64_t number;  ///< Of a call, or the token of a message.
    std::uint16_t type;
    std::shared_ptr<answering> answers;  ///< Null: it is a message.
    std::size_t payload_bytes;
    std::uint64_t session;  ///< Which one it came in: what is granted and told counts for that.
    std::shared_ptr<const published> target;
    std::vector<std::byte> payload;  ///< Until it is decoded.
    arrival arrived;
};

struct peer {
    peer(std::string its_name, const protocol::link_limits& own,
         const protocol::session_limits& limits)
        : name(std::move(its_name)), link(own, limits) {}

    [[nodiscard]] bool is_up() const noexcept { return up != nullptr; }

    /// Tells whether nothing is under way with it, and nothing but references leads to it.
    [[nodiscard]] bool is_sought() const noexcept {
        return (is_learned || !has_dialer) && !is_up() &&
               link.current() == protocol::link::state::down;
    }
    /// Goes on to the next place that references led to.
    void try_next_address() {
        if (!is_learned || learned_at.empty()) { return; }
        const auto tried = std::ranges::find(learned_at, address);
        address = tried == learned_at.end() || std::next(tried) == learned_at.end()
                      ? learned_at.front()
                      : *std::next(tried);
    }

    /// Says how much may be handed over to an actor without waiting: as many messages as it has
    /// credit for, and there are places, of sizes that together are within the window.
    /// *Requires*: the link is up, with the incarnation of that actor.
    void tell_room(const destination_pointer& to) {
        if (to->at_once_bytes.load(std::memory_order_relaxed) == 0) { open_way(to); }
        // A peer may grant more than this node is willing to queue.
        const auto room = std::min(link.credit_left(to->number), waiting_place::places);
        to->room.store(room, std::memory_order_relaxed);
        // Who sends elsewhere meanwhile passes nothing on, by which it would be told.
        if (room == 0) { link.want_credit(to->number); }
    }
    /// Says so to all who lead to an actor, once there is credit again.
    void tell_credit(std::uint64_t actor) {
        if (!is_up()) { return; }
        const auto [first, last] = ways.equal_range(actor);
        for (auto each = first; each != last; ++each) {
            if (const auto to = each->second.lock()) { tell_room(to); }
        }
    }
    void open_way(const destination_pointer& to) {
        if (ways.size() >= ways_looked_at) {
            std::erase_if(ways, [](const auto& each) { return each.second.expired(); });
            ways_looked_at = std::max<std::size_t>(16, 2 * ways.size());
        }
        ways.emplace(to->number, to);
        const protocol::link_limits& theirs = link.peer_limits();
        const std::uint32_t fair = std::max(theirs.window_bytes / theirs.window_messages, 1U);
        to->at_once_bytes.store(std::min(theirs.message_bytes_max, fair),
                                std::memory_order_relaxed);
    }
    void close_ways() {
        for (const auto& [actor, each] : std::exchange(ways, {})) {
            if (const auto to = each.lock()) {
                to->at_once_bytes.store(0, std::memory_order_relaxed);
                to->room.store(0, std::memory_order_relaxed);
            }
        }
    }

    const std::string name;
    std::optional<detail::node_address> address;  ///< Where it is dialed.
    bool has_dialer = false;
    bool is_learned = false;  ///< A reference led to it; nobody asked for it by name.
    bool is_dropped = false;  ///< It made place for another one.
    std::vector<detail::node_address> learned_at;  ///< Where references led, to be tried in turn.

    protocol::link link;
    std::shared_ptr<connection> up;       ///< The connection of the link.
    std::shared_ptr<connection> dialing;  ///< An attempt of this node.
    bool hello_under_way = false;         ///< This node's hello was sent, and not answered.
    protocol::id128 fresh;                ///< What the next hello offers as a new session.
    steady_time not_up_since;
    steady_time up_since;  ///< Of the link that is up, or was the last one.
    std::optional<detail::node_address> told_address;  ///< Where it says that it is reached.
    std::optional<detail::node_address> other_end;     ///< Of the last connection that was linked.
    bool is_called_back = false;  ///< It dialed, and is dialed since the connection broke.
    std::uint32_t refusals = 0;   ///< Connections that its port refused in a row.
    event changed;                ///< The link came up or went down, or the address is another one.
    std::string last_failure;     ///< Told to the log, and not to be told again.
    std::uint64_t session = 0;    ///< Counts sessions.
    bool is_to_be_lost = false;   ///< The session is of no use, and there was no memory to end it.

    /// Searches (under 0), messages and calls (under their actor) that wait for the link, or for
    /// room. First come first served, for each actor.
    using queue = std::list<command>;
    std::map<std::uint64_t, queue> blocked;
    bool refused_as_full = false;  ///< Something of `blocked` waits for room in the session.

    std::map<std::uint64_t, open_question<found_result>> searches;
    std::map<std::uint64_t, open_question<call_result>> calls;
    std::map<std::uint64_t, std::string> actor_names;  ///< To whom messages were sent.
    /// Those that are open, by actor.
    std::multimap<std::uint64_t, std::weak_ptr<const destination>> ways;
    std::size_t ways_looked_at = 16;  ///< So many are looked through.
    std::uint64_t last_named = 0;     ///< The last one that is among them.

    std::map<std::uint64_t, watching> watches;            ///< By actor.
    std::map<std::uint64_t, std::uint64_t> watch_actors;  ///< The actor of a watch.
    std::map<std::uint64_t, inbox::oneshot_sender<failure>> node_watchers;

    std::map<std::uint64_t, std::shared_ptr<watched_actor>> watched;
    std::map<std::uint64_t, std::shared_ptr<answering>> called;
    std::map<std::uint64_t, std::deque<waiting_delivery>> arrived;
};

}  // namespace heph::remote::detail
