// What peers say, and what becomes of it.

#include <exception>
#include <string>
#include <utility>
#include <variant>

#include "hub.hpp"

namespace heph::remote::detail {

void hub::on_event(const peer_pointer& from, protocol::event& what) {
    std::visit([&](auto& each) { on(from, each); }, what);
}

void hub::on(const peer_pointer& from, protocol::message_arrived& what) {
    take(from, what.actor,
         waiting_delivery(what.token, what.type, nullptr, what.payload.size(), from->session),
         what.payload);
}

void hub::on(const peer_pointer& from, protocol::call_arrived& what) {
    const auto answers = std::make_shared<answering>();
    from->called.insert_or_assign(what.call, answers);
    take(from, what.actor,
         waiting_delivery(what.call, what.type, answers, what.payload.size(), from->session),
         what.payload);
}

std::expected<std::shared_ptr<const published>, failure> hub::target_of(const peer& from,
                                                                        std::uint64_t actor) const {
    auto target = port_->find(actor);
    if (!target || !target->is_for(from.name)) { return std::unexpected(failure::no_such_actor); }
    if (!target->is_connected()) { return std::unexpected(failure::actor_gone); }
    return target;
}

std::expected<arrival, failure> hub::decode(const peer& from, const waiting_delivery& what,
                                            std::span<const std::byte> payload) const noexcept {
    try {
        const decoding_at here(port_);
        return what.target->take(from.name, what.type, what.answers != nullptr, payload, true);
    } catch (...) {  // The message's own constructors.
        return std::unexpected(failure_of_throw());
    }
}

// What becomes of a message whose handling throws.
failure hub::failure_of_throw() noexcept {
    try {
        throw;
    } catch (const std::bad_alloc&) { return failure::full; } catch (...) {
        return failure::bad_message;
    }
}

void hub::take(const peer_pointer& from, std::uint64_t actor, waiting_delivery what,
               std::span<const std::byte> payload) {
    auto target = target_of(*from, actor);
    if (!target) { return delivered(from, actor, what, target.error()); }
    what.target = std::move(*target);
    // What waits for room in its inbox already stays before it.
    const auto queue = from->arrived.find(actor);
    if (queue != from->arrived.end()) {
        if (is_crowded(*from, queue->second)) {
            return delivered(from, actor, what, failure::full);
        }
        what.payload.assign(payload.begin(), payload.end());
        queue->second.push_back(std::move(what));
    } else if (!is_settled(from, actor, what, payload)) {
        from->arrived[actor].push_back(std::move(what));
        try {
            spawn(deliver(shared_from_this(), from, actor));
        } catch (...) {
            from->arrived.erase(actor);  // Nobody would empty it.
            throw;
        }
    }
}

bool hub::is_settled(const peer_pointer& from, std::uint64_t actor, waiting_delivery& what,
                     std::span<const std::byte> payload) {
    auto arrived = decode(*from, what, payload);
    std::optional<failure> failed;
    if (arrived) {
        what.arrived = std::move(*arrived);
        try {
            if (what.arrived.message) {
                const auto now = what.arrived.message->poll(waker());
                if (!now.is_ready()) { return false; }
                failed = now.value();
            }
        } catch (...) { failed = failure_of_throw(); }
    } else {
        failed = arrived.error();
    }
    delivered_safely(from, actor, what, failed);
    return true;
}

// What sessions before left there does not count for the window of this one: a peer that begins
// anew again and again would add to it without end.
bool hub::is_crowded(const peer& from, const std::deque<waiting_delivery>& queue) const {
    const protocol::link_limits& own = settings_.links().own;
    std::size_t messages = 0;
    std::size_t bytes = 0;
    for (const waiting_delivery& each : queue) {
        if (each.session == from.session) { break; }  // Those before it are older.
        ++messages;
        bytes += each.payload_bytes;
    }
    constexpr std::size_t windows = 4;
    return messages >= windows * own.window_messages || bytes >= windows * own.window_bytes;
}

void hub::delivered(const peer_pointer& from, std::uint64_t actor, waiting_delivery& what,
                    std::optional<failure> failed) {
    what.arrived.message.reset();
    if (what.session != from->session) { return; }
    from->link.grant(actor, what.payload_bytes);
    if (!what.answers) {
        if (failed) { from->link.fail_message(what.number, *failed); }
    } else if (what.answers->cancelled.is_set()) {
        what.arrived.reply.reset();
    } else if (failed) {
        from->called.erase(what.number);
        from->link.fail_call(what.number, *failed);
    } else {
        spawn(answer_call(shared_from_this(), from, what.number, what.answers,
                          std::move(what.arrived.reply)));
    }
}

// What cannot be told, for want of memory, would never be: the peer finds out by the end of the
// session.
void hub::delivered_safely(const peer_pointer& from, std::uint64_t actor, waiting_delivery& what,
                           std::optional<failure> failed) {
    try {
        delivered(from, actor, what, failed);
    } catch (...) { give_up(from, "who told what was delivered"); }
}

void hub::on(const peer_pointer& from, protocol::call_cancelled& what) {
    const auto at = from->called.find(what.call);
    if (at == from->called.end()) { return; }
    at->second->cancelled.set();
    from->called.erase(at);
}

void hub::on(const peer_pointer& from, protocol::reply_arrived& what) {
    const auto at = from->calls.find(what.call);
    if (at == from->calls.end()) { return; }
    places_.erase(at->second.id);
    // What was put together from parts is large, and need not be copied.
    auto assembled = from->link.take_assembled();
    (void)std::move(at->second.reply)
        .try_send(assembled.empty() ? call_result(std::in_place, what.payload)
                                    : call_result(framed_payload::received(std::move(assembled))));
    from->calls.erase(at);
}

void hub::on(const peer_pointer& from, protocol::call_failed& what) {
    const auto at = from->calls.find(what.call);
    if (at == from->calls.end()) { return; }
    places_.erase(at->second.id);
    (void)std::move(at->second.reply).try_send(call_result(std::unexpect, what.why));
    from->calls.erase(at);
}

void hub::on(const peer_pointer& from, protocol::message_failed& what) {
    // The token is the actor's number. A peer that makes one up has nothing to report.
    const auto name = from->actor_names.find(what.token);
    if (name != from->actor_names.end()) { undelivered(from->name, name->second, what.why); }
}

void hub::on(const peer_pointer& from, protocol::find_arrived& what) {
    const auto [number, target] = port_->find(what.name);
    if (draining_.is_set()) {
        from->link.fail_find(what.request, failure::node_down);
    } else if (!target || !target->is_for(from->name)) {
        from->link.fail_find(what.request, failure::no_such_actor);
    } else if (!target->is_connected()) {
        from->link.fail_find(what.request, failure::actor_gone);
    } else {
        from->link.answer_find(what.request, number, target->types());
    }
}

void hub::on(const peer_pointer& from, protocol::found& what) {
    const auto at = from->searches.find(what.request);
    if (at == from->searches.end()) { return; }
    places_.erase(at->second.id);
    // Where it does not say where it is reached, this node got there.
    const auto& known = from->told_address ? from->told_address : from->address;
    const std::string address = known ? known->to_string() : "";
    auto to = std::make_shared<const destination>(from->name, address, std::move(at->second.name),
                                                  from->link.peer_incarnation(), what.actor,
                                                  std::move(what.types));
    from->tell_room(to);
    (void)std::move(at->second.reply).try_send(found_result(std::in_place, std::move(to)));
    from->searches.erase(at);
}

void hub::on(const peer_pointer& from, protocol::find_failed& what) {
    const auto at = from->searches.find(what.request);
    if (at == from->searches.end()) { return; }
    places_.erase(at->second.id);
    (void)std::move(at->second.reply).try_send(found_result(std::unexpect, what.why));
    from->searches.erase(at);
}

void hub::on(const peer_pointer& from, protocol::watch_arrived& what) {
    const auto target = target_of(*from, what.actor);
    if (!target) { return from->link.tell_ended(what.watch, target.error()); }
    const auto of = std::make_shared<watched_actor>(what.actor);
    from->watched.insert_or_assign(what.watch, of);
    spawn(tell_end(shared_from_this(), from, what.watch, of, (*target)->until_finished()));
}

void hub::on(const peer_pointer& from, protocol::unwatch_arrived& what) {
    const auto at = from->watched.find(what.watch);
    if (at == from->watched.end()) { return; }
    at->second->cancelled.set();
    from->watched.erase(at);
}

void hub::on(const peer_pointer& from, protocol::watch_ended& what) {
    const auto actor = from->watch_actors.find(what.watch);
    if (actor == from->watch_actors.end()) { return; }
    auto ended = from->watches.extract(actor->second);
    from->watch_actors.erase(actor);
    for (auto& [id, reply] : ended.mapped().watchers) {
        places_.erase(id);
        (void)std::move(reply).try_send(what.why);
    }
}

void hub::on(const peer_pointer& from, protocol::credit_arrived& what) {
    retry(*from, what.actor);
    from->tell_credit(what.actor);
}

void hub::on(const peer_pointer& from, protocol::room_arrived&) { retry_all(*from); }

void hub::on(const peer_pointer& from, protocol::goodbye_arrived& what) {
    // A pointer of our own: ending the connection clears the peer's.
    const connection_pointer ended = from->up;
    if (!ended) { return; }
    end(ended, std::string(protocol::to_string(what.why)));
    lose(from, failure::node_down);
}

void hub::tell_news(const peer_pointer& of) {
    while (auto news = of->link.next_news()) { on_event(of, *news); }
}

}  // namespace heph::remote::detail
