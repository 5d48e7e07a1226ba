#pragma once

// Runs a small concurrent program through all its interleavings.
//
// The program's threads are fibers of one thread, and every operation on an atomic is a point where
// another one may go on. Which one does is a choice; a schedule is the list of its choices. The
// explorer runs the program again and again, each time with another schedule, depth first, until
// none is left, so a failure can be replayed from its choices alone.
//
// What bounds it
//     - Preemptions: a thread that could go on is interrupted at most so many times in a schedule
//       (Musuvathi, Qadeer: "Iterative context bounding", PLDI 2007). Nearly all bugs need two.
//     - A thread that pauses in a loop goes on only when another thread has changed something.
//
// What memory is like
//     - Stores that are not sequentially consistent wait in a buffer of their thread, in order, as
//       on x86. Another thread that reads such a place meanwhile sees the new value or, as another
//       choice, the old one. A read-modify-write, a sequentially consistent store, and a full fence
//       empty their thread's buffer first; a heavy fence empties all of them.
//     - Release and acquire are followed as C++ defines them, by vector clocks: an access to what
//     is
//       not atomic that is not ordered after another thread's conflicting one is a failure,
//       whatever the values were. So a missing release or acquire is found, although x86 would not
//       need it.
//     What is not in the model: reads that are reordered among themselves, and stores of one thread
//     that others see in another order, unless an access that is not atomic depends on them.
//
// What is a failure: a check that fails; all threads wait and none can go on (a lost wake); a step
// count that has no end; a race; a message that is built over another one, destroyed twice, or left
// alive; memory used after it was freed, freed twice, not at all, or by who does not know that the
// accesses of others are over.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace heph::test::explored {

inline constexpr std::size_t threads_max = 4;

/// How far each thread has come, as one of them knows it.
using vector_clock = std::array<std::uint32_t, threads_max>;

/// What is explored, and how far.
struct options {
    int preemptions_max = 2;
    int stale_reads_max = 1;  // Reads that miss what another thread's buffer still holds.
    std::size_t schedules_max = 3'000'000;
    std::size_t steps_max = 20'000;         // Of one schedule; more have no end.
    bool is_broken = false;                 // A failure is expected, and may leak.
    std::vector<std::uint8_t> replay = {};  // When not empty, the only schedule that is run.
};

/// What came of it.
struct outcome {
    std::size_t schedules = 0;
    std::size_t steps = 0;
    bool complete = false;              // Every schedule within the bounds was run.
    std::string failure;                // Empty when there was none.
    std::vector<std::uint8_t> choices;  // The schedule that failed.
    std::string trace;                  // What it did, a line a step.
};

/// The program that is explored, made anew for each schedule.
class program {
public:
    /// Adds a thread. *Requires*: there are fewer than `threads_max`.
    void thread(std::function<void()> body) { threads.push_back(std::move(body)); }
    /// Adds what is checked when all threads have ended.
    void afterwards(std::function<void()> body) { after.push_back(std::move(body)); }

    std::vector<std::function<void()>> threads;
    std::vector<std::function<void()>> after;
};

/// Explores the program that `make` makes.
[[nodiscard]] outcome explore(const options& chosen, const std::function<void(program&)>& make);

/// Fails the schedule that is running, unless `good`.
void check(bool good, const char* what);

/// Chooses a number less than `count`; each one is explored.
[[nodiscard]] std::size_t choose(std::size_t count);

// ---- What the model environment is made of ----

/// A place in memory that is accessed by atomic operations.
struct place {
    explicit place(std::uint64_t initial) noexcept : value(initial) {}
    std::uint64_t value;
    vector_clock released{};  // What who reads it with acquire gets to know.
};

enum class update : std::uint8_t { exchange, add, subtract, bit_or, bit_and };

std::uint64_t load(const place& from, std::memory_order order);
void store(place& to, std::uint64_t value, std::memory_order order);
std::uint64_t modify(place& at, update how, std::uint64_t operand, std::uint64_t mask,
                     std::memory_order order);
bool compare_exchange(place& at, std::uint64_t& expected, std::uint64_t desired,
                      std::memory_order order);
void full_fence();
void heavy_fence();
void pause();
void access(const void* what, bool writes);

/// Sleeps while the place has the value; with a time-out, it may also end by itself. Tells whether
/// it did not.
bool futex_wait(const place& on, std::uint64_t expected, bool may_time_out);
void futex_wake(const place& on);

void* allocate(std::size_t bytes, std::size_t alignment);
void deallocate(void* memory);

/// Gives room for a pointer that is the running thread's own, by the address of a key.
void*& thread_slot(const void* key, void (*destroy)(void*));

/// An object was built, or destroyed, at an address.
void born(const void* object);
void died(const void* object);
[[nodiscard]] bool is_alive(const void* object);

/// Something that a thread waits for, and that another one, or itself, sets.
class event {
public:
    /// Waits until it is set, and unsets it.
    void wait();
    void set();

private:
    bool set_ = false;
    vector_clock released_{};
};

}  // namespace heph::test::explored
