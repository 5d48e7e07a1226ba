#pragma once

// Actors of many nodes that take the same messages: whoever publishes under a name, wherever.
//
//     // At any node, as often as there are some:
//     node.publish("workers/1", worker);
//
//     // At a node that uses them:
//     auto workers = remote_group<job>::below(node, "workers/");
//     co_await workers.at_least(1, 10s);
//     auto sent = co_await workers.send_to_one(next);  // To each in turn.
//     auto kept = co_await workers.send_to_one(next, heph::by_key(user));  // Always to one.
//     if (auto one = workers.pick(heph::at_random)) {
//         auto answer = co_await one->rpc(1s, ...);
//     }

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <heph/core/group_route.hpp>
#include <heph/core/task.hpp>
#include <heph/remote/deadline.hpp>
#include <heph/remote/detail/alternatives.hpp>
#include <heph/remote/detail/group_view.hpp>
#include <heph/remote/node.hpp>
#include <heph/remote/remote_ref.hpp>

namespace heph::remote {

/// Is an actor of a group.
template <remote_message M>
struct group_member {
    remote_ref<M> actor;
    /// The link to its node is down, and may come back: what is sent to it waits, and fails as
    /// `node_down` after the patience.
    bool is_away = false;

    bool operator==(const group_member&) const = default;
};

/// Says what became of one actor of a group.
template <remote_message M>
struct group_change {
    enum class kind : std::uint8_t {
        joined,  ///< It was published, or its node was linked, or named again while it is away.
        left,    ///< It is taken back, or finished, or its node is lost, stops, or was restarted.
        away,    ///< The link to its node is down.
        back,    ///< … is up again; nothing was lost.
    };
    kind what = kind::joined;
    remote_ref<M> actor;
};

/// Says which members did not get a message, and why.
template <remote_message M>
struct group_outcome {
    std::size_t sent = 0;  ///< To how many members it is on its way.
    std::vector<std::pair<remote_ref<M>, failure>> failed;
};

namespace detail {

class group_access {
public:
    [[nodiscard]] static const std::shared_ptr<port>& port_of(const node& of) { return of.port_; }
    template <remote_message M>
    [[nodiscard]] static remote_ref<M> make(std::shared_ptr<port> from, destination_pointer to) {
        return remote_ref<M>(std::move(from), std::move(to));
    }
    template <remote_message M>
    [[nodiscard]] static const destination_pointer& to(const remote_ref<M>& of) {
        return of.to_;
    }
    /// Sends as `send` does, or fails as `full` where the message would wait for others.
    template <remote_message M, typename T>
    [[nodiscard]] static task<std::expected<void, failure>> send_if_roomy(const remote_ref<M>& to,
                                                                          const T& message) {
        return detail::send_if_roomy(to.from_, to.to_, to.template type_of<T>(), framed(message));
    }
    /// Tells whether the actor takes any message of `M`.
    template <remote_message M>
    [[nodiscard]] static bool is_of_use(const remote_ref<M>& of) {
        return of.is_of_use_;
    }
};

/// The members that take messages of `M`, each with its part of the view.
template <remote_message M>
struct typed_member {
    group_member<M> member;
    group_entry entry;
};
template <remote_message M>
using typed_view = std::vector<typed_member<M>>;
template <remote_message M>
using typed_pointer = std::shared_ptr<const typed_view<M>>;

template <remote_message M>
typed_pointer<M> typed(const std::shared_ptr<port>& from, const group_view& now,
                       const typed_view<M>& before) {
    auto made = std::make_shared<typed_view<M>>();
    made->reserve(now.size());
    auto old = before.begin();
    for (const group_entry& each : now) {
        while (old != before.end() && place_of(*old->entry.to) < place_of(*each.to)) { ++old; }
        // What is the same actor keeps its reference.
        auto actor = old != before.end() && old->entry.to == each.to
                         ? old->member.actor
                         : group_access::make<M>(from, each.to);
        if (!group_access::is_of_use(actor)) { continue; }
        made->push_back({{std::move(actor), each.is_away}, each});
    }
    return made;
}

/// Tells whether another member may take what this one did not, and does not have.
[[nodiscard]] constexpr bool is_for_another(failure why) noexcept {
    return why == failure::node_down || why == failure::no_such_actor ||
           why == failure::actor_gone || why == failure::unknown_type;
}

/// Gives members in the order in which one message is offered to them: from a place on, and those
/// that are away last.
template <remote_message M>
class offers {
public:
    offers(typed_pointer<M> members, std::size_t first) noexcept
        : members_(std::move(members)), first_(first) {}

    /// Gives the next one; null behind the last one.
    const group_member<M>* next() {
        while (tried_ < 2 * members_->size()) {
            const bool takes_away = tried_ >= members_->size();
            const auto& each = (*members_)[(first_ + tried_++) % members_->size()];
            if (each.member.is_away == takes_away) { return &each.member; }
        }
        return nullptr;
    }

private:
    typed_pointer<M> members_;
    std::size_t first_;
    std::size_t tried_ = 0;
};

/// Waits for all sends of one message.
template <remote_message M>
class sending_to_group {
public:
    using value_type = group_outcome<M>;

    template <typename T>
    sending_to_group(typed_pointer<M> members, const T& message) : members_(std::move(members)) {
        sends_.reserve(members_->size());
        for (const auto& each : *members_) {
            sends_.emplace_back(std::in_place, each.member.actor.send(message));
        }
    }
    polled<value_type> poll(const waker& waker) {
        bool all = true;
        for (std::size_t i = 0; i != sends_.size(); ++i) {
            if (!sends_[i]) { continue; }
            auto done = sends_[i]->poll(waker);
            all = all && done.is_ready();
            if (!done.is_ready()) { continue; }
            if (done.value()) {
                ++outcome_.sent;
            } else {
                outcome_.failed.emplace_back((*members_)[i].member.actor, done.value().error());
            }
            sends_[i].reset();
        }
        if (!all) { return pending; }
        return polled<value_type>(std::in_place, std::move(outcome_));
    }

private:
    typed_pointer<M> members_;
    std::vector<std::optional<task<std::expected<void, failure>>>> sends_;
    group_outcome<M> outcome_;
};

}  // namespace detail

/// Tells, one after the other, who comes to a group and who leaves it: first who is there. Made by
/// `remote_group::changes`.
///
/// It compares the group with what it told: of what came and went while nobody asked, nothing is
/// told, and who asks seldom does not make it grow.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
template <remote_message M>
class group_changes {
public:
    /// Waits for the next change. *Errors*: `stopped`. *Cancellation*: loses nothing.
    /// *Lifetime*: outlives what it gives.
    [[nodiscard]] task<std::expected<group_change<M>, failure>> next() {
        std::function<bool()> is_other = [this] { return look(); };
        while (!look()) {
            auto waiting =
                detail::until_it_holds(group_, is_other, deadline(std::chrono::hours(24 * 365)));
            const auto waited = co_await waiting;
            if (!waited && waited.error() == failure::stopped) {
                co_return std::expected<group_change<M>, failure>(std::unexpect, waited.error());
            }
        }
        group_change<M> first = std::move(told_.front());
        told_.pop_front();
        co_return std::expected<group_change<M>, failure>(std::in_place, std::move(first));
    }

private:
    template <remote_message>
    friend class remote_group;
    using kind = typename group_change<M>::kind;

    group_changes(std::shared_ptr<detail::port> from, detail::group_pointer group)
        : port_(std::move(from)),
          group_(std::move(group)),
          known_(std::make_shared<const detail::typed_view<M>>()) {}

    // Tells whether there is something to tell.
    bool look() {
        if (!told_.empty()) { return true; }
        auto now = detail::view_of(*group_);
        if (now == seen_) { return false; }
        const auto members = detail::typed<M>(port_, *now, *known_);
        compare(*members);
        known_ = members;
        seen_ = std::move(now);
        return !told_.empty();
    }

    // Both are in order. Of a name, who leaves is told before who comes.
    void compare(const detail::typed_view<M>& now) {
        auto old = known_->begin();
        for (const auto& each : now) {
            const auto place = detail::place_of(*each.entry.to);
            while (old != known_->end() && detail::place_of(*old->entry.to) < place) {
                tell(kind::left, *old++);
            }
            if (old == known_->end() || detail::place_of(*old->entry.to) != place) {
                tell(kind::joined, each);
                continue;
            }
            if (old->member.actor != each.member.actor) {
                tell(kind::left, *old);
                tell(kind::joined, each);
            } else if (old->member.is_away != each.member.is_away) {
                tell(each.member.is_away ? kind::away : kind::back, each);
            }
            ++old;
        }
        while (old != known_->end()) { tell(kind::left, *old++); }
    }
    void tell(kind what, const detail::typed_member<M>& of) {
        told_.push_back({what, of.member.actor});
    }

    std::shared_ptr<detail::port> port_;
    detail::group_pointer group_;
    detail::group_view_pointer seen_;  // Which `known_` was made of.
    detail::typed_pointer<M> known_;
    std::deque<group_change<M>> told_;
};

/// Sends to actors of many nodes: those that are published under a name, or under any name that
/// begins with a prefix, at this node and at each that it knows, be it that it was named as a peer,
/// came through etcd, or dialed.
///
/// Members come and go by themselves, in the background: when an actor is published, published
/// anew, taken back or finished, and when a node is linked, stops, dies or was restarted. Members
/// are those that the audience of their publication lets this node see, and that take any message
/// of `M`. Each node tells its own actors, so that the nodes need not agree on anything: in a
/// partition, each side has the members that it reaches, and both get the others back behind it.
///
/// While only the link of a node is down its members stay, as those that are away: others are
/// chosen before them. They leave once the session is lost (`link_settings::grace`, or
/// `refusals_max` refused connections), or the node was forgotten (`node::forget_peer`), as the
/// cluster does it when a node's lease has ended.
///
/// A node whose program is older than groups has no members, and does not hear of its own.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe. Copies follow the same group;
/// each takes turns of its own.
template <remote_message M>
class remote_group {
public:
    using message_type = M;
    using sent_result = std::expected<void, failure>;

    /// Follows the actors of one name: at most one for each node.
    [[nodiscard]] static remote_group named(const node& at, std::string_view name) {
        return remote_group(at, std::string(name), false);
    }
    /// Follows the actors of all names that begin with a prefix.
    [[nodiscard]] static remote_group below(const node& at, std::string_view prefix) {
        return remote_group(at, std::string(prefix), true);
    }

    /// Gives the members as they are known now, by node and name.
    [[nodiscard]] std::vector<group_member<M>> members() {
        std::vector<group_member<M>> all;
        for (const auto& each : *current()) { all.push_back(each.member); }
        return all;
    }
    [[nodiscard]] std::size_t size() { return current()->size(); }
    [[nodiscard]] bool empty() { return current()->empty(); }

    /// Waits until there are so many members. Right after it is made, a group is empty.
    /// *Errors*: `timed_out`, `stopped`.
    [[nodiscard]] task<sent_result> at_least(std::size_t count, deadline until) const {
        return wait_for(*this, count, until);
    }

    /// Gives a stream of who comes and who leaves.
    [[nodiscard]] group_changes<M> changes() const { return group_changes<M>(port_, group_); }

    /// Chooses a member, to call it for one: `in_turn`, `at_random`, or `by_key(key)`. Nothing when
    /// there is none.
    ///
    /// In turn and at random, members that are away are chosen only if all are. By key it is always
    /// the same one, away or not, as long as it is a member: at every node that sees the same
    /// members, and again when it comes back under the same names, if keys are hashed alike there
    /// (`std::hash`). Of n members, one that comes takes about a share of 1/n from all of them; of
    /// one that goes, the keys go to the others. Nothing else moves.
    template <typename Route = in_turn_t>
    [[nodiscard]] std::optional<remote_ref<M>> pick(Route route = Route(in_turn)) {
        const auto members = current();
        detail::offers<M> order(members, first_for(*members, route));
        if constexpr (std::same_as<Route, by_key>) {
            if (members->empty()) { return std::nullopt; }
            return (*members)[responsible(*members, route)].member.actor;
        } else {
            const group_member<M>* chosen = order.next();
            if (chosen == nullptr) { return std::nullopt; }
            had_turn(chosen->actor, route);
            return chosen->actor;
        }
    }

    /// Sends a message to one member, chosen as by `pick` when this is called, once there is room
    /// on the way to it, as `remote_ref::send` does. When that member turns out not to be there
    /// before it has the message, or does not take such ones, it goes to the next one; by key only
    /// once the group knows that another one is responsible.
    ///
    /// In turn and at random, those to which so much is on the way that the message would wait are
    /// passed over as long as another one has room. When all are that full, it waits for the one
    /// that was chosen, whichever has room first. By key it waits for the one that is responsible.
    ///
    /// *Errors*: `no_such_actor` when there are no members; what the last one that was tried failed
    /// with. *Cancellation*: the message is either sent by then, or not at all.
    template <typename T, typename Route = in_turn_t>
        requires detail::sendable<T, M>
    [[nodiscard]] task<sent_result> send_to_one(T message, Route route = Route(in_turn)) {
        if constexpr (std::same_as<Route, by_key>) {
            return send_by_key(*this, std::move(message), route);
        } else {
            return send_in_order(offer(route, true), std::move(message));
        }
    }

    /// Hands a message over to one member, without waiting. In turn and at random, those to which
    /// too many messages wait already are passed over.
    /// *Errors*: as `send_to_one`, and `full`.
    template <typename T, typename Route = in_turn_t>
        requires detail::sendable<T, M>
    [[nodiscard]] sent_result try_send_to_one(const T& message, Route route = Route(in_turn)) {
        if constexpr (std::same_as<Route, by_key>) {
            const auto chosen = pick(route);
            return chosen ? chosen->try_send(message) : std::unexpected(failure::no_such_actor);
        } else {
            auto order = offer(route, false);
            sent_result result(std::unexpect, failure::no_such_actor);
            while (const group_member<M>* member = order.next()) {
                result = member->actor.try_send(message);
                const bool moves_on = !result && (result.error() == failure::full ||
                                                  detail::is_for_another(result.error()));
                if (!moves_on) { break; }
            }
            return result;
        }
    }

    /// Sends a message to each member of now, those that are away included, and waits until each
    /// has room for it or has failed. It is encoded for each of them when this is called.
    /// *Cancellation*: each member gets it, or not.
    template <typename T>
        requires detail::sendable<T, M>
    [[nodiscard]] detail::sending_to_group<M> send_to_all(const T& message) {
        return detail::sending_to_group<M>(current(), message);
    }

    /// Hands a message over to each member that has a place for it, without waiting.
    template <typename T>
        requires detail::sendable<T, M>
    group_outcome<M> try_send_to_all(const T& message) {
        group_outcome<M> outcome;
        for (const auto& each : *current()) {
            const auto sent = each.member.actor.try_send(message);
            if (sent) {
                ++outcome.sent;
            } else {
                outcome.failed.emplace_back(each.member.actor, sent.error());
            }
        }
        return outcome;
    }

    /// Makes the random choices those of this seed.
    void seed(std::uint64_t seed) noexcept { random_ = seed; }

private:
    remote_group(const node& at, std::string name, bool is_prefix)
        : port_(detail::group_access::port_of(at)),
          group_(detail::follow_group(port_, std::move(name), is_prefix)),
          typed_(std::make_shared<const detail::typed_view<M>>()),
          random_(detail::any_bits()) {}

    const detail::typed_pointer<M>& current() {
        auto now = detail::view_of(*group_);
        if (now != seen_) {
            typed_ = detail::typed<M>(port_, *now, *typed_);
            seen_ = std::move(now);
        }
        return typed_;
    }

    // Who uses a group begins anywhere, so that not all of them begin with the same one.
    std::size_t first_for(const detail::typed_view<M>& members, in_turn_t) noexcept {
        if (!last_) { return first_for(members, at_random); }
        const auto behind = std::ranges::upper_bound(
            members, detail::place_of(*last_), {},
            [](const auto& each) { return detail::place_of(*each.entry.to); });
        return static_cast<std::size_t>(behind - members.begin());
    }
    std::size_t first_for(const detail::typed_view<M>& members, at_random_t) noexcept {
        if (members.empty()) { return 0; }
        random_ += 0x9e3779b97f4a7c15U;  // SplitMix64.
        const auto here = static_cast<std::size_t>(
            std::ranges::count_if(members, [](const auto& each) { return !each.member.is_away; }));
        const std::uint64_t bits = heph::detail::mix_bits(random_);
        if (here == 0) { return bits % members.size(); }
        // Each of those that are there is as likely: behind one that is away, the next one is not.
        std::size_t left = bits % here;
        std::size_t at = 0;
        while (members[at].member.is_away || left-- != 0) { ++at; }
        return at;
    }
    std::size_t first_for(const detail::typed_view<M>&, by_key) noexcept { return 0; }

    static std::size_t responsible(const detail::typed_view<M>& members, by_key key) noexcept {
        const auto best = std::ranges::max_element(
            members, {}, [&](const auto& each) { return key.weight(each.entry.hash); });
        return static_cast<std::size_t>(best - members.begin());
    }

    void had_turn(const remote_ref<M>& member, in_turn_t) {
        last_ = detail::group_access::to(member);
    }
    void had_turn(const remote_ref<M>&, at_random_t) noexcept {}

    // Takes the turn of the first one, and gives all of them from there on. Who is passed over as
    // crowded loses its turn: otherwise the one behind it would have two.
    template <typename Route>
    detail::offers<M> offer(Route route, bool passes_crowded) {
        const auto members = current();
        const detail::offers<M> order(members, first_for(*members, route));
        auto looking = order;
        const group_member<M>* chosen = looking.next();
        if (chosen == nullptr) { return order; }
        const group_member<M>* const first = chosen;
        while (passes_crowded && chosen != nullptr && !chosen->is_away &&
               detail::group_access::to(chosen->actor)->is_crowded()) {
            chosen = looking.next();
        }
        had_turn(chosen != nullptr && !chosen->is_away ? chosen->actor : first->actor, route);
        return order;
    }

    template <typename T>
    static task<sent_result> send_in_order(detail::offers<M> order, T message) {
        sent_result result(std::unexpect, failure::no_such_actor);
        std::vector<const remote_ref<M>*> later;  // Those that are full, then those that are away.
        while (const group_member<M>* member = order.next()) {
            if (member->is_away) {
                later.push_back(&member->actor);
                continue;
            }
            auto sending = detail::group_access::send_if_roomy(member->actor, message);
            result = co_await sending;
            if (!result && result.error() == failure::full) {
                later.push_back(&member->actor);
            } else if (result || !detail::is_for_another(result.error())) {
                co_return result;
            }
        }
        for (const remote_ref<M>* each : later) {
            auto sending = each->send(message);
            result = co_await sending;
            if (result || !detail::is_for_another(result.error())) { break; }
        }
        co_return result;
    }

    template <typename T>
    static task<sent_result> send_by_key(remote_group self, T message, by_key key) {
        sent_result result(std::unexpect, failure::no_such_actor);
        remote_ref<M> tried;
        for (;;) {
            const auto chosen = self.pick(key);
            if (!chosen || *chosen == tried) { break; }
            tried = *chosen;
            auto sending = tried.send(message);
            result = co_await sending;
            if (result || !detail::is_for_another(result.error())) { break; }
        }
        co_return result;
    }

    static task<sent_result> wait_for(remote_group self, std::size_t count, deadline until) {
        const detail::group_pointer group = self.group_;
        std::function<bool()> is_enough = [held = std::move(self), count]() mutable {
            return held.size() >= count;
        };
        auto waiting = detail::until_it_holds(group, std::move(is_enough), until);
        co_return co_await waiting;
    }

    std::shared_ptr<detail::port> port_;
    detail::group_pointer group_;
    detail::group_view_pointer seen_;  // Which `typed_` was made of.
    detail::typed_pointer<M> typed_;
    std::uint64_t random_;
    detail::destination_pointer last_;  // Whose turn was last.
};

}  // namespace heph::remote
