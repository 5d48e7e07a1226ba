#pragma once

// How two nodes meet on a new connection, plain or inside TLS.
//
// States of the end that dials
//     start          --hello()-->                      waiting   (hello was sent)
//     waiting        --welcome, as expected-->         done
//     waiting        --reject-->                       failed    (with the peer's reason)
//     waiting        --anything else-->                failed    (a reject is sent)
//
// States of the end that accepts
//     waiting        --hello, as expected-->           deciding  (the node looks the peer up)
//     waiting        --anything else-->                failed    (a reject is sent)
//     deciding       --accept()-->                     done      (welcome is sent)
//     deciding       --reject()-->                     failed    (reject is sent)
//
// done and failed are final. Time limits are the caller's, who drops the handshake.
//
// Sessions
//     A session is known by a random id. The hello offers the session that the dialing end has, and
//     a fresh id for the case that the other end does not have it. The welcome names the one that
//     is used. If it is the old one, each tells how far it received, and the other sends the rest
//     again. If not, both begin anew, and what the older session did not deliver is reported to its
//     senders. A fresh id is offered until a welcome came for it, so that a welcome that gets lost
//     costs nothing. An incarnation is a node from its start to its end; it has a random id too.
//
// Two connections at once
//     Both ends may dial. Which connection is kept is decided by whoever gets a hello, from what
//     both know (`judge`), so that they agree without asking.

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <heph/remote/message.hpp>
#include <heph/remote/protocol/error.hpp>
#include <heph/remote/protocol/frame.hpp>

namespace heph::remote::protocol {

/// Is 128 random bits: what no two nodes or sessions have in common.
struct id128 {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    bool operator==(const id128&) const noexcept = default;
    /// Tells whether it stands for nothing.
    [[nodiscard]] bool is_zero() const noexcept { return high == 0 && low == 0; }
};
HEPH_MESSAGE(id128, "heph.id", 1, high, low)

inline constexpr std::uint32_t version_min = 1;
inline constexpr std::uint32_t version_max = 2;
inline constexpr std::size_t name_bytes_max = 255;
/// What a frame may have while the peer is not known yet.
inline constexpr std::size_t handshake_frame_bytes_max = 2048;

/// What a node takes from another, told in the handshake but for `calls_max`.
struct link_limits {
    /// The largest message, call or reply.
    std::uint32_t message_bytes_max = 64 * 1024 * 1024;
    /// Messages to one actor that its inbox did not take yet.
    std::uint32_t window_messages = 256;
    /// The bytes of those. One goes in any case.
    std::uint32_t window_bytes = 4 * 1024 * 1024;
    /// The bytes of all large messages, calls and replies that come in parts at the same time. One
    /// goes in any case. From version 2 on.
    std::uint64_t parts_bytes_max = 64 * 1024 * 1024;
    /// How many actors a node may watch here. From version 2 on.
    std::uint32_t watches_max = 64 * 1024;
    /// How many calls of a node may wait for their answers here; one more fails as `full`. Not
    /// told, as nobody has to keep to it.
    std::uint32_t calls_max = 64 * 1024;
};
HEPH_MESSAGE(link_limits, "heph.limits", 1, message_bytes_max, window_messages, window_bytes,
             parts_bytes_max, watches_max)

/// What the dialing node says first.
struct hello {
    std::uint32_t version_min = 0;
    std::uint32_t version_max = 0;
    std::string name;      ///< Who dials.
    std::string expected;  ///< Whom it means to reach.
    id128 incarnation;
    id128 session;               ///< The session it has with that node; zero: none.
    id128 fresh;                 ///< The id of a new session, if that one is not known.
    std::uint64_t received = 0;  ///< The last sequence number it received in that session.
    std::uint64_t links = 0;     ///< How many connections it has seen this session have.
    link_limits limits;
    std::string address;  ///< Where others reach who dials; empty: nowhere. From version 2 on.
};
HEPH_MESSAGE(hello, "heph.hello", 1, version_min, version_max, name, expected, incarnation, session,
             fresh, received, links, limits, address)

/// What the accepting node answers.
struct welcome {
    std::uint32_t version = 0;
    std::string name;
    id128 incarnation;
    id128 session;               ///< One of the two that the hello offered.
    std::uint64_t received = 0;  ///< The last sequence number it received in that session.
    link_limits limits;
    std::string address;  ///< As in the hello.
};
HEPH_MESSAGE(welcome, "heph.welcome", 1, version, name, incarnation, session, received, limits,
             address)

/// What either says when there is no link.
struct reject {
    std::uint8_t reason = 0;  ///< A `protocol::error`.
    std::uint32_t version_min = 0;
    std::uint32_t version_max = 0;
};
HEPH_MESSAGE(reject, "heph.reject", 1, reason, version_min, version_max)

/// Says who this node is.
struct identity {
    std::string name;
    id128 incarnation;
    link_limits limits;
    std::string address{};  ///< Where other nodes reach it; empty: nowhere. Short as a name.
};

/// What a finished handshake has found out.
struct handshake_result {
    std::string peer;
    std::uint32_t version = version_max;  ///< The highest that both speak.
    id128 incarnation;                    ///< The peer's.
    id128 session;
    bool dialed = false;              ///< This end dialed.
    std::uint64_t peer_received = 0;  ///< How far the peer received in this session.
    link_limits peer_limits;
    std::string peer_address;  ///< Where the peer says that it is reached; empty: nowhere.
};

/// Says what an end has of a session, to offer it in a hello.
struct session_offer {
    id128 session;  ///< Zero: none.
    id128 fresh;
    std::uint64_t received = 0;
    std::uint64_t links = 0;
};

/// Runs one end of a handshake.
class handshake {
public:
    enum class state { start, waiting, deciding, done, failed };

    /// Makes the end that dials the node `expected`.
    static handshake dial(identity self, std::string expected, session_offer offer);
    /// Makes the end that accepts.
    static handshake accept_from(identity self);

    [[nodiscard]] state current() const noexcept { return state_; }

    /// Takes one frame.
    void on_frame(std::span<const std::byte> frame);
    /// Says that the bytes were no frame.
    void on_bad_frame(error why);

    /// Gives what the accepting end was told. *Requires*: `deciding`, or later.
    [[nodiscard]] const hello& heard() const noexcept { return hello_; }
    /// Lets the peer in, to one of the two sessions that it offers, of which this end received as
    /// far as `received`. *Requires*: `deciding`.
    void accept(const id128& session, std::uint64_t received);
    /// Turns the peer away. *Requires*: `deciding`.
    void turn_away(error why);

    /// Appends what is to be sent to `out`.
    void take_output(std::vector<std::byte>& out);

    /// Gives what was agreed. *Requires*: `done`.
    [[nodiscard]] const handshake_result& result() const noexcept { return result_; }
    /// Says why there is no link. *Requires*: `failed`.
    [[nodiscard]] error failure() const noexcept { return error_; }
    /// Tells whether it was the peer that refused. *Requires*: `failed`.
    [[nodiscard]] bool refused_by_peer() const noexcept { return refused_by_peer_; }

private:
    handshake(identity self, std::string expected, session_offer offer, bool dials);

    void fail(error why, bool tell);
    void on_hello(std::span<const std::byte> body);
    void on_welcome(std::span<const std::byte> body);
    void on_reject(std::span<const std::byte> body);

    identity self_;
    std::string expected_;
    session_offer offer_;
    bool dials_;
    state state_ = state::start;
    hello hello_;
    handshake_result result_;
    error error_ = error::garbage;
    bool refused_by_peer_ = false;
    std::vector<std::byte> output_;
};

/// Says what this node has with a peer at the moment when a hello of that peer arrives.
struct standing {
    bool linked = false;           ///< A connection is up.
    bool dialed = false;           ///< This node dialed that connection.
    bool heard_lately = false;     ///< Something came over it within the time between heartbeats.
    id128 incarnation;             ///< Of the peer at that connection.
    std::uint64_t links = 0;       ///< How many connections the session has had, with this one.
    bool hello_under_way = false;  ///< This node has sent a hello of its own, not answered yet.
};

/// Decides whether the connection of a hello is to be used, and any other to be given up.
///
/// 1. The peer was restarted (another incarnation): take it; unless the old one was heard lately,
///    for then two nodes have the same name.
/// 2. The peer dialed the connection that is up: it dials again because it lost that one. Take it.
/// 3. This node dialed the connection that is up: the peer was up first, so if its hello counts
///    that connection it has lost it since: take it. Else the hello is older than the connection:
///    refuse.
/// 4. Both dial, none is up: the connection dialed by the lesser name is kept.
[[nodiscard]] std::optional<error> judge(std::string_view own_name, const standing& now,
                                         const hello& heard) noexcept;

/// Tells whether a node may have this name: 1 to 255 printable ASCII characters, no spaces.
[[nodiscard]] bool is_good_name(std::string_view name) noexcept;

}  // namespace heph::remote::protocol
