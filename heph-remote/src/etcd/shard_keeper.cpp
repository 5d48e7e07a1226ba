#include "etcd/shard_keeper.hpp"

#include <algorithm>
#include <utility>

namespace heph::remote::etcd {

using enum shard_action::kind;

shard_keeper::shard_keeper(std::string self, shard_view view, duration stop_time)
    : self_(std::move(self)),
      view_(std::move(view)),
      stop_time_(stop_time),
      shards_(view_.count()) {}

void shard_keeper::act(shard_action::kind what, std::uint32_t number) {
    shard_action made;
    made.what = what;
    made.shard = number;
    made.lease = lease_;
    if (what != enter && what != withdraw) {
        made.fence = shards_[number].fence;
        made.run = shards_[number].run;
    }
    out_.push_back(made);
}

void shard_keeper::move_to(std::uint32_t number, state next) {
    slot& one = shards_[number];
    if (one.now == state::none && next != state::none) { ++held_; }
    if (one.now != state::none && next == state::none) { --held_; }
    const auto is_moving = [](state which) {
        return which == state::stopping || which == state::releasing;
    };
    if (is_moving(one.now)) { --moving_; }
    if (is_moving(next)) { ++moving_; }
    one.now = next;
}

void shard_keeper::plan_waiting() {
    while (moving_ < moves_max && !waiting_.empty()) {
        const auto number = waiting_.front();
        waiting_.pop_front();
        shards_[number].waits = false;
        plan(number);
    }
}

void shard_keeper::begin(std::int64_t lease, time_point now, time_point until) {
    lease_ = lease;
    hosting_ = hosting::out;
    is_safe_ = false;
    host_not_before_ = {};
    for (auto& each : shards_) { each.not_before = {}; }
    place();
    tick(now, until);
}

void shard_keeper::tick(time_point now, time_point until) {
    now_ = now;
    if (lease_ == 0) { return; }
    until_ = until;
    safe_until_ = until - stop_time_;
    const bool was_safe = std::exchange(is_safe_, now < safe_until_);
    if (was_safe == is_safe_ && now < retry_at_) { return; }
    plan_all();
}

shard_keeper::time_point shard_keeper::next() const noexcept {
    if (lease_ == 0) { return time_point::max(); }
    return std::min(is_safe_ ? safe_until_ : until_, retry_at_);
}

void shard_keeper::lost() {
    for (std::uint32_t number = 0; number < shards_.size(); ++number) { drop(number); }
    lease_ = 0;
    hosting_ = hosting::out;
    is_safe_ = false;
    retry_at_ = time_point::max();
    // What is still to be asked of etcd would be in vain.
    std::erase_if(out_,
                  [](const shard_action& each) { return each.what != shard_action::kind::drop; });
}

void shard_keeper::leave() {
    leaving_ = true;
    place();
    plan_all();
}

void shard_keeper::drop(std::uint32_t number) {
    const state was = shards_[number].now;
    if (was == state::running || was == state::stopping) { act(shard_action::kind::drop, number); }
    move_to(number, state::none);
}

bool shard_keeper::is_ours(std::uint32_t number) const noexcept {
    const auto& owner = view_.owner_of(number);
    return lease_ != 0 && owner.lease == lease_ && owner.node == self_;
}

void shard_keeper::place() {
    const bool hosts = !leaving_ && lease_ != 0 && view_.lease_of_host(self_) == lease_;
    for (std::uint32_t number = 0; number < shards_.size(); ++number) {
        const auto* const where = hosts ? view_.place_of(number) : nullptr;
        shards_[number].belongs_here = where != nullptr && *where == self_;
    }
}

void shard_keeper::plan_all() {
    retry_at_ = time_point::max();
    if (lease_ == 0) { return; }
    plan_host();
    for (std::uint32_t number = 0; number < shards_.size(); ++number) { plan(number); }
}

void shard_keeper::plan_host() {
    const bool wanted = !leaving_;
    const bool must_act =
        (hosting_ == hosting::out && wanted) || (hosting_ == hosting::in && !wanted);
    if (!must_act) { return; }
    if (now_ < host_not_before_) { return wait_until(host_not_before_); }
    hosting_ = wanted ? hosting::entering : hosting::withdrawing;
    act(wanted ? enter : withdraw);
}

void shard_keeper::plan(std::uint32_t number) {
    if (lease_ == 0) { return; }
    slot& one = shards_[number];
    switch (one.now) {
        case state::none: return plan_none(number);
        case state::held:
            if (!one.belongs_here) {
                one.not_before = {};
                move_to(number, state::releasing);
                act(release, number);
            } else if (is_safe_) {
                if (now_ < one.not_before) { return wait_until(one.not_before); }
                move_to(number, state::running);
                one.run = ++runs_;
                act(start, number);
            }
            return;
        case state::running:
            if (one.belongs_here && is_safe_) { return; }
            if (is_safe_ && !leaving_ && moving_ >= moves_max) {
                if (!std::exchange(one.waits, true)) { waiting_.push_back(number); }
                return;
            }
            move_to(number, state::stopping);
            return act(stop, number);
        case state::releasing:
            // Asked again after it failed.
            if (one.not_before == time_point{}) { return; }
            if (now_ < one.not_before) { return wait_until(one.not_before); }
            one.not_before = {};
            return act(release, number);
        case state::acquiring:
        case state::stopping: return;
    }
}

void shard_keeper::plan_none(std::uint32_t number) {
    slot& one = shards_[number];
    const auto& owner = view_.owner_of(number);
    if (is_ours(number)) {
        move_to(number, state::held);
        one.fence = owner.fence;
        one.not_before = {};
        return plan(number);
    }
    if (!one.belongs_here || !is_safe_ || !owner.node.empty() || !view_.is_filled()) { return; }
    if (now_ < one.not_before) { return wait_until(one.not_before); }
    move_to(number, state::acquiring);
    one.fence = 0;
    act(acquire, number);
}

void shard_keeper::check_key(std::uint32_t number) {
    const slot& one = shards_[number];
    if (one.now == state::none || one.now == state::acquiring) { return; }
    if (is_ours(number) && view_.owner_of(number).fence == one.fence) { return; }
    drop(number);
}

void shard_keeper::watched(const watch_batch& batch) {
    const auto changed = view_.apply(batch);
    if (changed.replaced) {
        for (std::uint32_t number = 0; number < shards_.size(); ++number) {
            if (shards_[number].now != state::acquiring) { drop(number); }
        }
    }
    for (const auto number : changed.owners) { check_key(number); }
    // The host's key may be removed by somebody, or created late.
    const bool is_in = lease_ != 0 && view_.lease_of_host(self_) == lease_;
    if (hosting_ == hosting::in && !is_in) { hosting_ = hosting::out; }
    if (hosting_ == hosting::out && is_in) { hosting_ = hosting::in; }
    if (changed.hosts || changed.replaced || batch.reset) {
        place();
        plan_all();
        return plan_waiting();
    }
    for (const auto number : changed.owners) { plan(number); }
    plan_waiting();
}

void shard_keeper::entered(std::int64_t lease, std::int64_t revision) {
    key_value key;
    key.lease = lease;
    view_.see_host(self_, revision, &key);
    if (lease != lease_ || hosting_ != hosting::entering) { return; }
    // It may be gone again by what the watch has told already.
    hosting_ = view_.lease_of_host(self_) == lease_ ? hosting::in : hosting::out;
    place();
    plan_all();
}

void shard_keeper::enter_failed(std::int64_t lease) {
    if (lease != lease_ || hosting_ != hosting::entering) { return; }
    hosting_ = hosting::out;
    host_not_before_ = now_ + retry;
    plan_all();
}

void shard_keeper::withdrawn(std::int64_t lease, std::int64_t revision) {
    if (lease != lease_) { return; }
    view_.see_host(self_, revision, nullptr);
    if (hosting_ == hosting::withdrawing) { hosting_ = hosting::out; }
    plan_all();
}

void shard_keeper::withdraw_failed(std::int64_t lease) {
    if (lease != lease_ || hosting_ != hosting::withdrawing) { return; }
    hosting_ = hosting::in;
    host_not_before_ = now_ + retry;
    plan_all();
}

void shard_keeper::acquire_answered(std::int64_t lease, std::uint32_t shard, std::int64_t revision,
                                    const key_value* there) {
    view_.see_owner(shard, revision, there);
    if (lease == lease_ && shards_[shard].now == state::acquiring) {
        move_to(shard, state::none);
        shards_[shard].not_before = {};
    } else {
        check_key(shard);
    }
    plan(shard);
    plan_waiting();
}

void shard_keeper::acquire_failed(std::int64_t lease, std::uint32_t shard) {
    if (lease != lease_ || shards_[shard].now != state::acquiring) { return; }
    move_to(shard, state::none);
    shards_[shard].not_before = now_ + retry;
    plan(shard);
}

void shard_keeper::release_answered(std::int64_t fence, std::uint32_t shard, std::int64_t revision,
                                    const key_value* there) {
    view_.see_owner(shard, revision, there);
    if (shards_[shard].now == state::releasing && shards_[shard].fence == fence) {
        move_to(shard, state::none);
        shards_[shard].not_before = {};
    } else {
        check_key(shard);
    }
    plan(shard);
    plan_waiting();
}

void shard_keeper::release_failed(std::int64_t fence, std::uint32_t shard) {
    if (shards_[shard].now != state::releasing || shards_[shard].fence != fence) { return; }
    shards_[shard].not_before = now_ + retry;
    plan(shard);
}

void shard_keeper::ended(std::uint32_t shard, std::uint64_t run) {
    auto& one = shards_[shard];
    if (one.run != run || (one.now != state::running && one.now != state::stopping)) { return; }
    one.not_before = one.now == state::running ? now_ + restart : time_point{};
    move_to(shard, state::held);
    plan(shard);
    plan_waiting();
}

}  // namespace heph::remote::etcd
