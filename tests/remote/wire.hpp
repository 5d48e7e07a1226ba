#pragma once

// Two nodes' protocol cores joined by memory, with a connection that can be cut anywhere.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <heph/inbox/assert.hpp>
#include <heph/remote/protocol/frame.hpp>
#include <heph/remote/protocol/handshake.hpp>
#include <heph/remote/protocol/link.hpp>

namespace heph::remote::testing {

using namespace heph::remote::protocol;

/// Is one node's end: it runs the handshake of each connection, then its link.
class wire_end {
public:
    wire_end(std::string name, std::uint64_t incarnation, const link_limits& limits = {},
             const session_limits& of_session = {})
        : self{std::move(name), {incarnation, 1}, limits},
          session(of_session),
          peers(limits, of_session) {}

    /// Begins a connection. The output is in `out`.
    void dial(const std::string& peer) {
        reset_connection();
        meeting.emplace(handshake::dial(self, peer, peers.offer({self.incarnation.high, fresh})));
        meeting->take_output(out);
    }
    void accept() {
        reset_connection();
        meeting.emplace(handshake::accept_from(self));
    }
    /// The connection is gone; what was on its way with it.
    void cut() {
        peers.disconnect();
        meeting.reset();
        out.clear();
        frames.clear();
    }

    /// Takes bytes of the connection. What concerns the node is kept in `events`.
    void feed(std::span<const std::byte> bytes) {
        frames.feed(bytes);
        while (!failed) {
            const auto frame = frames.next(is_up() ? &peers : nullptr);
            if (!frame) {
                failed = frame.error();
                break;
            }
            if (!*frame) { break; }
            is_up() ? on_link_frame(**frame) : on_meeting_frame(**frame);
        }
        flush();
    }

    [[nodiscard]] bool is_up() const { return peers.current() == link::state::up; }

    void flush(std::size_t bytes_max = 64 * 1024) {
        peers.write_to(out, bytes_max);
        collect_losses();
    }

    void collect_losses() {
        while (auto loss = peers.next_news()) { events.push_back(std::move(*loss)); }
    }

    identity self;
    session_limits session;
    link peers;
    std::uint64_t fresh = 1;
    frame_reader frames{handshake_frame_bytes_max};
    std::optional<handshake> meeting;
    std::optional<error> failed;
    std::vector<std::byte> out;
    std::deque<event> events;  ///< Their payloads are gone: see `on_event`.
    std::function<void(const event&)> on_event;

private:
    void reset_connection() {
        cut();
        failed.reset();
        frames.set_frame_bytes_max(handshake_frame_bytes_max);
    }

    void on_meeting_frame(std::span<const std::byte> frame) {
        meeting->on_frame(frame);
        if (meeting->current() == handshake::state::deciding) {
            if (peers.is_outdated(meeting->heard())) {
                meeting->turn_away(error::duplicate_connection);
            } else {
                const id128 offered{self.incarnation.high, fresh};
                const auto [chosen, received] = peers.choose(meeting->heard(), offered);
                meeting->accept(chosen, received);
            }
        }
        meeting->take_output(out);
        if (meeting->current() == handshake::state::failed) {
            failed = meeting->failure();
        } else if (meeting->current() == handshake::state::done) {
            const auto connected = peers.connect(meeting->result());
            if (!connected) { failed = connected.error(); }
            frames.set_frame_bytes_max(peers.frame_bytes_max());
            ++fresh;
            collect_losses();
        }
    }

    void on_link_frame(std::span<const std::byte> frame) {
        auto told = frames.was_placed() ? peers.on_placed_frame(frame) : peers.on_frame(frame);
        if (!told) {
            failed = told.error();
            return;
        }
        if (!*told) { return; }
        if (on_event) { on_event(**told); }
        events.push_back(std::move(**told));
    }
};

/// Moves what both ends have to say until neither has more.
inline void exchange(wire_end& a, wire_end& b) {
    a.flush();
    b.flush();
    while (!a.out.empty() || !b.out.empty()) {
        b.feed(std::exchange(a.out, {}));
        a.feed(std::exchange(b.out, {}));
    }
}

/// Links two ends; `a` dials.
inline void connect(wire_end& a, wire_end& b) {
    b.accept();
    a.dial(b.self.name);
    exchange(a, b);
}

/// Takes the oldest event, which must be of this type.
template <typename T>
T take_event(wire_end& end) {
    HEPH_ASSERT(!end.events.empty());
    T taken = std::get<T>(std::move(end.events.front()));
    end.events.pop_front();
    return taken;
}

inline std::span<const std::byte> bytes_of_text(std::string_view text) {
    return std::as_bytes(std::span(text));
}

}  // namespace heph::remote::testing
