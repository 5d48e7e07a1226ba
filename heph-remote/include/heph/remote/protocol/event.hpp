#pragma once

// What a link tells its node.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <heph/remote/protocol/error.hpp>

namespace heph::remote::protocol {

/// The largest `payload` of an event is what this end announced. Views are valid until the link
/// takes the next frame.
struct message_arrived {
    std::uint64_t actor;
    std::uint64_t token;  ///< To report a failure with; 0: to nobody.
    std::uint16_t type;
    std::span<const std::byte> payload;
};

struct call_arrived {
    std::uint64_t actor;
    std::uint64_t call;
    std::uint16_t type;
    std::span<const std::byte> payload;
};

/// The caller does not wait for an answer any more, or is gone.
struct call_cancelled {
    std::uint64_t call;
};

struct reply_arrived {
    std::uint64_t call;
    std::span<const std::byte> payload;
};

struct call_failed {
    std::uint64_t call;
    failure why;
};

/// A message was not delivered, or it is not known whether it was.
struct message_failed {
    std::uint64_t token;
    failure why;
};

struct find_arrived {
    std::uint64_t request;
    std::string name;
};

/// The answer to a search. The types are those that the actor takes, in the order of their numbers.
struct found {
    std::uint64_t request;
    std::uint64_t actor;
    std::vector<std::string> types;
};

struct find_failed {
    std::uint64_t request;
    failure why;
};

/// The peer wants to know when an actor ends.
struct watch_arrived {
    std::uint64_t watch;
    std::uint64_t actor;
};

/// The peer does not want to know it any more, or is gone.
struct unwatch_arrived {
    std::uint64_t watch;
};

/// What was watched has ended, or is lost.
struct watch_ended {
    std::uint64_t watch;
    failure why;
};

/// Sending to this actor, which was refused for lack of credit, may succeed now.
struct credit_arrived {
    std::uint64_t actor;
};

/// What was refused because too much that is large waited may succeed now.
struct room_arrived {};

/// The peer ends the link in an orderly way.
struct goodbye_arrived {
    error why;
};

using event =
    std::variant<message_arrived, call_arrived, call_cancelled, reply_arrived, call_failed,
                 message_failed, find_arrived, found, watch_arrived, unwatch_arrived, watch_ended,
                 find_failed, credit_arrived, room_arrived, goodbye_arrived>;

}  // namespace heph::remote::protocol
