#include <heph/remote/etcd/lease.hpp>

#include <algorithm>
#include <optional>
#include <utility>

#include <heph/core/either.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "etcd/change_signal.hpp"
#include "etcd/lease_clock.hpp"

namespace heph::remote::etcd {

namespace detail {

/// Is what the keeper of a lease and its handles share.
class lease_core {
public:
    lease_core(client with, const lease_grant& granted, rt::clock::time_point sent)
        : client_(std::move(with)),
          id_(granted.id),
          ttl_(granted.ttl_seconds),
          clock_(sent, ttl_) {}

    /// Keeps the lease alive until it is lost or given back, and gives it back.
    static task<> keep(std::shared_ptr<lease_core> self);

    static task<> wait_until_lost(std::shared_ptr<lease_core> self) {
        while (!self->is_over_) { co_await self->changed_.next(); }
    }
    static task<> wait_until_ended(std::shared_ptr<lease_core> self) {
        self->release();
        while (!self->is_ended_) { co_await self->changed_.next(); }
    }

    void release() noexcept {
        if (std::exchange(released_, true)) { return; }
        clock_.refused();
        changed_.notify();
    }
    void hold_open() noexcept { ++outliving_; }
    void let_close() noexcept {
        if (--outliving_ == 0) { changed_.notify(); }
    }

    [[nodiscard]] std::int64_t id() const noexcept { return id_; }
    [[nodiscard]] std::chrono::seconds ttl() const noexcept { return ttl_; }
    [[nodiscard]] const lease_clock& clock() const noexcept { return clock_; }

private:
    [[nodiscard]] bool is_held() const noexcept { return clock_.is_held(rt::clock::now()); }
    /// Waits until the next keep-alive is due, or there is nothing more to keep.
    static task<> wait_until_due(std::shared_ptr<lease_core> self);
    static task<> prolong(std::shared_ptr<lease_core> self);

    client client_;
    std::int64_t id_;
    std::chrono::seconds ttl_;
    lease_clock clock_;
    change_signal changed_;
    int outliving_ = 0;
    bool released_ = false;
    bool is_over_ = false;   // It is held no more.
    bool is_ended_ = false;  // etcd was told so, too.
};

class lease_handle {
public:
    explicit lease_handle(std::shared_ptr<lease_core> core) noexcept : core_(std::move(core)) {}
    lease_handle(const lease_handle&) = delete;
    lease_handle& operator=(const lease_handle&) = delete;
    ~lease_handle() { core_->release(); }

    [[nodiscard]] const std::shared_ptr<lease_core>& core() const noexcept { return core_; }

private:
    std::shared_ptr<lease_core> core_;
};

task<> lease_core::wait_until_due(std::shared_ptr<lease_core> self) {
    bool stopping = rt::stop_requested();
    while (self->is_held()) {
        if (stopping && self->outliving_ == 0) { co_return self->release(); }
        const auto due = std::min(self->clock_.next(), self->clock_.until());
        if (rt::clock::now() >= due) { co_return; }
        if (stopping) {
            (void)co_await either(self->changed_.next(), rt::timer(due));
        } else {
            const auto first =
                co_await either(self->changed_.next(), rt::timer(due), rt::stopping());
            stopping = first.index() == 2;
        }
    }
}

task<> lease_core::prolong(std::shared_ptr<lease_core> self) {
    const auto sent = rt::clock::now();
    const auto until = std::min(sent + self->clock_.patience(), self->clock_.until());
    rt::deadline bounded(until, self->client_.keep_alive(self->id_));
    // What is released meanwhile needs no answer.
    auto first = co_await either(bounded, self->changed_.next());
    if (first.index() == 1) { co_return; }
    const auto& answered = std::get<0>(first);
    const auto now = rt::clock::now();
    if (answered && *answered) {
        self->clock_.alive(sent, **answered, now);
    } else if (answered && answered->error().code() == errc::lease_not_found) {
        self->clock_.refused();
    } else {
        self->clock_.failed(now);
    }
}

task<> lease_core::keep(std::shared_ptr<lease_core> self) {
    while (self->is_held()) {
        co_await wait_until_due(self);
        if (self->is_held()) { co_await prolong(self); }
    }
    self->is_over_ = true;
    self->changed_.notify();
    // So others need not wait until it expires. etcd may not be there.
    rt::deadline bounded(std::chrono::seconds(1), self->client_.revoke(self->id_));
    (void)co_await bounded;
    self->is_ended_ = true;
    self->changed_.notify();
}

}  // namespace detail

using detail::lease_core;

lease::lease(std::shared_ptr<detail::lease_handle> handle) noexcept : handle_(std::move(handle)) {}

task<answer<lease>> lease::hold(client with, std::chrono::seconds ttl) {
    if (ttl < std::chrono::seconds(1)) {
        co_return std::unexpected(
            rt::error(errc::bad_settings, "etcd: a lease lives for a second at least"));
    }
    const auto sent = rt::clock::now();
    auto granted = co_await with.grant(ttl);
    if (!granted) { co_return std::unexpected(std::move(granted).error()); }
    rt::worker worker = with.worker();
    auto core = std::make_shared<lease_core>(std::move(with), *granted, sent);
    worker.spawn_future(lease_core::keep(core));
    co_return lease(std::make_shared<detail::lease_handle>(std::move(core)));
}

std::int64_t lease::id() const noexcept { return handle_->core()->id(); }
bool lease::is_held() const noexcept { return handle_->core()->clock().is_held(rt::clock::now()); }
rt::clock::time_point lease::held_until() const noexcept {
    return handle_->core()->clock().until();
}
std::chrono::seconds lease::ttl() const noexcept { return handle_->core()->ttl(); }

task<> lease::lost() const { return lease_core::wait_until_lost(handle_->core()); }
task<> lease::give_back() const { return lease_core::wait_until_ended(handle_->core()); }

std::shared_ptr<void> lease::outlive() const {
    auto core = handle_->core();
    core->hold_open();
    auto* const held = core.get();
    return {held, [core = std::move(core)](void*) { core->let_close(); }};
}

}  // namespace heph::remote::etcd
