#pragma once

// One connection with another node, from its first byte to its last.
//
// States, of `phase`
//     meeting --the handshakes are done-->          linked   (it carries its peer's link)
//     meeting, linked --close()-->                  closing  (what is to be said yet is sent)
//     meeting, linked --the input ended, failed, or took too long--> closing
//     closing --all is sent, or it takes too long--> the stream is shut down, both tasks end
//
// Two tasks of the node's worker share it: one reads the stream, the other one writes it and shuts
// it down. `wake` tells the writer that there may be something to send, or that it is closing. Once
// the peer's input has ended, `input_ended` tells the writer that it need not wait for the peer to
// close: that wait lets the last words arrive, which a close with unread input would destroy.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heph/remote/protocol/frame.hpp>
#include <heph/remote/protocol/handshake.hpp>
#include <heph/remote/protocol/liveness.hpp>
#include <heph/remote/protocol/phi_accrual.hpp>

#include "environment.hpp"
#include "event.hpp"
#include "record_layer.hpp"

namespace heph::remote::detail {

struct peer;

struct connection {
    enum class phase { meeting, linked, closing };

    connection(stream_pointer its_stream, record_layer its_records, std::string remote, bool dials,
               const protocol::liveness& time_to_meet)
        : socket(std::move(its_stream)),
          records(std::move(its_records)),
          address(std::move(remote)),
          dialed(dials),
          meeting_time(time_to_meet) {}

    /// Ends it, once what is to be said is sent. The reason is told to the log; the first one
    /// counts.
    void close(std::string reason) {
        if (current == phase::closing) { return; }
        current = phase::closing;
        why = std::move(reason);
        closed.set();
        wake.set();
    }
    /// Tells whether the other end took a connection of this node, and said nothing yet.
    [[nodiscard]] bool is_silent() const noexcept { return dialed && !records.has_input(); }
    /// Tells whether that was for so long that another place is to be tried.
    [[nodiscard]] bool is_silent_too_long() const noexcept {
        return is_silent() && meeting_time.silent_for() >= silence_max;
    }
    [[nodiscard]] bool is_linked() const noexcept { return current == phase::linked; }

    const stream_pointer socket;
    record_layer records;
    const std::string address;
    std::string source;  ///< Whose failures count together with this one's; of an accepted one.
    const bool dialed;
    protocol::liveness meeting_time;  ///< Is over when it is not linked by then.
    steady_time::duration silence_max = steady_time::duration::max();  ///< Without any answer.

    phase current = phase::meeting;
    std::string why;  ///< Why it is closing. Empty: nothing to tell.
    bool was_linked = false;
    bool is_half_open = false;  ///< It was accepted, and is counted as long as it is meeting.
    event wake;
    event closed;
    event input_ended;

    protocol::frame_reader frames{protocol::handshake_frame_bytes_max};
    std::optional<protocol::handshake> meeting;
    std::shared_ptr<peer> with;                       ///< Whom it is meant for, or leads to.
    std::vector<std::byte> plain;                     ///< The frames that are to be sent next.
    steady_time heard;                                ///< When something came last.
    std::optional<protocol::failure_detector> alive;  ///< Of a linked one.
    std::vector<std::byte> first_flight;  ///< What a stranger said before the secret was clear.
    std::size_t ways_tried = 1;           ///< Of those to accept.
};

}  // namespace heph::remote::detail
