#pragma once

// When a lease ends, without I/O: what a program may believe without asking.
//
// A lease is held until a time to live after the moment at which the last request was sent that
// etcd granted. etcd counts from a later moment, also when it restarts, after which it gives every
// lease its whole time anew: so whoever stops at that time has stopped before another one begins.
//
// States
//     held --alive(), later--> held
//     held --refused(), or its time is over--> lost (final)

#include <algorithm>
#include <chrono>

#include <heph/rt/time_source.hpp>

namespace heph::remote::etcd {

class lease_clock {
public:
    using time_point = rt::clock::time_point;
    using duration = rt::clock::duration;

    /// Begins with a grant that was asked for at `sent`.
    lease_clock(time_point sent, std::chrono::seconds ttl) noexcept
        : until_(sent + ttl), next_(sent + duration(ttl) / 3), ttl_(ttl) {}

    [[nodiscard]] bool is_held(time_point now) const noexcept { return !refused_ && now < until_; }
    [[nodiscard]] time_point until() const noexcept { return until_; }
    /// Gives when to send the next keep-alive.
    [[nodiscard]] time_point next() const noexcept { return next_; }
    /// Gives how long to wait for its answer.
    [[nodiscard]] duration patience() const noexcept { return std::max(duration(ttl_) / 4, least); }

    /// Takes the answer to a keep-alive that was sent at `sent`. It changes nothing when the lease
    /// is lost by now, or it is older than another answer.
    void alive(time_point sent, std::chrono::seconds ttl, time_point now) noexcept {
        if (!is_held(now)) { return; }
        until_ = std::max(until_, sent + std::min(ttl, ttl_));
        next_ = sent + duration(ttl_) / 3;
    }
    /// Takes it that no answer came: the next one is sent soon, for there is time for some.
    void failed(time_point now) noexcept {
        next_ = now + std::clamp<duration>(duration(ttl_) / 10, least, std::chrono::seconds(1));
    }
    /// Takes it that etcd has no such lease.
    void refused() noexcept { refused_ = true; }

private:
    static constexpr duration least = std::chrono::milliseconds(50);

    time_point until_;
    time_point next_;
    std::chrono::seconds ttl_;  // Parts of it are no whole seconds: they are taken of a duration.
    bool refused_ = false;
};

}  // namespace heph::remote::etcd
