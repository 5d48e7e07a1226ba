#include "client_pool.hpp"

#include <algorithm>
#include <iterator>
#include <new>

#include <heph/rt/stopping.hpp>

namespace heph::http::detail {

namespace {

// Who means to wait for ever is not kept from it by arithmetic.
constexpr std::chrono::milliseconds longest_wait = std::chrono::hours(24 * 365);

}  // namespace

class client_pool::sweep_future {
public:
    using value_type = void;
    sweep_future(std::weak_ptr<client_pool> pool, std::shared_ptr<sweeper> shared,
                 rt::clock::time_point first) noexcept
        : pool_(std::move(pool)), shared_(std::move(shared)), armed_(first), timer_(first) {}

    polled<void> poll(const waker& waker) {
        if (shared_->pool_gone) { return ready; }
        if (stop_.poll(waker).is_ready()) {
            if (const auto pool = pool_.lock()) {
                pool->close_idle();
                pool->sweeper_.reset();
            }
            return ready;
        }
        shared_->who = waker;
        if (shared_->next < armed_) { arm(rt::clock::now()); }
        while (timer_.poll(waker).is_ready()) {
            const auto pool = pool_.lock();
            if (!pool) { return ready; }
            const auto now = rt::clock::now();
            const auto next = pool->sweep(now);
            if (next == rt::clock::time_point::max()) {
                pool->sweeper_.reset();
                return ready;
            }
            shared_->next = next;
            arm(now);
        }
        return pending;
    }

private:
    void arm(rt::clock::time_point now) noexcept {
        armed_ = shared_->next;
        timer_.reset(armed_ - now);
    }

    std::weak_ptr<client_pool> pool_;
    std::shared_ptr<sweeper> shared_;
    rt::clock::time_point armed_;
    rt::timer timer_;
    rt::stopping stop_;
};

client_pool::client_pool(rt::worker worker, client_options options)
    : worker_(worker), options_(std::move(options)) {}

client_pool::~client_pool() {
    if (sweeper_) {
        sweeper_->pool_gone = true;
        sweeper_->who.wake();
    }
}

client_pool::lease_future::~lease_future() {
    // What was granted goes back with the lease; a place in the queue has to be given up.
    if (waiting_ && pool_) { leave_queue(); }
}

void client_pool::lease_future::leave_queue() noexcept {
    waiting_ = false;
    const auto found = pool_->origins_.find(origin_);
    if (found == pool_->origins_.end()) { return; }
    std::erase(found->second.waiting, this);
    pool_->forget(origin_);
}

polled<client_lease> client_pool::lease_future::poll(const waker& waker) {
    if (granted_.is_held()) { return polled<client_lease>(std::in_place, std::move(granted_)); }
    if (waiting_) {
        who_ = waker;
        if (!patience_->poll(waker).is_ready()) { return pending; }
        leave_queue();
        return polled<client_lease>(std::in_place);
    }
    origin_state& state = pool_->origins_[origin_];
    if (auto kept = pool_->take_idle(state)) {
        return polled<client_lease>(std::in_place, pool_, origin_, std::move(kept));
    }
    if (state.open < std::max<std::size_t>(pool_->options_.connections_per_origin_max, 1)) {
        ++state.open;
        return polled<client_lease>(std::in_place, pool_, origin_, nullptr);
    }
    state.waiting.push_back(this);
    waiting_ = true;
    who_ = waker;
    patience_.emplace(
        std::min<std::chrono::milliseconds>(pool_->options_.pool_timeout, longest_wait));
    if (!patience_->poll(waker).is_ready()) { return pending; }
    leave_queue();
    return polled<client_lease>(std::in_place);
}

std::unique_ptr<client_connection> client_pool::take_idle(origin_state& state) noexcept {
    // The one used last is the most likely to be alive.
    while (!state.idle.empty()) {
        const bool is_late = state.idle.back().until <= rt::clock::now();
        auto connection = std::move(state.idle.back().connection);
        state.idle.pop_back();
        --idle_count_;
        if (!is_late && !connection->has_ended()) { return connection; }
        --state.open;
    }
    return nullptr;
}

void client_pool::give_back(const std::string& origin,
                            std::unique_ptr<client_connection> used) noexcept {
    const auto found = origins_.find(origin);
    if (found == origins_.end()) { return; }
    origin_state& state = found->second;
    if (used && !used->is_reusable()) { used.reset(); }
    if (!state.waiting.empty()) {
        lease_future& next = *state.waiting.front();
        state.waiting.pop_front();
        next.waiting_ = false;
        next.granted_ = client_lease(shared_from_this(), next.origin_, std::move(used));
        next.who_.wake();
        return;
    }
    // At a stop, nothing should have to wait for connections that are only kept.
    if (used && options_.idle_connections_max > 0 && !rt::stop_requested()) {
        try {
            keep(state, std::move(used));
            return;
        } catch (const std::bad_alloc&) {
            // It is closed then: nothing but speed is lost.
            used.reset();
        }
    }
    --state.open;
    forget(origin);
}

void client_pool::keep(origin_state& state, std::unique_ptr<client_connection> used) {
    const auto now = rt::clock::now();
    const auto until =
        now + std::min(used->terms().usable_for(options_.idle_timeout), longest_wait);
    if (!sweeper_) {
        auto made = std::make_shared<sweeper>();
        made->next = until;
        worker_.spawn_future(sweep_future(weak_from_this(), made, until));
        sweeper_ = std::move(made);
    }
    if (idle_count_ >= options_.idle_connections_max) { drop_oldest(); }
    state.idle.push_back(kept(std::move(used), now, until));
    ++idle_count_;
    if (until < sweeper_->next) {
        sweeper_->next = until;
        sweeper_->who.wake();
    }
}

void client_pool::drop_oldest() noexcept {
    auto oldest = origins_.end();
    for (auto at = origins_.begin(); at != origins_.end(); ++at) {
        if (at->second.idle.empty()) { continue; }
        if (oldest == origins_.end() ||
            at->second.idle.front().since < oldest->second.idle.front().since) {
            oldest = at;
        }
    }
    if (oldest == origins_.end()) { return; }
    oldest->second.idle.pop_front();
    --oldest->second.open;
    --idle_count_;
}

void client_pool::forget(const std::string& origin) noexcept {
    const auto found = origins_.find(origin);
    if (found == origins_.end()) { return; }
    const origin_state& state = found->second;
    if (state.open == 0 && state.waiting.empty()) { origins_.erase(found); }
}

rt::clock::time_point client_pool::sweep(rt::clock::time_point now) noexcept {
    auto next = rt::clock::time_point::max();
    for (auto at = origins_.begin(); at != origins_.end();) {
        origin_state& state = at->second;
        // Not oldest first: each server tells how long it keeps its end.
        const std::size_t late =
            std::erase_if(state.idle, [now](const kept& each) { return each.until <= now; });
        state.open -= late;
        idle_count_ -= late;
        for (const kept& each : state.idle) { next = std::min(next, each.until); }
        at = state.open == 0 && state.waiting.empty() ? origins_.erase(at) : std::next(at);
    }
    return next;
}

void client_pool::close_idle() noexcept {
    for (auto at = origins_.begin(); at != origins_.end();) {
        origin_state& state = at->second;
        idle_count_ -= state.idle.size();
        state.open -= state.idle.size();
        state.idle.clear();
        at = state.open == 0 && state.waiting.empty() ? origins_.erase(at) : std::next(at);
    }
}

}  // namespace heph::http::detail
