// The tasks of a node.

#include <algorithm>
#include <chrono>
#include <exception>
#include <expected>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/core/log.hpp>
#include <heph/core/timing.hpp>
#include <heph/core/yield.hpp>
#include <heph/remote/protocol/liveness.hpp>

#include "hub.hpp"
#include "lazy_timer.hpp"
#include "polling.hpp"
#include "wording.hpp"

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

// So little is sent by a call of its own where the connection was quiet for so long: whoever waits
// for it has it earlier. Where one write follows another, they go with the worker's next turn, and
// what comes until then goes with them.
constexpr std::size_t at_once_bytes_max = 4 * 1024;
constexpr auto pause_before_at_once = 20us;

// Sends the output of a connection, of which there is little. What is left is in `rest`, whose
// memory is used again. What fails is left as well, for a send that waits: until that fails, too,
// the reader has its turn, which may have the peer's goodbye.
void send_at_once(connection& to, rt::buffer& rest) {
    to.records.take_output(rest);
    const auto sent = to.socket->try_send(std::as_const(rest).bytes());
    if (sent) { rest.consume(*sent); }
}

}  // namespace

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
    spawn(keep_on(self, nullptr, nullptr, &watch_times));
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
            self->port_->begin_draining();
            drain_until = self->now() + self->settings_.links().drain_time;
        }
        for (const std::uint64_t actor : asked.unpublished) { self->unpublished(actor); }
        for (const std::uint64_t actor : asked.shared) {
            self->spawn(forget_when_finished(self, actor));
        }
        if (asked.security) { self->secure_anew(std::move(*asked.security), asked.renews_links); }
        for (task<>& each : asked.tasks) { self->spawn(std::move(each)); }
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
                                       std::string address, bool dialed,
                                       const protocol::liveness& time) {
    std::erase_if(connections_, [](const auto& each) { return each.expired(); });
    auto made = std::make_shared<connection>(std::move(stream), std::move(records),
                                             std::move(address), dialed, time);
    connections_.push_back(made);
    spawn(write(shared_from_this(), made));
    return made;
}

task<> hub::accept_all(hub_pointer self, listener_pointer at) {
    bool has_failed = false;
    while (!self->draining_.is_set()) {
        bool has_thrown = false;
        try {
            if (has_failed) {
                auto pausing =
                    either(self->timer(pause_after_failed_accept), self->draining_.wait());
                co_await pausing;
                has_failed = false;
            }
            auto first = co_await either(at->accept(), self->draining_.wait());
            if (first.index() != 0 || self->draining_.is_set()) { break; }
            auto& accepted = std::get<0>(first);
            if (accepted) {
                self->admit(std::move(*accepted));
                continue;
            }
            has_failed = true;
            self->log_within(self->log_, log_level::error,
                             "node " + self->self_.name +
                                 ": cannot accept a connection: " + accepted.error().message());
        } catch (...) {
            has_thrown = has_failed = true;
            self->log_thrown("who accepts");
        }
        if (has_thrown) {
            // What pauses takes memory.
            auto turn = yield();
            co_await turn;
        }
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
    const auto made =
        add_connection(std::move(accepted), std::move(*records), std::move(address), false,
                       protocol::liveness(settings.handshake_time, now(), look_step));
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

task<> hub::read(hub_pointer self, connection_pointer from) {
    try {
        auto reading = read_to_the_end(self, from);
        co_await reading;
    } catch (...) { self->give_up(from, "its reader"); }
    if (std::exchange(from->is_half_open, false)) { --self->half_open_; }
    from->input_ended.set();
    from->wake.set();
}

// Two nodes that dial each other at once keep one connection; the other one may be given up before
// anything was said over it. That is no failure of whoever it was.
bool hub::has_crossed(const connection& given_up) const {
    if (given_up.dialed || given_up.was_linked) { return false; }
    const auto from = node_address::parse(given_up.address);
    return from && std::ranges::any_of(peers_, [&](const auto& each) {
               const peer& with = *each.second;
               return with.is_up() && with.up->dialed && with.other_end &&
                      from->is_same_host(*with.other_end) &&
                      now() - with.up_since < settings_.links().handshake_time;
           });
}

task<> hub::read_to_the_end(hub_pointer self, connection_pointer from) {
    std::size_t ignored_bytes = 0;
    lazy_timer look(*self->environment_);
    time_point::duration look_after{};
    for (;;) {
        auto step = from->is_linked() ? from->alive->step() : from->meeting_time.step();
        // The writer ends it.
        if (from->current == connection::phase::closing) { step = std::chrono::hours(1); }
        if (!look.is_running() || step != look_after) {
            look.run_until(self->now() + step);
            look_after = step;
        }
        auto receiving = either(from->socket->next(), look);
        auto first = co_await receiving;
        if (!from->was_linked) { from->meeting_time.tick(self->now()); }
        if (first.index() == 1) {
            if (from->current == connection::phase::closing || self->is_silence_borne(from)) {
                continue;
            }
            break;
        }
        const stream::chunk_result& received = std::get<0>(first);
        if (!received || received->empty()) {
            std::string why = received ? "it closed the connection" : received.error().message();
            if (received && !from->is_linked()) {
                why += " before the handshake" + self->security_.explain_end(from->dialed);
            }
            if (self->has_crossed(*from)) { why.clear(); }
            self->end(from, std::move(why));
            break;
        }
        const auto bytes = received->bytes();
        if (from->current == connection::phase::closing) {
            ignored_bytes += bytes.size();
            if (!from->was_linked && ignored_bytes > ignored_bytes_max) { break; }
            continue;
        }
        from->heard = self->now();
        if (from->alive) { from->alive->heard(from->heard); }
        self->feed_safely(from, bytes);
        if (from->is_linked()) { kick(*from->with); }
    }
}

bool hub::is_silence_borne(const connection_pointer& of) {
    if (of->is_linked()) {
        of->alive->tick(now());
        of->with->link.trim();
        if (!of->alive->is_dead()) { return true; }
        end(of, std::string(protocol::to_string(protocol::error::timed_out)));
        return false;
    }
    if (!of->meeting_time.is_dead() && !of->is_silent_too_long()) {
        tell_silence(of);
        return true;
    }
    end(of, of->is_silent() ? security_.explain_silence()
                            : "no handshake" + within(settings_.links().handshake_time));
    return false;
}

task<> hub::write(hub_pointer self, connection_pointer to) {
    try {
        auto writing = write_to_the_end(self, to);
        co_await writing;
    } catch (...) { self->give_up(to, "its writer"); }
    to->socket->shutdown(rt::net::shutdown_how::send);
    try {
        if (!to->input_ended.is_set()) {
            auto waiting =
                either(to->input_ended.wait(), self->timer(self->settings_.links().goodbye_time));
            co_await waiting;
        }
    } catch (...) { self->log_thrown("a connection at its end"); }
    to->socket->shutdown(rt::net::shutdown_how::both);
}

// Ends the connection and gives false when that fails, or takes too long.
task<bool> hub::send_in_time(hub_pointer self, connection_pointer to,
                             std::vector<rt::buffer> pieces) {
    const link_settings& settings = self->settings_.links();
    const auto limit =
        to->current == connection::phase::closing ? settings.goodbye_time : settings.silence;
    auto sending = pieces.size() == 1 ? to->socket->send_all(std::move(pieces.front()))
                                      : to->socket->send_pieces(std::move(pieces));
    const auto sent = co_await either(sending, time_out(self, to, limit));
    if (sent.index() != 0) {
        self->end(to, "it does not read");
        co_return false;
    }
    if (const std::error_code& failed = std::get<0>(sent)) {
        self->end(to, failed.message());
        co_return false;
    }
    co_return true;
}

task<> hub::write_to_the_end(hub_pointer self, connection_pointer to) {
    const link_settings& settings = self->settings_.links();
    lazy_timer company(*self->environment_);
    lazy_timer pulse(*self->environment_);
    std::optional<time_point> alone_until;
    time_point written = self->now();
    rt::buffer little;
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
                company.run_until(*alone_until);
                co_await either(to->wake.wait(), company);
                continue;
            }
            alone_until.reset();
        }
        self->collect(to);
        if (to->records.has_output()) {
            std::vector<rt::buffer> pieces;
            const time_point before = std::exchange(written, self->now());
            if (written - before >= pause_before_at_once &&
                to->records.has_little_output(at_once_bytes_max)) {
                send_at_once(*to, little);
                if (little.empty()) { continue; }
                pieces.push_back(std::exchange(little, rt::buffer()));
            } else {
                pieces = to->records.take_output();
            }
            auto sending = send_in_time(self, to, std::move(pieces));
            const bool is_sent = co_await sending;
            if (!is_sent) { break; }
            continue;
        }
        if (to->current == connection::phase::closing) { break; }
        if (to->is_linked()) {
            pulse.run_until(written + settings.heartbeat);
            const auto first = co_await either(to->wake.wait(), pulse);
            if (first.index() == 1 && to->is_linked() &&
                self->now() - written >= settings.heartbeat) {
                to->with->link.ping();
                little = rt::buffer();
            }
        } else {
            co_await to->wake.wait();
        }
    }
}

task<> hub::watch_times(hub_pointer self, peer_pointer) {
    while (!self->stopped_.is_set()) {
        self->times_changed_.clear();
        const time_point due = self->next_time();
        const auto first =
            co_await either(self->timer(due), self->times_changed_.wait(), self->stopped_.wait());
        if (self->stopped_.is_set()) { break; }
        if (first.index() == 0 && self->now() > due + look_step) {
            self->discount(self->now() - due);
        }
        self->check_times();
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
    } catch (...) { self->give_up(from, "a watch"); }
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
    } catch (...) { self->give_up(from, "an answer"); }
}

}  // namespace heph::remote::detail
