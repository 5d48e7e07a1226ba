#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <heph/rt/net/endpoint.hpp>
#include <heph/rt/time_source.hpp>

namespace heph::rt::detail {

class sim_host;

/// Descriptors of simulated sockets begin here: beyond all that the kernel gives, and before what
/// stands for direct ones.
inline constexpr int sim_descriptor_base = 1 << 29;

/// A part of a stream on its way.
struct sim_piece {
    clock::time_point arrives;  // At the earliest.
    std::vector<std::byte> bytes;
    bool is_end = false;  // No more is sent: there are no bytes.
};

/// A datagram that waits to be received.
struct sim_datagram {
    net::endpoint from;
    std::vector<std::byte> bytes;
};

/// A simulated socket.
///
/// A stream's
///     fresh --listen--> listening
///     fresh --connect--> connecting --answer--> connected
///     connecting --refusal, or none in time--> failed
///     (a listener's) arriving --handshake--> waiting --accept--> connected
///     connected --reset, or no way for too long--> failed
///
/// Invariants
///     1. Sockets refer to each other by number, and numbers are not used again: who is told of a
///        socket that is gone finds none.
///     2. Pieces arrive in order: only the first of `out` is on its way (`under_way`), and is tried
///        again until it arrives.
///     3. `out_bytes` counts what is in `out`. With what the peer has `received` it stays within
///        the window.
///     4. A closed stream is `orphaned` until its end has arrived, unless it ends by a reset.
struct sim_socket {
    enum class state : std::uint8_t { fresh, listening, connecting, connected, failed };

    std::uint32_t id = 0;
    sim_host* host = nullptr;
    int family = 0;
    int type = 0;
    state now = state::fresh;
    bool bound = false;
    bool orphaned = false;  // Its descriptor is closed, or it was not accepted yet.
    bool reuse_port = false;
    bool resets_on_close = false;
    int error = 0;  // To be told once.
    net::endpoint local;
    net::endpoint peer;
    bool has_peer = false;   // Datagrams: it is connected.
    std::string local_name;  // Of Unix sockets, as in `sun_path`.
    std::string peer_name;
    std::map<std::pair<int, int>, std::vector<std::byte>> options;

    // Listening.
    std::size_t backlog = 0;
    std::deque<std::uint32_t> waiting;
    std::size_t arriving = 0;  // Handshakes under way.

    // Streams.
    std::uint32_t other = 0;  // The other end, or 0.
    sim_host* other_host = nullptr;
    std::uint32_t listener = 0;  // Whose queue it is to wait in, or waits in; 0 once accepted.
    bool is_waiting = false;     // It does.
    std::deque<sim_piece> out;
    std::size_t out_bytes = 0;
    bool under_way = false;
    unsigned tries = 0;  // Of what is on its way, in vain.
    clock::time_point first_try;
    clock::time_point last_arrival;
    std::vector<std::byte> received;
    bool peer_ended = false;
    bool receive_shut = false;
    bool send_shut = false;

    // Datagrams.
    std::deque<sim_datagram> datagrams;
    std::size_t datagram_bytes = 0;

    [[nodiscard]] int descriptor() const noexcept {
        return sim_descriptor_base + static_cast<int>(id);
    }
};

}  // namespace heph::rt::detail
