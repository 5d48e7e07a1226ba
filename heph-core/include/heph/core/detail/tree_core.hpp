#pragma once

// What a supervision tree does with its children, whatever they are.
//
// States of a child
//     stopped  --start-->                                 running
//     running  --ends by itself-->                        stopped, and the tree decides
//     running  --runtime stops while it waits for a restart of its own--> stopped, for good
//     running  --told to stop, has no message for that--> stopped (dropped)
//     running  --told to stop-->                          asked
//     asked    --ends by itself, or its time is up-->     stopped
//
// States of a tree
//     idle     --first poll: start all, first to last-->  running
//     running  --a child is to be restarted-->            running  (one_for_one: that child)
//                                                         stopping (others: a range of children)
//     stopping --range stopped, last to first-->          running  (the range is started again)
//     running, stopping  --too many restarts, stop()-->   ending
//     idle, running, stopping  --its runtime stops-->     ending  (one in another tree: when that
//                                                         one tells it to)
//     ending   --all stopped, last to first-->            done
//     running  --no child is left, and no control-->      done
//     any      --drop-->                                  idle, all children stopped
//
// Invariants
//     1. Children are stopped one after the other, from the last one to the first: the next one
//        only when the one behind it has stopped. Nothing in the range is started meanwhile.
//     2. What children outside the range do goes on, also while others are being stopped. When one
//        of them fails, the range grows.
//     3. The end of a child in the range while it is being stopped is no failure.
//     4. Each poll polls the children that were woken before it, once. Starts that fail are tried
//        again in a later poll. So a tree whose children fail at once blocks nobody.
//     5. A child's waker refers to a slot, which is counted and outlives the child. A wake puts the
//        slot into the list of the woken ones, under the lock, and wakes the tree. `queued` is
//        cleared before the child is polled, so that no wake is lost.
//     6. Once the runtime was asked to stop, nothing that ends is started again, in a nested tree
//        before it is its turn to end, too. A tree hears that from its runtime by a future that it
//        polls with itself: see `hear_runtime`.
//     7. Inboxes are kept until the tree is done with a child for good, or is destroyed.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/actor_end.hpp>
#include <heph/core/detail/any_future.hpp>
#include <heph/core/detail/restart_history.hpp>
#include <heph/core/timing.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

/// Says which children are restarted when one of them is.
enum class restart_strategy : std::uint8_t {
    one_for_one,   ///< That child.
    one_for_all,   ///< All: they are stopped first, from the last one to the first.
    rest_for_one,  ///< That child and those that were added after it.
};

/// Says when a child is restarted.
enum class restart_type : std::uint8_t {
    permanent,  ///< Whenever it ended.
    transient,  ///< When it failed.
    temporary,  ///< Never, not even with others.
};

/// Says whether a tree ends when children do that are marked as significant.
enum class auto_shutdown : std::uint8_t {
    never,
    any_significant,  ///< When one of them ended for good.
    all_significant,  ///< When the last one of them ended for good.
};

/// Says why a tree gave up.
class tree_failure {
public:
    explicit tree_failure(std::string message) noexcept : message_(std::move(message)) {}
    [[nodiscard]] const std::string& message() const noexcept { return message_; }

private:
    std::string message_;
};

/// The settings of a tree.
struct tree_options {
    restart_strategy strategy = restart_strategy::one_for_one;
    restart_limit limit{1, std::chrono::seconds(5)};  ///< Restarts of the whole tree.
    auto_shutdown when_significant_end = auto_shutdown::never;
    std::string name = {};  ///< For the log.
};

namespace detail {

class tree_core;
struct tree_shared;

/// What a tree has of its runtime: the time, and being told to stop.
struct tree_runtime {
    tree_runtime() = default;
    tree_runtime(const tree_runtime&) = delete;
    tree_runtime& operator=(const tree_runtime&) = delete;
    virtual ~tree_runtime() = default;
    [[nodiscard]] virtual steady_time now() = 0;
    /// Nothing when there are no timers.
    [[nodiscard]] virtual std::optional<any_future<void>> timer_at(steady_time when) = 0;
    /// Is ready when the runtime is asked to stop. Nothing when it never says.
    [[nodiscard]] virtual std::optional<any_future<void>> stopping() = 0;
};

/// What a child is made of.
struct child_body {
    child_body() = default;
    child_body(const child_body&) = delete;
    child_body& operator=(const child_body&) = delete;
    virtual ~child_body() = default;
    /// Starts it. Gives why it could not.
    [[nodiscard]] virtual std::optional<std::string> start() noexcept = 0;
    [[nodiscard]] virtual polled<actor_end> poll(const waker& waker) noexcept = 0;
    /// Asks it to stop; its polls do the rest. False when there is no way to ask.
    [[nodiscard]] virtual bool ask() noexcept = 0;
    /// Stops it at once.
    virtual void drop() noexcept = 0;
    /// Lets go of its inbox, after it was stopped.
    virtual void close(const actor_end& end) noexcept = 0;
};

/// How a child is treated.
struct child_rules {
    std::string name;
    restart_type restart = restart_type::permanent;
    bool is_significant = false;
    bool ends_with_runtime = false;  // By itself, when that is asked to stop.
    /// How long it may take to stop when it is asked to; nothing: as long as it takes.
    std::optional<std::chrono::nanoseconds> stop_within;
};

/// What a child's wakers refer to (invariant 5).
struct child_slot {
    std::atomic<std::uint32_t> references = 1;
    std::atomic<bool> queued = false;
    child_slot* next = nullptr;  // Guarded by the lock of `shared`.
    std::shared_ptr<tree_shared> shared;
    struct tree_child* child = nullptr;  // Of the tree; null when it is gone.
};

struct tree_child {
    enum class state_type : std::uint8_t { stopped, running, asked };

    tree_child(child_rules how, std::unique_ptr<child_body> what) noexcept
        : rules(std::move(how)), body(std::move(what)) {}

    child_rules rules;
    std::unique_ptr<child_body> body;
    waker mine;  // Wakes the slot.
    child_slot* slot = nullptr;
    tree_child* previous = nullptr;
    tree_child* next = nullptr;
    tree_child* next_wanted = nullptr;
    std::uint64_t number = 0;  // In the order in which they were added.
    std::optional<any_future<void>> stop_timer;
    actor_end last_end{end_reason::dropped};
    state_type state = state_type::stopped;
    bool is_wanted = false;    // It is in the list of those to start.
    bool has_started = false;  // It did, at least once.
    bool is_counted = false;   // As a significant child that did not end for good.
    bool is_dynamic = false;   // It was added by a control.
    bool is_leaving = false;   // It is removed when it has stopped.
};

/// What a tree shares with the wakers of its children, and with its controls.
struct tree_shared {
    tree_shared() = default;
    tree_shared(const tree_shared&) = delete;
    tree_shared& operator=(const tree_shared&) = delete;
    ~tree_shared() = default;

    /// Wakes the tree, after something was changed under the lock.
    void wake(std::unique_lock<std::mutex> lock) noexcept;

    std::mutex mutex;  // Guards everything here.
    waker outer;
    child_slot* first_woken = nullptr;
    child_slot* last_woken = nullptr;
    std::vector<std::unique_ptr<tree_child>> added;
    std::vector<std::string> to_stop;
    std::size_t controls = 0;
    bool stop_requested = false;
    bool is_closed = false;  // The tree is done, or gone.
};

/// A tree without the types of its children. *Thread safety*: unsafe, except for `tree_shared`.
class tree_core {
public:
    using result_type = std::expected<void, tree_failure>;

    tree_core(tree_options options, std::unique_ptr<tree_runtime> runtime);
    tree_core(const tree_core&) = delete;
    tree_core& operator=(const tree_core&) = delete;
    ~tree_core();

    /// Adds a child, which is started by the next poll.
    void add(std::unique_ptr<tree_child> child);

    [[nodiscard]] polled<result_type> poll(const waker& who) noexcept;

    /// Stops the children, from the last one to the first, then is done.
    void request_stop() noexcept;
    /// Stops the children at once, from the last one to the first. The next poll starts them again.
    void drop() noexcept;
    /// Lets go of the children's inboxes.
    void close() noexcept;
    /// Leaves it to the tree above to tell when it is to end as the runtime stops.
    void be_nested() noexcept { is_nested_ = true; }

    [[nodiscard]] const std::shared_ptr<tree_shared>& shared() const noexcept { return shared_; }

private:
    enum class phase : std::uint8_t { idle, running, ending, done };

    /// Takes what happened since the last poll. Gives the woken children.
    [[nodiscard]] child_slot* take_events(const waker& who) noexcept;
    /// Ends the tree when its runtime was asked to stop (invariant 6).
    void hear_runtime(const waker& who) noexcept;
    void poll_woken(child_slot* woken) noexcept;
    polled<result_type> advance(const waker& who) noexcept;
    polled<result_type> finish() noexcept;

    void start_all() noexcept;
    void ended(tree_child& child, actor_end end) noexcept;
    /// Restarts after `child` ended or could not be started: `what` says which, `why` why.
    void restart(tree_child& child, std::string_view what, std::string_view why) noexcept;
    void not_restarted(tree_child& child) noexcept;
    void give_up(const tree_child& child, std::string_view what, std::string_view why) noexcept;
    void begin_ending() noexcept;
    /// Adds the range from `from` to what is being stopped.
    void begin_stopping(std::uint64_t from) noexcept;

    /// Starts those that are wanted. False when one could not be started.
    bool start_wanted() noexcept;
    void want(tree_child& child) noexcept;
    void forget_wanted(std::uint64_t from) noexcept;

    /// Tells a child to stop. It has stopped, or is asked.
    void stop(tree_child& child) noexcept;
    /// Stops the range, as far as it goes without waiting. True when all have stopped.
    bool stop_range() noexcept;
    /// Wants the children of the range that stopped, from the first one to the last.
    void restart_range() noexcept;
    void remove(tree_child& child, const actor_end& end) noexcept;
    void stop_by_name(std::string_view name) noexcept;

    void log_child(const tree_child& child, std::string_view what, std::string_view why,
                   std::string_view then, bool critical) const noexcept;

    tree_options options_;
    std::unique_ptr<tree_runtime> runtime_;
    std::optional<any_future<void>> runtime_stopping_;
    std::shared_ptr<tree_shared> shared_;
    restart_history history_;
    tree_child* first_ = nullptr;
    tree_child* last_ = nullptr;
    tree_child* first_wanted_ = nullptr;
    tree_child* last_wanted_ = nullptr;
    tree_child* stopping_ = nullptr;  // All behind it in the range have stopped.
    std::uint64_t stop_from_ = 0;
    std::uint64_t next_number_ = 0;
    std::size_t running_ = 0;      // Children that did not stop.
    std::size_t significant_ = 0;  // Children of that kind that did not end for good.
    std::optional<tree_failure> failure_;
    phase phase_ = phase::idle;
    bool is_stopping_ = false;
    bool is_nested_ = false;
    bool listens_ = false;  // Or did: it has asked for what `runtime_stopping_` holds.
    bool runtime_stops_ = false;
};

}  // namespace detail

}  // namespace heph
