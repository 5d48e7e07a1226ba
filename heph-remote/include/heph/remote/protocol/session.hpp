#pragma once

// Carrying frames over connections that break: in order, each exactly once, as long as both ends
// live.
//
// States
//     detached  --attach(peer received n)-->  attached  (what is behind n will be sent, again if
//                                                        need be)
//     attached  --detach()-->                 detached  (the connection broke; all is kept)
//     any       --abandon()-->                ended     (what was not acknowledged is given back)
//
// A frame that was pushed
//     queued --written to a connection--> sent --acknowledged--> gone
//     sent   --attach-->                  queued, if the peer did not receive it
//     queued, sent --abandon-->           given back to the caller, by its tag
//
// Invariants
//     1. Sequence numbers begin with 1 and grow by 1. `base_` is that of the oldest frame kept.
//     2. acknowledged < base_ <= next to write <= next to push.
//     3. What was received has no gap: a number that is not the next one is a duplicate when it is
//        lower, and an error when it is higher.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <expected>
#include <span>
#include <vector>

#include <heph/remote/protocol/byte_sink.hpp>
#include <heph/remote/protocol/error.hpp>
#include <heph/remote/protocol/frame.hpp>
#include <heph/remote/protocol/framed_payload.hpp>
#include <heph/remote/protocol/handshake.hpp>

namespace heph::remote::protocol {

/// Bounds what waits to be acknowledged.
struct session_limits {
    std::size_t frames_max = 16 * 1024;
    std::size_t bytes_max = 16 * 1024 * 1024;
    /// Bounds answers, reports and the accounts of what has to be granted, which are taken beyond
    /// `bytes_max`, because refusing them would leave the other end waiting for ever.
    /// `kept_overhead_bytes` counts for each.
    std::size_t hard_bytes_max = 256 * 1024 * 1024;
};

/// So much arrives at most before an acknowledgement is pressing: a small part of what a session
/// keeps by default.
inline constexpr std::uint64_t unacknowledged_frames_max = 256;
inline constexpr std::size_t unacknowledged_bytes_max = 256 * 1024;

/// What keeping a frame takes besides its bytes, about: its entry, and what an allocation costs.
inline constexpr std::size_t kept_overhead_bytes = 80;

/// Keeps what was sent until the peer has it, and knows what the peer has sent.
class session {
public:
    session(id128 id, const session_limits& limits) noexcept : id_(id), limits_(limits) {}

    [[nodiscard]] const id128& id() const noexcept { return id_; }

    /// Tells whether `push` may be called for what can wait, such as messages.
    [[nodiscard]] bool has_room() const noexcept {
        return kept_.size() < limits_.frames_max && kept_bytes_ < limits_.bytes_max;
    }
    /// Tells whether so much waits that the session has to be given up, with so many bytes of what
    /// is no frame yet.
    [[nodiscard]] bool is_overflowing(std::size_t other_bytes = 0) const noexcept {
        // Small frames take more than their bytes.
        return kept_bytes_ + kept_.size() * kept_overhead_bytes + other_bytes >
               limits_.hard_bytes_max;
    }

    /// Says which sequence number the frame that is pushed next has.
    [[nodiscard]] std::uint64_t next_sequence() const noexcept { return base_ + kept_.size(); }
    /// Takes a frame that `begin_frame` began, or one written elsewhere with `next_sequence`. `tag`
    /// is given back if it cannot be delivered; 0 stands for nobody.
    void push(std::vector<std::byte> frame, std::uint64_t tag);
    /// Takes a frame that begins within `frame`, at `begin`.
    void push_from(std::size_t begin, std::vector<std::byte> frame, std::uint64_t tag);
    /// Takes a frame that ends with `count` bytes of `more` from `at` on. They are shared, and not
    /// copied until they are written.
    void push_with(std::vector<std::byte> frame, shared_bytes more, std::size_t at,
                   std::size_t count, std::uint64_t tag);
    /// Begins the frame that is to be pushed next. The body is to be written to it.
    [[nodiscard]] frame_writer begin_frame(std::vector<std::byte>& frame) const;

    /// Begins a connection, at whose other end all up to `peer_received` is there.
    /// *Errors*: `bad_ack`.
    [[nodiscard]] std::expected<void, error> attach(std::uint64_t peer_received);
    void detach() noexcept { attached_ = false; }
    [[nodiscard]] bool is_attached() const noexcept { return attached_; }

    /// Gives the acknowledgement of what was received, if it is due, to a sink; then frames, in
    /// order, until these are `bytes_max` bytes or there are no more. So whoever is told that a
    /// message failed has its acknowledgement before, and does not report it twice when the
    /// connection breaks just behind it. Gives how many bytes it gave.
    std::size_t write_to(byte_sink& out, std::size_t bytes_max);
    /// Likewise, at the end of `out`, until that has `out_bytes_max` bytes.
    void write_to(std::vector<std::byte>& out, std::size_t out_bytes_max);
    [[nodiscard]] bool has_output() const noexcept {
        return attached_ && (written_ < kept_.size() || acknowledged_to_peer_ < received_);
    }
    /// Tells whether frames wait to be written, or so much to be acknowledged that it is time.
    [[nodiscard]] bool is_pressing() const noexcept {
        return attached_ && (written_ < kept_.size() ||
                             received_ - acknowledged_to_peer_ >= unacknowledged_frames_max ||
                             unacknowledged_bytes_ >= unacknowledged_bytes_max);
    }

    /// Takes the sequence number of a frame that arrived, of so many bytes. Gives false for a
    /// duplicate. *Errors*: `sequence_gap`.
    [[nodiscard]] std::expected<bool, error> on_data(std::uint64_t sequence,
                                                     std::size_t bytes = 0) noexcept;
    /// Takes an acknowledgement of all up to `sequence`. *Errors*: `bad_ack`.
    [[nodiscard]] std::expected<void, error> on_ack(std::uint64_t sequence);

    /// Gives the tags of what was not acknowledged, in order, without zeroes.
    [[nodiscard]] std::vector<std::uint64_t> tags() const;
    /// Ends the session. Gives the tags of what was not acknowledged, in order, without zeroes.
    [[nodiscard]] std::vector<std::uint64_t> abandon();

    /// The last sequence number received; 0 for none.
    [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
    /// The last sequence number that the peer acknowledged; 0 for none.
    [[nodiscard]] std::uint64_t acknowledged() const noexcept { return base_ - 1; }
    [[nodiscard]] std::size_t kept_frames() const noexcept { return kept_.size(); }
    [[nodiscard]] std::size_t kept_bytes() const noexcept { return kept_bytes_; }
    /// How many connections there have been.
    [[nodiscard]] std::uint64_t links() const noexcept { return links_; }

private:
    struct kept_frame {
        std::vector<std::byte> bytes;
        shared_bytes more;  // The frame's end is in there. Null: it is all in `bytes`.
        std::size_t more_at = 0;
        std::uint32_t more_bytes = 0;
        std::uint32_t begin = 0;  // In `bytes`.
        std::uint64_t tag = 0;

        [[nodiscard]] std::size_t size() const noexcept {
            return bytes.size() - begin + more_bytes;
        }
    };
    void keep(kept_frame frame);

    id128 id_;
    session_limits limits_;
    std::deque<kept_frame> kept_;
    std::size_t kept_bytes_ = 0;
    std::size_t written_ = 0;       // How many of `kept_` were written to this connection.
    std::size_t ever_written_ = 0;  // How many of `kept_` were written to any connection.
    std::uint64_t base_ = 1;
    std::uint64_t received_ = 0;
    std::uint64_t acknowledged_to_peer_ = 0;
    std::size_t unacknowledged_bytes_ = 0;  // Of what was received since.
    std::uint64_t links_ = 0;
    bool attached_ = false;
};

}  // namespace heph::remote::protocol
