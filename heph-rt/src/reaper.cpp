// Processes that nobody waits for any more.

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "child_process.hpp"

namespace heph::rt::detail {

namespace {

class reaper {
public:
    void add(int process) noexcept {
        const std::lock_guard lock(mutex_);
        try {
            waiting_.push_back(process);
            if (running_) {
                tell();
            } else {
                start();
            }
        } catch (const std::bad_alloc&) {
            // The zombie stays until this process ends.
            ::close(process);
        } catch (const std::system_error&) {}  // No thread: with the next one.
    }

private:
    void start() {
        if (event_ < 0) { event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
        if (event_ < 0) { return; }
        // Signals are for the threads that ask for them.
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, &before);
        try {
            std::thread([this] { run(); }).detach();
            running_ = true;
        } catch (const std::system_error&) {}
        (void)pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    void tell() noexcept {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(event_, &one, sizeof(one));
    }

    void run() noexcept {
        (void)pthread_setname_np(pthread_self(), "heph-reaper");
        std::vector<pollfd> asked;
        std::unique_lock lock(mutex_);
        for (;;) {
            int timeout_ms = -1;
            collect_ended();
            if (waiting_.empty()) {
                running_ = false;
                return;
            }
            try {
                asked.clear();
                asked.push_back({event_, POLLIN, 0});
                for (const int each : waiting_) { asked.push_back({each, POLLIN, 0}); }
            } catch (const std::bad_alloc&) { timeout_ms = 100; }  // Some, and soon all again.
            lock.unlock();
            (void)::poll(asked.data(), asked.size(), timeout_ms);
            std::uint64_t count = 0;
            [[maybe_unused]] const auto read = ::read(event_, &count, sizeof(count));
            lock.lock();
        }
    }

    void collect_ended() noexcept {
        std::erase_if(waiting_, [](int process) {
            siginfo_t ended{};
            const int result =
                ::waitid(P_PIDFD, static_cast<id_t>(process), &ended, WEXITED | WNOHANG);
            if (result == 0 ? ended.si_pid == 0 : errno == EINTR) { return false; }
            ::close(process);
            return true;
        });
    }

    std::mutex mutex_;  // Guards what follows.
    std::vector<int> waiting_;
    bool running_ = false;
    int event_ = -1;
};

}  // namespace

void reap_in_background(descriptor_handle process) noexcept {
    // Never destroyed: its thread may outlive the program's static objects.
    static reaper& instance = *new reaper;
    instance.add(process.release());
}

}  // namespace heph::rt::detail
