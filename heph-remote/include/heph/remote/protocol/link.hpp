#pragma once

// What two nodes say to each other: one link for each peer, which outlives its connections.
//
// States
//     down --connect()-->     up    (a session begins)
//     up   --disconnect()-->  away  (the session waits for the next connection)
//     away --connect()-->     up    (the session goes on, or was lost and another one begins)
//     up, away --lose()-->    down  (all that is open fails: calls, searches, unacknowledged
//                                    messages; what the peer called is cancelled)
//     Everything else is refused. In `down` whatever is to be sent fails at once.
//
// A call at the caller          open --reply, failure, cancel(), lose--> gone
// A call at the called          open --reply(), fail_call(), cancelled, lose--> gone
// What arrives for a call that is gone is ignored: it crossed the end of the call on its way.
//
// A watch at the watching     open --ended, unwatch(), lose--> gone
// A watch at the watched      open --tell_ended(), unwatched, lose--> gone
// When many watched actors end at once, few frames tell it, however many there are: they are
// collected until something is written.
//
// Credit
//     To each actor, at most the window of the peer may be under way: sent, and not taken yet by
//     the actor's inbox. The receiver grants it anew as the inbox takes messages. So an actor that
//     is slow holds up just those who send to it, and each end knows how much it may have to keep.
//     A message that is larger than what is left of the bytes waits, too. Grants are collected, and
//     sent when they are worth a frame; what is held back of them never stops a sender.
//
// Large payloads
//     What is larger than `part_bytes` is sent in parts, when there is nothing else to send; see
//     parts.hpp. An actor to which parts are left takes nothing else meanwhile (`no_credit`), so
//     that the order stays. Parts take at most half of what may wait to be acknowledged: the other
//     half is for small messages. With a peer that speaks version 1, everything goes in one frame.
//
// Answers, reports and grants are never refused; how much of them the peer may leave unread is
// bounded by `session_limits::hard_bytes_max`, beyond which the session is given up. What is
// remembered of grants until they are told counts as well.
//
// A peer has at most `link_limits::calls_max` calls open here. One more is failed as `full` at
// once, and what it took of its actor's window is granted.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/remote/protocol/byte_sink.hpp>
#include <heph/remote/protocol/data_kind.hpp>
#include <heph/remote/protocol/error.hpp>
#include <heph/remote/protocol/event.hpp>
#include <heph/remote/protocol/frame.hpp>
#include <heph/remote/protocol/framed_payload.hpp>
#include <heph/remote/protocol/handshake.hpp>
#include <heph/remote/protocol/parts.hpp>
#include <heph/remote/protocol/session.hpp>

namespace heph::remote::protocol {

/// Says why something was not sent.
enum class refusal : std::uint8_t {
    down,         ///< There is no session with the peer.
    full,         ///< Too much waits to be acknowledged: try again after `has_room()`.
    no_credit,    ///< The actor has as much as it may: try again after `credit_arrived`.
    no_room,      ///< Too much that is large waits: try again after `room_arrived`.
    too_large,    ///< Larger than the peer takes.
    too_many,     ///< More watches than the peer takes.
    unsupported,  ///< The peer speaks a version without it.
};

/// Is one node's end of what it has with one peer.
class link final : public frame_placer {
public:
    enum class state { down, away, up };

    link(const link_limits& own, const session_limits& limits) noexcept
        : own_(own),
          session_limits_(limits),
          assembling_(own.message_bytes_max, own.parts_bytes_max) {}

    [[nodiscard]] state current() const noexcept;
    /// Gives the peer's incarnation. *Requires*: not `down`.
    [[nodiscard]] const id128& peer_incarnation() const noexcept { return peer_incarnation_; }

    /// Says what a hello is to offer.
    [[nodiscard]] session_offer offer(const id128& fresh) const noexcept;
    /// Chooses between the sessions that a hello offers, and says how far this end received.
    /// `offered` is the fresh id of this end's own hellos: a peer that has that session got one,
    /// and its welcome was lost.
    [[nodiscard]] std::pair<id128, std::uint64_t> choose(const hello& heard,
                                                         const id128& offered = {}) const noexcept;

    /// Tells whether a hello is older than what its sender has said in the session since: it was
    /// under way on a connection of its own while the two were linked by another one. It says that
    /// less was received than has been acknowledged, or offers as fresh a session at which its
    /// sender has been.
    [[nodiscard]] bool is_outdated(const hello& heard) const noexcept;

    /// Begins a connection. A session that does not go on is lost first.
    /// *Errors*: `bad_ack`; nothing has changed then, and the connection is useless.
    [[nodiscard]] std::expected<void, error> connect(const handshake_result& with);
    /// Says that the connection is gone.
    void disconnect() noexcept;
    /// Gives the session up. What fails by it is told by `next_loss()`.
    void lose(failure why);
    /// Gives, one by one, what is new without a frame of the peer: what failed for the loss of a
    /// session, and who may send again. To be asked after `lose`, `connect`, `cancel`, `write_to`
    /// and `on_frame`.
    [[nodiscard]] std::optional<event> next_news();

    /// Takes one frame of the connection. Gives what it says, if that concerns the node; views into
    /// the frame, or into what was put together, are valid until the next frame.
    /// *Errors*: the connection is to be ended with a goodbye.
    [[nodiscard]] std::expected<std::optional<event>, error> on_frame(
        std::span<const std::byte> frame);
    /// Gives the room for a part of a large payload that is being put together.
    [[nodiscard]] std::span<std::byte> place(std::span<const std::byte, head_bytes> head,
                                             std::size_t rest) override;
    /// Takes a frame, as `on_frame` does, whose rest is in the room that `place` gave last.
    [[nodiscard]] std::expected<std::optional<event>, error> on_placed_frame(
        std::span<const std::byte> head);
    /// Gives the bytes away that the payload of the last event is a view into, if they were put
    /// together from parts; else nothing. Whoever keeps a large payload need not copy it.
    [[nodiscard]] std::vector<std::byte> take_assembled() noexcept {
        return std::exchange(assembled_, {});
    }
    /// Says how large a frame of the peer may be, once the handshake is done.
    [[nodiscard]] std::size_t frame_bytes_max() const noexcept;

    /// Sends a message. If it turns out not to be delivered, `message_failed` tells so by `token`.
    [[nodiscard]] std::expected<void, refusal> send(std::uint64_t actor, std::uint64_t token,
                                                    std::uint16_t type,
                                                    std::span<const std::byte> payload);
    /// Likewise. The payload is taken, unless it is refused.
    [[nodiscard]] std::expected<void, refusal> send(std::uint64_t actor, std::uint64_t token,
                                                    std::uint16_t type, framed_payload& payload);
    /// Calls an actor, and gives the call's number: `reply_arrived` or `call_failed` will tell.
    [[nodiscard]] std::expected<std::uint64_t, refusal> call(std::uint64_t actor,
                                                             std::uint16_t type,
                                                             std::span<const std::byte> payload);
    /// Likewise. The payload is taken, unless it is refused.
    [[nodiscard]] std::expected<std::uint64_t, refusal> call(std::uint64_t actor,
                                                             std::uint16_t type,
                                                             framed_payload& payload);
    /// Says that nobody waits for the answer any more.
    void cancel(std::uint64_t call);
    /// Asks for a published actor: `found` or `find_failed` will tell.
    [[nodiscard]] std::expected<std::uint64_t, refusal> find(std::string_view name);

    /// Watches an actor, and gives the watch's number: `watch_ended` will tell, once.
    /// *Errors*: `down`, `full`, `too_many`, `unsupported`.
    [[nodiscard]] std::expected<std::uint64_t, refusal> watch(std::uint64_t actor);
    void unwatch(std::uint64_t watch);

    /// Answers a call. Gives false when it is gone, the answer is larger than the peer takes, or
    /// too many large ones wait; the caller is told.
    bool reply(std::uint64_t call, std::span<const std::byte> payload);
    /// Likewise. The payload is taken, unless false is given.
    bool reply(std::uint64_t call, framed_payload& payload);
    void fail_call(std::uint64_t call, failure why);
    void fail_message(std::uint64_t token, failure why);
    void answer_find(std::uint64_t request, std::uint64_t actor,
                     const std::vector<std::string>& types);
    void fail_find(std::uint64_t request, failure why);
    /// Says that what the peer watches has ended. What ends at about the same time is told by one
    /// frame.
    void tell_ended(std::uint64_t watch, failure why);
    /// Says that an actor, or whoever answered for it, took a message or call of so many bytes.
    void grant(std::uint64_t actor, std::size_t payload_bytes);

    /// Asks for a sign of life.
    void ping() { pings_wanted_ = true; }
    /// Ends the link in an orderly way, behind all that was written before.
    void say_goodbye(error why) { goodbye_ = why; }

    /// Gives what is to be sent to a sink, until it is about `bytes_max` bytes.
    void write_to(byte_sink& out, std::size_t bytes_max);
    /// Likewise, at the end of `out`, until that has about `out_bytes_max` bytes.
    void write_to(std::vector<std::byte>& out, std::size_t out_bytes_max);
    [[nodiscard]] bool has_output() const noexcept;
    /// Tells whether some of the output is worth a write of its own. Acknowledgements and grants
    /// may wait a little for something to go with, unless so much is due that the peer may run
    /// short.
    [[nodiscard]] bool is_pressing() const noexcept;
    /// Tells whether everything that was sent has arrived.
    [[nodiscard]] bool is_idle() const noexcept {
        return !has_output() && kept_bytes() == 0 && parts_.empty();
    }
    /// Tells how many messages to an actor are not refused for lack of credit, if they are small.
    [[nodiscard]] std::uint32_t credit_left(std::uint64_t actor) const noexcept;
    /// Has `credit_arrived` tell when there is more. *Requires*: there is none left.
    void want_credit(std::uint64_t actor) noexcept;
    /// Tells whether messages are not refused as `full`.
    [[nodiscard]] bool has_room() const noexcept { return session_ && session_->has_room(); }
    /// Tells whether the peer leaves more unread than it may: `lose` and say goodbye.
    [[nodiscard]] bool is_overflowing() const noexcept {
        return session_ && session_->is_overflowing(account_bytes());
    }

    /// What the peer takes. *Requires*: not `down`.
    [[nodiscard]] const link_limits& peer_limits() const noexcept { return peer_; }
    /// The version of the protocol that both speak. *Requires*: not `down`.
    [[nodiscard]] std::uint32_t version() const noexcept { return version_; }
    /// The memory that is taken for large payloads that are not whole yet, at most.
    [[nodiscard]] std::size_t assembling_bytes() const noexcept { return assembling_.held_bytes(); }
    [[nodiscard]] bool is_assembling() const noexcept { return !assembling_.empty(); }
    /// Gives memory back that is kept for large payloads, if none came since this was called last.
    /// *Requires*: what the last event is a view into is not of use any more.
    void trim() noexcept;
    [[nodiscard]] std::uint64_t links() const noexcept { return session_ ? session_->links() : 0; }
    [[nodiscard]] std::size_t kept_bytes() const noexcept {
        return session_ ? session_->kept_bytes() : 0;
    }

private:
    // Messages and calls that are under way to one actor.
    struct account {
        std::uint32_t messages = 0;
        std::uint64_t bytes = 0;
        bool refused = false;   // Somebody waits for credit.
        bool in_parts = false;  // Parts of a message to it are left.
    };
    // Those from the peer to one of ours; and those that its inbox took, of which the peer does not
    // know yet.
    struct incoming_account {
        std::uint32_t messages = 0;
        std::uint32_t granted_messages = 0;
        std::uint64_t bytes = 0;
        std::uint64_t granted_bytes = 0;
    };
    using frame_event = std::expected<std::optional<event>, error>;

    [[nodiscard]] std::optional<refusal> admit(std::uint64_t actor, std::size_t payload_bytes);
    [[nodiscard]] std::expected<void, error> admit_incoming(std::uint64_t actor,
                                                            std::size_t payload_bytes);
    [[nodiscard]] bool is_cut(std::size_t payload_bytes) const noexcept {
        return version_ >= 2 && payload_bytes > part_bytes;
    }
    // What is kept to tell the peer later, and is no frame yet. It counts as if it were, lest a
    // peer that does not read have it grow by ever new actors.
    [[nodiscard]] std::size_t account_bytes() const noexcept;
    [[nodiscard]] bool may_push_part() const noexcept;
    void push_next_part();
    void push_call_failed(std::uint64_t call, failure why);
    bool drop_parts(data_kind kind, std::uint64_t call);
    void parts_left_no_more(std::uint64_t actor);
    template <typename Body>
    void push(data_kind kind, std::uint64_t tag, Body body);
    void push(std::uint64_t tag, const parts_header& what, framed_payload& payload);
    void push_reply(std::uint64_t call, framed_payload& payload);
    void push_part(const outgoing_parts::step& step);

    frame_event on_data(std::span<const std::byte> body);
    frame_event on_message(field_reader fields);
    frame_event on_call(field_reader fields);
    frame_event open_call(const call_arrived& call);
    frame_event on_cancel(field_reader fields);
    frame_event on_reply(field_reader fields);
    frame_event on_call_failed(field_reader fields);
    frame_event on_found(field_reader fields);
    frame_event on_find_failed(field_reader fields);
    frame_event on_credit(field_reader fields);
    frame_event on_watch(field_reader fields);
    frame_event on_unwatch(field_reader fields);
    frame_event on_ended(field_reader fields);
    frame_event on_parts_begin(field_reader fields);
    frame_event on_part(field_reader fields);
    frame_event on_part_taken(std::expected<std::optional<incoming_parts::whole>, error> taken);
    void let_go_of_assembled() noexcept;
    frame_event on_parts_end(field_reader fields);
    [[nodiscard]] bool is_worth_a_frame(const incoming_account& from) const noexcept;
    void push_grants();
    void push_ended();

    link_limits own_;
    link_limits peer_;
    session_limits session_limits_;
    std::optional<session> session_;
    id128 peer_incarnation_;
    std::uint32_t version_ = version_max;

    std::uint64_t next_number_ = 1;
    std::set<std::uint64_t> open_calls_;                // Ours, at the peer.
    std::set<std::uint64_t> open_searches_;             // Ours, at the peer.
    std::set<std::uint64_t> called_;                    // The peer's, here.
    std::set<std::uint64_t> open_watches_;              // Ours, at the peer.
    std::set<std::uint64_t> watched_;                   // The peer's, here.
    std::map<failure, std::set<std::uint64_t>> ended_;  // Not told to the peer yet.
    std::map<std::uint64_t, account> outgoing_;
    std::map<std::uint64_t, incoming_account> incoming_;
    std::vector<std::uint64_t> granted_;  // Those of `incoming_` with a grant.
    bool grants_press_ = false;           // One of them is worth a frame.
    outgoing_parts parts_;
    incoming_parts assembling_;
    std::vector<std::byte> assembled_;  // What the last event is a view into.
    bool no_room_was_told_ = false;
    std::list<event> news_;

    bool pings_wanted_ = false;
    bool pong_owed_ = false;
    std::optional<error> goodbye_;
};

}  // namespace heph::remote::protocol
