// A group that follows nodes: asks the directory of each, and keeps what they say.
//
// Tasks, on the node's environment
//     follow_peers   one: has each node followed that the own one knows, and tells how its link is
//     follow_node    one for each of those: asks its directory as long as a session with it lasts,
//                    then forgets what it said
// They end with the last handle of the group, with the node's drain, or with the node.

#include <chrono>
#include <functional>
#include <mutex>
#include <set>
#include <utility>

#include <heph/core/either.hpp>
#include <heph/core/log.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/detail/entropy.hpp>

#include "directory.hpp"
#include "group_state.hpp"
#include "polling.hpp"
#include "port.hpp"
#include "shared_signal.hpp"

namespace heph::remote::detail {

namespace {

using namespace std::chrono_literals;

constexpr auto forever = std::chrono::hours(24 * 365);
constexpr auto pause_after_failure = 1s;

}  // namespace

class group_core : public std::enable_shared_from_this<group_core> {
public:
    group_core(std::shared_ptr<port> at, std::string name, bool is_prefix)
        : port_(std::move(at)), name_(std::move(name)), is_prefix_(is_prefix) {}

    void start() { port_->run(follow_peers(shared_from_this())); }
    void end() noexcept {
        {
            const std::lock_guard lock(mutex_);
            has_ended_ = true;
        }
        ended_.notify();
    }

    [[nodiscard]] group_view_pointer view() const {
        const std::lock_guard lock(mutex_);
        return state_.view();
    }
    static task<std::expected<void, failure>> until_it_holds(group_pointer self,
                                                             std::function<bool()> condition,
                                                             deadline until);

private:
    static task<> follow_peers(group_pointer self);
    static task<> follow_node(group_pointer self, std::string node);
    static task<> follow_session(group_pointer self, std::string node);
    static task<> follow_directory(group_pointer self, std::string node);
    static task<found_result> find_directory(group_pointer self, std::string node);
    static task<> until_news_of_peers(group_pointer self, std::uint64_t seen);
    static task<> pause(group_pointer self);

    [[nodiscard]] bool is_over() const {
        if (port_->is_draining() || port_->is_closed()) { return true; }
        const std::lock_guard lock(mutex_);
        return has_ended_;
    }
    void look_at_peers();
    [[nodiscard]] std::optional<peer_view> peer_of(const std::string& node) const;
    template <typename Change>
    void change(Change how) {
        bool is_other = false;
        group_view_pointer former;  // Goes outside of the lock.
        {
            const std::lock_guard lock(mutex_);
            former = state_.view();
            is_other = how(state_);
        }
        if (is_other) { changed_.notify(); }
    }

    const std::shared_ptr<port> port_;
    const std::string name_;
    const bool is_prefix_;
    shared_signal changed_;
    shared_signal ended_;
    std::set<std::string> followed_;  // Of the node's environment.

    mutable std::mutex mutex_;  // Guards what follows.
    group_state state_;
    bool has_ended_ = false;
};

std::optional<peer_view> group_core::peer_of(const std::string& node) const {
    if (node == port_->name()) { return peer_view{true, true}; }
    return port_->peer_of(node);
}

void group_core::look_at_peers() {
    auto all = port_->views_of_peers();
    all[port_->name()] = peer_view{true, true};
    for (const auto& [name, now] : all) {
        change([&](group_state& state) { return state.peer(name, now); });
        if (!followed_.insert(name).second) { continue; }
        try {
            port_->run(follow_node(shared_from_this(), name));
        } catch (...) {
            followed_.erase(name);
            throw;
        }
    }
}

task<> group_core::follow_peers(group_pointer self) {
    while (!self->is_over()) {
        const std::uint64_t seen = self->port_->peers_changed().count();
        bool has_failed = false;
        try {
            self->look_at_peers();
        } catch (...) { has_failed = true; }  // For want of memory: again, in a while.
        auto waiting = has_failed ? pause(self) : until_news_of_peers(self, seen);
        co_await waiting;
    }
}

task<> group_core::until_news_of_peers(group_pointer self, std::uint64_t seen) {
    (void)co_await either(self->port_->peers_changed().beyond(seen), self->ended_.beyond(0),
                          self->port_->draining().beyond(0));
}

task<> group_core::pause(group_pointer self) {
    const std::uint64_t seen = self->port_->peers_changed().count();
    auto late = self->port_->timer_at(deadline(pause_after_failure));
    (void)co_await either(late, self->port_->peers_changed().beyond(seen), self->ended_.beyond(0),
                          self->port_->draining().beyond(0));
}

task<> group_core::follow_node(group_pointer self, std::string node) {
    while (!self->is_over()) {
        const std::uint64_t seen = self->port_->peers_changed().count();
        const auto now = self->peer_of(node);
        if (!now) { break; }
        bool has_failed = false;
        try {
            auto following =
                now->is_linked ? follow_session(self, node) : until_news_of_peers(self, seen);
            co_await following;
        } catch (...) { has_failed = true; }
        if (has_failed) {
            auto turn = yield();  // What pauses takes memory.
            co_await turn;
            auto pausing = pause(self);
            co_await pausing;
        }
    }
    self->followed_.erase(node);
    // A peer that is known again meanwhile is followed anew, behind this.
    if (!self->is_over()) {
        self->change([&](group_state& state) { return state.gone(node); });
        self->port_->peers_changed().notify();
    }
}

// The watch comes first, so that it is one of the very session in which the directory is asked.
task<> group_core::follow_session(group_pointer self, std::string node) {
    auto losing = watch_node(self->port_, node);
    auto following = follow_directory(self, node);
    (void)co_await either(losing, following, self->ended_.beyond(0),
                          self->port_->draining().beyond(0));
    // Whoever drains needs his group to the end.
    if (!self->is_over()) {
        self->change([&](group_state& state) { return state.lost(node); });
    }
}

task<> group_core::follow_directory(group_pointer self, std::string node) {
    auto finding = find_directory(self, node);
    const auto found = co_await finding;
    if (!found) { co_return; }
    const destination_pointer directory = *found;
    list_request request;
    request.name = self->name_;
    request.is_prefix = self->is_prefix_;
    request.takes_changes = true;
    bool is_told = false;
    for (;;) {
        auto asking = call_actor(self->port_, directory, 0, framed(request), deadline(forever));
        const auto answered = co_await asking;
        if (!answered && answered.error() == failure::stopped) { co_return; }
        // The own node, too, says that it is about to stop; whoever drains keeps his group.
        if (self->is_over()) { co_return; }
        bool is_taken = false;
        bool is_leaving = false;
        bool is_too_long = !answered && answered.error() == failure::too_large;
        if (answered) {
            const auto bytes = answered->payload();
            auto list = decode<list_answer>(bytes, list_limits(bytes.size()));
            is_too_long = !list;
            // What changes another list than the one that is known is of no use: the whole one is.
            is_taken = list && (list->since == 0 || list->since == request.known);
            request.known = is_taken ? list->digest : 0;
            if (is_taken) {
                is_leaving = list->is_leaving;
                std::erase_if(list->actors,
                              [&](const auto& each) { return !is_asked_for(each, request); });
                self->change([&](group_state& state) {
                    return list->since == 0 ? state.listed(*directory, list->actors)
                                            : state.changed(*directory, list->actors, list->gone);
                });
            }
        }
        if (is_leaving) {
            never_ready until_lost;
            co_await until_lost;
        }
        if (is_too_long && !std::exchange(is_told, true)) {
            heph::log(log_level::warning,
                      "node " + self->port_->name() + ": the group of " + request.name +
                          (self->is_prefix_ ? "* does not see" : " does not see") +
                          " what changes at " + node +
                          ": the list of the actors there is too long, or no list");
        }
        if (!is_taken) {
            // Among others: the link is cut, and its session waits for it.
            auto pausing = pause(self);
            co_await pausing;
        }
    }
}

task<found_result> group_core::find_directory(group_pointer self, std::string node) {
    for (;;) {
        auto finding = find_actor(self->port_, node, std::string(directory_name), deadline(5s));
        auto found = co_await finding;
        if (found || found.error() == failure::stopped) { co_return found; }
        if (found.error() == failure::no_such_actor) {
            // A program of before there were groups; another run of it may be newer.
            never_ready until_lost;
            co_await until_lost;
        }
        auto pausing = pause(self);
        co_await pausing;
    }
}

task<std::expected<void, failure>> group_core::until_it_holds(group_pointer self,
                                                              std::function<bool()> condition,
                                                              deadline until) {
    auto late = self->port_->timer_at(until);
    for (;;) {
        const std::uint64_t changes = self->changed_.count();
        const std::uint64_t peers = self->port_->peers_changed().count();
        if (condition()) { co_return std::expected<void, failure>(); }
        if (self->port_->is_closed()) {
            co_return std::expected<void, failure>(std::unexpect, failure::stopped);
        }
        auto first = co_await either(self->changed_.beyond(changes),
                                     self->port_->peers_changed().beyond(peers), late);
        if (first.index() == 2) {
            co_return std::expected<void, failure>(std::unexpect, failure::timed_out);
        }
    }
}

group_pointer follow_group(std::shared_ptr<port> at, std::string name, bool is_prefix) {
    // Ends the group with its handles; the tasks have it until they find out.
    struct held {
        explicit held(group_pointer its) noexcept : core(std::move(its)) {}
        held(const held&) = delete;
        held& operator=(const held&) = delete;
        ~held() { core->end(); }
        group_pointer core;
    };
    auto core = std::make_shared<group_core>(std::move(at), std::move(name), is_prefix);
    core->start();
    const auto handle = std::make_shared<held>(core);
    return {handle, core.get()};
}

group_view_pointer view_of(const group_core& group) { return group.view(); }

task<std::expected<void, failure>> until_it_holds(group_pointer group,
                                                  std::function<bool()> condition, deadline until) {
    return group_core::until_it_holds(std::move(group), std::move(condition), until);
}

std::uint64_t any_bits() { return rt::detail::random_number<std::uint64_t>(); }

}  // namespace heph::remote::detail
