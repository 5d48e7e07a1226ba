#pragma once

// A lease that is kept alive: what a program holds, as long as it lives and reaches etcd.

#include <chrono>
#include <cstdint>
#include <memory>

#include <heph/core/task.hpp>
#include <heph/remote/etcd/client.hpp>
#include <heph/rt/time_source.hpp>

namespace heph::remote::etcd {

namespace detail {
class lease_core;
class lease_handle;
}  // namespace detail

/// Keeps a lease alive in the background, and knows when it can be relied on no more.
///
///     auto held = co_await etcd::lease::hold(client, 10s);
///     co_await client.put("/workers/7", "here", held->id());
///     …
///     if (held->is_held()) { … }          // asks nobody: a look at the clock
///     co_await held->lost();
///
/// It is held until its time to live has passed since the last request was *sent* by which etcd
/// prolonged it. etcd counts from later, and gives every lease its whole time anew when it
/// restarts: so whoever stops acting by `held_until` has stopped before etcd gives what he held to
/// another. That holds as long as the clocks of both go at the same speed; while a machine is
/// suspended its clock may stand still: what must not be harmed even then checks the fence of a
/// claim (`claim::fence`) where it takes effect.
///
/// Copies are one lease. It ends, and what depends on it is removed, when the last one is gone,
/// after `give_back`, and when the runtime stops, though not before what `outlive` holds.
/// *Thread safety*: unsafe: used on the worker of its client.
class lease {
public:
    /// Gets a lease. etcd prolongs times to live that are shorter than a few of its heartbeats.
    /// *Errors*: as of `client::grant`; `bad_settings` for less than a second.
    static task<answer<lease>> hold(client with, std::chrono::seconds ttl);

    [[nodiscard]] std::int64_t id() const noexcept;
    [[nodiscard]] bool is_held() const noexcept;
    /// Gives until when it is held if etcd is not reached any more.
    [[nodiscard]] rt::clock::time_point held_until() const noexcept;
    /// Gives how long what depends on it outlives this program.
    [[nodiscard]] std::chrono::seconds ttl() const noexcept;

    /// Completes when the lease is held no more, for whatever reason.
    [[nodiscard]] task<> lost() const;

    /// Ends it at once, and waits until etcd knows, or did not answer in time.
    task<> give_back() const;

    /// Keeps it alive during an orderly stop of the runtime, for as long as the returned object
    /// lives.
    [[nodiscard]] std::shared_ptr<void> outlive() const;

private:
    explicit lease(std::shared_ptr<detail::lease_handle> handle) noexcept;

    std::shared_ptr<detail::lease_handle> handle_;
};

}  // namespace heph::remote::etcd
