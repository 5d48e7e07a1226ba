#pragma once

// Events that actors add to a runtime's trace file.
//
//     const auto timing = heph::rt::start_trace();
//     auto answer = co_await ask(question);
//     heph::rt::finish_trace(timing, "asking", {{"question", question.id}});
//
// `setup::trace` says where the trace goes; without it both functions do nothing, at the cost of a
// branch. The runtime adds events of its own: each poll of a process, with its name; timers that
// expire; the time in which a worker waits; the life of a sync actor; and what the thread that
// started the runtime does. `tools/convert_trace` makes a trace visible.

#include <chrono>
#include <initializer_list>
#include <string_view>

#include <heph/rt/trace_format.hpp>

namespace heph::rt {

/// When an event began. Nothing where nothing is traced.
class trace_timing {
public:
    /// Makes one of an event that is not traced.
    trace_timing() noexcept = default;
    explicit trace_timing(std::chrono::steady_clock::time_point start) noexcept
        : start_(start), is_traced_(true) {}

    [[nodiscard]] bool is_traced() const noexcept { return is_traced_; }
    [[nodiscard]] std::chrono::steady_clock::time_point start() const noexcept { return start_; }

private:
    std::chrono::steady_clock::time_point start_{};
    bool is_traced_ = false;
};

/// Begins an event of the process that runs: now. *Thread safety*: safe; traced on workers, and in
/// sync actors.
[[nodiscard]] trace_timing start_trace() noexcept;

/// Ends an event, and writes it. One timing may be used for several events, which then have the
/// same beginning; one that is never used is no event.
/// *Errors*: when the trace cannot be written, tracing ends with an error in the log.
/// *Thread safety*: safe. A thread-safe actor's event goes to the stream of the worker it ends on.
void finish_trace(const trace_timing& timing, std::string_view description,
                  std::initializer_list<trace_attribute> attributes = {}) noexcept;

}  // namespace heph::rt
