// The tasks of a node.

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/core/log.hpp>
#include <heph/core/timing.hpp>
#include <heph/remote/protocol/liveness.hpp>

#include "hub.hpp"
#include "polling.hpp"
#include "transport.hpp"

namespace heph::remote::detail {

namespace {

using namespace std::chrono_literals;

constexpr auto pause_after_failed_accept = 100ms;

// While a node drains, it looks so often whether it is done, and is when it was so many times.
constexpr auto drain_look = 10ms;
constexpr int drain_looks = 3;

// What is read yet from who is turned away, so that it gets the reason; no more is.
constexpr std::size_t ignored_bytes_max = 64 * 1024;

// What the end of a node waits for those who are giving it something just then.
constexpr auto refusing_time = 10s;

// An acknowledgement or a grant that has nothing to go with waits so long for it: an answer that an
// actor gives at once is one write, and so is the next question.
constexpr auto company_wait = 2ms;

std::string after(std::chrono::milliseconds time) {
    return " within " + std::to_string(time.count()) + " ms";
}

// What an exception says that is being handled.
std::string what_was_thrown() {
    try {
        throw;
    } catch (const std::exception& thrown) {
        return std::string("threw ") + thrown.what();
    } catch (...) { return "threw an unknown exception"; }
}

// Whatever an environment throws is a failed attempt, and does not end who dials.
task<stream_result> connect_or_fail(std::shared_ptr<environment> around,
                                    std::shared_ptr<memory_core> network, node_address to) {
    std::string why;
    try {
        auto connecting = connect_by(around, network, std::move(to));
        co_return co_await connecting;
    } catch (const std::exception& thrown) { why = thrown.what(); } catch (...) {
        why = "an unknown exception";
    }
    heph::log(log_level::error, "a connect threw: " + why);
    co_return stream_result(std::unexpect, std::make_error_code(std::errc::io_error));
}

}  // namespace

// A pause less a random part of up to a half, so that nodes that lost each other at once do not
// dial at once for ever.
std::chrono::milliseconds hub::with_jitter(std::chrono::milliseconds pause) {
    const auto half = static_cast<std::uint32_t>(pause.count() / 2);
    return pause - std::chrono::milliseconds(environment_->random() % (half + 1));
}

// Is done when a connection had enough time to send what it is sending.
task<> hub::time_out(hub_pointer self, connection_pointer to, std::chrono::milliseconds limit) {
    // As for silence, time in which this program did not run is not counted.
    protocol::liveness sending(limit, self->now(), look_step);
    while (!sending.is_dead()) {
        const auto first = co_await either(to->closed.wait(), self->timer(sending.step()));
        if (first.index() == 0) {
            co_await self->timer(self->settings_.links().goodbye_time);
            co_return;
        }
        sending.tick(self->now());
    }
}

void hub::start(inbox::receiver<command> commands, listener_pointer listener) {
    const auto self = shared_from_this();
    spawn(run(self, std::move(commands)));
    spawn(watch_times(self));
    if (listener) { spawn(accept_all(self, std::move(listener))); }
}

/// Tells the hub that its main task has ended, or was dropped.
class hub::ending_hub {
public:
    explicit ending_hub(hub& of) noexcept : of_(&of) {}
    ending_hub(const ending_hub&) = delete;
    ending_hub& operator=(const ending_hub&) = delete;
    ~ending_hub() { of_->ended(); }

private:
    hub* of_;
};

task<> hub::run(hub_pointer self, inbox::receiver<command> commands) {
    const ending_hub guard(*self);
    // What throws, for want of memory, ends the node in order, and not who runs it.
    std::string thrown_text;
    try {
        auto serving = serve(self, commands);
        co_await serving;
    } catch (const std::exception& thrown) { thrown_text = thrown.what(); } catch (...) {
        thrown_text = "an unknown exception";
    }
    if (!thrown_text.empty()) {
        heph::log(log_level::error, "node " + self->self_.name + " stops: " + thrown_text);
    }
    self->stop();
    co_await refuse_rest(self, std::move(commands));
}

task<> hub::serve(hub_pointer self, inbox::receiver<command>& commands) {
    std::vector<command> batch;
    auto stopping = self->environment_->stopping();
    time_point drain_until{};
    int idle_looks = 0;
    while (!self->draining_.is_set() || self->now() < drain_until) {
        bool stops = false;
        if (!self->draining_.is_set()) {
            const auto first = co_await either(stopping, port::requests_future(*self->port_),
                                               commands.recv_many(batch, commands_max));
            stops = first.index() == 0;
        } else {
            idle_looks = self->is_idle() ? idle_looks + 1 : 0;
            if (idle_looks > drain_looks) { break; }
            (void)co_await either(self->timer(drain_look), port::requests_future(*self->port_),
                                  commands.recv_many(batch, commands_max));
        }
        requests asked = self->port_->take_requests();
        if ((stops || asked.stop) && !self->draining_.is_set()) {
            self->draining_.set();
            drain_until = self->now() + self->settings_.links().drain_time;
        }
        for (const std::uint64_t actor : asked.unpublished) { self->unpublished(actor); }
        for (const std::uint64_t actor : asked.shared) {
            self->spawn(forget_when_finished(self, actor));
        }
        for (const auto& [name, address] : asked.peers) {
            if (address) {
                self->dial(name, *address);
            } else {
                self->forget(name);
            }
        }
        // Whatever was sent before a cancel is in the channel now, so that the cancel finds it.
        commands.try_recv_many(batch, commands_max);
        for (command& each : batch) { self->execute(each); }
        batch.clear();
        for (const std::uint64_t id : asked.cancelled) { self->cancel(id); }
    }
}

// Fails the commands that came too late. All of them are before a mark that is sent now, except
// those whose senders see that the node has ended. A sender that is descheduled while it sends
// hides those behind it, so the wait for the mark is bounded.
task<> hub::refuse_rest(hub_pointer self, inbox::receiver<command> commands) {
    self->port_->end();
    auto marking = self->port_->commands().send(command(std::in_place_type<mark>));
    auto late = self->timer(refusing_time);
    std::vector<command> batch;
    bool is_sent = false;
    for (bool is_done = false; !is_done;) {
        if (is_sent) {
            const auto first = co_await either(commands.recv_many(batch, commands_max), late);
            is_done = first.index() == 1;
        } else {
            const auto first =
                co_await either(marking, commands.recv_many(batch, commands_max), late);
            is_sent = first.index() == 0;
            is_done = first.index() == 2;
        }
        for (command& each : batch) {
            is_done = is_done || std::holds_alternative<mark>(each);
            self->fail(each, failure::stopped);
        }
        batch.clear();
    }
}

connection_pointer hub::add_connection(stream_pointer stream, record_layer records,
                                       std::string address, bool dialed, time_point until) {
    std::erase_if(connections_, [](const auto& each) { return each.expired(); });
    auto made = std::make_shared<connection>(std::move(stream), std::move(records),
                                             std::move(address), dialed, until);
    connections_.push_back(made);
    spawn(write(shared_from_this(), made));
    return made;
}

task<> hub::accept_all(hub_pointer self, listener_pointer at) {
    while (!self->draining_.is_set()) {
        std::string failed;
        try {
            auto first = co_await either(at->accept(), self->draining_.wait());
            if (first.index() != 0 || self->draining_.is_set()) { break; }
            auto& accepted = std::get<0>(first);
            accepted ? self->admit(std::move(*accepted))
                     : void(failed = accepted.error().message());
        } catch (...) { failed = what_was_thrown(); }
        if (failed.empty()) { continue; }
        self->log_within(self->log_, log_level::error,
                         "node " + self->self_.name + ": cannot accept a connection: " + failed);
        co_await either(self->timer(pause_after_failed_accept), self->draining_.wait());
    }
}

void hub::admit(stream_pointer accepted) {
    const link_settings& settings = settings_.links();
    std::string address = accepted->peer();
    const std::string source = accepted->source();
    if (!strangers_.admits(source, now())) {
        return log_within(log_, log_level::warning,
                          "node " + self_.name + ": turned away " + address +
                              ": too many handshakes of that address failed");
    }
    if (half_open_ >= settings.half_open_max && !drop_half_open(source)) {
        return log_within(
            log_, log_level::warning,
            "node " + self_.name + ": turned away " + address + ": too many are half-open");
    }
    auto records = security_.accept(0);
    if (!records) {
        return log_within(log_, log_level::error,
                          "node " + self_.name + ": TLS: " + records.error().message());
    }
    const auto made = add_connection(std::move(accepted), std::move(*records), std::move(address),
                                     false, now() + settings.handshake_time);
    made->source = source;
    try {
        spawn(read(shared_from_this(), made));
    } catch (...) {
        made->close(std::string());  // Nobody reads it.
        made->input_ended.set();
        throw;
    }
    made->is_half_open = true;
    ++half_open_;
}

// Makes place for another source: the oldest one goes of whoever has most that are half-open, if he
// has more than the other would have.
bool hub::drop_half_open(std::string_view for_source) {
    std::map<std::string_view, std::size_t> counts;
    std::vector<connection_pointer> half_open;
    for (const auto& each : connections_) {
        auto open = each.lock();
        if (!open || !open->is_half_open) { continue; }
        ++counts[open->source];
        half_open.push_back(std::move(open));
    }
    if (counts.empty()) { return false; }
    const auto most =
        std::ranges::max_element(counts, {}, [](const auto& each) { return each.second; });
    const auto own = counts.find(for_source);
    if (most->second <= (own == counts.end() ? 0 : own->second) + 1) { return false; }
    const auto oldest = std::ranges::find(
        half_open, most->first, [](const auto& each) -> std::string_view { return each->source; });
    (*oldest)->is_half_open = false;
    --half_open_;
    // Its source did nothing wrong, and is not charged with a failure.
    log_within(log_, log_level::warning,
               "node " + self_.name + ": turned away " + (*oldest)->address +
                   ": others wait, and it did not finish its handshake");
    (*oldest)->close(std::string());
    return true;
}

task<> hub::dial_again(hub_pointer self, peer_pointer with) {
    const link_settings& settings = self->settings_.links();
    std::chrono::milliseconds pause{0};
    while (!self->stopped_.is_set()) {
        with->changed.clear();
        if (with->is_dropped) { break; }
        if (with->is_learned && !with->is_up() &&
            self->now() >= with->not_up_since + settings.grace) {
            break;
        }
        // Whoever is about to stop brings back what is under way, and nothing else.
        const bool is_of_use =
            !self->draining_.is_set() || with->link.current() == protocol::link::state::away;
        if (with->is_up() || !is_of_use) {
            pause = settings.pause_min;
            co_await either(with->changed.wait(), self->stopped_.wait());
            continue;
        }
        if (pause.count() != 0) {
            const auto first = co_await either(self->timer(self->with_jitter(pause)),
                                               with->changed.wait(), self->stopped_.wait());
            if (first.index() == 1 && with->is_up()) { continue; }
            if (first.index() == 2 || with->is_dropped) { break; }
        }
        with->changed.clear();
        const node_address where = *with->address;
        const dial_result result = co_await dial_safely(self, with, where);
        self->count_refusal(with, where, result);
        const std::string& failed = result.why;
        if (!failed.empty() && failed != with->last_failure && !self->stopped_.is_set()) {
            heph::log(log_level::warning, "node " + self->self_.name + ": cannot link to " +
                                              with->name + " at " + where.to_string() + ": " +
                                              failed + "; dialing again until it works");
            with->last_failure = failed;
        }
        if (!failed.empty() && with->address == where) { with->try_next_address(); }
        pause = failed.empty() ? settings.pause_min
                               : std::clamp(pause * 2, settings.pause_min, settings.pause_max);
    }
    with->has_dialer = false;
    self->times_changed_.set();
}

task<> hub::call_back(hub_pointer self, peer_pointer with) {
    const link_settings& settings = self->settings_.links();
    std::chrono::milliseconds pause = settings.pause_min;
    while (!self->draining_.is_set() && !with->is_dropped && !with->has_dialer &&
           with->told_address && with->link.current() == protocol::link::state::away) {
        with->changed.clear();
        const auto first = co_await either(self->timer(self->with_jitter(pause)),
                                           with->changed.wait(), self->draining_.wait());
        if (first.index() != 0) { continue; }
        const node_address where = *with->told_address;
        const dial_result result = co_await dial_safely(self, with, where);
        self->count_refusal(with, where, result);
        pause = std::clamp(pause * 2, settings.pause_min, settings.pause_max);
    }
    with->is_called_back = false;
}

// What throws is a failed attempt, so that there is another one.
task<hub::dial_result> hub::dial_safely(hub_pointer self, peer_pointer with, node_address where) {
    std::string thrown;
    try {
        auto dialing = dial_once(self, with, std::move(where));
        co_return co_await dialing;
    } catch (...) { thrown = what_was_thrown(); }
    if (const auto attempt = std::exchange(with->dialing, nullptr)) {
        attempt->close(std::string());
        with->hello_under_way = false;
    }
    co_return dial_result(std::move(thrown));
}

task<hub::dial_result> hub::dial_once(hub_pointer self, peer_pointer with, node_address where) {
    const link_settings& settings = self->settings_.links();
    const auto until = self->now() + settings.handshake_time;
    auto connecting = with_deadline(
        connect_or_fail(self->environment_, self->settings_.memory(), where), self->timer(until));
    auto first = co_await either(connecting, self->stopped_.wait(), with->changed.wait());
    if (first.index() != 0) { co_return dial_result(); }
    auto& connected = std::get<0>(first);
    if (!connected) {
        co_return dial_result("it does not answer" + after(settings.handshake_time));
    }
    if (!*connected) {
        const std::error_code failed = connected->error();
        co_return dial_result(failed.message(), failed == std::errc::connection_refused);
    }
    if (with->is_up() || with->is_dropped || self->stopped_.is_set()) { co_return dial_result(); }
    auto records = self->security_.dial(with->name);
    if (!records) { co_return dial_result("TLS: " + records.error().message()); }
    const auto made = self->add_connection(std::move(**connected), std::move(*records),
                                           where.to_string(), true, until);
    made->with = with;
    with->dialing = made;
    // In plain text nothing comes before the hello.
    if (made->records.is_open()) { self->begin_meeting_safely(made); }
    co_await read(self, made);
    if (with->dialing == made) {
        with->dialing.reset();
        with->hello_under_way = false;
    }
    co_return made->was_linked ? dial_result() : dial_result(made->why);
}

task<> hub::read(hub_pointer self, connection_pointer from) {
    try {
        auto reading = read_to_the_end(self, from);
        co_await reading;
    } catch (...) { self->give_up(from, "its reader " + what_was_thrown()); }
    if (std::exchange(from->is_half_open, false)) { --self->half_open_; }
    from->input_ended.set();
    from->wake.set();
}

task<> hub::read_to_the_end(hub_pointer self, connection_pointer from) {
    const link_settings& settings = self->settings_.links();
    std::size_t ignored_bytes = 0;
    for (;;) {
        time_point until = from->handshake_until;
        if (from->is_linked()) { until = self->now() + from->alive->step(); }
        // The writer ends it.
        if (from->current == connection::phase::closing) {
            until = self->now() + std::chrono::hours(1);
        }
        auto receiving = with_deadline(from->socket->next(), self->timer(until));
        auto received = co_await receiving;
        if (!received) {
            if (from->current == connection::phase::closing) { continue; }
            if (from->is_linked()) {
                from->alive->tick(self->now());
                if (!from->alive->is_dead()) { continue; }
                self->end(from, std::string(protocol::to_string(protocol::error::timed_out)));
            } else {
                self->end(from, "no handshake" + after(settings.handshake_time));
            }
            break;
        }
        if (!*received) {
            self->end(from, (*received).error().message());
            break;
        }
        if ((*received)->empty()) {
            self->end(from, from->is_linked() ? "it closed the connection"
                                              : "it closed the connection before the handshake" +
                                                    self->security_.explain_end(from->dialed));
            break;
        }
        if (from->current == connection::phase::closing) {
            ignored_bytes += (*received)->bytes().size();
            if (!from->was_linked && ignored_bytes > ignored_bytes_max) { break; }
            continue;
        }
        from->heard = self->now();
        if (from->alive) { from->alive->heard(from->heard); }
        self->feed_safely(from, (*received)->bytes());
        if (from->is_linked()) { kick(*from->with); }
    }
}

task<> hub::write(hub_pointer self, connection_pointer to) {
    try {
        auto writing = write_to_the_end(self, to);
        co_await writing;
    } catch (...) { self->give_up(to, "its writer " + what_was_thrown()); }
    to->socket->shutdown(rt::net::shutdown_how::send);
    if (!to->input_ended.is_set()) {
        co_await either(to->input_ended.wait(), self->timer(self->settings_.links().goodbye_time));
    }
    to->socket->shutdown(rt::net::shutdown_how::both);
}

task<> hub::write_to_the_end(hub_pointer self, connection_pointer to) {
    const link_settings& settings = self->settings_.links();
    std::optional<time_point> alone_until;
    for (;;) {
        to->wake.clear();
        if (to->is_linked()) {
            const protocol::link& link = to->with->link;
            if (!link.has_output() || link.is_pressing()) {
                alone_until.reset();
            } else if (!alone_until) {
                alone_until = self->now() + company_wait;
            }
            if (alone_until && self->now() < *alone_until) {
                co_await either(to->wake.wait(), self->timer(*alone_until));
                continue;
            }
            alone_until.reset();
        }
        std::vector<rt::buffer> pieces = self->collect(to);
        if (!pieces.empty()) {
            const auto limit = to->current == connection::phase::closing ? settings.goodbye_time
                                                                         : settings.silence;
            auto sending = pieces.size() == 1 ? to->socket->send_all(std::move(pieces.front()))
                                              : to->socket->send_pieces(std::move(pieces));
            const auto sent = co_await either(sending, time_out(self, to, limit));
            if (sent.index() != 0) {
                self->end(to, "it does not read");
                break;
            }
            if (const std::error_code& failed = std::get<0>(sent)) {
                self->end(to, failed.message());
                break;
            }
            continue;
        }
        if (to->current == connection::phase::closing) { break; }
        if (to->is_linked()) {
            const auto first = co_await either(to->wake.wait(), self->timer(settings.heartbeat));
            if (first.index() == 1 && to->is_linked()) { to->with->link.ping(); }
        } else {
            co_await to->wake.wait();
        }
    }
}

task<> hub::watch_times(hub_pointer self) {
    while (!self->stopped_.is_set()) {
        std::string thrown;
        try {
            self->times_changed_.clear();
            const time_point due = self->next_time();
            const auto first = co_await either(self->timer(due), self->times_changed_.wait(),
                                               self->stopped_.wait());
            if (self->stopped_.is_set()) { break; }
            if (first.index() == 0 && self->now() > due + look_step) {
                self->discount(self->now() - due);
            }
            self->check_times();
        } catch (...) { thrown = what_was_thrown(); }
        if (thrown.empty()) { continue; }
        self->log_within(self->log_, log_level::error,
                         "node " + self->self_.name + ": its clock " + thrown);
        co_await either(self->timer(pause_after_failed_accept), self->stopped_.wait());
    }
}

task<> hub::deliver(hub_pointer self, peer_pointer from, std::uint64_t actor) {
    // Nobody else removes from the queue, or erases it.
    auto& queue = from->arrived[actor];
    while (!queue.empty() && !self->stopped_.is_set()) {
        auto& next = queue.front();
        const auto kept = std::exchange(next.payload, {});
        if (!next.arrived.message && self->is_settled(from, actor, next, kept)) {
            queue.pop_front();
            kick(*from);
            continue;
        }
        std::optional<failure> failed;
        try {
            // The stop first: it has told that what is left here is not delivered.
            const auto first =
                co_await either(self->stopped_.wait(), polling<delivery>(*next.arrived.message));
            if (first.index() == 0) { break; }
            failed = std::get<1>(first);
        } catch (...) { failed = failure_of_throw(); }
        self->delivered_safely(from, actor, next, failed);
        queue.pop_front();
        kick(*from);
    }
    from->arrived.erase(actor);
}

task<> hub::forget_when_finished(hub_pointer self, std::uint64_t shared) {
    std::unique_ptr<ending> until;
    if (const auto target = self->port_->find(shared)) { until = target->until_finished(); }
    if (!until) { co_return; }
    (void)co_await either(polling<ending>(*until), self->stopped_.wait());
    self->port_->unshare(shared);
}

task<> hub::tell_end(hub_pointer self, peer_pointer from, std::uint64_t watch,
                     std::shared_ptr<watched_actor> of, std::unique_ptr<ending> until) {
    try {
        (void)co_await either(polling<ending>(*until), of->cancelled.wait(), self->stopped_.wait());
        if (of->cancelled.is_set() || self->stopped_.is_set()) { co_return; }
        from->watched.erase(watch);
        from->link.tell_ended(watch, failure::actor_gone);
        kick(*from);
    } catch (...) { self->give_up(from->up, "a watch " + what_was_thrown()); }
}

task<> hub::answer_call(hub_pointer self, peer_pointer from, std::uint64_t call,
                        std::shared_ptr<answering> until, std::unique_ptr<answer> reply) {
    std::optional<failure> failed;
    try {
        auto first = co_await either(polling<answer>(*reply), until->cancelled.wait());
        if (first.index() != 0 || until->cancelled.is_set()) { co_return; }
        from->called.erase(call);
        auto& answered = std::get<0>(first);
        if (answered) {
            from->link.reply(call, *answered);
        } else {
            failed = answered.error();
        }
    } catch (const std::bad_alloc&) { failed = failure::full; } catch (...) {
        failed = failure::no_reply;  // The answer cannot be written.
    }
    if (until->cancelled.is_set()) { co_return; }
    try {
        from->called.erase(call);
        if (failed) { from->link.fail_call(call, *failed); }
        kick(*from);
    } catch (...) { self->give_up(from->up, "an answer " + what_was_thrown()); }
}

}  // namespace heph::remote::detail
