#pragma once

// What can go wrong between two nodes.

#include <cstdint>
#include <string_view>

namespace heph::remote::protocol {

/// Says why a connection is refused or given up. The number is sent in `reject` and `goodbye`.
enum class error : std::uint8_t {
    garbage = 1,           ///< What came does not begin as this protocol does.
    malformed,             ///< A frame that breaks the wire format.
    frame_too_large,       ///< A frame beyond what was agreed.
    version_mismatch,      ///< The two have no version of the protocol in common.
    wrong_name,            ///< The node that answers is not the one that was called.
    own_name,              ///< The peer has our own name, or the connection leads back to us.
    duplicate_name,        ///< Another node of that name is linked, and alive.
    duplicate_connection,  ///< The other connection between the two, made at once, is kept.
    too_many_peers,        ///< No further node is taken.
    sequence_gap,          ///< Frames are missing in the middle of a session.
    bad_ack,               ///< The peer acknowledged what was never sent.
    window_exceeded,       ///< The peer sent more to an actor than was granted.
    overflow,              ///< More replies wait for the peer than it may leave unread.
    shutting_down,         ///< The node stops in an orderly way.
    timed_out,             ///< Nothing was heard for too long.
    not_allowed,           ///< The node does not link to nodes of this name.
    not_its_certificate,   ///< The node's certificate is not for this name.
    other_security,        ///< One of the two speaks TLS, and the other one plain text.
};

/// Says it in words, and what to do where that can be said.
[[nodiscard]] constexpr std::string_view to_string(error what) noexcept {
    switch (what) {
        case error::garbage: return "the peer does not speak heph-remote's protocol";
        case error::malformed: return "the peer sent a frame that breaks the wire format";
        case error::frame_too_large: return "the peer sent a larger frame than was agreed";
        case error::version_mismatch:
            return "the nodes have no protocol version in common: update the older one";
        case error::wrong_name:
            return "the node at this address has another name: check the list of peers";
        case error::own_name:
            return "the peer has this node's own name: give each node its own, and check addresses";
        case error::duplicate_name:
            return "another node of this name is linked already: give each node its own";
        case error::duplicate_connection: return "another connection between the nodes is kept";
        case error::too_many_peers: return "the node is linked to as many nodes as it may";
        case error::sequence_gap: return "frames are missing from the session";
        case error::bad_ack: return "the peer acknowledged what was not sent";
        case error::window_exceeded: return "the peer sent more to an actor than was granted";
        case error::overflow: return "the peer leaves too many replies unread";
        case error::shutting_down: return "the peer is shutting down";
        case error::timed_out: return "the peer was silent for too long";
        case error::not_allowed: return "nodes of this name are not allowed there";
        case error::not_its_certificate:
            return "the certificate is not for the name of the node: it has to be among its DNS "
                   "names";
        case error::other_security:
            return "one of the nodes speaks TLS, and the other one plain text: set both up the "
                   "same way";
    }
    return "the peer gave an unknown reason";
}

/// Says why a message, a call or a search did not succeed. The number is sent in reports.
enum class failure : std::uint8_t {
    node_down = 1,  ///< The node cannot be reached, or was restarted, since.
    no_such_actor,  ///< No actor is published under this name or number (any more).
    actor_gone,     ///< The published actor is finished.
    no_reply,       ///< The actor dropped the call without an answer, or failed.
    unknown_type,   ///< The actor takes no messages of this type.
    bad_message,    ///< The message or reply could not be decoded.
    too_large,      ///< The message is larger than the other node takes.
    timed_out,      ///< The deadline passed.
    full,           ///< The actor or the link takes nothing more for now.
    stopped,        ///< This node is stopped.
    unsupported,    ///< The other node's program is too old for it.
};

/// Says it in words.
[[nodiscard]] constexpr std::string_view to_string(failure what) noexcept {
    switch (what) {
        case failure::node_down: return "the node cannot be reached";
        case failure::no_such_actor: return "no such actor is published";
        case failure::actor_gone: return "the actor is finished";
        case failure::no_reply: return "the actor dropped the call without an answer";
        case failure::unknown_type: return "the actor does not take this type of message";
        case failure::bad_message: return "the message could not be decoded";
        case failure::too_large: return "the message is larger than the other node takes";
        case failure::timed_out: return "the deadline passed";
        case failure::full: return "the actor takes nothing more for now";
        case failure::stopped: return "this node is stopped";
        case failure::unsupported: return "the other node's program is too old for that";
    }
    return "an unknown reason";
}

}  // namespace heph::remote::protocol
