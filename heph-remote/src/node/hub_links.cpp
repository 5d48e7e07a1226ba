// Connections becoming links, and ending.

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

#include <heph/core/log.hpp>
#include <heph/inbox/assert.hpp>
#include <heph/rt/detail/entropy.hpp>

#include "hub.hpp"
#include "wording.hpp"

namespace heph::remote::detail {

namespace {

// What a turn of a writer sends at most, about.
constexpr std::size_t write_bytes = 64 * 1024;
// What is so large goes to the records as it is. What is smaller is collected, to share them.
constexpr std::size_t large_piece_bytes = 4 * 1024;
// What is said at the end, with the reports of what was not delivered.
constexpr std::size_t stop_bytes = 1024 * 1024;

// What is kept of what a stranger says, to try another secret on it. A first flight has some 250
// bytes.
constexpr std::size_t first_flight_bytes_max = 4096;

// So much is decrypted ahead while large payloads come: the head of a part, or small frames.
constexpr std::size_t little_bytes = 1024;

// Makes frames part of the output of a connection.
class record_sink final : public protocol::byte_sink {
public:
    explicit record_sink(connection& of) noexcept : of_(&of) {}

    void put(std::span<const std::byte> bytes) override {
        if (bytes.size() < large_piece_bytes || !of_->records.is_open()) {
            of_->plain.insert(of_->plain.end(), bytes.begin(), bytes.end());
            return;
        }
        flush();
        // What cannot be encrypted any more is of no use.
        if (of_->records.is_open()) { (void)of_->records.write(bytes); }
    }
    void put_part(const protocol::shared_bytes& of, std::span<const std::byte> bytes) override {
        if (bytes.size() < large_piece_bytes || !of_->records.is_open()) { return put(bytes); }
        flush();
        if (of_->records.is_open()) { (void)of_->records.write_shared(of, bytes); }
    }
    void flush() {
        if (!of_->plain.empty()) { (void)of_->records.write(of_->plain); }
        of_->plain.clear();
    }

private:
    connection* of_;
};

}  // namespace

protocol::id128 random_id() {
    const auto bits = rt::detail::random_number<std::array<std::uint64_t, 2>>();
    return {bits[0] | 1, bits[1]};  // Never zero, which stands for nothing.
}

hub::hub(std::shared_ptr<environment> around, std::shared_ptr<port> handles,
         const options& settings, protocol::identity self, link_security security)
    : environment_(std::move(around)),
      port_(std::move(handles)),
      settings_(settings),
      security_(std::move(security)),
      self_(std::move(self)),
      strangers_(settings.links().failures_max, settings.links().failure_forgiven) {
    settings_.credentials_.clear();  // `security_` has what they are for, and they may be replaced.
}

bool hub::allows(std::string_view peer) const {
    const auto& allowed = settings_.peers_allowed();
    return allowed.empty() || std::ranges::find(allowed, peer) != allowed.end();
}

void hub::feed(const connection_pointer& from, std::span<const std::byte> bytes) {
    record_layer& records = from->records;
    // Who has met knew the secret: what fails then is the connection.
    const bool may_retry = !from->dialed && !from->meeting && !records.is_open() &&
                           security_.ways() > 1 &&
                           from->first_flight.size() + bytes.size() <= first_flight_bytes_max;
    if (may_retry) {
        from->first_flight.insert(from->first_flight.end(), bytes.begin(), bytes.end());
    }
    const auto fed = records.feed(bytes);
    if (records.has_output() || !from->is_linked()) { from->wake.set(); }
    if (records.is_mismatched()) { return end(from, std::string(records.mismatch())); }
    if (!fed && (!may_retry || !try_another_secret(*from))) {
        return end(from, security_.explain(fed.error(), from->dialed));
    }
    if (!records.is_open()) { return; }
    if (!from->meeting) { begin_meeting(from); }
    if (from->current == connection::phase::closing) { return; }
    std::array<std::byte, 16 * 1024> scratch;
    for (;;) {
        // The rest of a frame goes where its beginning is.
        const auto room = from->frames.room();
        // Of a large payload, what is decrypted with the head of a part has to be moved once more.
        const bool is_large = from->is_linked() && from->with->link.is_assembling();
        const auto some = records.read(
            room.empty() ? std::span(scratch).first(is_large ? little_bytes : scratch.size())
                         : room);
        if (!some) { return end(from, some.error().message()); }
        if (some->empty()) { break; }
        if (some->data() == room.data()) {
            from->frames.commit(some->size());
        } else {
            from->frames.feed(*some);
        }
        take_frames(from);
        if (from->current == connection::phase::closing) { return; }
    }
    if (from->with && from->is_linked()) {
        peer& with = *from->with;
        if (with.link.is_overflowing()) { return break_off(from, protocol::error::overflow); }
        if (with.refused_as_full && with.link.has_room()) { retry_all(with); }
    }
    if (records.peer_closed()) { end(from, "it closed the connection"); }
}

// The address at which this node listens on its own machine is somebody else's on another one. What
// the program advertises is its own affair.
protocol::identity hub::identity_at(const connection& on) const {
    protocol::identity told = self_;
    if (!settings_.advertised().empty()) { return told; }
    const auto own = node_address::parse(told.address);
    const auto other = node_address::parse(on.address);
    if (own && own->is_local() && !(other && other->is_local())) { told.address.clear(); }
    return told;
}

void hub::begin_meeting(const connection_pointer& on) {
    if (!on->dialed) {
        on->meeting.emplace(protocol::handshake::accept_from(identity_at(*on)));
        return;
    }
    peer& with = *on->with;
    if (with.is_up()) { return end(on, std::string()); }
    // TLS has checked the name, but would take a wildcard for it.
    if (!link_security::may_be(on->records, with.name)) {
        return end(on, std::string(protocol::to_string(protocol::error::not_its_certificate)));
    }
    on->meeting.emplace(
        protocol::handshake::dial(identity_at(*on), with.name, with.link.offer(with.fresh)));
    with.hello_under_way = true;
    on->wake.set();
}

// What throws, for want of memory, may have left a frame half taken, so that the session is of no
// use; but the tasks of the connection, and of whoever dials, go on.
void hub::feed_safely(const connection_pointer& from, std::span<const std::byte> bytes) {
    try {
        feed(from, bytes);
    } catch (...) { give_up(from, "who took what it sent"); }
}

void hub::give_up(connection_pointer which, std::string_view what) noexcept {
    const peer_pointer with = which->is_linked() ? which->with : nullptr;
    std::string why;
    try {
        why = std::string(what) + ' ' + what_was_thrown();
    } catch (...) {}  // Nor is there memory for that.
    try {
        end(which, std::move(why));
    } catch (...) { which->close(std::string()); }
    if (with) { lose_safely(with); }
}

void hub::give_up(const peer_pointer& with, std::string_view what) noexcept {
    if (with->up) { return give_up(with->up, what); }
    if (with->link.current() == protocol::link::state::away) { lose_safely(with); }
}

void hub::lose_safely(const peer_pointer& with) noexcept {
    with->is_to_be_lost = true;
    times_changed_.set();
    try {
        lose(with, failure::node_down);
    } catch (...) {}  // The clock does it.
}

void hub::begin_meeting_safely(const connection_pointer& on) {
    std::string why;
    try {
        return begin_meeting(on);
    } catch (const std::exception& thrown) { why = thrown.what(); } catch (...) {
        why = "an unknown exception";
    }
    end(on, "its handshake could not begin: " + why);
}

// What has not met yet began with what is not used any more, and begins again.
void hub::secure_anew(link_security by, bool renews_links) {
    security_ = std::move(by);
    for (const auto& each : std::list(connections_)) {
        const auto open = each.lock();
        if (!open || open->current == connection::phase::closing) { continue; }
        if (!open->is_linked()) {
            open->close(std::string());
        } else if (renews_links) {
            end(open, "this node has other credentials now");
        }
    }
    // Who waits to dial again may get through now.
    for (const auto& [name, with] : peers_) { with->changed.set(); }
    heph::log(log_level::info, "node " + self_.name + ": links by other credentials from now on");
}

bool hub::try_another_secret(connection& of) {
    while (of.ways_tried < security_.ways()) {
        auto another = security_.accept(of.ways_tried++);
        if (!another) { return false; }
        of.records = std::move(*another);
        if (of.records.feed(of.first_flight)) { return true; }
    }
    return false;
}

void hub::take_frames(const connection_pointer& from) {
    while (from->current != connection::phase::closing) {
        const auto frame = from->frames.next(from->is_linked() ? &from->with->link : nullptr);
        if (!frame) {
            if (from->is_linked()) { return break_off(from, frame.error()); }
            from->meeting->on_bad_frame(frame.error());
            return end(from, std::string(protocol::to_string(frame.error())));
        }
        if (!*frame) { return; }
        from->is_linked() ? on_link_frame(from, **frame) : on_meeting_frame(from, **frame);
    }
}

void hub::on_meeting_frame(const connection_pointer& from, std::span<const std::byte> frame) {
    using state = protocol::handshake::state;
    protocol::handshake& meeting = *from->meeting;
    meeting.on_frame(frame);
    if (meeting.current() == state::deciding) { decide(from); }
    if (meeting.current() == state::done) { return link_up(from); }
    if (meeting.current() != state::failed) { return; }
    // That the other of two connections is kept is no failure.
    if (meeting.failure() == protocol::error::duplicate_connection) {
        return end(from, std::string());
    }
    if (meeting.refused_by_peer() && meeting.failure() == protocol::error::other_security) {
        return end(from, std::string(from->records.mismatch()));
    }
    std::string why(protocol::to_string(meeting.failure()));
    if (meeting.refused_by_peer()) { why = "it refused the link: " + why; }
    end(from, std::move(why));
}

void hub::decide(const connection_pointer& about) {
    protocol::handshake& meeting = *about->meeting;
    const protocol::hello& heard = meeting.heard();
    if (!allows(heard.name)) { return meeting.turn_away(protocol::error::not_allowed); }
    if (!link_security::may_be(about->records, heard.name)) {
        return meeting.turn_away(protocol::error::not_its_certificate);
    }
    const peer_pointer with = peer_named(heard.name);
    if (!with) { return meeting.turn_away(protocol::error::too_many_peers); }
    protocol::standing current;
    current.linked = with->is_up();
    current.hello_under_way = with->hello_under_way;
    if (with->up) {
        current.dialed = with->up->dialed;
        current.heard_lately =
            now() - with->up->heard < settings_.links().heartbeat + settings_.links().heartbeat / 2;
        current.incarnation = with->link.peer_incarnation();
        current.links = with->link.links();
    }
    if (const auto refused = protocol::judge(self_.name, current, heard)) {
        return meeting.turn_away(*refused);
    }
    // Who said it is linked, or was, since. It would be taken for one that lost what it had, and
    // the link that works would be given up for it.
    if (with->link.is_outdated(heard)) {
        return meeting.turn_away(protocol::error::duplicate_connection);
    }
    about->with = with;
    const auto [session, received] = with->link.choose(heard, with->fresh);
    meeting.accept(session, received);
}

void hub::link_up(const connection_pointer& over) {
    const peer_pointer with = over->with;
    const protocol::handshake_result& agreed = over->meeting->result();
    if (over->is_half_open) {
        over->is_half_open = false;
        --half_open_;
    }
    if (!over->dialed) { strangers_.succeeded(over->source); }
    if (with->up) {
        const auto old = std::exchange(with->up, nullptr);
        with->close_ways();
        with->link.disconnect();
        old->close(std::string());
    }
    if (const auto other = with->dialing; other && other != over) { other->close(std::string()); }
    with->hello_under_way = false;
    if (const auto connected = with->link.connect(agreed); !connected) {
        end(over, std::string(protocol::to_string(connected.error())));
        return lose(with, failure::node_down);
    }
    if (with->link.links() == 1) {
        ++with->session;
        end_node_watches(*with, failure::node_down);  // Of the session before, if there was one.
    }
    with->refusals = 0;
    const auto other_end = node_address::parse(over->address);
    with->other_end = other_end ? std::optional(*other_end) : std::nullopt;
    const auto told = node_address::parse(agreed.peer_address);
    with->told_address = told && told->is_dialable() ? std::optional(*told) : std::nullopt;
    tell_news(with);
    if (with->link.links() == 1) {
        // Numbers of another incarnation's actors: what was not delivered has been told by now.
        with->actor_names.clear();
        with->last_named = 0;
    }
    with->fresh = random_id();
    over->current = connection::phase::linked;
    over->was_linked = true;
    over->alive.emplace(settings_.links().silence, settings_.links().heartbeat,
                        settings_.links().phi_accrual, now());
    over->first_flight = {};
    over->frames.set_frame_bytes_max(with->link.frame_bytes_max());
    with->up = over;
    with->up_since = now();
    with->last_failure.clear();
    port_->set_peer(with->name, true);
    log_within(link_log_, log_level::info,
               "node " + self_.name + ": linked to " + with->name + " at " + over->address);
    with->changed.set();
    retry_all(*with);
    over->wake.set();
}

void hub::on_link_frame(const connection_pointer& from, std::span<const std::byte> frame) {
    protocol::link& link = from->with->link;
    auto told = from->frames.was_placed() ? link.on_placed_frame(frame) : link.on_frame(frame);
    if (!told) { return break_off(from, told.error()); }
    if (*told) { on_event(from->with, **told); }
    tell_news(from->with);
}

void hub::end(connection_pointer which, std::string why) {
    if (which->current == connection::phase::closing) { return; }
    if (which->is_linked()) {
        detach(*which);
        say(link_log_, [&] {
            return "the link to " + which->with->name + " at " + which->address +
                   " is down: " + why;
        });
    } else if (!which->dialed && !why.empty()) {
        strangers_.failed(which->source, now());
        // Whoever dials tells it.
        say(log_, [&] { return "turned away " + which->address + ": " + why; });
    }
    which->close(std::move(why));
}

void hub::break_off(const connection_pointer& which, protocol::error why) {
    const peer_pointer with = which->with;
    with->link.say_goodbye(why);
    with->link.write_to(which->plain, which->plain.size() + write_bytes);
    end(which, std::string(protocol::to_string(why)));
    // The session is of no use: what broke it would break it again.
    lose(with, failure::node_down);
}

void hub::detach(connection& which) {
    peer& with = *which.with;
    HEPH_ASSERT(with.up.get() == &which);
    with.link.disconnect();
    with.up.reset();
    with.close_ways();
    with.not_up_since = now();
    port_->set_peer(with.name, false);
    with.changed.set();
    times_changed_.set();
    try {
        call_back_if_away(which.with);
    } catch (...) {}  // The clock does it, when there is memory.
}

// Who dialed this node, and may not get through to it any more.
void hub::call_back_if_away(const peer_pointer& with) {
    const auto& told = with->told_address;
    const bool is_callable =
        told && ((with->other_end && told->is_same_host(*with->other_end)) || may_be_led_to(*told));
    if (with->has_dialer || !is_callable || draining_.is_set() ||
        with->link.current() != protocol::link::state::away) {
        return;
    }
    spawn_for(with, &peer::is_called_back, &call_back);
}

void hub::lose(const peer_pointer& with, failure why) {
    with->link.lose(why);
    ++with->session;
    with->is_to_be_lost = false;
    end_node_watches(*with, why);
    tell_news(with);
    with->actor_names.clear();
    with->last_named = 0;
}

void hub::end_node_watches(peer& of, failure why) {
    for (auto& [id, reply] : std::exchange(of.node_watchers, {})) {
        places_.erase(id);
        (void)std::move(reply).try_send(why);
    }
}

bool hub::is_idle() const {
    return std::ranges::all_of(peers_, [](const auto& each) {
        const peer& with = *each.second;
        return !with.is_up() ||
               (with.calls.empty() && with.searches.empty() && with.called.empty() &&
                with.arrived.empty() && with.blocked.empty() && with.link.is_idle());
    });
}

void hub::collect(const connection_pointer& from) {
    const bool closes = from->current == connection::phase::closing;
    if (from->meeting) { from->meeting->take_output(from->plain); }
    record_sink sink(*from);
    if (from->is_linked()) {
        from->with->link.write_to(sink, write_bytes);
        tell_news(from->with);
    }
    if (from->records.is_open()) {
        sink.flush();
        if (closes) { from->records.close_notify(); }
    }
}

void hub::kick(peer& with) {
    if (with.up && with.link.has_output()) { with.up->wake.set(); }
}

// While somebody waits, often enough to notice that this program did not run for a while.
hub::time_point hub::next_time() const {
    const time_point time = now();
    time_point next = time + std::chrono::hours(1);
    for (const auto& [name, with] : peers_) {
        if (with->is_to_be_lost) { next = std::min(next, time + look_step); }
        if (with->is_up()) { continue; }
        if (!with->blocked.empty()) {
            next =
                std::min({next, with->not_up_since + settings_.links().patience, time + look_step});
        }
        if (!with->has_dialer || with->link.current() == protocol::link::state::away) {
            next = std::min({next, with->not_up_since + settings_.links().grace, time + look_step});
        }
    }
    return next;
}

// Time in which this program did not run is not counted: not for the patience, nor for the grace.
void hub::discount(time_point::duration missed) {
    for (const auto& [name, with] : peers_) {
        if (!with->is_up()) { with->not_up_since += missed; }
    }
}

void hub::check_times() {
    const auto time = now();
    for (auto at = peers_.begin(); at != peers_.end();) {
        const peer_pointer with = at->second;
        ++at;
        if (with->is_to_be_lost) {
            if (with->up) { end(with->up, "something of it was lost"); }
            lose(with, failure::node_down);
        }
        if (with->is_up()) { continue; }
        call_back_if_away(with);
        if (time >= with->not_up_since + settings_.links().patience) {
            fail_blocked(*with, failure::node_down);
        }
        if (time < with->not_up_since + settings_.links().grace) { continue; }
        if (with->link.current() == protocol::link::state::away) { lose(with, failure::node_down); }
        if (!with->has_dialer) {
            // Who dialed this node and did not come back. Nothing refers to it any more.
            drop_peer(with);
        }
    }
}

// Tells who sent what is still waiting for room in inboxes here. Calls fail by the goodbye.
void hub::tell_undelivered(peer& of) {
    for (const auto& [actor, queue] : of.arrived) {
        for (const waiting_delivery& each : queue) {
            if (each.session != of.session || each.answers) { continue; }
            of.link.fail_message(each.number, failure::node_down);
        }
    }
}

void hub::stop() {
    draining_.set();
    stopped_.set();
    port_->close();
    for (const auto& [name, with] : peers_) {
        if (const auto last = with->up) {
            tell_undelivered(*with);
            with->link.say_goodbye(protocol::error::shutting_down);
            with->link.write_to(last->plain, stop_bytes);
            detach(*last);
            last->close(std::string());
        }
        fail_blocked(*with, failure::stopped);
        lose(with, failure::stopped);
    }
    for (const auto& each : connections_) {
        if (const auto open = each.lock()) { open->close(std::string()); }
    }
}

// Also when no task was ever run.
hub::~hub() { ended(); }

// What is dropped half-way leaves connections and peers that keep each other.
void hub::ended() noexcept {
    for (const auto& [name, with] : peers_) {
        with->up.reset();
        with->dialing.reset();
    }
    port_->close();
    port_->end();
    port_->forget_environment();
}

}  // namespace heph::remote::detail
