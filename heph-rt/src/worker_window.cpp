// How long processes ran, window by window, and who is told.

#include "worker_core.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>

#include <heph/core/log.hpp>

namespace heph::rt::detail {

namespace {

constexpr std::string_view between_names = " or ";

bool has_name(std::string_view names, std::string_view name) noexcept {
    for (std::size_t at = names.find(name); at != std::string_view::npos;
         at = names.find(name, at + 1)) {
        const bool begins = at == 0 || names.substr(0, at).ends_with(between_names);
        const std::string_view rest = names.substr(at + name.size());
        if (begins && (rest.empty() || rest.starts_with(between_names))) { return true; }
    }
    return false;
}

// What a local process weighs that is not queued.
std::uint64_t weight_outside(const process_header& process) noexcept {
    const bool is_queued = (process.local & process_header::woken) != 0;
    return is_queued ? 0 : fair_queue::weight_of(process);
}

}  // namespace

// Adds a process to a list of names for people. Many have the same one, or none.
void worker_core::add_name(std::string& names, const process_header& process) noexcept {
    try {
        std::string_view name = process.name();
        if (name.empty()) { name = "an actor without a name"; }
        if (has_name(names, name)) { return; }
        if (!names.empty()) { names += between_names; }
        names += name;
    } catch (const std::bad_alloc&) {}  // Some names have to do.
}

[[gnu::always_inline]] inline void worker_core::note_window(std::chrono::nanoseconds took,
                                                            std::uint64_t not_queued) noexcept {
    ready_.advance(took, not_queued);
    ran_this_turn_ += took;
    link_.counters().run_time.add(took.count());
}

void worker_core::close_window() noexcept {
    const auto now = std::chrono::steady_clock::now();
    const bool may_be_long = settings_.long_poll > std::chrono::nanoseconds::zero() &&
                             meter_.since_begin(now) >= settings_.long_poll;
    if (may_be_long || scheduler_ != nullptr) [[unlikely]] {
        close_special_window(now, may_be_long);
        return;
    }
    std::uint64_t not_queued = 0;
    const auto took =
        meter_.close(now, [&not_queued](process_header& process, std::chrono::nanoseconds ran) {
            process.ran(ran);
            not_queued += weight_outside(process);
            fair_queue::charge(process, ran);
        });
    note_window(took, not_queued);
    link_.set_ready_time(ready_.time());
}

// One that may be worth a warning, or by a scheduler of the program's.
void worker_core::close_special_window(time_point now, bool may_be_long) noexcept {
    std::string names;
    std::uint64_t not_queued = 0;
    const auto took =
        meter_.close(now, [&, this](process_header& process, std::chrono::nanoseconds ran) {
            process.ran(ran);
            not_queued += weight_outside(process);
            if (scheduler_ == nullptr) {
                fair_queue::charge(process, ran);
            } else {
                scheduler_->charge(process, ran);
            }
            if (may_be_long) { add_name(names, process); }
        });
    note_window(took, not_queued);
    if (scheduler_ == nullptr) { link_.set_ready_time(ready_.time()); }
    if (may_be_long) { report_long_poll(took, names); }
}

void worker_core::report_long_poll(std::chrono::nanoseconds took,
                                   const std::string& names) noexcept {
    // Once a second is enough to know, and does not make it worse.
    const auto now = std::chrono::steady_clock::now();
    if (long_poll_logged_ != time_point() && now - long_poll_logged_ < std::chrono::seconds(1)) {
        return;
    }
    long_poll_logged_ = now;
    try {
        const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
        log(log_level::warning, "worker " + std::to_string(index_) + " was held up for " +
                                    std::to_string(ms) + " ms by a poll of " +
                                    (names.empty() ? "a process that is finished" : names) +
                                    ": let it yield, or move the work to spawn_blocking");
    } catch (const std::bad_alloc&) {}  // No memory for a warning.
}

}  // namespace heph::rt::detail
