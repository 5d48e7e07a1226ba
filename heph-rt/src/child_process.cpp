#include "child_process.hpp"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "system_call.hpp"

namespace heph::rt::detail {

namespace {

exit_status status_of(const siginfo_t& ended) noexcept {
    return exit_status(ended.si_code != CLD_EXITED, ended.si_status);
}

}  // namespace

std::error_code child_process::signal(int number) noexcept {
    const std::lock_guard lock(mutex_);
    if (status_) { return std::make_error_code(std::errc::no_such_process); }
    // Not by the C library's function: that of Debian 12 has no declaration for C++.
    if (::syscall(SYS_pidfd_send_signal, descriptor_.get(), number, nullptr, 0) == 0) { return {}; }
    return last_error();
}

std::expected<std::optional<exit_status>, std::error_code> child_process::collect() noexcept {
    const std::lock_guard lock(mutex_);
    if (status_) { return status_; }
    siginfo_t ended{};
    const std::int32_t result = retry([&] {
        return ::waitid(P_PIDFD, static_cast<id_t>(descriptor_.get()), &ended, WEXITED | WNOHANG);
    });
    if (result < 0) { return std::unexpected(std::error_code(-result, std::system_category())); }
    if (ended.si_pid != 0) { status_ = status_of(ended); }
    return status_;
}

void keep_ended_children() noexcept {
    struct sigaction action{};
    if (::sigaction(SIGCHLD, nullptr, &action) != 0) { return; }
    const bool is_ignored = (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_IGN;
    if (!is_ignored && (action.sa_flags & SA_NOCLDWAIT) == 0) { return; }
    if (is_ignored) { action.sa_handler = SIG_DFL; }
    action.sa_flags &= ~SA_NOCLDWAIT;
    (void)::sigaction(SIGCHLD, &action, nullptr);
}

descriptor_handle hold_child(int id, int& failed) noexcept {
    descriptor_handle process(static_cast<int>(::syscall(SYS_pidfd_open, id, 0)));
    if (process.is_open()) { return process; }
    failed = errno;
    // Until a child is waited for, nobody else gets its id. One that is not there any more was, by
    // the program, or by a kernel that was told to keep none: the id may be anybody's.
    if (failed != ESRCH) {
        ::kill(id, SIGKILL);
        (void)retry([&] { return ::waitpid(id, nullptr, 0); });
    }
    return process;
}

child_process::~child_process() {
    auto ended = collect();
    if (!ended || *ended) { return; }
    if (kill_on_drop_.load(std::memory_order_relaxed)) {
        (void)signal(SIGKILL);
        ended = collect();
        if (!ended || *ended) { return; }
    }
    reap_in_background(std::move(descriptor_));
}

}  // namespace heph::rt::detail
