#pragma once

// Which ready process runs next: priorities, and how to bring a scheduler of one's own.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace heph::rt {

/// Weighs a process against others when there is more to run than time to run it: a process gets
/// four times the share of one that is a level lower.
enum class priority : std::uint8_t { low, normal, high };

/// A process, as a scheduler sees it.
///
/// *Thread safety*: used by the scheduler that has it. *Lifetime*: valid from `push` to `pop`, and
/// in `charge`.
class schedulable {
public:
    schedulable(const schedulable&) = delete;
    schedulable& operator=(const schedulable&) = delete;

    /// Gives the priority it was spawned with.
    [[nodiscard]] rt::priority priority() const noexcept { return priority_; }
    /// Gives the actor's name; empty for those without one.
    [[nodiscard]] std::string_view name() const noexcept;

    schedulable* next = nullptr;  ///< For the scheduler to link it with, from `push` to `pop`.
    /// For the scheduler's accounts; 0 in a new process. Also in a thread-safe one each time that
    /// it is bound to the worker again: those that are not bound wait with others of their kind,
    /// in an order of the runtime's own, which has the field meanwhile.
    std::uint64_t virtual_time = 0;

protected:
    schedulable() noexcept = default;
    ~schedulable() = default;

    rt::priority priority_ = rt::priority::normal;
};

/// Decides which of the ready processes of one worker runs next.
///
/// A worker pushes what becomes ready, pops what it is to run, and tells afterwards how long it
/// ran. A process that is ready again is pushed again. Thread-safe processes that no worker is
/// bound to are not among them.
///
/// *Thread safety*: used by its worker's thread only.
class scheduler {
public:
    scheduler() = default;
    scheduler(const scheduler&) = delete;
    scheduler& operator=(const scheduler&) = delete;
    virtual ~scheduler();

    /// Takes a ready process.
    virtual void push(schedulable& ready) noexcept = 0;
    /// Gives one of those it has, or null when it has none.
    [[nodiscard]] virtual schedulable* pop() noexcept = 0;
    /// Tells whether it has none.
    [[nodiscard]] virtual bool empty() const noexcept = 0;
    /// Hears how long a process ran. Quick polls are measured several at once and charged alike.
    virtual void charge(schedulable& process, std::chrono::nanoseconds ran) noexcept;
};

/// Makes a worker's scheduler, on its thread.
using scheduler_factory = std::function<std::unique_ptr<scheduler>()>;

}  // namespace heph::rt
