#pragma once

// Cutting large payloads into parts, and putting them together again.
//
// A payload of more than `part_bytes` is announced by a begin, which says what it is and how many
// bytes it has in all, and follows in parts. Parts of several payloads take turns, and whatever is
// small goes between them, so that a large payload holds up nothing but what has to stay behind it:
// the link sends nothing more to an actor while parts for it are left.
//
// States of an outgoing payload
//     waiting --room at the peer--> begun --its last part--> gone
//     waiting, begun --drop()-->    gone   (when begun, the peer is told)
//
// Invariants
//     1. The payloads that are begun have, in all, no more bytes than the peer assembles at once;
//        one goes in any case.
//     2. They begin in the order in which they were added: a large one is not passed by others for
//        ever.
//     3. The receiving end takes memory as bytes arrive, at most eight times as much, and never
//     more
//        than was announced; it checks the sizes declared first.
//     4. The bytes of an outgoing payload are shared with the frames that are parts of it, and
//        never copied here.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <list>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include <heph/remote/protocol/data_kind.hpp>
#include <heph/remote/protocol/error.hpp>
#include <heph/remote/protocol/framed_payload.hpp>

namespace heph::remote::protocol {

/// A payload of more bytes is sent in parts of so many, and a last one of at most so many.
inline constexpr std::size_t part_bytes = 32 * 1024;

/// Says what a payload is that is sent in parts.
struct parts_header {
    data_kind kind = data_kind::message;  ///< `message`, `call` or `reply`.
    std::uint64_t actor = 0;              ///< 0 for a reply.
    std::uint64_t number = 0;             ///< The token of a message, or the call.
    std::uint16_t type = 0;               ///< 0 for a reply.
};

/// Keeps the payloads that are being sent in parts, and says which part is next.
class outgoing_parts {
public:
    /// What is to be sent next.
    struct step {
        std::uint64_t stream = 0;           ///< Which payload.
        std::optional<parts_header> begin;  ///< Of what is announced first.
        std::uint32_t bytes_in_all = 0;
        shared_bytes of;  ///< What the part is in, `count` bytes from `at` on.
        std::size_t at = 0;
        std::size_t count = 0;
        bool last = false;
        parts_header what;

        [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
            return std::span(*of).subspan(at, count);
        }
    };

    /// Takes a payload: all of `bytes` from `at` on.
    /// *Requires*: more than `part_bytes`, less than 4 GiB.
    void add(const parts_header& what, shared_bytes bytes, std::size_t at = 0);
    /// Says what the next part is, if there is one, of what the peer assembles `peer_bytes_max` at
    /// once. It stays the next one until `sent`: whoever fails to send it has lost nothing.
    [[nodiscard]] std::optional<step> peek(std::uint64_t peer_bytes_max) const;
    /// Takes that the payload of the next part, which has a `begin`, is announced.
    void announced() noexcept;
    /// Takes that the next part is on its way. *Requires*: its payload was announced.
    void sent(const step& what) noexcept;
    /// Gives the next part as if it were on its way.
    [[nodiscard]] std::optional<step> next(std::uint64_t peer_bytes_max);

    /// What became of a payload that is not to be sent any more.
    struct dropped {
        std::uint64_t stream = 0;
        bool begun = false;  ///< The peer has to be told.
        parts_header what;
        std::size_t bytes_in_all = 0;
    };
    /// Drops the payload of a call, or the reply to one.
    [[nodiscard]] std::optional<dropped> drop(data_kind kind, std::uint64_t call);
    /// Gives what was not sent to its end, in order.
    [[nodiscard]] std::vector<parts_header> left() const;
    /// Drops everything. Gives what was not sent to its end, in order.
    [[nodiscard]] std::vector<parts_header> clear();

    [[nodiscard]] bool empty() const noexcept { return waiting_.empty() && begun_.empty(); }
    /// The bytes of all that is kept.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    /// Those of replies.
    [[nodiscard]] std::size_t reply_bytes() const noexcept { return reply_bytes_; }

private:
    struct payload {
        std::uint64_t stream = 0;
        parts_header what;
        shared_bytes bytes;
        std::size_t begin = 0;  // Of the payload, in `bytes`.
        std::size_t sent = 0;

        [[nodiscard]] std::size_t size() const noexcept { return bytes->size() - begin; }
    };
    void forget(const payload& which) noexcept;

    std::list<payload> waiting_;
    std::list<payload> begun_;  // In the order of their turns.
    std::uint64_t next_stream_ = 1;
    std::uint64_t begun_bytes_ = 0;
    std::size_t bytes_ = 0;
    std::size_t reply_bytes_ = 0;
};

/// Puts payloads together again.
class incoming_parts {
public:
    incoming_parts(std::uint32_t message_bytes_max, std::uint64_t bytes_max) noexcept
        : message_bytes_max_(message_bytes_max), bytes_max_(bytes_max) {}

    /// Takes the announcement of a payload. What is not `wanted` is passed over as it comes.
    /// *Errors*: `frame_too_large`, `window_exceeded`, `malformed`.
    [[nodiscard]] std::expected<void, error> begin(std::uint64_t stream, const parts_header& what,
                                                   std::uint32_t bytes_in_all, bool wanted);

    struct whole {
        parts_header what;
        std::vector<std::byte> bytes;
    };
    /// Takes a part. Gives the payload with the last one, if it is wanted.
    /// *Errors*: `malformed`.
    [[nodiscard]] std::expected<std::optional<whole>, error> add(std::uint64_t stream,
                                                                 std::span<const std::byte> bytes);

    /// Gives room for the next part of a payload, of `count` bytes, to be written to it, and then
    /// be taken by `commit`. None where there is no such payload, it is not wanted, or not that
    /// large: then it is for `add` to tell. *Lifetime*: valid until another member is called that
    /// is not const.
    [[nodiscard]] std::span<std::byte> room(std::uint64_t stream, std::size_t count);
    /// Tells for how many bytes that was; 0: for none.
    [[nodiscard]] std::size_t placed(std::uint64_t stream) const noexcept;
    /// Takes the part for which there was room last, as `add` does.
    [[nodiscard]] std::expected<std::optional<whole>, error> commit(std::uint64_t stream);

    struct ended {
        parts_header what;
        std::uint32_t bytes_in_all = 0;
    };
    /// Takes that the rest will not follow. *Errors*: `malformed`.
    [[nodiscard]] std::expected<ended, error> end(std::uint64_t stream);
    void clear() noexcept;

    /// Takes memory of a payload that was dealt with, for the next one: up to `spare_bytes_max` are
    /// kept, until `trim` finds that nobody used them since it was called last.
    void recycle(std::vector<std::byte> memory) noexcept;
    void trim() noexcept;

    [[nodiscard]] bool empty() const noexcept { return payloads_.empty(); }
    /// The bytes that were announced of what is not whole yet.
    [[nodiscard]] std::uint64_t announced_bytes() const noexcept { return announced_; }
    /// The memory that is taken for it, at most.
    [[nodiscard]] std::size_t held_bytes() const noexcept;

    static constexpr std::size_t spare_bytes_max = std::size_t{4} * 1024 * 1024;

private:
    struct payload {
        parts_header what;
        std::uint32_t bytes_in_all = 0;
        std::uint32_t arrived = 0;
        std::uint32_t placed = 0;  // For so much behind that there was room.
        bool wanted = true;
        std::vector<std::byte> bytes;  // As many as arrived, and those of that room.
    };
    using payloads = std::map<std::uint64_t, payload>;
    [[nodiscard]] static std::span<std::byte> room_in(payload& of, std::size_t count);
    [[nodiscard]] std::optional<whole> take(payloads::iterator at, std::size_t count);

    std::uint32_t message_bytes_max_;
    std::uint64_t bytes_max_;
    std::uint64_t announced_ = 0;
    payloads payloads_;
    std::vector<std::byte> spare_;
    bool is_spare_new_ = false;  // It came since the last look.
};

}  // namespace heph::remote::protocol
