#pragma once

// The way from any thread to a node's worker.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/remote/codec/codec.hpp>
#include <heph/remote/deadline.hpp>
#include <heph/remote/protocol/error.hpp>
#include <heph/remote/protocol/framed_payload.hpp>
#include <heph/remote/protocol/handshake.hpp>

namespace heph::remote::detail {

using protocol::failure;
using protocol::framed_payload;

class port;

/// Stands for a type that the actor at the other node does not take.
inline constexpr std::uint16_t no_type = std::numeric_limits<std::uint16_t>::max();

/// Encodes a message.
template <typename T>
[[nodiscard]] framed_payload framed(const T& message) {
    framed_payload made;
    encode_to(made.out(), message);
    return made;
}

/// Identifies an actor of another node.
struct destination {
    destination(std::string its_node, std::string its_address, std::string its_name,
                protocol::id128 its_incarnation, std::uint64_t its_number,
                std::vector<std::string> its_types)
        : node(std::move(its_node)),
          address(std::move(its_address)),
          name(std::move(its_name)),
          incarnation(its_incarnation),
          number(its_number),
          types(std::move(its_types)) {}

    std::string node;
    std::string address;  ///< Where the node says that it is reached; empty: nowhere.
    std::string name;
    protocol::id128 incarnation;
    std::uint64_t number;
    std::vector<std::string> types;  ///< What the actor takes, in the order of the types' numbers.

    // How `send` hands a message over without waiting for what becomes of it. The node's worker
    // says how much room there is; a sender counts its message first, and looks for room then.
    //     1. The worker lowers `room` before it lowers `waiting`, which releases, and pairs with
    //        the sender's acquire: what is counted no more is not among the room any more either.
    //        So no more is handed over than there was room for.
    //     2. `room` is written whenever a message to the actor was passed on, and 0 once the link
    //        is down. It may say less than there is, until something is passed on again; but what
    //        was 0 is written as soon as there is some.
    // All this is a hint: where it is out of date, or references that were found apart share the
    // room, what is handed over waits in the node, or is reported as what fails later.
    /// Messages of `try_send`, and of `send` without waiting, that the node did not pass on yet.
    mutable std::atomic<std::uint32_t> waiting = 0;
    mutable std::atomic<std::uint32_t> room = 0;
    /// What is larger waits in any case.
    mutable std::atomic<std::size_t> at_once_bytes = 0;

    /// Tells whether a message would wait for others that are on the way already. A hint: of an
    /// actor to which nothing was sent yet nothing is known.
    [[nodiscard]] bool is_crowded() const noexcept {
        return at_once_bytes.load(std::memory_order_relaxed) != 0 &&
               waiting.load(std::memory_order_relaxed) >= room.load(std::memory_order_relaxed);
    }
};
using destination_pointer = std::shared_ptr<const destination>;

/// Searches. *Cancellation*: forgets the search.
[[nodiscard]] task<std::expected<destination_pointer, failure>> find_actor(
    std::shared_ptr<port> from, std::string node, std::string name, deadline until);
/// Calls. *Cancellation*: the called actor can see that nobody waits.
[[nodiscard]] task<std::expected<framed_payload, failure>> call_actor(std::shared_ptr<port> from,
                                                                      destination_pointer to,
                                                                      std::uint16_t type,
                                                                      framed_payload payload,
                                                                      deadline until);
/// Sends. *Cancellation*: the message is sent, or not.
[[nodiscard]] task<std::expected<void, failure>> send_to_actor(std::shared_ptr<port> from,
                                                               destination_pointer to,
                                                               std::uint16_t type,
                                                               framed_payload payload);
/// Sends likewise, unless others are on the way to the actor, or in its inbox, for which the
/// message would wait: then it fails as `full`.
[[nodiscard]] task<std::expected<void, failure>> send_if_roomy(std::shared_ptr<port> from,
                                                               destination_pointer to,
                                                               std::uint16_t type,
                                                               framed_payload payload);
/// Waits until an actor is finished or lost, and says which. *Cancellation*: ends the watch.
[[nodiscard]] task<failure> watch_actor(std::shared_ptr<port> from, destination_pointer to);
/// Waits until a node is lost. *Cancellation*: ends the watch.
[[nodiscard]] task<failure> watch_node(std::shared_ptr<port> from, std::string node);
[[nodiscard]] std::expected<void, failure> try_send_to_actor(const std::shared_ptr<port>& from,
                                                             const destination_pointer& to,
                                                             std::uint16_t type,
                                                             framed_payload payload);

/// Says, while it lives, from which node's view this thread decodes: references that are read are
/// to be used there. *Lifetime*: outlived by the port.
class decoding_at {
public:
    explicit decoding_at(const std::shared_ptr<port>& at) noexcept
        : previous_(std::exchange(current(), &at)) {}
    decoding_at(const decoding_at&) = delete;
    decoding_at& operator=(const decoding_at&) = delete;
    ~decoding_at() { current() = previous_; }

    /// Gives the node; null outside of any.
    [[nodiscard]] static std::shared_ptr<port> node() {
        return current() == nullptr ? nullptr : *current();
    }

private:
    static const std::shared_ptr<port>*& current() noexcept {
        static thread_local const std::shared_ptr<port>* now = nullptr;
        return now;
    }
    const std::shared_ptr<port>* previous_;
};

}  // namespace heph::remote::detail
