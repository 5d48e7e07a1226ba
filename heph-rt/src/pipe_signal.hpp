#pragma once

#include <signal.h>

#include <cerrno>
#include <ctime>

namespace heph::rt::detail {

/// Keeps SIGPIPE from a thread for as long as it lives, and takes back what is raised meanwhile:
/// sendfile and splice have no flag against it. Workers have it blocked, but what were left behind
/// there would be the program's if it ever took the block away.
class without_pipe_signal {
public:
    without_pipe_signal() noexcept {
        sigset_t pending;
        ::sigpending(&pending);
        was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
        ::sigemptyset(&only_);
        ::sigaddset(&only_, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &only_, &before_);
    }
    ~without_pipe_signal() {
        if (may_be_pending_ && !was_pending_) {
            const timespec at_once{0, 0};
            while (::sigtimedwait(&only_, nullptr, &at_once) < 0 && errno == EINTR) {}
        }
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
    without_pipe_signal(const without_pipe_signal&) = delete;
    without_pipe_signal& operator=(const without_pipe_signal&) = delete;

    /// Says that less was sent than was asked for: the peer may be gone, which has raised it.
    void note_shortfall() noexcept { may_be_pending_ = true; }

private:
    sigset_t only_;
    sigset_t before_;
    bool was_pending_ = false;
    bool may_be_pending_ = false;
};

}  // namespace heph::rt::detail
