#pragma once

// Actors that are started, stopped and restarted together.
//
//     heph::tree_options options;
//     options.strategy = heph::restart_strategy::rest_for_one;
//     options.limit = heph::restart_limit{3, 10s};
//     options.name = "storage";
//     heph::supervision_tree tree(options, ctx.runtime());
//
//     auto log = tree.add(heph::child_spec("log"), heph::actor_fn(write_log), path);
//     auto index = tree.add(heph::child_spec("index").stop_with(stop_request()).within(2s),
//                           heph::actor_fn(index_log), log);
//     tree.add(heph::child_spec("import").transient(), heph::actor_fn(import_once), index);
//
//     auto control = tree.control();            // from any thread: control.stop(), control.add(…)
//     worker.spawn_future(std::move(tree));     // or co_await it, or block_on it
//
// Every reference is valid at once, and stays valid over all restarts: inboxes are kept, and what
// was sent meanwhile is received by the next actor.
//
// The rules are those of Erlang/OTP's supervisors, with these differences:
//
// - A child that is not given a message to stop with is dropped. In OTP that is the last resort;
// here
//   dropping is orderly: it destroys what the actor holds, wherever it waits.
// - A child may have a supervisor of its own, for failures that are nobody else's affair. The tree
//   comes in when that one stops the actor, or escalates. Without one it comes in at each failure.
// - What happens to other children while some are being stopped is not held up.
// - A nested tree that gives up has failed: a transient one is restarted.
// - A child that has ended for good is gone, and its inbox is closed: also a nested tree that is
//   restarted starts without it. Where children are restarted together, one that has finished stays
//   as in OTP, and is started with them again.
// - A child that fails while it is being stopped has stopped: its own supervisor is not asked.
// - When the runtime is asked to stop (its access is a `stoppable_runtime`), a tree ends as by
//   `tree_control::stop`, and one in another tree when it is its turn. From then on no child is
//   started again. A child that hears of it by itself, and ends when it has done what it has to,
//   says so: `child_spec::ends_with_runtime`. One that waits for a restart by its own supervisor
//   has ended.
// - When no child is left, and no control that could add one, the tree has finished.

#include <chrono>
#include <concepts>
#include <cstddef>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <heph/core/actor_future.hpp>
#include <heph/core/detail/tree_child.hpp>
#include <heph/core/detail/tree_core.hpp>
#include <heph/core/sendable.hpp>
#include <heph/core/stopping.hpp>

namespace heph {

template <typename RT>
class supervision_tree;

/// Says how a child is treated. Permanent unless it says otherwise.
template <typename Stop = detail::no_stop_message, bool IsTimed = false>
class child_spec {
public:
    explicit child_spec(std::string name) { rules_.name = std::move(name); }

    /// Restarts it whenever it ended, also when it finished.
    child_spec permanent() && noexcept { return std::move(restarted(restart_type::permanent)); }
    /// Restarts it when it failed.
    child_spec transient() && noexcept { return std::move(restarted(restart_type::transient)); }
    /// Never restarts it.
    child_spec temporary() && noexcept { return std::move(restarted(restart_type::temporary)); }

    /// Lets the tree end when it ended for good: see `auto_shutdown`.
    child_spec significant() && noexcept {
        rules_.is_significant = true;
        return std::move(*this);
    }

    /// Says that it ends by itself when the runtime is asked to stop, as it awaits `stopping()`:
    /// the tree waits for that, and neither drops it nor asks it. How long is the runtime's affair.
    child_spec ends_with_runtime() && noexcept {
        rules_.ends_with_runtime = true;
        return std::move(*this);
    }

    /// Says how many messages fit into its inbox: 8 unless given.
    child_spec inbox_size(std::size_t messages) && noexcept {
        inbox_size_ = messages;
        return std::move(*this);
    }

    /// Asks it to stop with a copy of this message, and waits until it does, instead of dropping
    /// it. It is sent like any other: after what is in the inbox already.
    template <typename Message>
    [[nodiscard]] child_spec<Message, IsTimed> stop_with(Message message) && {
        return child_spec<Message, IsTimed>(std::move(rules_), inbox_size_, std::move(message));
    }

    /// Drops it when it did not stop within this time of being asked.
    /// *Requires*: the tree's runtime access is a `timed_runtime`.
    [[nodiscard]] child_spec<Stop, true> within(std::chrono::nanoseconds time) && {
        rules_.stop_within = time;
        return child_spec<Stop, true>(std::move(rules_), inbox_size_, std::move(stop_));
    }

private:
    template <typename, bool>
    friend class child_spec;
    template <typename>
    friend class supervision_tree;
    template <typename>
    friend class tree_control;

    child_spec(detail::child_rules rules, std::size_t inbox_size, Stop message)
        : rules_(std::move(rules)), inbox_size_(inbox_size), stop_(std::move(message)) {}

    child_spec& restarted(restart_type when) noexcept {
        rules_.restart = when;
        return *this;
    }

    template <typename Supervisor, typename NewActor, typename RT, typename... Args>
    auto make(Supervisor supervisor, NewActor new_actor, RT runtime, Args... args) && {
        static_assert(detail::check_actor<Supervisor, NewActor, RT, Args...>());
        if constexpr (detail::runs_on_any_thread<RT>) {
            static_assert(check_sendable_actor<Supervisor, NewActor, RT, Args...>());
            static_assert(sendable<Stop>,
                          "child_spec::stop_with: the message has to be "
                          "heph::sendable in a tree that any thread may run");
        }
        static_assert(!detail::is_linkable<Supervisor>,
                      "the children of a tree end together by its strategy: heph::linkable is for "
                      "actors that run by themselves");
        static_assert((std::copy_constructible<Args> && ...),
                      "each start of a child takes copies of its arguments");
        static_assert(!IsTimed || timed_runtime<RT>,
                      "child_spec::within needs a tree whose runtime access is a "
                      "heph::timed_runtime");
        using message_type = typename NewActor::message_type;
        constexpr bool is_asked = !std::same_as<Stop, detail::no_stop_message>;
        static_assert(!is_asked || (std::copy_constructible<Stop> &&
                                    std::constructible_from<message_type, const Stop&>),
                      "child_spec::stop_with takes what the child's messages can be made from, "
                      "again and again");
        static_assert(!IsTimed || is_asked,
                      "child_spec::within bounds the time of a child that is asked to stop: say "
                      "with what, by stop_with");
        using made_type = detail::made_type_of<NewActor, RT, Args...>;
        using actor_type = typename detail::made_actor<made_type>::type;
        using child_type = detail::actor_child<Supervisor, NewActor, RT, actor_type, Stop, Args...>;

        auto [inbox, sender, receiver] = inbox::managed_channel<message_type>(inbox_size_);
        auto body = std::make_unique<child_type>(
            std::move(supervisor), std::move(new_actor), std::move(runtime), rules_.name,
            std::move(inbox), std::move(stop_), std::tuple<Args...>(std::move(args)...));
        return std::pair(std::make_unique<detail::tree_child>(std::move(rules_), std::move(body)),
                         actor_ref<message_type>(std::move(sender)));
    }

    detail::child_rules rules_;
    std::size_t inbox_size_ = 8;
    [[no_unique_address]] Stop stop_;
};

/// Stops a tree, or adds children to it, while it runs. Copies control the same tree, which does
/// not finish by itself as long as there is one.
///
/// *Thread safety*: safe, where the tree's runtime access is; distinct objects. *Lifetime*: it may
/// outlive the tree.
template <typename RT>
class tree_control {
public:
    /// As the tree: a child that it adds goes to the thread that runs the tree.
    static constexpr bool is_sendable = sendable<RT> && detail::runs_on_any_thread<RT>;

    tree_control(const tree_control& other) : tree_control(other.shared_, other.runtime_) {}
    tree_control(tree_control&& other) noexcept = default;
    tree_control& operator=(tree_control other) noexcept {
        std::swap(shared_, other.shared_);
        std::swap(runtime_, other.runtime_);
        return *this;
    }
    ~tree_control() {
        if (shared_ == nullptr) { return; }
        std::unique_lock lock(shared_->mutex);
        if (--shared_->controls == 0) { shared_->wake(std::move(lock)); }
    }

    /// Asks the tree to end: it stops its children, from the last one to the first.
    void stop() const {
        std::unique_lock lock(shared_->mutex);
        shared_->stop_requested = true;
        shared_->wake(std::move(lock));
    }

    /// Asks the tree to stop a child by name, and to let it go; the first of that name.
    void stop(std::string child) const {
        std::unique_lock lock(shared_->mutex);
        if (shared_->is_closed) { return; }
        shared_->to_stop.push_back(std::move(child));
        shared_->wake(std::move(lock));
    }

    /// Adds a child behind the others, and has it started. One that cannot be made, or comes after
    /// the end of the tree, is let go: its reference is not connected.
    template <typename Stop, bool IsTimed, supervisor Supervisor, typename NewActor,
              typename... Args>
    auto add(child_spec<Stop, IsTimed> spec, Supervisor supervisor, NewActor new_actor,
             Args... args) const {
        auto [child, ref] = std::move(spec).make(std::move(supervisor), std::move(new_actor),
                                                 runtime_, std::move(args)...);
        child->is_dynamic = true;
        std::unique_lock lock(shared_->mutex);
        if (!shared_->is_closed) {
            shared_->added.push_back(std::move(child));
            shared_->wake(std::move(lock));
        } else {
            lock.unlock();
            child->body->close(actor_end(end_reason::dropped));
        }
        return std::move(ref);
    }
    template <typename Stop, bool IsTimed, typename NewActor, typename... Args>
        requires(!supervisor<NewActor>)
    auto add(child_spec<Stop, IsTimed> spec, NewActor new_actor, Args... args) const {
        return add(std::move(spec), escalate_supervisor(), std::move(new_actor),
                   std::move(args)...);
    }

private:
    friend class supervision_tree<RT>;

    tree_control(std::shared_ptr<detail::tree_shared> shared, RT runtime)
        : shared_(std::move(shared)), runtime_(std::move(runtime)) {
        const std::lock_guard lock(shared_->mutex);
        ++shared_->controls;
    }

    std::shared_ptr<detail::tree_shared> shared_;
    [[no_unique_address]] RT runtime_;
};

/// Runs actors and other trees, and restarts them by the rules above. It is a future: done when all
/// children ended for good, when it was told to stop and they have stopped, or when more restarts
/// were needed than its limit allows. Any executor can run it: `poll` never throws. The children
/// are polled by the tree, each only when it was woken. It ends when its runtime is asked to stop,
/// too: on heph-rt, one on the shared runtime stays with the worker that polled it first, for that.
///
/// It may be moved before its first poll. *Cancellation*: stops the children at once, from the last
/// one to the first.
template <typename RT = no_runtime>
class [[nodiscard]] supervision_tree {
public:
    /// Nothing, or why it gave up.
    using value_type = std::expected<void, tree_failure>;
    /// Only where each child was checked when it was added: with a runtime access that says that
    /// any thread may run what has it (`static constexpr bool runs_on_any_thread = true`).
    static constexpr bool is_sendable = sendable<RT> && detail::runs_on_any_thread<RT>;

    explicit supervision_tree(tree_options options = {}, RT runtime = {})
        : core_(std::make_unique<detail::tree_core>(
              std::move(options), std::make_unique<detail::runtime_of_tree<RT>>(runtime))),
          runtime_(std::move(runtime)) {}

    /// Adds an actor behind the others, with a supervisor of its own. Gives its reference. The
    /// arguments are copied at each start.
    template <typename Stop, bool IsTimed, supervisor Supervisor, typename NewActor,
              typename... Args>
    auto add(child_spec<Stop, IsTimed> spec, Supervisor supervisor, NewActor new_actor,
             Args... args) {
        auto [child, ref] = std::move(spec).make(std::move(supervisor), std::move(new_actor),
                                                 runtime_, std::move(args)...);
        core_->add(std::move(child));
        return std::move(ref);
    }

    /// Adds an actor behind the others. The tree decides on each of its failures.
    template <typename Stop, bool IsTimed, typename NewActor, typename... Args>
        requires(!supervisor<NewActor>)
    auto add(child_spec<Stop, IsTimed> spec, NewActor new_actor, Args... args) {
        return add(std::move(spec), escalate_supervisor(), std::move(new_actor),
                   std::move(args)...);
    }

    /// Adds another tree behind the others. It is asked to stop, and has all the time it needs
    /// unless the spec bounds it.
    template <bool IsTimed, typename Other>
    void add(child_spec<detail::no_stop_message, IsTimed> spec, supervision_tree<Other> nested) {
        static_assert(!detail::runs_on_any_thread<RT> || sendable<supervision_tree<Other>>,
                      "what is added to a tree that any thread may run has to be heph::sendable");
        static_assert(!IsTimed || timed_runtime<RT>,
                      "child_spec::within needs a tree whose runtime access is a "
                      "heph::timed_runtime");
        if constexpr (stoppable_runtime<RT>) { nested.core_->be_nested(); }
        core_->add(std::make_unique<detail::tree_child>(
            std::move(spec.rules_),
            std::make_unique<detail::nested_tree>(std::move(nested.core_))));
    }

    /// Makes a control, through which the tree can be reached while it runs.
    [[nodiscard]] tree_control<RT> control() const {
        return tree_control<RT>(core_->shared(), runtime_);
    }

    polled<value_type> poll(const waker& waker) noexcept {
        auto result = core_->poll(waker);
        if (result.is_ready()) { core_->close(); }
        return result;
    }

private:
    template <typename>
    friend class supervision_tree;

    std::unique_ptr<detail::tree_core> core_;
    [[no_unique_address]] RT runtime_;
};

supervision_tree() -> supervision_tree<no_runtime>;
supervision_tree(tree_options) -> supervision_tree<no_runtime>;

}  // namespace heph
