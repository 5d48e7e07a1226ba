// What the handles want of other nodes.

#include <exception>
#include <string>
#include <utility>

#include <heph/core/log.hpp>

#include "hub.hpp"

namespace heph::remote::detail {

namespace {

constexpr std::uint64_t searches_queue = 0;  // Actors' numbers begin with 1.

bool is_wanted(const command& what) {
    if (const auto* watch = std::get_if<watch_command>(&what)) {
        return watch->reply.is_connected();
    }
    if (const auto* watch = std::get_if<watch_node_command>(&what)) {
        return watch->reply.is_connected();
    }
    if (const auto* find = std::get_if<find_command>(&what)) { return find->reply.is_connected(); }
    if (const auto* call = std::get_if<call_command>(&what)) { return call->reply.is_connected(); }
    if (std::holds_alternative<mark>(what)) { return false; }
    const auto& send = std::get<send_command>(what);
    return !send.reply || send.reply->is_connected();
}

std::uint64_t id_of(const command& what) {
    return std::visit([](const auto& each) { return std::uint64_t{each.id}; }, what);
}

std::uint64_t queue_of(const command& what) {
    if (std::holds_alternative<find_command>(what)) { return searches_queue; }
    if (const auto* call = std::get_if<call_command>(&what)) { return call->to->number; }
    if (const auto* send = std::get_if<send_command>(&what)) { return send->to->number; }
    return searches_queue;  // Watches do not wait for room in an inbox.
}

const std::string& node_of(const command& what) {
    if (const auto* find = std::get_if<find_command>(&what)) { return find->node; }
    if (const auto* call = std::get_if<call_command>(&what)) { return call->to->node; }
    if (const auto* watch = std::get_if<watch_command>(&what)) { return watch->to->node; }
    if (const auto* watch = std::get_if<watch_node_command>(&what)) { return watch->node; }
    return std::get<send_command>(what).to->node;
}

// Where the node of a command may be reached; empty: not known.
std::string address_of(const command& what) {
    if (const auto* call = std::get_if<call_command>(&what)) { return call->to->address; }
    if (const auto* send = std::get_if<send_command>(&what)) { return send->to->address; }
    if (const auto* watch = std::get_if<watch_command>(&what)) { return watch->to->address; }
    return {};
}

}  // namespace

void hub::execute(command& what) {
    auto at = peers_.find(node_of(what));
    // A reference that came from somebody else leads to a node that is no peer yet.
    if (at == peers_.end() || at->second->is_sought()) {
        follow(what);
        at = peers_.find(node_of(what));
        if (at == peers_.end()) { return fail(what, failure::node_down); }
    }
    submit(at->second, what);
    kick(*at->second);
}

// Goes where a reference says that its node is reached, if nothing better is known.
void hub::follow(const command& what) {
    const auto where = node_address::parse(address_of(what));
    const std::string& name = node_of(what);
    if (draining_.is_set() || !where || !may_be_led_to(*where) || !allows(name)) { return; }
    const auto known = peers_.find(name);
    known == peers_.end() ? learn(name, *where) : seek_at(known->second, *where);
}

void hub::submit(const peer_pointer& to, command& what) {
    if (!is_wanted(what)) { return; }
    // A session that waits for its connection is not lost yet.
    auto* node_watch = std::get_if<watch_node_command>(&what);
    if (node_watch != nullptr && to->link.current() != protocol::link::state::down) {
        (void)pass(*to, *node_watch);
        return;
    }
    auto* watch = std::get_if<watch_command>(&what);
    if (watch != nullptr && to->link.current() == protocol::link::state::away &&
        to->link.peer_incarnation() == watch->to->incarnation &&
        pass(*to, *watch) == passing::passed) {
        return;
    }
    if (!to->is_up() && now() - to->not_up_since >= settings_.links().patience) {
        return fail(what, failure::node_down);
    }
    const std::uint64_t actor = queue_of(what);
    if (!to->blocked.contains(actor) && pass(*to, what) == passing::passed) { return; }
    auto& queue = to->blocked[actor];
    const std::uint64_t id = id_of(what);
    queue.push_back(std::move(what));
    if (id != 0) {
        places_[id] = place{place::where::blocked, to.get(), actor, std::prev(queue.end())};
    }
    if (!to->is_up()) { times_changed_.set(); }
}

hub::passing hub::pass(peer& to, command& what) {
    if (!to.is_up()) { return passing::blocked; }
    return std::visit([&](auto& each) { return pass(to, each); }, what);
}

hub::passing hub::pass(peer& to, find_command& what) {
    const auto number = to.link.find(what.name);
    if (!number) {
        if (is_temporary(to, number.error())) { return passing::blocked; }
        const bool too_long = number.error() == protocol::refusal::too_large;
        (void)std::move(what.reply)
            .try_send(found_result(std::unexpect,
                                   too_long ? failure::no_such_actor : failure::node_down));
        return passing::passed;
    }
    to.searches.try_emplace(*number, what.id, std::move(what.name), std::move(what.reply));
    places_[what.id] = place{place::where::search, &to, *number, {}};
    return passing::passed;
}

hub::passing hub::pass(peer& to, call_command& what) {
    std::optional<failure> failed;
    if (to.link.peer_incarnation() != what.to->incarnation) {
        failed = failure::node_down;
    } else {
        const auto number = to.link.call(what.to->number, what.type, what.payload);
        if (number) {
            to.tell_room(what.to);
            to.calls.try_emplace(*number, what.id, std::string(), std::move(what.reply));
            places_[what.id] = place{place::where::call, &to, *number, {}};
            return passing::passed;
        }
        if (is_temporary(to, number.error())) { return passing::blocked; }
        failed = failure_of(number.error());
    }
    (void)std::move(what.reply).try_send(call_result(std::unexpect, *failed));
    return passing::passed;
}

hub::passing hub::pass(peer& to, send_command& what) {
    std::optional<failure> failed;
    if (to.link.peer_incarnation() != what.to->incarnation) {
        failed = failure::node_down;
    } else {
        // What comes back if it is not delivered is the actor's number.
        const auto sent = to.link.send(what.to->number, what.to->number, what.type, what.payload);
        if (sent) {
            if (std::exchange(to.last_named, what.to->number) != what.to->number) {
                to.actor_names.try_emplace(what.to->number, what.to->name);
            }
            to.tell_room(what.to.pointer());
        } else {
            if (is_temporary(to, sent.error())) { return passing::blocked; }
            failed = failure_of(sent.error());
        }
    }
    if (what.reply) {
        (void)std::move(*what.reply)
            .try_send(failed ? send_result(std::unexpect, *failed) : send_result());
    } else if (failed) {
        undelivered(to.name, what.to->name, *failed);
    }
    return passing::passed;
}

hub::passing hub::pass(peer& to, watch_command& what) {
    std::optional<failure> failed;
    const std::uint64_t actor = what.to->number;
    if (to.link.peer_incarnation() != what.to->incarnation) {
        failed = failure::node_down;
    } else if (!to.watches.contains(actor)) {
        const auto number = to.link.watch(actor);
        if (number) {
            to.watches[actor].number = *number;
            to.watch_actors[*number] = actor;
        } else if (is_temporary(to, number.error())) {
            return passing::blocked;
        } else {
            failed = failure_of(number.error());
        }
    }
    if (failed) {
        (void)std::move(what.reply).try_send(*failed);
    } else {
        to.watches[actor].watchers.try_emplace(what.id, std::move(what.reply));
        places_[what.id] = place{place::where::watch, &to, actor, {}};
    }
    return passing::passed;
}

hub::passing hub::pass(peer&, mark&) { return passing::passed; }

hub::passing hub::pass(peer& to, watch_node_command& what) {
    to.node_watchers.try_emplace(what.id, std::move(what.reply));
    places_[what.id] = place{place::where::node_watch, &to, 0, {}};
    return passing::passed;
}

void hub::unpublished(std::uint64_t actor) {
    for (const auto& [name, from] : peers_) {
        for (auto at = from->watched.begin(); at != from->watched.end();) {
            if (at->second->actor != actor) {
                ++at;
                continue;
            }
            at->second->cancelled.set();
            from->link.tell_ended(at->first, failure::no_such_actor);
            at = from->watched.erase(at);
        }
        kick(*from);
    }
}

bool hub::is_temporary(peer& to, protocol::refusal why) {
    // An acknowledgement that the peer holds back comes with its answer.
    if (why == protocol::refusal::full && !std::exchange(to.refused_as_full, true)) {
        to.link.ping();
    }
    return why == protocol::refusal::full || why == protocol::refusal::no_credit ||
           why == protocol::refusal::no_room;
}

failure hub::failure_of(protocol::refusal why) {
    switch (why) {
        case protocol::refusal::too_large: return failure::too_large;
        case protocol::refusal::too_many: return failure::full;
        case protocol::refusal::unsupported: return failure::unsupported;
        default: return failure::node_down;
    }
}

void hub::fail(command& what, failure why) {
    if (auto* find = std::get_if<find_command>(&what)) {
        (void)std::move(find->reply).try_send(found_result(std::unexpect, why));
    } else if (auto* call = std::get_if<call_command>(&what)) {
        (void)std::move(call->reply).try_send(call_result(std::unexpect, why));
    } else if (auto* watch = std::get_if<watch_command>(&what)) {
        (void)std::move(watch->reply).try_send(why);
    } else if (auto* node_watch = std::get_if<watch_node_command>(&what)) {
        (void)std::move(node_watch->reply).try_send(why);
    } else if (auto* send = std::get_if<send_command>(&what)) {
        if (send->reply) {
            (void)std::move(*send->reply).try_send(send_result(std::unexpect, why));
        } else {
            undelivered(send->to->node, send->to->name, why);
        }
    }
}

void hub::retry(peer& to, std::uint64_t actor) {
    const auto at = to.blocked.find(actor);
    if (at == to.blocked.end()) { return; }
    auto& queue = at->second;
    while (!queue.empty()) {
        // Its place is written anew by `pass`.
        const std::uint64_t id = id_of(queue.front());
        const bool wanted = is_wanted(queue.front());
        if (wanted && pass(to, queue.front()) == passing::blocked) { return; }
        const auto known = places_.find(id);
        if (known != places_.end() && known->second.in == place::where::blocked) {
            places_.erase(known);
        }
        queue.pop_front();
    }
    to.blocked.erase(at);
}

void hub::retry_all(peer& to) {
    to.refused_as_full = false;
    for (auto at = to.blocked.begin(); at != to.blocked.end();) {
        const std::uint64_t actor = at->first;
        ++at;  // Before it goes.
        retry(to, actor);
    }
}

void hub::fail_blocked(peer& to, failure why) {
    auto all = std::exchange(to.blocked, {});
    for (auto& [actor, queue] : all) {
        for (command& each : queue) {
            places_.erase(id_of(each));
            fail(each, why);
        }
    }
}

void hub::cancel(std::uint64_t id) {
    const auto at = places_.find(id);
    if (at == places_.end()) { return; }
    const place found = at->second;
    places_.erase(at);
    peer& of = *found.of;
    switch (found.in) {
        case place::where::blocked: {
            const auto queue = of.blocked.find(found.number);
            queue->second.erase(found.at);
            if (queue->second.empty()) { of.blocked.erase(queue); }
            break;
        }
        case place::where::node_watch: of.node_watchers.erase(id); break;
        case place::where::watch: {
            const auto watched = of.watches.find(found.number);
            watched->second.watchers.erase(id);
            if (!watched->second.watchers.empty()) { break; }
            of.link.unwatch(watched->second.number);
            of.watch_actors.erase(watched->second.number);
            of.watches.erase(watched);
            kick(of);
            break;
        }
        case place::where::search: of.searches.erase(found.number); break;
        case place::where::call:
            of.calls.erase(found.number);
            of.link.cancel(found.number);
            tell_news(peers_.at(of.name));
            kick(of);
            break;
    }
}

void hub::undelivered(std::string_view node, std::string_view actor, failure why) {
    if (const auto& handler = settings_.undelivered()) {
        // It is the program's; the node goes on, whatever it throws.
        std::string thrown_text;
        try {
            return handler(node, actor, why);
        } catch (const std::exception& thrown) { thrown_text = thrown.what(); } catch (...) {
            thrown_text = "an unknown exception";
        }
        return log_within(
            log_, log_level::error,
            "node " + self_.name + ": the handler of what was not delivered threw: " + thrown_text);
    }
    log_within(log_, log_level::warning,
               "node " + self_.name + ": a message to " + std::string(node) + '/' +
                   std::string(actor) +
                   " was not delivered: " + std::string(protocol::to_string(why)));
}

}  // namespace heph::remote::detail
