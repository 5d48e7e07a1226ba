#pragma once

// Where messages go that arrive under one name: to an actor, to a group, to a function, nowhere.
//
//     node.publish("jobs", heph::remote::route::to_one(workers));
//     node.publish("news", heph::remote::route::to_all(readers));
//     node.publish("log", heph::remote::route::to_function<line>([](const line& l) { … }));
//     node.publish("old", heph::remote::route::to_nothing<line>());
//
// Each gives an `actor_ref`, so that a `udp_relay`, or code that need not know, takes it as well.

#include <atomic>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <heph/core/actor_group.hpp>
#include <heph/core/actor_ref.hpp>
#include <heph/core/detail/any_future.hpp>
#include <heph/core/detail/ref_target.hpp>
#include <heph/core/send_error.hpp>
#include <heph/remote/detail/waits_for_all.hpp>

namespace heph::remote {

namespace detail {

/// Are the members of a route, which never change.
template <typename M>
using route_members = std::shared_ptr<const std::vector<actor_ref<M>>>;

/// Waits until all members are finished.
template <typename M>
class members_ending {
public:
    using value_type = void;

    explicit members_ending(route_members<M> members) : members_(std::move(members)) {
        for (const auto& each : *members_) {
            joins_.push_back(std::make_unique<join_ref_future<M>>(each.join()));
        }
    }
    polled<void> poll(const waker& waker) {
        bool all = true;
        for (auto& each : joins_) {
            if (each && each->poll(waker).is_ready()) { each.reset(); }
            all = all && !each;
        }
        return all ? ready : pending;
    }

private:
    route_members<M> members_;
    std::vector<std::unique_ptr<join_ref_future<M>>> joins_;
};

/// Sends a message to the first member, from `turn` on, that is not finished.
template <typename M>
class sending_to_one {
public:
    using value_type = heph::detail::send_result<M>;

    sending_to_one(route_members<M> members, std::size_t turn, M message)
        : members_(std::move(members)), turn_(turn), message_(std::move(message)) {}

    polled<value_type> poll(const waker& waker) {
        while (sending_ || tried_ != members_->size()) {
            if (!sending_) {
                const auto& member = (*members_)[(turn_ + tried_++) % members_->size()];
                if (!member.is_connected()) { continue; }
                sending_ = std::make_unique<send_future<M>>(member.send(std::move(*message_)));
            }
            auto sent = sending_->poll(waker);
            if (!sent.is_ready()) { return pending; }
            const bool try_next = !sent.value() && sent.value().error().has_value() &&
                                  sent.value().error().reason() == send_failure::disconnected;
            if (!try_next) { return polled<value_type>(std::in_place, std::move(sent).value()); }
            message_.emplace(std::move(sent.value().error()).value());
            sending_.reset();
        }
        return polled<value_type>(std::in_place, std::unexpect, send_failure::disconnected,
                                  std::move(*message_));
    }

private:
    route_members<M> members_;
    std::size_t turn_;
    std::size_t tried_ = 0;
    std::optional<M> message_;  // While no member has it.
    std::unique_ptr<send_future<M>> sending_;
};

/// Sends a copy of a message to each member, and waits until those that are not finished have it.
template <typename M>
class sending_to_all {
public:
    using value_type = heph::detail::send_result<M>;

    sending_to_all(route_members<M> members, M message)
        : members_(std::move(members)), message_(std::move(message)) {
        for (const auto& each : *members_) {
            sends_.push_back(std::make_unique<send_future<M>>(each.send(M(message_))));
        }
    }
    polled<value_type> poll(const waker& waker) {
        bool all = true;
        for (auto& each : sends_) {
            if (!each) { continue; }
            auto sent = each->poll(waker);
            if (sent.is_ready()) {
                taken_ = taken_ || sent.value().has_value();
                each.reset();
            }
            all = all && !each;
        }
        if (!all) { return pending; }
        if (taken_) { return polled<value_type>(std::in_place); }
        return polled<value_type>(std::in_place, std::unexpect, send_failure::disconnected,
                                  std::move(message_));
    }

private:
    route_members<M> members_;
    M message_;
    std::vector<std::unique_ptr<send_future<M>>> sends_;
    bool taken_ = false;
};

/// What routes to a group have in common.
template <typename M>
class group_target : public heph::detail::ref_target<M> {
public:
    explicit group_target(const actor_group<M>& group)
        : members_(std::make_shared<const std::vector<actor_ref<M>>>(group.begin(), group.end())) {}

    heph::detail::any_future<void> join() const override {
        return heph::detail::any_future<void>(members_ending<M>(members_));
    }
    bool is_connected() const noexcept override {
        for (const auto& each : *members_) {
            if (each.is_connected()) { return true; }
        }
        return false;
    }
    inbox::channel_id id() const noexcept override { return inbox::channel_id(this); }
    std::optional<inbox::observer> observe() const noexcept override { return std::nullopt; }

protected:
    const route_members<M>& members() const noexcept { return members_; }

private:
    route_members<M> members_;
};

template <typename M>
class to_one_target final : public group_target<M> {
    using result_type = heph::detail::send_result<M>;

public:
    using group_target<M>::group_target;

    result_type try_send(M&& message) const override {
        const auto& members = *this->members();
        std::optional<M> held(std::move(message));
        send_failure reason = send_failure::disconnected;
        const std::size_t turn = turn_.fetch_add(1, std::memory_order_relaxed);
        for (std::size_t i = 0; i < members.size(); ++i) {
            const auto& member = members[(turn + i) % members.size()];
            auto sent = member.try_send(std::move(*held));
            if (sent || !sent.error().has_value() ||
                sent.error().reason() == send_failure::refused) {
                return sent;
            }
            if (sent.error().reason() == send_failure::full) { reason = send_failure::full; }
            held.emplace(std::move(sent.error()).value());
        }
        return result_type(std::unexpect, reason, std::move(*held));
    }
    heph::detail::any_future<result_type> send(M&& message) const override {
        auto sent = try_send(std::move(message));
        const bool is_full =
            !sent && sent.error().has_value() && sent.error().reason() == send_failure::full;
        if (!is_full) {
            return heph::detail::any_future<result_type>(
                heph::detail::ready_future<result_type>(std::move(sent)));
        }
        const std::size_t turn = turn_.fetch_add(1, std::memory_order_relaxed);
        return heph::detail::any_future<result_type>(
            sending_to_one<M>(this->members(), turn, std::move(sent.error()).value()));
    }

private:
    // Whose turn is next: a hint, by which nothing else is published.
    mutable std::atomic<std::size_t> turn_ = 0;
};

template <typename M>
class to_all_target final : public group_target<M>, public waits_for_all {
    using result_type = heph::detail::send_result<M>;

public:
    using group_target<M>::group_target;

    result_type try_send(M&& message) const override {
        bool is_taken = false;
        send_failure reason = send_failure::disconnected;
        for (const auto& each : *this->members()) {
            const auto sent = each.try_send(M(message));
            is_taken = is_taken || sent.has_value();
            if (!sent && sent.error().reason() != send_failure::disconnected) {
                reason = sent.error().reason();
            }
        }
        if (is_taken) { return {}; }
        return result_type(std::unexpect, reason, std::move(message));
    }
    heph::detail::any_future<result_type> send(M&& message) const override {
        return heph::detail::any_future<result_type>(
            sending_to_all<M>(this->members(), std::move(message)));
    }
};

}  // namespace detail

namespace route {

/// Routes to one actor: what publishing its reference does.
template <typename M>
[[nodiscard]] actor_ref<M> to_actor(actor_ref<M> actor) {
    return actor;
}

/// Routes each message to one member of a group, as it is now: to the next one in turn that has
/// room. When none has, it waits for the one whose turn it is; members that are finished are passed
/// over. Calls are answered by who gets them.
template <typename M>
[[nodiscard]] actor_ref<M> to_one(const actor_group<M>& group) {
    return heph::detail::ref_access::to_target<M>(
        std::make_shared<const detail::to_one_target<M>>(group));
}

/// Routes a copy of each message to every member of a group, as it is now. `send`, and what arrives
/// at a node, waits until all that are not finished have it, so that the slowest one sets the pace;
/// `try_send`, and what comes over UDP, passes over those that are full, and fails if no member
/// took it.
template <typename M>
    requires std::copy_constructible<M>
[[nodiscard]] actor_ref<M> to_all(const actor_group<M>& group) {
    return heph::detail::ref_access::to_target<M>(
        std::make_shared<const detail::to_all_target<M>>(group));
}

/// Routes to a function, which is called on the thread of whoever sends: for a node, its worker. It
/// must not block. *Requires*: it can be called from several threads at once, as `const`.
template <typename M, typename F>
    requires std::invocable<const F&, M>
[[nodiscard]] actor_ref<M> to_function(F function) {
    return actor_ref<M>::to_function(std::move(function));
}

/// Routes to nowhere: what arrives is dropped, and its sender told nothing.
template <typename M>
[[nodiscard]] actor_ref<M> to_nothing() {
    return actor_ref<M>::to_nothing();
}

}  // namespace route

}  // namespace heph::remote
