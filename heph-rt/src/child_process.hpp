#pragma once

#include <atomic>
#include <expected>
#include <mutex>
#include <optional>
#include <system_error>

#include <heph/rt/command.hpp>
#include <heph/rt/descriptor.hpp>

namespace heph::rt::detail {

/// A process that was started: its id, and a descriptor that stands for it.
///
///     running --collect() after the end--> collected
///     running --destroyed--> killed unless detached, and handed to the reaper
///
/// *Thread safety*: safe.
class child_process {
public:
    child_process(int id, descriptor_handle descriptor, bool kill_on_drop) noexcept
        : id_(id), descriptor_(std::move(descriptor)), kill_on_drop_(kill_on_drop) {}
    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;
    ~child_process();

    [[nodiscard]] int id() const noexcept { return id_; }
    /// Gives the descriptor, which is readable after the end.
    [[nodiscard]] int descriptor() const noexcept { return descriptor_.get(); }
    void detach() noexcept { kill_on_drop_.store(false, std::memory_order_relaxed); }
    [[nodiscard]] std::error_code signal(int number) noexcept;

    /// Gives how it ended; nothing while it runs.
    [[nodiscard]] std::expected<std::optional<exit_status>, std::error_code> collect() noexcept;

private:
    int id_;
    descriptor_handle descriptor_;
    std::atomic<bool> kill_on_drop_;
    std::mutex mutex_;
    std::optional<exit_status> status_;
};

/// Has the kernel keep children that end until they are waited for, as it does unless SIGCHLD is
/// ignored, or SA_NOCLDWAIT set for it: what ignores it may be whoever started this program. To be
/// called before a child is started. A handler stays.
///
/// *Thread safety*: safe, but for threads that set the action of SIGCHLD meanwhile.
void keep_ended_children() noexcept;

/// Opens the descriptor of a child that was just started. One for which there is none is killed.
/// Gives a positive errno in `failed`.
[[nodiscard]] descriptor_handle hold_child(int id, int& failed) noexcept;

/// Waits in the background for the end of a process that nobody waits for any more, and closes its
/// descriptor. One thread does that for all of them, for as long as there are any.
///
/// *Thread safety*: safe.
void reap_in_background(descriptor_handle process) noexcept;

}  // namespace heph::rt::detail
