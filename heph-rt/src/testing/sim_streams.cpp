// The streams of a simulated network: TCP between hosts, and Unix sockets within one.
//
// What TCP does to get through is there as far as a program can tell: a handshake of one and a half
// round trips, pieces in order that are sent again after a while, a window, an orderly end of each
// direction, and resets. Acknowledgements never get lost: they are not there.

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <heph/core/timing.hpp>

#include "sim_host.hpp"
#include "sim_network.hpp"

namespace heph::rt::detail {

namespace {

using state = sim_socket::state;

constexpr std::chrono::milliseconds first_pause{200};    // Before a piece is sent again.
constexpr std::chrono::milliseconds first_knock{1'000};  // Before a connection is asked for again.
constexpr unsigned doublings_max = 6;

constexpr clock::duration pause(std::chrono::milliseconds first, unsigned tries) noexcept {
    return first * (1U << std::min(tries, doublings_max));
}

// Closed by its owner, who wants nothing more of it.
bool is_closed(const sim_socket& socket) noexcept {
    return socket.orphaned && socket.listener == 0;
}

}  // namespace

// Connecting.

int sim_network::connect(sim_socket& from, sim_host& to) {
    from.now = state::connecting;
    from.other_host = &to;
    begin_handshake(from.id);
    return -EINPROGRESS;
}

void sim_network::begin_handshake(std::uint32_t id) {
    sim_socket& from = *find(id);
    from.first_try = now_;
    note(from.host, "connects to " + from.peer.to_string());
    after(latency(*from.host, *from.other_host, from.family), [this, id] { knock(id); });
}

void sim_network::knock(std::uint32_t id) {
    sim_socket* const from = find(id);
    if (from == nullptr || from->now != state::connecting) { return; }
    sim_host& to = *from->other_host;
    if (!passes(*from->host, to)) {
        knock_again(*from);
        return;
    }
    sim_socket* const listener = find_bound(to, SOCK_STREAM, from->peer);
    if (listener == nullptr || random_.chance(options_.faults.refused_connects)) {
        after(latency(to, *from->host, from->family), [this, id] { refuse(id); });
        return;
    }
    if (listener->waiting.size() + listener->arriving >= listener->backlog) {
        knock_again(*from);
        return;
    }
    sim_socket& arriving = make_socket(to, from->family, from->type);
    arriving.now = state::connected;
    arriving.orphaned = true;
    arriving.bound = true;
    arriving.local = from->peer;
    arriving.peer = from->local;
    arriving.other = id;
    arriving.other_host = from->host;
    arriving.listener = listener->id;
    arriving.options = listener->options;
    ++listener->arriving;
    after(latency(to, *from->host, from->family),
          [this, id, accepted = arriving.id] { answer(id, accepted); });
}

void sim_network::knock_again(sim_socket& from) {
    if (now_ - from.first_try >= options_.stream_patience) {
        fail(from, ETIMEDOUT);
        return;
    }
    after(pause(first_knock, from.tries++), [this, id = from.id] { knock(id); });
}

void sim_network::refuse(std::uint32_t id) {
    sim_socket* const from = find(id);
    if (from == nullptr || from->now != state::connecting) { return; }
    if (!passes(*from->other_host, *from->host)) {
        knock_again(*from);
        return;
    }
    fail(*from, ECONNREFUSED);
}

void sim_network::answer(std::uint32_t id, std::uint32_t accepted) {
    sim_socket* const from = find(id);
    sim_socket* const to = find(accepted);
    const bool wanted = from != nullptr && from->now == state::connecting;
    if (to == nullptr || !wanted) {
        if (to != nullptr) { wait_to_be_accepted(accepted); }
        if (wanted) { knock_again(*from); }  // The other host was restarted meanwhile.
        return;
    }
    if (!passes(*to->host, *from->host)) {
        if (now_ - from->first_try >= options_.stream_patience) {
            to->other = 0;
            wait_to_be_accepted(accepted);
            fail(*from, ETIMEDOUT);
            return;
        }
        after(pause(first_pause, from->tries++), [this, id, accepted] { answer(id, accepted); });
        return;
    }
    from->tries = 0;
    from->now = state::connected;
    from->other = accepted;
    note(from->host, "is connected to " + from->peer.to_string());
    wake(*from);
    const auto arrives = latency(*from->host, *to->host, from->family);
    from->last_arrival = heph::detail::later(now_, arrives);
    after(arrives, [this, accepted] { wait_to_be_accepted(accepted); });
}

// The handshake is over, or as good as. Of one whose client is gone the owner learns by reading.
void sim_network::wait_to_be_accepted(std::uint32_t id) {
    sim_socket* const arriving = find(id);
    if (arriving == nullptr || arriving->listener == 0 || arriving->is_waiting) { return; }
    sim_socket* const listener = find(arriving->listener);
    if (listener == nullptr) {
        send_reset(*arriving);
        forget(id);
        return;
    }
    --listener->arriving;
    if (find(arriving->other) == nullptr && arriving->received.empty() && !arriving->peer_ended) {
        forget(id);  // Its client gave up before.
        return;
    }
    arriving->is_waiting = true;
    listener->waiting.push_back(id);
    wake(*listener);
}

int sim_network::connect_unix(sim_socket& from) {
    sim_socket* const listener = find_named(*from.host, from.peer_name);
    if (listener == nullptr) { return from.peer_name.starts_with('\0') ? -ECONNREFUSED : -ENOENT; }
    if (listener->type != from.type) { return -EPROTOTYPE; }
    if (listener->now != state::listening || listener->waiting.size() >= listener->backlog ||
        random_.chance(options_.faults.refused_connects)) {
        return -ECONNREFUSED;
    }
    sim_socket& accepted = make_socket(*from.host, from.family, from.type);
    join(from, accepted);
    accepted.orphaned = true;
    accepted.local_name = from.peer_name;
    accepted.listener = listener->id;
    accepted.is_waiting = true;
    listener->waiting.push_back(accepted.id);
    wake(*listener);
    return 0;
}

void sim_network::join(sim_socket& one, sim_socket& other) {
    one.now = other.now = state::connected;
    one.other = other.id;
    other.other = one.id;
    one.other_host = other.host;
    other.other_host = one.host;
}

// Sending.

std::size_t sim_network::room(const sim_socket& from) noexcept {
    const sim_socket* const to = find(from.other);
    const std::size_t used = from.out_bytes + (to != nullptr ? to->received.size() : 0);
    return options_.stream_window - std::min(used, options_.stream_window);
}

std::ptrdiff_t sim_network::send(sim_socket& from, std::span<const std::byte> bytes) {
    if (from.error != 0) { return -std::exchange(from.error, 0); }
    if (from.send_shut || from.now == state::failed) { return -EPIPE; }
    if (from.now != state::connected) { return -ENOTCONN; }
    std::size_t count = std::min(room(from), bytes.size());
    if (count == 0) { return bytes.empty() ? 0 : -EAGAIN; }
    if (count > 1 && random_.chance(options_.faults.short_sends)) {
        count = 1 + random_.below(count - 1);
    }
    sim_piece piece;
    piece.arrives = heph::detail::later(now_, latency(*from.host, *from.other_host, from.family));
    piece.bytes.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    from.out.push_back(std::move(piece));
    from.out_bytes += count;
    if (from.family != AF_UNIX && random_.chance(options_.faults.resets)) {
        note(from.host, "has a connection reset");
        after(latency(*from.host, *from.other_host, from.family),
              [this, one = from.id, other = from.other] {
                  for (const std::uint32_t id : {one, other}) {
                      sim_socket* const each = find(id);
                      if (each != nullptr && each->now == state::connected) {
                          fail(*each, ECONNRESET);
                      }
                  }
              });
    }
    pump(from);
    return static_cast<std::ptrdiff_t>(count);
}

void sim_network::end_sending(sim_socket& from) {
    if (from.send_shut) { return; }
    from.send_shut = true;
    sim_piece end;
    end.arrives = heph::detail::later(now_, latency(*from.host, *from.other_host, from.family));
    end.is_end = true;
    from.out.push_back(std::move(end));
    pump(from);
}

void sim_network::pump(sim_socket& from) {
    if (from.under_way || from.out.empty()) { return; }
    from.under_way = true;
    from.last_arrival = std::max({from.last_arrival, from.out.front().arrives, now_});
    after(from.last_arrival - now_, [this, id = from.id] { deliver(id); });
}

void sim_network::deliver(std::uint32_t id) {
    sim_socket* const from = find(id);
    if (from == nullptr || !from->under_way) { return; }
    if (!passes(*from->host, *from->other_host)) {
        if (from->tries == 0) { from->first_try = now_; }
        if (now_ - from->first_try >= options_.stream_patience) {
            fail(*from, ETIMEDOUT);
            return;
        }
        after(pause(first_pause, from->tries++), [this, id] { deliver(id); });
        return;
    }
    from->under_way = false;
    from->tries = 0;
    sim_piece piece = std::move(from->out.front());
    from->out.pop_front();
    from->out_bytes -= piece.bytes.size();
    hand_over(*from, find(from->other), std::move(piece));
    if (sim_socket* const still = find(id)) { pump(*still); }
}

void sim_network::hand_over(sim_socket& from, sim_socket* to, sim_piece piece) {
    const bool nobody = to == nullptr || to->now == state::failed;
    if (piece.is_end) {
        if (!nobody) {
            note(to->host, "hears the end of a stream");
            to->peer_ended = true;
            wait_to_be_accepted(to->id);
            wake(*to);
        }
        if (is_closed(from)) { forget(from.id); }
        return;
    }
    if (nobody || is_closed(*to)) {
        send_reset_to(*from.other_host, from.id);
        if (!nobody) { forget(to->id); }
        return;
    }
    note(to->host, "gets " + std::to_string(piece.bytes.size()) + " bytes");
    to->received.insert(to->received.end(), piece.bytes.begin(), piece.bytes.end());
    wait_to_be_accepted(to->id);
    wake(*to);
}

// Receiving.

std::ptrdiff_t sim_network::receive(sim_socket& at, std::span<std::byte> into) {
    if (!at.received.empty() && !at.receive_shut) {
        std::size_t count = std::min(at.received.size(), into.size());
        if (count > 1 && random_.chance(options_.faults.short_receives)) {
            count = 1 + random_.below(count - 1);
        }
        const auto end = at.received.begin() + static_cast<std::ptrdiff_t>(count);
        std::copy(at.received.begin(), end, into.begin());
        at.received.erase(at.received.begin(), end);
        if (const sim_socket* const sender = find(at.other)) { wake(*sender); }
        return static_cast<std::ptrdiff_t>(count);
    }
    if (at.error != 0) { return -std::exchange(at.error, 0); }
    if (at.peer_ended || at.receive_shut || at.now == state::failed) { return 0; }
    return at.now == state::connected ? -EAGAIN : -ENOTCONN;
}

// Ends.

void sim_network::fail(sim_socket& failed, int error) {
    note(failed.host, error == ECONNRESET     ? "has a connection reset"
                      : error == ECONNREFUSED ? "is refused a connection"
                                              : "gives a connection up");
    failed.now = state::failed;
    failed.error = error;
    failed.out.clear();
    failed.out_bytes = 0;
    failed.under_way = false;
    if (is_closed(failed)) {
        forget(failed.id);
    } else {
        wake(failed);
    }
}

void sim_network::send_reset(sim_socket& from) {
    if (from.other != 0) { send_reset_to(*from.host, from.other); }
}

void sim_network::send_reset_to(const sim_host& from, std::uint32_t to) {
    const sim_socket* const end = find(to);
    if (end == nullptr) { return; }
    after(latency(from, *end->host, end->family), [this, &from, to] {
        sim_socket* const told = find(to);
        if (told != nullptr && told->now != state::failed && passes(from, *told->host)) {
            fail(*told, ECONNRESET);
        }
    });
}

void sim_network::drop_waiting(sim_socket& listener) {
    for (const std::uint32_t id : std::exchange(listener.waiting, {})) {
        if (sim_socket* const each = find(id)) {
            send_reset(*each);
            forget(id);
        }
    }
}

void sim_network::close(sim_socket& closed) {
    if (closed.now == state::listening) { drop_waiting(closed); }
    if (closed.now != state::connected || closed.type != SOCK_STREAM) {
        forget(closed.id);
        return;
    }
    if (!closed.received.empty() || closed.resets_on_close) {
        send_reset(closed);
        forget(closed.id);
        return;
    }
    closed.orphaned = true;
    end_sending(closed);
    if (closed.out.empty()) { forget(closed.id); }
}

}  // namespace heph::rt::detail
