#pragma once

// A node, as its environment runs it.
//
// Tasks, all of one environment: one at a time runs
//     run            takes commands and requests from the handles; ends the node at a stop
//     accept_all     accepts connections
//     dial_again     one for each peer with an address: dials whenever the link is not up
//     read, write    two for each connection, see connection.hpp
//     watch_times    fails what waited too long for a link, and loses sessions after their grace,
//     or
//                    after somebody threw
//     deliver        one for each actor and peer whose messages wait for room in the inbox
//     answer_call    one for each call of a peer: waits for the actor's answer
//     tell_end       one for each actor that a peer watches: waits until it is finished
//     call_back      one for each peer that dialed and whose connection broke, if it says where it
//                    is reached: dials until it is back or lost
//     and those of groups, see group_core.cpp
// They share the hub, and end once `stopped` is set. Nothing here is used by another thread but
// `port`.
//
// States of a peer's link, as seen from here
//     never up, or lost   link down; `up` is null
//     up                  link up; `up` is its connection
//     cut                 link away; `up` is null; lost after the grace
// What handles want of a peer that is not up waits in `blocked`, at most for the patience.
//
// The node's states
//     running  --stop()--> draining  (accepts no more connections; what is under way goes on)
//     draining --nothing is under way any more, or too long--> stopped  (with a goodbye to all)
//
// States of a command
//     submitted --the link takes it-->  open       (searches and calls; a message is done)
//     submitted --no link, no room-->   blocked    (in the queue of its actor)
//     blocked   --link up, credit, room--> submitted again, in order
//     open, blocked --answer, failure-->   done    (the reply was sent)
//     open, blocked --cancel-->            gone
// `places_` knows where a command is, by its id, as long as it is open or blocked.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <heph/core/log_limit.hpp>
#include <heph/core/task.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/remote/node.hpp>
#include <heph/remote/protocol/event.hpp>
#include <heph/remote/protocol/failure_limiter.hpp>

#include "command.hpp"
#include "connection.hpp"
#include "environment.hpp"
#include "link_security.hpp"
#include "peer.hpp"
#include "port.hpp"
#include "record_layer.hpp"

namespace heph::remote::detail {

using peer_pointer = std::shared_ptr<peer>;
using connection_pointer = std::shared_ptr<connection>;

class hub : public std::enable_shared_from_this<hub> {
public:
    static constexpr std::size_t commands_max = 1024;

    hub(std::shared_ptr<environment> around, std::shared_ptr<port> handles, const options& settings,
        protocol::identity self, link_security security);

    hub(const hub&) = delete;
    hub& operator=(const hub&) = delete;
    ~hub();

    /// Starts the tasks.
    void start(inbox::receiver<command> commands, listener_pointer listener);

private:
    using hub_pointer = std::shared_ptr<hub>;
    class ending_hub;
    using time_point = steady_time;

    // The tasks. They take the hub by value, to keep it. An environment that ends may drop them.
    static task<> run(hub_pointer self, inbox::receiver<command> commands);
    static task<> serve(hub_pointer self, inbox::receiver<command>& commands);
    static task<> refuse_rest(hub_pointer self, inbox::receiver<command> commands);
    static task<> accept_all(hub_pointer self, listener_pointer at);
    static task<> dial_again(hub_pointer self, peer_pointer with);
    static task<> call_back(hub_pointer self, peer_pointer with);
    static task<> watch_times(hub_pointer self, peer_pointer nobody);
    // Runs a task to its end, and begins it again when it throws. `runs` says, of a peer, that it
    // is there.
    using body_of_task = task<> (*)(hub_pointer, peer_pointer);
    static task<> keep_on(hub_pointer self, peer_pointer with, bool peer::* runs,
                          body_of_task body);
    // Does so for a peer, unless it is there.
    void spawn_for(const peer_pointer& with, bool peer::* runs, body_of_task body);
    void log_thrown(std::string_view by) noexcept;
    // What an attempt to link came to.
    struct dial_result {
        dial_result() = default;
        explicit dial_result(std::string failed) noexcept : why(std::move(failed)) {}
        std::string why;                       // Empty: nothing to tell.
        std::vector<node_address> refused_by;  // The places that were tried, if the port refuses.
    };
    // `answer_time` is for any answer, at most the handshake time, which is for all of it.
    static task<dial_result> dial_safely(hub_pointer self, peer_pointer with, node_address where,
                                         time_point::duration answer_time);
    static task<dial_result> dial_once(hub_pointer self, peer_pointer with, node_address where,
                                       time_point::duration answer_time);
    [[nodiscard]] time_point::duration time_to_answer(const peer& with, std::uint32_t failed) const;
    static task<> until_over(hub_pointer self, protocol::liveness* time,
                             time_point::duration limit);
    static task<> forget_when_finished(hub_pointer self, std::uint64_t shared);
    static task<> tell_end(hub_pointer self, peer_pointer from, std::uint64_t watch,
                           std::shared_ptr<watched_actor> of, std::unique_ptr<ending> until);
    static task<> read(hub_pointer self, connection_pointer from);
    static task<> read_to_the_end(hub_pointer self, connection_pointer from);
    /// Looks at a connection over which nothing came for a step. Gives false when that was too
    /// long: it is ended then.
    [[nodiscard]] bool is_silence_borne(const connection_pointer& of);
    static task<> write(hub_pointer self, connection_pointer to);
    static task<bool> send_in_time(hub_pointer self, connection_pointer to,
                                   std::vector<rt::buffer> pieces);
    static task<> write_to_the_end(hub_pointer self, connection_pointer to);
    static task<> time_out(hub_pointer self, connection_pointer to,
                           std::chrono::milliseconds limit);
    static task<> deliver(hub_pointer self, peer_pointer from, std::uint64_t actor);
    static task<> answer_call(hub_pointer self, peer_pointer from, std::uint64_t call,
                              std::shared_ptr<answering> until, std::unique_ptr<answer> reply);

    // Commands: hub_commands.cpp.
    enum class passing { passed, blocked };
    void execute(command& what);
    void follow(const command& what);
    void submit(const peer_pointer& to, command& what);
    [[nodiscard]] passing pass(peer& to, command& what);
    [[nodiscard]] passing pass(peer& to, find_command& what);
    [[nodiscard]] passing pass(peer& to, call_command& what);
    [[nodiscard]] passing pass(peer& to, send_command& what);
    [[nodiscard]] passing pass(peer& to, watch_command& what);
    [[nodiscard]] passing pass(peer& to, watch_node_command& what);
    [[nodiscard]] passing pass(peer& to, mark& what);
    void unpublished(std::uint64_t actor);
    [[nodiscard]] static bool is_temporary(peer& to, protocol::refusal why);
    [[nodiscard]] static failure failure_of(protocol::refusal why);
    void fail(command& what, failure why);
    void retry(peer& to, std::uint64_t actor);
    void retry_all(peer& to);
    void fail_blocked(peer& to, failure why);
    void cancel(std::uint64_t id);
    void undelivered(std::string_view node, std::string_view actor, failure why);

    // What peers say: hub_events.cpp.
    void on_event(const peer_pointer& from, protocol::event& what);
    void on(const peer_pointer& from, protocol::message_arrived& what);
    void on(const peer_pointer& from, protocol::call_arrived& what);
    void on(const peer_pointer& from, protocol::call_cancelled& what);
    void on(const peer_pointer& from, protocol::reply_arrived& what);
    void on(const peer_pointer& from, protocol::call_failed& what);
    void on(const peer_pointer& from, protocol::message_failed& what);
    void on(const peer_pointer& from, protocol::find_arrived& what);
    void on(const peer_pointer& from, protocol::found& what);
    void on(const peer_pointer& from, protocol::find_failed& what);
    void on(const peer_pointer& from, protocol::watch_arrived& what);
    void on(const peer_pointer& from, protocol::unwatch_arrived& what);
    void on(const peer_pointer& from, protocol::watch_ended& what);
    void on(const peer_pointer& from, protocol::credit_arrived& what);
    void on(const peer_pointer& from, protocol::room_arrived& what);
    void on(const peer_pointer& from, protocol::goodbye_arrived& what);
    void take(const peer_pointer& from, std::uint64_t actor, waiting_delivery what,
              std::span<const std::byte> payload);
    /// Decodes what is next for an actor. Gives false when it has to wait for room in the inbox.
    [[nodiscard]] bool is_settled(const peer_pointer& from, std::uint64_t actor,
                                  waiting_delivery& what, std::span<const std::byte> payload);
    [[nodiscard]] std::expected<std::shared_ptr<const published>, failure> target_of(
        const peer& from, std::uint64_t actor) const;
    [[nodiscard]] std::expected<arrival, failure> decode(
        const peer& from, const waiting_delivery& what,
        std::span<const std::byte> payload) const noexcept;
    [[nodiscard]] bool is_crowded(const peer& from,
                                  const std::deque<waiting_delivery>& queue) const;
    void delivered(const peer_pointer& from, std::uint64_t actor, waiting_delivery& what,
                   std::optional<failure> failed);
    void delivered_safely(const peer_pointer& from, std::uint64_t actor, waiting_delivery& what,
                          std::optional<failure> failed);
    [[nodiscard]] static failure failure_of_throw() noexcept;
    void tell_news(const peer_pointer& of);

    // Peers: hub_peers.cpp.
    [[nodiscard]] peer_pointer peer_named(std::string_view name);
    void dial(std::string_view name, const node_address& where);
    void forget(std::string_view name);
    void dial_at(const peer_pointer& with, const node_address& where);
    void learn(std::string_view name, const node_address& where);
    void seek_at(const peer_pointer& with, const node_address& where);
    [[nodiscard]] bool may_be_led_to(const node_address& where) const;
    [[nodiscard]] bool drop_sought(bool for_learned);
    void drop_peer(const peer_pointer& with);

    // Links: hub_links.cpp.
    [[nodiscard]] bool allows(std::string_view peer) const;
    void feed(const connection_pointer& from, std::span<const std::byte> bytes);
    void feed_safely(const connection_pointer& from, std::span<const std::byte> bytes);
    [[nodiscard]] protocol::identity identity_at(const connection& on) const;
    void begin_meeting(const connection_pointer& on);
    void begin_meeting_safely(const connection_pointer& on);
    void take_frames(const connection_pointer& from);
    void on_meeting_frame(const connection_pointer& from, std::span<const std::byte> frame);
    void on_link_frame(const connection_pointer& from, std::span<const std::byte> frame);
    void decide(const connection_pointer& about);
    void link_up(const connection_pointer& over);
    // By value: the peer's own pointer to it is reset.
    void end(connection_pointer which, std::string why);
    void break_off(const connection_pointer& which, protocol::error why);
    // Ends a connection whose task threw, and its session, if it has one: what is half done cannot
    // go on. Called by handlers of exceptions. Nothing leaves it: what cannot be ended for want of
    // memory is ended by the clock.
    void give_up(connection_pointer which, std::string_view what) noexcept;
    // Likewise, of what a peer would wait for, whether its link is up or away.
    void give_up(const peer_pointer& with, std::string_view what) noexcept;
    void lose_safely(const peer_pointer& with) noexcept;
    void detach(connection& which);
    void call_back_if_away(const peer_pointer& with);
    // Logs a line, unless there is no memory for it.
    template <typename Line>
    void say(log_limit& to, Line line) noexcept {
        try {
            log_within(to, log_level::warning, "node " + self_.name + ": " + line());
        } catch (...) {}
    }
    void tell_silence(const connection_pointer& of);
    void tell_failure(peer& with, const std::string& where, const std::string& why);
    void lose(const peer_pointer& with, failure why);
    void end_node_watches(peer& of, failure why);
    void count_refusal(const peer_pointer& with, const dial_result& result);
    void secure_anew(link_security by, bool renews_links);
    [[nodiscard]] bool try_another_secret(connection& of);
    [[nodiscard]] bool is_idle() const;
    [[nodiscard]] bool has_crossed(const connection& given_up) const;
    /// Makes what is to be said over a connection the output of its records.
    void collect(const connection_pointer& from);
    static void kick(peer& with);
    [[nodiscard]] time_point next_time() const;
    void discount(time_point::duration missed);
    /// So late at most is who runs.
    static constexpr std::chrono::milliseconds look_step{1'000};
    void check_times();
    static void tell_undelivered(peer& of);
    void stop();
    void ended() noexcept;

    // Tasks: hub_tasks.cpp; those that dial: hub_dialing.cpp.
    void spawn(task<> running) { environment_->spawn(std::move(running)); }
    [[nodiscard]] time_point now() const { return environment_->now(); }
    [[nodiscard]] task<> timer(time_point at) { return environment_->timer_at(at); }
    [[nodiscard]] task<> timer(time_point::duration after) { return timer(now() + after); }
    [[nodiscard]] std::chrono::milliseconds with_jitter(std::chrono::milliseconds pause);
    void log_within(log_limit& limit, log_level level, const std::string& line) {
        limit.log(level, line, now());
    }
    void admit(stream_pointer accepted);
    [[nodiscard]] bool drop_half_open(std::string_view for_source);
    [[nodiscard]] connection_pointer add_connection(stream_pointer stream, record_layer records,
                                                    std::string remote, bool dialed,
                                                    const protocol::liveness& time);

    const std::shared_ptr<environment> environment_;
    std::shared_ptr<port> port_;
    options settings_;
    link_security security_;
    protocol::identity self_;
    std::map<std::string, peer_pointer, std::less<>> peers_;
    std::list<std::weak_ptr<connection>> connections_;
    std::size_t half_open_ = 0;
    event draining_;
    event stopped_;
    protocol::failure_limiter strangers_;
    event times_changed_;
    log_limit log_{60, 20};       // Of what strangers cause.
    log_limit link_log_{60, 20};  // Of what peers cause.

    struct place {
        enum class where { blocked, search, call, watch, node_watch };
        where in = where::blocked;
        peer* of = nullptr;
        std::uint64_t number = 0;  // Of the actor, the search, the call, or the watched actor.
        peer::queue::iterator at{};
    };
    std::unordered_map<std::uint64_t, place> places_;
};

/// Makes random bits that nobody can guess.
[[nodiscard]] protocol::id128 random_id();

}  // namespace heph::remote::detail
