#pragma once

// What a suspended task waits for, and through which coroutines: for the log and the debugger.

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>

#include <heph/core/detail/await_site.hpp>

namespace heph {

/// Describes one coroutine of a chain of tasks, and the await at which it is suspended.
struct awaiting_task {
    /// Says what there is to say of the coroutine.
    enum class state : unsigned char {
        waiting,   ///< It is suspended.
        running,   ///< It is being polled right now. What it awaits is not known then.
        lazy,      ///< It was never polled.
        finished,  ///< There is none: it is finished, or the task was moved from.
    };

    state now = state::waiting;
    /// How many futures that hold tasks of their own, such as `either`, stand between.
    unsigned depth = 0;
    /// Names the coroutine, with its namespaces but without its parameters. Empty when it was built
    /// without names.
    std::string_view function = {};
    std::string_view file = {};  ///< Where it awaits. Empty without names.
    unsigned line = 0;           ///< Likewise. 0 without names.
    /// Names the type of the future that the last coroutine of a chain awaits. Empty for others,
    /// which await the next one.
    std::string_view waits_for = {};
};

/// Writes it as one line, without a line break: `accept at server.cpp:12, waits for …`.
[[nodiscard]] std::string to_string(const awaiting_task& one);

namespace detail {

struct task_promise_base;

/// Is shown the chains of tasks, one after the other.
class task_stack_visitor {
public:
    task_stack_visitor() = default;
    task_stack_visitor(const task_stack_visitor&) = delete;
    task_stack_visitor& operator=(const task_stack_visitor&) = delete;

    /// Reports a chain from its root, which is null for a finished task, to its leaf.
    void visit(const task_promise_base* root);
    /// Reports the chain down to a coroutine that runs, and is about to await something.
    void visit_running(const task_promise_base& innermost, const await_site* here);

protected:
    ~task_stack_visitor() = default;

private:
    virtual void report(const awaiting_task& one) = 0;
    void visit_callers(const task_promise_base& innermost);
    unsigned depth_ = 0;
};

template <typename Sink>
class sink_visitor final : public task_stack_visitor {
public:
    explicit sink_visitor(Sink& sink) noexcept : sink_(&sink) {}

private:
    void report(const awaiting_task& one) override { (*sink_)(one); }
    Sink* sink_;
};

/// Holds tasks that `dump` can show, in a member `visit_tasks`.
template <typename F>
concept shows_tasks =
    requires(const F& future, task_stack_visitor& visitor) { future.visit_tasks(visitor); };

/// Shows the tasks within a future, if it can.
template <typename F>
void visit_tasks_of(const F& future, task_stack_visitor& visitor) {
    if constexpr (shows_tasks<F>) { future.visit_tasks(visitor); }
}

[[nodiscard]] std::string dump_running(const task_promise_base& innermost, const await_site* here);

}  // namespace detail

/// Calls `sink(const awaiting_task&)` for each coroutine of a task, from the outermost one to the
/// one that waits, then for those within what it waits for, as far as these futures show them.
///
/// Names and places are kept by what is compiled with `HEPH_TASK_NAMES` as 1, which is the default
/// in debug builds. In others only the number of coroutines is known.
///
/// *Thread safety*: unsafe: not while another thread polls or destroys the task. *Lifetime*: what
/// the sink is given is valid during its call, but `function` and `file` for ever.
/// *Errors*: an exception of the sink leaves it.
template <typename F, typename Sink>
    requires detail::shows_tasks<F> && std::invocable<Sink&, const awaiting_task&>
void dump(const F& future, Sink&& sink) {
    detail::sink_visitor<std::remove_reference_t<Sink>> visitor(sink);
    future.visit_tasks(visitor);
}

/// Gives the same as text, a line each, indented below what holds it.
///
///     heph::log(heph::log_level::debug, heph::dump(running));
///
///     accept_all at server.cpp:40
///     accept at server.cpp:12, waits for heph::rt::net::accept_future
template <typename F>
    requires detail::shows_tasks<F>
[[nodiscard]] std::string dump(const F& future) {
    std::string text;
    dump(future, [&text](const awaiting_task& one) {
        text.append(std::size_t{2} * one.depth, ' ');
        text += to_string(one);
        text += '\n';
    });
    return text;
}

/// Is awaited to get the text that `dump` would give of the task that awaits it, up to that place:
/// `std::string where = co_await heph::task_stack();`. It never suspends.
class task_stack {};

}  // namespace heph

/// Prints what `heph::dump` gives to stderr, given the address of a task's frame: for debuggers, as
/// `call heph_dump_task(running.handle_._M_fr_ptr)`.
extern "C" void heph_dump_task(const void* frame);
