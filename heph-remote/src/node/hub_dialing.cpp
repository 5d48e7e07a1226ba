// Dialing other nodes, and what goes on whatever is thrown.

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include <heph/core/either.hpp>
#include <heph/core/log.hpp>
#include <heph/core/timing.hpp>
#include <heph/core/yield.hpp>
#include <heph/remote/protocol/liveness.hpp>

#include "hub.hpp"
#include "transport.hpp"
#include "wording.hpp"

namespace heph::remote::detail {

namespace {

using namespace std::chrono_literals;

constexpr auto pause_after_throw = 100ms;

// Who answers at all begins to within a round trip.
constexpr auto silence_to_tell = 1s;

// Of several places the next one is tried after `silence_to_try_next`, after twice as much when all
// were tried, and so on: a place that is far away gets its time in the end.
constexpr std::uint32_t doublings_max = 16;

struct attempt {
    stream_result made;
    std::vector<node_address> at;  // Where it was tried.
};

task<attempt> connect_to(std::shared_ptr<environment> around, std::shared_ptr<memory_core> network,
                         node_address to) {
    attempt result;
    if (const auto* named = std::get_if<host_name>(&to.where())) {
        auto looking = around->resolve(*named);
        auto found = co_await looking;
        if (!found) {
            result.made = std::unexpected(found.error());
            co_return result;
        }
        result.at = std::vector<node_address>(found->begin(), found->end());
        auto connecting = around->connect_any(std::move(*found));
        result.made = co_await connecting;
    } else {
        result.at.push_back(to);
        auto connecting = connect_by(around, network, std::move(to));
        result.made = co_await connecting;
    }
    co_return result;
}

// Whatever an environment throws is a failed attempt, and does not end who dials.
task<attempt> connect_or_fail(std::shared_ptr<environment> around,
                              std::shared_ptr<memory_core> network, node_address to) {
    std::string why;
    try {
        auto connecting = connect_to(around, network, std::move(to));
        co_return co_await connecting;
    } catch (const std::exception& thrown) { why = thrown.what(); } catch (...) {
        why = "an unknown exception";
    }
    heph::log(log_level::error, "a connect threw: " + why);
    attempt failed;
    failed.made = std::unexpected(std::make_error_code(std::errc::io_error));
    co_return failed;
}

}  // namespace

// A pause less a random part of up to a half, so that nodes that lost each other at once do not
// dial at once for ever.
std::chrono::milliseconds hub::with_jitter(std::chrono::milliseconds pause) {
    const auto half = static_cast<std::uint32_t>(pause.count() / 2);
    return pause - std::chrono::milliseconds(environment_->random() % (half + 1));
}

void hub::log_thrown(std::string_view by) noexcept {
    try {
        log_within(log_, log_level::error,
                   "node " + self_.name + ": " + std::string(by) + ' ' + what_was_thrown() +
                       "; it goes on");
    } catch (...) {}  // There is no memory for saying it, either.
}

// Without this, a peer would never be dialed again, as it is said to be.
task<> hub::keep_on(hub_pointer self, peer_pointer with, bool peer::* runs, body_of_task body) {
    bool has_thrown = false;
    for (bool is_done = false; !is_done && !self->stopped_.is_set();) {
        try {
            if (has_thrown) {
                auto pausing = either(self->timer(pause_after_throw), self->stopped_.wait());
                co_await pausing;
                has_thrown = false;
            }
            auto running = body(self, with);
            co_await running;
            is_done = true;
        } catch (...) {
            has_thrown = true;
            self->log_thrown("a task of it");
        }
        if (has_thrown) {
            // What pauses takes memory.
            auto turn = yield();
            co_await turn;
        }
    }
    if (runs != nullptr) { (*with).*runs = false; }
    self->times_changed_.set();
}

void hub::spawn_for(const peer_pointer& with, bool peer::* runs, body_of_task body) {
    if (std::exchange((*with).*runs, true)) { return; }
    try {
        spawn(keep_on(shared_from_this(), with, runs, body));
    } catch (...) {
        (*with).*runs = false;
        throw;
    }
}

task<> hub::dial_again(hub_pointer self, peer_pointer with) {
    const link_settings& settings = self->settings_.links();
    std::chrono::milliseconds pause{0};
    std::uint32_t failed_attempts = 0;  // Since the link was up.
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
            failed_attempts = 0;
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
        const auto limit = self->time_to_answer(*with, failed_attempts);
        auto dialing = dial_safely(self, with, where, limit);
        const dial_result result = co_await dialing;
        self->count_refusal(with, result);
        const std::string& failed = result.why;
        failed_attempts += failed.empty() ? 0U : 1U;
        self->tell_failure(*with, where.to_string(), failed);
        if (!failed.empty() && with->address == where) { with->try_next_address(); }
        pause = failed.empty() ? settings.pause_min
                               : std::clamp(pause * 2, settings.pause_min, settings.pause_max);
    }
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
        auto dialing = dial_safely(self, with, where, settings.handshake_time);
        const dial_result result = co_await dialing;
        self->count_refusal(with, result);
        pause = std::clamp(pause * 2, settings.pause_min, settings.pause_max);
    }
}

// What throws is a failed attempt, so that there is another one.
task<hub::dial_result> hub::dial_safely(hub_pointer self, peer_pointer with, node_address where,
                                        time_point::duration answer_time) {
    dial_result thrown;
    try {
        auto dialing = dial_once(self, with, std::move(where), answer_time);
        co_return co_await dialing;
    } catch (...) {
        if (const auto attempt = std::exchange(with->dialing, nullptr)) {
            attempt->close(std::string());
            with->hello_under_way = false;
        }
        thrown.why = what_was_thrown();
    }
    co_return thrown;
}

// Is done when the time is over, of which what this program did not run is no part: what came
// meanwhile was not looked at yet.
task<> hub::until_over(hub_pointer self, protocol::liveness* time, time_point::duration limit) {
    while (!time->is_dead() && time->silent_for() < limit) {
        co_await self->timer(std::min(time->step(), limit));
        time->tick(self->now());
    }
}

hub::time_point::duration hub::time_to_answer(const peer& with, std::uint32_t failed) const {
    const time_point::duration most = settings_.links().handshake_time;
    const auto places = static_cast<std::uint32_t>(with.learned_at.size());
    if (!with.is_learned || places < 2) { return most; }
    const std::uint32_t doublings = std::min(failed / places, doublings_max);
    return std::min<time_point::duration>(most, silence_to_try_next * (1U << doublings));
}

task<hub::dial_result> hub::dial_once(hub_pointer self, peer_pointer with, node_address where,
                                      time_point::duration answer_time) {
    const link_settings& settings = self->settings_.links();
    protocol::liveness time(settings.handshake_time, self->now(), look_step);
    auto connecting =
        with_deadline(connect_or_fail(self->environment_, self->settings_.memory(), where),
                      until_over(self, &time, answer_time));
    auto first = co_await either(connecting, self->stopped_.wait(), with->changed.wait());
    if (first.index() != 0) { co_return dial_result(); }
    auto& tried = std::get<0>(first);
    if (!tried) {
        co_return dial_result("it does not answer" +
                              within(std::chrono::ceil<std::chrono::milliseconds>(answer_time)));
    }
    stream_result& connected = tried->made;
    if (!connected) {
        dial_result failed(connected.error().message());
        if (connected.error() == std::errc::connection_refused) {
            failed.refused_by = std::move(tried->at);
        }
        co_return failed;
    }
    if (with->is_up() || with->is_dropped || self->stopped_.is_set()) { co_return dial_result(); }
    auto records = self->security_.dial(with->name);
    if (!records) { co_return dial_result("TLS: " + records.error().message()); }
    // A name stands for whatever address answered.
    std::string at = where.is_bindable() ? where.to_string() : connected->get()->peer();
    const auto made =
        self->add_connection(std::move(*connected), std::move(*records), std::move(at), true, time);
    made->with = with;
    made->silence_max = answer_time;
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

// Of a program that takes connections and says nothing, such as one of plain text that waits for
// more: early, though it gets its time.
void hub::tell_silence(const connection_pointer& of) {
    if (!of->is_silent() || of->meeting_time.silent_for() < silence_to_tell) { return; }
    tell_failure(*of->with, of->address, security_.explain_silence());
}

// Once for each reason.
void hub::tell_failure(peer& with, const std::string& where, const std::string& why) {
    if (why.empty() || why == with.last_failure || stopped_.is_set()) { return; }
    heph::log(log_level::warning, "node " + self_.name + ": cannot link to " + with.name + " at " +
                                      where + ": " + why + "; dialing again until it works");
    with.last_failure = why;
}

// A refusal says that a node is gone only where the node is known to be: at the host with which the
// connection was. Elsewhere it may be an address that leads here to somebody else, or to nobody:
// one behind NAT, or one of a network that this node is not in. So may be some of a name's.
void hub::count_refusal(const peer_pointer& with, const dial_result& result) {
    const auto is_its_host = [&with](const node_address& each) {
        return with->other_end && each.is_same_host(*with->other_end);
    };
    if (result.refused_by.empty() || !std::ranges::all_of(result.refused_by, is_its_host)) {
        with->refusals = 0;
        return;
    }
    const std::uint32_t limit = settings_.links().refusals_max;
    if (++with->refusals < limit || limit == 0 ||
        with->link.current() != protocol::link::state::away) {
        return;
    }
    log_within(link_log_, log_level::warning,
               "node " + self_.name + ": " + with->name +
                   " is gone: its connection broke, and nobody listens at "
                   "its address any more");
    lose(with, failure::node_down);
}

}  // namespace heph::remote::detail
