#pragma once

// One run of a shard at this node.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/inbox/future.hpp>
#include <heph/remote/etcd/lease.hpp>
#include <heph/remote/node.hpp>
#include <heph/rt/time_source.hpp>
#include <heph/rt/worker.hpp>

#include "etcd/change_signal.hpp"
#include "etcd/shard_keeper.hpp"

namespace heph::remote::etcd::detail {

class shard_run {
public:
    shard_run(const shard_action& start, std::string its_name, std::string its_key, node at,
              rt::worker on, lease by)
        : number(start.shard),
          fence(start.fence),
          run(start.run),
          name(std::move(its_name)),
          key(std::move(its_key)),
          where(std::move(at)),
          worker(on),
          by_(std::move(by)) {}

    void ask_to_stop(rt::clock::time_point until) {
        if (stop_until_) { return; }
        stop_until_ = until;
        changed_.notify();
    }
    void drop() {
        is_dropped_ = true;
        changed_.notify();
    }
    /// Tells that nothing of it runs any more.
    void end() {
        is_ended_ = true;
        by_.reset();  // Whoever keeps a handle does not keep the lease.
        changed_.notify();
    }

    [[nodiscard]] bool is_owned() const noexcept { return !is_dropped_ && by_ && by_->is_held(); }
    [[nodiscard]] const std::optional<rt::clock::time_point>& stop_until() const noexcept {
        return stop_until_;
    }

    static task<> wait_until_stopping(std::shared_ptr<shard_run> self) {
        while (!self->stop_until_ && self->is_owned()) { co_await self->changed_.next(); }
    }
    static task<> wait_until_ended(std::shared_ptr<shard_run> self) {
        while (!self->is_ended_) { co_await self->changed_.next(); }
    }

    /// Is ready as soon as the shard is not owned any more. Polled before what runs, it lets
    /// nothing of that run then, also when the program was held up and nothing else noticed yet.
    class [[nodiscard]] fence_future {
    public:
        using value_type = void;
        explicit fence_future(shard_run& of) : of_(&of), next_(of.changed_.next()) {}

        polled<void> poll(const waker& waker) {
            while (of_->is_owned()) {
                if (!next_->poll(waker).is_ready()) { return pending; }
                next_.emplace(of_->changed_.next());
            }
            return ready;
        }

    private:
        shard_run* of_;
        std::optional<change_signal::next_future> next_;
    };

    const std::uint32_t number;
    const std::int64_t fence;
    const std::uint64_t run;
    const std::string name;
    const std::string key;
    const node where;
    const rt::worker worker;

private:
    std::optional<lease> by_;
    std::optional<rt::clock::time_point> stop_until_;
    change_signal changed_;
    bool is_dropped_ = false;
    bool is_ended_ = false;
};

}  // namespace heph::remote::etcd::detail
