#pragma once

// Which shards a node runs, without I/O: what it asks of etcd, and when its actors start and stop.
//
// A shard is owned by whoever has created its key, by the lease of his membership. Which node tries
// to is decided by the placement (shard_placement.hpp) over those who host.
//
// States of a shard, at one node
//     none       it is not this node's, as far as this node knows
//     acquiring  a transaction that creates the key, if there is none, is under way
//     held       the key is this node's; the actor does not run
//     running    … and the actor runs
//     stopping   … and the actor was asked to stop, and ends within the time to stop
//     releasing  the actor does not run; a transaction that removes the key is under way
//
// Transitions
//     none      --it belongs here, nobody has it, it is safe--> acquiring
//     none      --the key is of this node's lease-->            held
//     acquiring --answered, or failed-->                        none   (and on as above)
//     held      --it belongs here, it is safe-->                running
//     held      --it does not belong here-->                    releasing
//     running   --it does not belong here, or it is not safe--> stopping
//     running   --the actor ended by itself-->                  held   (it starts again, later)
//     stopping  --the actor has ended-->                        held
//     releasing --answered-->                                   none
//     any       --the lease is lost-->                          none   (its actor is dropped)
//     held, running, stopping, releasing --the key is not this node's any more--> none (likewise)
//
// It is *safe* until a time to stop before the lease ends if etcd is not heard from any more, as
// the lease's clock says (lease_clock.hpp). So an actor is asked to stop early enough to end before
// etcd could give the key to anybody.
//
// Invariants
//     1. An actor runs only while this node holds the key, and the lease by which it does.
//     2. A key is removed only when its actor has ended, and only by its create revision. It is
//        never taken up again once that was asked for: the request may still be under way.
//     3. A request to create a key that got no answer may take effect late: then the key shows up
//        with this node's lease, in state none, and is taken up. That cannot be a key that is about
//        to be removed, because of 2.
//     4. Who hosts has a key by the lease, too; without it, no shard belongs here.
//     5. Of the shards that belong elsewhere since hosts came or went, so many move at once, and
//        the others run on here until it is their turn. Who leaves, or is not safe, stops all.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include <heph/rt/time_source.hpp>

#include "etcd/shard_view.hpp"

namespace heph::remote::etcd {

/// Says what is to be done.
struct shard_action {
    enum class kind : std::uint8_t {
        enter,     ///< Create the host's key; `entered`, `enter_failed`.
        withdraw,  ///< Remove it; `withdrawn`, `withdraw_failed`.
        acquire,   ///< Create the shard's key; `acquire_answered`, `acquire_failed`.
        release,   ///< Remove it, if it is that of `fence`; `release_answered`, `release_failed`.
        start,     ///< Start the actor, by `fence`; `ended` when it has ended.
        stop,      ///< Ask it to end, and drop it after the time to stop; `ended`.
        drop,      ///< Drop it at once; nothing is to be told.
    };

    kind what = kind::enter;
    std::uint32_t shard = 0;
    std::int64_t lease = 0;  ///< By which it is to be done.
    std::int64_t fence = 0;
    std::uint64_t run = 0;  ///< Of the actor.
};

class shard_keeper {
public:
    using time_point = rt::clock::time_point;
    using duration = rt::clock::duration;

    enum class state : std::uint8_t { none, acquiring, held, running, stopping, releasing };

    /// How long to wait before what failed is tried again, and an actor that ended is started.
    static constexpr duration retry = std::chrono::milliseconds(200);
    static constexpr duration restart = std::chrono::seconds(1);
    /// How many shards move from here to other hosts at the same time.
    static constexpr std::size_t moves_max = 8;

    shard_keeper(std::string self, shard_view view, duration stop_time);

    /// Begins with a lease. *Requires*: there is none.
    void begin(std::int64_t lease, time_point now, time_point until);
    /// Tells the time, and until when the lease is held. *Requires*: it is, now.
    void tick(time_point now, time_point until);
    /// Ends all at once.
    void lost();
    /// Gives all up in an orderly way; `is_idle` says when that is done.
    void leave();

    void watched(const watch_batch& batch);

    // Answers. `lease` is that of the action; those of an earlier one count as news only.
    void entered(std::int64_t lease, std::int64_t revision);
    void enter_failed(std::int64_t lease);
    void withdrawn(std::int64_t lease, std::int64_t revision);
    void withdraw_failed(std::int64_t lease);
    /// Takes what key there is now, if any, at which revision.
    void acquire_answered(std::int64_t lease, std::uint32_t shard, std::int64_t revision,
                          const key_value* there);
    void acquire_failed(std::int64_t lease, std::uint32_t shard);
    void release_answered(std::int64_t fence, std::uint32_t shard, std::int64_t revision,
                          const key_value* there);
    void release_failed(std::int64_t fence, std::uint32_t shard);
    void ended(std::uint32_t shard, std::uint64_t run);

    /// Gives what is to be done, once.
    [[nodiscard]] std::vector<shard_action> take_actions() { return std::exchange(out_, {}); }
    [[nodiscard]] bool has_actions() const noexcept { return !out_.empty(); }
    /// Gives when to call `tick` again, if nothing else happens.
    [[nodiscard]] time_point next() const noexcept;

    [[nodiscard]] const shard_view& view() const noexcept { return view_; }
    [[nodiscard]] state state_of(std::uint32_t shard) const noexcept { return shards_[shard].now; }
    [[nodiscard]] std::int64_t lease() const noexcept { return lease_; }
    [[nodiscard]] bool is_idle() const noexcept {
        return lease_ == 0 || (!is_host() && held_ == 0);
    }

private:
    struct slot {
        state now = state::none;
        bool belongs_here = false;
        bool waits = false;  // For its turn to move.
        std::int64_t fence = 0;
        std::uint64_t run = 0;
        time_point not_before{};
    };
    enum class hosting : std::uint8_t { out, entering, in, withdrawing };

    [[nodiscard]] bool is_host() const noexcept { return hosting_ != hosting::out; }
    [[nodiscard]] bool is_ours(std::uint32_t number) const noexcept;
    void plan_all();
    void plan_host();
    void plan(std::uint32_t number);
    void plan_none(std::uint32_t number);
    /// Sees that a key that was this node's is not any more.
    void check_key(std::uint32_t number);
    void place();
    void move_to(std::uint32_t number, state next);
    /// Lets those move whose turn it is.
    void plan_waiting();
    void drop(std::uint32_t number);
    void wait_until(time_point when) noexcept { retry_at_ = std::min(retry_at_, when); }
    void act(shard_action::kind what, std::uint32_t number = 0);

    std::string self_;
    shard_view view_;
    duration stop_time_;
    std::vector<slot> shards_;
    std::vector<shard_action> out_;
    std::int64_t lease_ = 0;
    hosting hosting_ = hosting::out;
    time_point host_not_before_{};
    time_point now_{};
    time_point safe_until_{};
    time_point until_{};
    time_point retry_at_ = time_point::max();
    std::uint64_t runs_ = 0;
    std::size_t held_ = 0;    // Shards that are not in state none.
    std::size_t moving_ = 0;  // Those in the states stopping and releasing.
    std::deque<std::uint32_t> waiting_;
    bool is_safe_ = false;
    bool leaving_ = false;
};

}  // namespace heph::remote::etcd
