#pragma once

// Waiting for all members of a group.

#include <cstddef>
#include <exception>
#include <iterator>
#include <list>
#include <optional>
#include <utility>
#include <vector>

#include <heph/core/actor_ref.hpp>
#include <heph/core/group_report.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

/// Waits until every member of a group has a message, or is finished. Made by
/// `actor_group::send_to_all`.
///
/// *Cancellation*: who has it by then has it; the others do not get it.
template <typename M>
class [[nodiscard]] send_to_all_future {
public:
    using value_type = group_report<M>;

    send_to_all_future(std::vector<actor_ref<M>> members, M message)
        : members_(std::move(members)), message_(std::move(message)) {}
    /// Moves a future that was not polled yet.
    send_to_all_future(send_to_all_future&& other) noexcept = default;
    send_to_all_future& operator=(send_to_all_future&&) = delete;
    ~send_to_all_future() = default;

    polled<value_type> poll(const waker& waker) {
        while (next_ != members_.size()) { start(waker); }
        for (auto each = waiting_.begin(); each != waiting_.end();) {
            each = poll_one(*each, waker) ? waiting_.erase(each) : std::next(each);
        }
        if (!waiting_.empty()) { return pending; }
        return polled<value_type>(std::in_place, std::move(report_));
    }

private:
    struct waiting_send {
        explicit waiting_send(const actor_ref<M>& to) noexcept : member(&to) {}
        const actor_ref<M>* member;  // In `members_`.
        std::optional<send_future<M>> sending;
    };

    // Sends to the next member; what has to wait for room joins the waiting ones.
    void start(const waker& waker) {
        waiting_send& next = waiting_.emplace_back(members_[next_]);
        ++next_;
        try {
            if (next_ == members_.size()) {
                next.sending.emplace(next.member->send(std::move(message_)));
            } else {
                next.sending.emplace(next.member->send(M(std::as_const(message_))));
            }
        } catch (...) {
            report_.add(group_failure<M>(*next.member, std::current_exception()));
            waiting_.pop_back();
            return;
        }
        if (poll_one(next, waker)) { waiting_.pop_back(); }
    }

    bool poll_one(waiting_send& one, const waker& waker) {
        auto sent = one.sending->poll(waker);
        if (!sent.is_ready()) { return false; }
        if (sent.value()) {
            report_.add_sent();
        } else {
            report_.add(group_failure<M>(*one.member, sent.value().error().reason()));
        }
        return true;
    }

    std::vector<actor_ref<M>> members_;
    M message_;  // Until the last member is sent it.
    std::size_t next_ = 0;
    std::list<waiting_send> waiting_;
    group_report<M> report_;
};

/// Waits until every member of a group is finished. Made by `actor_group::join_all`.
template <typename M>
class [[nodiscard]] join_all_future {
public:
    using value_type = void;

    explicit join_all_future(std::vector<actor_ref<M>> members) : members_(std::move(members)) {}
    /// Moves a future that was not polled yet.
    join_all_future(join_all_future&& other) noexcept = default;
    join_all_future& operator=(join_all_future&&) = delete;
    ~join_all_future() = default;

    polled<void> poll(const waker& waker) {
        if (!started_) {
            started_ = true;
            for (const actor_ref<M>& member : members_) { joining_.emplace_back(member.join()); }
        }
        joining_.remove_if([&](auto& one) { return one.poll(waker).is_ready(); });
        if (!joining_.empty()) { return pending; }
        return ready;
    }

private:
    std::vector<actor_ref<M>> members_;
    std::list<join_ref_future<M>> joining_;
    bool started_ = false;
};

}  // namespace heph
