#include <heph/core/detail/tree_core.hpp>

#include <heph/core/detail/tree_child.hpp>

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

#include <heph/core/log.hpp>
#include <heph/inbox/assert.hpp>

namespace heph::detail {

// ---- Slots and wakers (invariant 5) ----

namespace {

void release(child_slot* slot) noexcept {
    // Acquire and release, pairs with itself: the last one sees what all others did.
    if (slot->references.fetch_sub(1, std::memory_order_acq_rel) == 1) { delete slot; }
}

void clone_slot(void* data) noexcept {
    // Relaxed: whoever copies a waker has a reference already.
    static_cast<child_slot*>(data)->references.fetch_add(1, std::memory_order_relaxed);
}

void wake_slot(void* data) noexcept {
    auto* slot = static_cast<child_slot*>(data);
    // Release and acquire, pairs with the exchange in `poll_woken`: the poll that follows sees what
    // was written before the wake.
    if (slot->queued.exchange(true, std::memory_order_acq_rel)) { return; }
    tree_shared& shared = *slot->shared;
    std::unique_lock lock(shared.mutex);
    if (shared.is_closed) { return; }
    clone_slot(slot);
    slot->next = nullptr;
    (shared.last_woken != nullptr ? shared.last_woken->next : shared.first_woken) = slot;
    shared.last_woken = slot;
    shared.wake(std::move(lock));
}

void drop_slot(void* data) noexcept { release(static_cast<child_slot*>(data)); }

constexpr waker_vtable slot_functions{&clone_slot, &wake_slot, &drop_slot};

}  // namespace

void tree_shared::wake(std::unique_lock<std::mutex> lock) noexcept {
    const waker woken = std::move(outer);  // The next poll brings another one.
    lock.unlock();
    woken.wake();
}

// ---- From outside ----

tree_core::tree_core(tree_options options, std::unique_ptr<tree_runtime> runtime)
    : options_(std::move(options)),
      runtime_(std::move(runtime)),
      shared_(std::make_shared<tree_shared>()),
      history_(options_.limit) {}

tree_core::~tree_core() {
    drop();
    close();
}

void tree_core::add(std::unique_ptr<tree_child> child) {
    auto slot = std::make_unique<child_slot>();
    slot->shared = shared_;
    tree_child& added = *child.release();
    slot->child = &added;
    added.slot = slot.get();
    added.mine = waker(slot.release(), &slot_functions);
    added.number = next_number_++;
    added.previous = last_;
    (last_ != nullptr ? last_->next : first_) = &added;
    last_ = &added;
    if (phase_ == phase::running) { want(added); }
}

void tree_core::request_stop() noexcept {
    if (phase_ == phase::idle || phase_ == phase::running) { begin_ending(); }
}

void tree_core::drop() noexcept {
    for (tree_child* child = last_; child != nullptr; child = child->previous) {
        if (child->state == tree_child::state_type::stopped) { continue; }
        child->state = tree_child::state_type::stopped;
        child->stop_timer.reset();
        child->last_end = actor_end(end_reason::dropped);
        child->body->drop();
    }
    running_ = 0;
    forget_wanted(0);
    is_stopping_ = false;
    stopping_ = nullptr;
    failure_.reset();
    history_.clear();
    phase_ = phase::idle;
}

void tree_core::close() noexcept {
    while (last_ != nullptr) { remove(*last_, last_->last_end); }
    std::vector<std::unique_ptr<tree_child>> added;
    child_slot* woken = nullptr;
    waker outer;
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->is_closed = true;
        added.swap(shared_->added);
        woken = std::exchange(shared_->first_woken, nullptr);
        shared_->last_woken = nullptr;
        outer = std::move(shared_->outer);
    }
    for (const auto& child : added) { child->body->close(actor_end(end_reason::dropped)); }
    while (woken != nullptr) { release(std::exchange(woken, woken->next)); }
}

// ---- Polling ----

polled<tree_core::result_type> tree_core::poll(const waker& who) noexcept {
    HEPH_ASSERT(phase_ != phase::done);
    child_slot* woken = take_events(who);
    if (!runtime_stops_) { hear_runtime(who); }
    if (phase_ == phase::idle) { start_all(); }
    poll_woken(woken);
    return advance(who);
}

child_slot* tree_core::take_events(const waker& who) noexcept {
    std::vector<std::unique_ptr<tree_child>> added;
    std::vector<std::string> to_stop;
    child_slot* woken = nullptr;
    bool stop_requested = false;
    waker old;  // Dropped outside the lock.
    {
        const std::lock_guard lock(shared_->mutex);
        if (!shared_->outer.will_wake(who)) { old = std::exchange(shared_->outer, who); }
        woken = std::exchange(shared_->first_woken, nullptr);
        shared_->last_woken = nullptr;
        added.swap(shared_->added);
        to_stop.swap(shared_->to_stop);
        stop_requested = std::exchange(shared_->stop_requested, false);
    }
    for (auto& child : added) {
        try {
            add(std::move(child));
        } catch (...) {
            // No memory: it goes with its inbox, and whoever refers to it learns that.
        }
    }
    for (const std::string& name : to_stop) { stop_by_name(name); }
    if (stop_requested) { request_stop(); }
    return woken;
}

void tree_core::hear_runtime(const waker& who) noexcept {
    bool stops = false;
    try {
        if (!std::exchange(listens_, true)) { runtime_stopping_ = runtime_->stopping(); }
        stops = runtime_stopping_ && runtime_stopping_->poll(who).is_ready();
    } catch (...) {
        runtime_stopping_.reset();  // It is polled outside of its runtime, which cannot tell it.
    }
    if (!stops) { return; }
    runtime_stopping_.reset();
    runtime_stops_ = true;
    if (!is_nested_) { request_stop(); }
}

void tree_core::poll_woken(child_slot* woken) noexcept {
    while (woken != nullptr) {
        child_slot* slot = std::exchange(woken, woken->next);
        slot->queued.exchange(false, std::memory_order_acq_rel);  // Pairs with `wake_slot`.
        tree_child* child = slot->child;
        if (child != nullptr && child->state != tree_child::state_type::stopped) {
            auto result = child->body->poll(child->mine);
            if (result.is_ready()) {
                ended(*child, std::move(result).value());
            } else if (child->stop_timer) {
                bool is_due = true;  // Also when the timer fails.
                try {
                    is_due = child->stop_timer->poll(child->mine).is_ready();
                } catch (...) { is_due = true; }
                if (is_due) {
                    log_child(*child, " did not stop in time", {}, "dropping it", false);
                    child->body->drop();
                    ended(*child, actor_end(end_reason::dropped));
                }
            }
        }
        release(slot);
    }
}

polled<tree_core::result_type> tree_core::advance(const waker& who) noexcept {
    if (is_stopping_) {
        if (!stop_range()) { return pending; }
        if (phase_ == phase::ending) { return finish(); }
        restart_range();
    }
    if (!start_wanted()) {
        who.wake();  // Invariant 4.
        return pending;
    }
    if (running_ != 0) { return pending; }
    {
        const std::lock_guard lock(shared_->mutex);
        if (shared_->controls != 0 || !shared_->added.empty()) { return pending; }
    }
    return finish();
}

polled<tree_core::result_type> tree_core::finish() noexcept {
    phase_ = phase::done;
    is_stopping_ = false;
    runtime_stopping_.reset();
    if (failure_) {
        return polled<result_type>(std::in_place, std::unexpect, std::move(*failure_));
    }
    return polled<result_type>(std::in_place);
}

// ---- What the end of a child means ----

void tree_core::ended(tree_child& child, actor_end end) noexcept {
    using enum tree_child::state_type;
    const bool was_asked = child.state == asked;
    child.state = stopped;
    child.stop_timer.reset();
    child.last_end = std::move(end);
    --running_;
    if (child.is_leaving) {
        remove(child, child.last_end);
        return;
    }
    if (was_asked || (is_stopping_ && child.number >= stop_from_)) { return; }  // Invariant 3.
    if (child.last_end.reason() == end_reason::dropped) {
        // It waited for a restart of its own as the runtime was asked to stop: that is not the time
        // to begin anew.
        not_restarted(child);
        return;
    }
    const bool is_abnormal = child.last_end.is_abnormal();
    if (!runtime_stops_ && (child.rules.restart == restart_type::permanent ||
                            (child.rules.restart == restart_type::transient && is_abnormal))) {
        restart(child, is_abnormal ? " failed" : " finished", child.last_end.text());
        return;
    }
    if (is_abnormal) {
        log_child(child, " failed", child.last_end.text(), "not restarting it", false);
    }
    not_restarted(child);
}

void tree_core::restart(tree_child& child, std::string_view what, std::string_view why) noexcept {
    bool is_allowed = false;
    try {
        is_allowed = history_.allow(runtime_->now());
    } catch (...) {
        // No memory to remember the restart with: do as if there were too many.
    }
    if (!is_allowed) {
        log_child(child, what, why, "giving up, as there were too many restarts", true);
        give_up(child, what, why);
        return;
    }
    switch (options_.strategy) {
        case restart_strategy::one_for_one:
            log_child(child, what, why, "restarting it", false);
            want(child);
            break;
        case restart_strategy::one_for_all:
            log_child(child, what, why, "restarting all", false);
            begin_stopping(0);
            break;
        case restart_strategy::rest_for_one:
            log_child(child, what, why, "restarting it and those after it", false);
            begin_stopping(child.number);
            break;
    }
}

void tree_core::not_restarted(tree_child& child) noexcept {
    const bool was_significant = child.is_counted;
    // Where children are restarted together, one that has finished may be started with them again.
    if (child.rules.restart == restart_type::temporary ||
        options_.strategy == restart_strategy::one_for_one) {
        remove(child, child.last_end);
    } else if (was_significant) {
        --significant_;
        child.is_counted = false;
    }
    if (was_significant &&
        (options_.when_significant_end == auto_shutdown::any_significant ||
         (options_.when_significant_end == auto_shutdown::all_significant && significant_ == 0))) {
        begin_ending();
    }
}

void tree_core::give_up(const tree_child& child, std::string_view what,
                        std::string_view why) noexcept {
    if (!failure_) {
        std::string text;
        try {
            text = "child " + child.rules.name;
            text += what;
            if (!why.empty()) { (text += ": ") += why; }
        } catch (...) { text.clear(); }
        failure_.emplace(std::move(text));
    }
    begin_ending();
}

void tree_core::begin_ending() noexcept {
    phase_ = phase::ending;
    forget_wanted(0);
    is_stopping_ = false;
    begin_stopping(0);
}

// ---- Starting ----

void tree_core::start_all() noexcept {
    phase_ = phase::running;
    for (tree_child* child = first_; child != nullptr;) {
        tree_child& next = *std::exchange(child, child->next);
        if (next.rules.restart == restart_type::temporary && next.has_started) {
            remove(next, next.last_end);
        } else {
            want(next);
        }
    }
}

bool tree_core::start_wanted() noexcept {
    while (first_wanted_ != nullptr) {
        tree_child& child = *std::exchange(first_wanted_, first_wanted_->next_wanted);
        if (first_wanted_ == nullptr) { last_wanted_ = nullptr; }
        child.is_wanted = false;
        const auto error = child.body->start();
        if (!error) {
            child.has_started = true;
            child.state = tree_child::state_type::running;
            ++running_;
            if (child.rules.is_significant && !std::exchange(child.is_counted, true)) {
                ++significant_;
            }
            child.mine.wake();
            continue;
        }
        child.last_end = actor_end(end_reason::failed, *error);
        if (child.has_started) {
            restart(child, " could not be restarted", *error);
        } else if (child.is_dynamic) {
            log_child(child, " could not be started", *error, "not keeping it", false);
            remove(child, child.last_end);
        } else {
            log_child(child, " could not be started", *error, "giving up", true);
            give_up(child, " could not be started", *error);
        }
        return false;
    }
    return true;
}

void tree_core::want(tree_child& child) noexcept {
    if (std::exchange(child.is_wanted, true)) { return; }
    child.next_wanted = nullptr;
    (last_wanted_ != nullptr ? last_wanted_->next_wanted : first_wanted_) = &child;
    last_wanted_ = &child;
}

void tree_core::forget_wanted(std::uint64_t from) noexcept {
    tree_child* child = std::exchange(first_wanted_, nullptr);
    last_wanted_ = nullptr;
    while (child != nullptr) {
        tree_child& next = *std::exchange(child, child->next_wanted);
        next.is_wanted = false;
        if (next.number < from) { want(next); }
    }
}

// ---- Stopping ----

void tree_core::begin_stopping(std::uint64_t from) noexcept {
    if (std::exchange(is_stopping_, true)) {
        stop_from_ = std::min(stop_from_, from);
        return;
    }
    stop_from_ = from;
    stopping_ = last_;
}

void tree_core::stop(tree_child& child) noexcept {
    using enum tree_child::state_type;
    if (child.state != running) { return; }
    if (runtime_stops_ && child.rules.ends_with_runtime) {
        child.state = asked;  // By the runtime, whose patience bounds its time.
        return;
    }
    if (child.body->ask()) {
        child.state = asked;
        if (child.rules.stop_within) {
            try {
                child.stop_timer =
                    runtime_->timer_at(later(runtime_->now(), to_clock(*child.rules.stop_within)));
            } catch (...) { child.stop_timer.reset(); }
            if (!child.stop_timer) {  // There is no other way to bound its time.
                child.body->drop();
                ended(child, actor_end(end_reason::dropped));
                return;
            }
        }
        child.mine.wake();  // Its next poll sees to the asking.
        return;
    }
    child.body->drop();
    child.state = asked;  // So that its end is what was wanted.
    ended(child, actor_end(end_reason::dropped));
}

bool tree_core::stop_range() noexcept {
    while (stopping_ != nullptr && stopping_->number >= stop_from_) {
        tree_child& child = *stopping_;
        stop(child);
        // It may have been removed, which moves `stopping_`.
        if (stopping_ != &child) { continue; }
        if (child.state != tree_child::state_type::stopped) { return false; }
        stopping_ = child.previous;
    }
    return true;
}

void tree_core::restart_range() noexcept {
    is_stopping_ = false;
    forget_wanted(stop_from_);
    tree_child* child = last_;
    while (child != nullptr && child->previous != nullptr &&
           child->previous->number >= stop_from_) {
        child = child->previous;
    }
    while (child != nullptr) {
        tree_child& next = *std::exchange(child, child->next);
        if (next.number < stop_from_) { continue; }
        if (next.rules.restart == restart_type::temporary && next.has_started) {
            remove(next, next.last_end);
        } else {
            want(next);
        }
    }
}

void tree_core::remove(tree_child& child, const actor_end& end) noexcept {
    const std::unique_ptr<tree_child> removed(&child);
    if (child.is_wanted) {
        const auto from = child.number;
        // Takes it, and those after it, out of the list, and puts the others back.
        tree_child* wanted = std::exchange(first_wanted_, nullptr);
        last_wanted_ = nullptr;
        while (wanted != nullptr) {
            tree_child& next = *std::exchange(wanted, wanted->next_wanted);
            next.is_wanted = false;
            if (next.number != from) { want(next); }
        }
    }
    if (stopping_ == &child) { stopping_ = child.previous; }
    (child.previous != nullptr ? child.previous->next : first_) = child.next;
    (child.next != nullptr ? child.next->previous : last_) = child.previous;
    if (child.is_counted) { --significant_; }
    child.slot->child = nullptr;
    child.body->close(end);
}

void tree_core::stop_by_name(std::string_view name) noexcept {
    for (tree_child* child = first_; child != nullptr;) {
        tree_child& next = *std::exchange(child, child->next);
        if (next.rules.name != name || next.is_leaving) { continue; }
        next.is_leaving = true;
        if (next.state == tree_child::state_type::stopped) {
            remove(next, next.last_end);
        } else {
            stop(next);
        }
        return;
    }
}

void tree_core::log_child(const tree_child& child, std::string_view what, std::string_view why,
                          std::string_view then, bool critical) const noexcept {
    const log_level level = critical ? log_level::critical : log_level::warning;
    if (!log_enabled(level)) { return; }
    const log_actor actor(child.rules.name);
    try {
        std::string line = "tree ";
        line += options_.name.empty() ? std::string_view("without a name") : options_.name;
        ((line += ": child ") += child.rules.name) += what;
        if (!why.empty()) { (line += ": ") += why; }
        (line += "; ") += then;
        log(log_record(level, line, actor).naming_actor());
    } catch (...) {
        log(level, "a child of a tree ended, and there is no memory to say how", actor);
    }
}

// ---- Kinds of children ----

actor_end describe_end(const failure& why) noexcept {
    try {
        std::string text = why.message();
        if (why.is_exception()) { text += " (exception " + why.type_name() + ")"; }
        return actor_end(end_reason::failed, std::move(text));
    } catch (...) { return actor_end(end_reason::failed); }
}

std::string describe_current_exception() noexcept {
    try {
        return describe_exception(std::current_exception());
    } catch (...) { return {}; }
}

polled<actor_end> nested_tree::poll(const waker& waker) noexcept {
    auto result = core_->poll(waker);
    if (!result.is_ready()) { return pending; }
    if (!result.value()) {
        return polled<actor_end>(
            actor_end(end_reason::failed, std::move(result.value().error()).message()));
    }
    return polled<actor_end>(actor_end(end_reason::finished));
}

}  // namespace heph::detail
