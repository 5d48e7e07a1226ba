#pragma once

// Several actors that take the same messages.
//
//     heph::task<> front(heph::rt::local_context<job> ctx, heph::actor_group<job> workers) {
//         while (auto next = co_await ctx.receive()) {
//             // To the next one that has room; when all are full, wait for the one whose turn it
//             is. auto sent = co_await workers.send_to_one(std::move(*next)); if (!sent) {
//             co_return; }  // all of them are finished
//         }
//         auto report = workers.try_send_to_all(job::shut_down());
//         for (const auto& failure : report.failures()) { … failure.member() … failure.reason() … }
//         co_await workers.join_all();
//     }
//
//     (void)users.try_send_to_one(std::move(message), heph::by_key(user_id));  // always the same
//     one if (auto one = workers.pick(heph::at_random)) { auto answer = co_await one->rpc(5); }

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <expected>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <heph/core/actor_ref.hpp>
#include <heph/core/detail/random_bits.hpp>
#include <heph/core/group_futures.hpp>
#include <heph/core/group_report.hpp>
#include <heph/core/group_route.hpp>
#include <heph/core/send_error.hpp>
#include <heph/core/sendable.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

template <typename M>
class actor_group;

/// Waits until one member of a group has a message. Made by `actor_group::send_to_one`.
///
/// *Cancellation*: the message is sent by then, or destroyed. *Lifetime*: the group must outlive it
/// and stay where it is; members may come and go meanwhile.
template <typename M, typename Route>
class [[nodiscard]] send_to_one_future {
public:
    using value_type = std::expected<void, send_error<M>>;

    send_to_one_future(actor_group<M>& group, M message, Route route)
        : group_(&group), message_(std::move(message)), route_(route) {}
    /// Moves a future that was not polled yet.
    send_to_one_future(send_to_one_future&& other) noexcept
        : group_(other.group_), message_(std::move(other.message_)), route_(other.route_) {}
    send_to_one_future& operator=(send_to_one_future&&) = delete;
    ~send_to_one_future() = default;

    polled<value_type> poll(const waker& waker);

private:
    polled<value_type> done(value_type&& result) {
        sending_.reset();
        member_.reset();
        return polled<value_type>(std::in_place, std::move(result));
    }

    actor_group<M>* group_;
    std::optional<M> message_;  // As long as it is with no member.
    [[no_unique_address]] Route route_;
    // The group may change while it waits. Before what borrows it.
    std::optional<actor_ref<M>> member_;
    std::optional<send_future<M>> sending_;
};

/// Keeps references to actors that take the same messages, and sends to one or all of them.
///
/// Members are in the order in which they were added. A member that is finished stays until it is
/// removed, and is passed over. A group keeps its members' inboxes connected, like any reference.
/// A member that is a function may change the group that it is sent to from: a send to all goes to
/// the members of its beginning that are still there when it comes to them.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
template <typename M>
class actor_group {
public:
    using message_type = M;
    static constexpr bool is_sendable = sendable<M>;
    using const_iterator = typename std::vector<actor_ref<M>>::const_iterator;

    actor_group() = default;
    /// Makes a group of these, in this order.
    explicit actor_group(std::vector<actor_ref<M>> members) {
        for (actor_ref<M>& member : members) { add(std::move(member)); }
    }

    /// Adds a member. One that is there already gets messages twice.
    void add(actor_ref<M> member) {
        numbers_.push_back(next_number_);
        try {
            members_.push_back(std::move(member));
        } catch (...) {
            numbers_.pop_back();
            throw;
        }
        ++next_number_;
    }

    /// Adds a member, unless a reference to that actor is there already. Tells whether it did.
    bool add_unique(actor_ref<M> member) {
        if (contains(member)) { return false; }
        add(std::move(member));
        return true;
    }

    /// Removes every reference to that actor, whatever messages the one given takes. Gives how
    /// many there were.
    template <typename Other>
    std::size_t remove(const actor_ref<Other>& gone) {
        // A copy, as it may be one of those that are removed.
        return remove_if([id = gone.id()](const actor_ref<M>& each) { return each.id() == id; });
    }

    /// Removes the members that are finished. Gives how many there were.
    std::size_t remove_disconnected() {
        return remove_if([](const actor_ref<M>& each) { return !each.is_connected(); });
    }

    void clear() noexcept {
        members_.clear();
        numbers_.clear();
        turn_ = 0;
    }

    template <typename Other>
    [[nodiscard]] bool contains(const actor_ref<Other>& wanted) const noexcept {
        return std::ranges::any_of(members_,
                                   [&](const auto& each) { return each.sends_to(wanted); });
    }

    [[nodiscard]] std::size_t size() const noexcept { return members_.size(); }
    [[nodiscard]] bool empty() const noexcept { return members_.empty(); }
    [[nodiscard]] const_iterator begin() const noexcept { return members_.begin(); }
    [[nodiscard]] const_iterator end() const noexcept { return members_.end(); }

    /// Makes the random choices those of this seed.
    void seed(std::uint64_t seed) noexcept { random_ = seed; }

    /// Chooses a member that is not finished, to call it for one: `in_turn`, `at_random`, or
    /// `by_key(key)`. Nothing when there is none.
    template <typename Route = in_turn_t>
    [[nodiscard]] std::optional<actor_ref<M>> pick(Route route = Route(in_turn)) {
        const std::size_t at = choose(route);
        if (at == members_.size()) { return std::nullopt; }
        advance(route, at);
        return members_[at];
    }

    /// Sends a message to one member, if there is room for it. `in_turn`, which is the default, and
    /// `at_random` pass over members that are full: it fails only if none has room. `by_key(key)`
    /// tries the one that is responsible for the key, and no other.
    ///
    /// *Errors*: `full`; `disconnected` if all are finished, or there are no members. The
    /// message comes back, unless a member's mapping lost it. `refused` by the first member whose
    /// mapping refuses it.
    template <typename Route = in_turn_t>
    [[nodiscard]] std::expected<void, send_error<M>> try_send_to_one(M message,
                                                                     Route route = Route(in_turn)) {
        using result = std::expected<void, send_error<M>>;
        std::optional<M> held(std::move(message));
        send_failure reason = send_failure::disconnected;
        std::size_t at = choose(route);
        for (std::size_t tried = 0; tried < members_.size() && at < members_.size(); ++tried) {
            // Also when its mapping refuses the message or throws: the next one goes to another.
            advance(route, at);
            const held_function kept(members_[at]);
            auto sent = kept.or_else(members_[at]).try_send(take(held));
            if (sent || !sent.error().has_value() ||
                sent.error().reason() == send_failure::refused) {
                return sent;
            }
            held.emplace(std::move(sent.error()).value());
            if (sent.error().reason() == send_failure::full) {
                reason = send_failure::full;
                if constexpr (std::same_as<Route, by_key>) { break; }
            }
            at = next_try(route, at);
        }
        return result(std::unexpect, reason, take(held));
    }

    /// Sends a message to one member, chosen as by `try_send_to_one`. When there is no room it
    /// waits for that of the member that was chosen; if that one finishes meanwhile, it chooses
    /// anew. *Errors*: `disconnected` and `refused`, as there.
    template <typename Route = in_turn_t>
    [[nodiscard]] send_to_one_future<M, Route> send_to_one(M message,
                                                           Route route = Route(in_turn)) {
        return send_to_one_future<M, Route>(*this, std::move(message), route);
    }

    /// Sends a message to every member that has room. It is copied for all but the last one, at
    /// most. Says which members did not get it and why: full, finished, or an exception of their
    /// mapping; none of them keeps the others from getting it. *Requires*: the message can be
    /// copied. *Errors*: throws `std::bad_alloc` half-way, when there is no memory for the report.
    group_report<M> try_send_to_all(M message) const {
        check_copies();
        group_report<M> report;
        std::optional<M> spare;  // A copy that came back.
        const std::uint64_t end = next_number_;
        std::uint64_t number = 0;
        for (std::size_t i = 0; i < members_.size() && numbers_[i] < end; i = behind(i, number)) {
            number = numbers_[i];
            const held_function kept(members_[i]);
            const actor_ref<M>& member = kept.or_else(members_[i]);
            const bool last = number + 1 == end;
            try {
                auto sent = last    ? member.try_send(std::move(message))
                            : spare ? member.try_send(take(spare))
                                    : member.try_send(M(std::as_const(message)));
                if (sent) {
                    report.add_sent();
                    continue;
                }
                report.add(group_failure<M>(member, sent.error().reason()));
                if (sent.error().has_value()) { spare.emplace(std::move(sent.error()).value()); }
            } catch (...) { report.add(group_failure<M>(member, std::current_exception())); }
        }
        return report;
    }

    /// Sends a message to every member, waiting for room in all at the same time: one that is full
    /// holds up the end, not the others. Gives a report like `try_send_to_all`; no member is
    /// `full`. The members are those of now. *Requires*: the message can be copied.
    [[nodiscard]] send_to_all_future<M> send_to_all(M message) const {
        check_copies();
        return send_to_all_future<M>(members_, std::move(message));
    }

    /// Waits until every member of now is finished. It keeps references to them: one that ends
    /// when there are no more messages has to be told otherwise.
    [[nodiscard]] join_all_future<M> join_all() const { return join_all_future<M>(members_); }

private:
    template <typename, typename>
    friend class send_to_one_future;

    static consteval void check_copies() {
        static_assert(std::copy_constructible<M>,
                      "a message to a whole group is copied for its members: this message can only "
                      "be moved; send a std::shared_ptr<const …> to it, or send_to_one");
    }

    // Keeps a reference to a function, which may remove itself from the group while it runs. An
    // inbox does not run anything.
    class held_function {
    public:
        explicit held_function(const actor_ref<M>& member) {
            if (detail::ref_access::sender_of(member) == nullptr) { copy_.emplace(member); }
        }
        [[nodiscard]] const actor_ref<M>& or_else(const actor_ref<M>& member) const noexcept {
            return copy_ ? *copy_ : member;
        }

    private:
        std::optional<actor_ref<M>> copy_;
    };

    // Gives the place behind the member that was at `at`, which may have moved or gone since.
    [[nodiscard]] std::size_t behind(std::size_t at, std::uint64_t number) const noexcept {
        if (at < numbers_.size() && numbers_[at] == number) { return at + 1; }
        return static_cast<std::size_t>(std::ranges::upper_bound(numbers_, number) -
                                        numbers_.begin());
    }

    static M take(std::optional<M>& from) {
        M taken = *std::move(from);
        from.reset();
        return taken;
    }

    template <typename Predicate>
    std::size_t remove_if(Predicate predicate) {
        std::size_t kept = 0;
        std::size_t turn = turn_;
        for (std::size_t i = 0; i != members_.size(); ++i) {
            if (predicate(std::as_const(members_[i]))) {
                if (i < turn_) { --turn; }  // It stays the turn of the same one.
                continue;
            }
            if (kept != i) {
                members_[kept] = std::move(members_[i]);
                numbers_[kept] = numbers_[i];
            }
            ++kept;
        }
        const std::size_t removed = members_.size() - kept;
        members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(kept), members_.end());
        numbers_.resize(kept);
        turn_ = turn;
        return removed;
    }

    // Gives the next one from `first` on that is not finished; `size()` if there is none.
    [[nodiscard]] std::size_t connected_from(std::size_t first) const noexcept {
        for (std::size_t tried = 0; tried != members_.size(); ++tried) {
            const std::size_t at = (first + tried) % members_.size();
            if (members_[at].is_connected()) { return at; }
        }
        return members_.size();
    }

    [[nodiscard]] std::size_t choose(in_turn_t) const noexcept { return connected_from(turn_); }
    [[nodiscard]] std::size_t choose(at_random_t) {
        if (members_.empty()) { return 0; }
        if (!random_) { random_ = detail::random_bits(); }
        *random_ += 0x9e3779b97f4a7c15U;  // SplitMix64.
        // A member is too many by at most one in 2^32 for a group of 2^32.
        return connected_from(detail::mix_bits(*random_) % members_.size());
    }
    [[nodiscard]] std::size_t choose(by_key key) const noexcept {
        std::size_t best = members_.size();
        std::uint64_t best_weight = 0;
        for (std::size_t i = 0; i != members_.size(); ++i) {
            const std::uint64_t weight = key.weight(numbers_[i]);
            if ((best == members_.size() || weight > best_weight) && members_[i].is_connected()) {
                best = i;
                best_weight = weight;
            }
        }
        return best;
    }

    // Gives who is tried after `at`, which is full or finished.
    [[nodiscard]] std::size_t next_try(by_key key, std::size_t) const noexcept {
        return choose(key);  // That one is finished: another one is responsible now.
    }
    template <typename Route>
    [[nodiscard]] std::size_t next_try(Route, std::size_t at) const noexcept {
        return members_.empty() ? 0 : (at + 1) % members_.size();
    }

    // Notes that a member had its turn.
    void advance(in_turn_t, std::size_t at) noexcept { turn_ = at + 1; }
    template <typename Route>
    void advance(Route, std::size_t) noexcept {}

    std::vector<actor_ref<M>> members_;
    std::vector<std::uint64_t> numbers_;  // Of the members, in their order: what keys go by.
    std::uint64_t next_number_ = 0;
    std::size_t turn_ = 0;  // May be beyond the last member.
    std::optional<std::uint64_t> random_;
};

template <typename M, typename Route>
polled<typename send_to_one_future<M, Route>::value_type> send_to_one_future<M, Route>::poll(
    const waker& waker) {
    for (;;) {
        if (!sending_) {
            auto sent = group_->try_send_to_one(*std::move(message_), route_);
            message_.reset();
            if (sent || sent.error().reason() != send_failure::full || !sent.error().has_value()) {
                return done(std::move(sent));
            }
            // By now all may be finished: then the send below says so.
            auto chosen = group_->pick(route_);
            if (!chosen) {
                return done(value_type(std::unexpect, send_failure::disconnected,
                                       std::move(sent.error()).value()));
            }
            member_.emplace(*std::move(chosen));
            sending_.emplace(member_->send(std::move(sent.error()).value()));
        }
        auto sent = sending_->poll(waker);
        if (!sent.is_ready()) { return pending; }
        if (sent.value() || sent.value().error().reason() != send_failure::disconnected ||
            !sent.value().error().has_value()) {
            return done(std::move(sent).value());
        }
        // The member finished while this waited for its room: to another one.
        message_.emplace(std::move(sent.value().error()).value());
        sending_.reset();
        member_.reset();
    }
}

}  // namespace heph
