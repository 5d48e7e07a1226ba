#include "signal_listener.hpp"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "system_call.hpp"

namespace heph::rt::detail {

namespace {

struct handled_signal {
    int number;
    signal name;
};

constexpr std::array<handled_signal, signal_listener::signal_count> handled{{
    {SIGINT, signal::interrupt},
    {SIGTERM, signal::terminate},
    {SIGQUIT, signal::quit},
    {SIGHUP, signal::hangup},
    {SIGUSR1, signal::user1},
    {SIGUSR2, signal::user2},
}};

std::optional<std::size_t> index_of(int number) noexcept {
    for (std::size_t i = 0; i < handled.size(); ++i) {
        if (handled[i].number == number) { return i; }
    }
    return std::nullopt;
}

// What the handler uses: all of it lock-free, and there for as long as the process. It counts
// itself before it looks at the descriptor, and who takes that away looks at the count afterwards:
// both sequentially consistent.
struct handler_state {
    std::atomic<int> event{-1};
    std::atomic<int> running{0};
    std::atomic<pid_t> process{0};
    std::array<std::atomic<unsigned>, signal_listener::signal_count> noted{};
};
static_assert(std::atomic<unsigned>::is_always_lock_free);

constinit handler_state handler;

void write_event(int descriptor) noexcept {
    const std::uint64_t one = 1;
    // It fails only when it is readable anyway.
    [[maybe_unused]] const auto written = ::write(descriptor, &one, sizeof(one));
}

void note_signal(int number) {
    const int error = errno;
    if (::getpid() != handler.process.load()) {
        // A fork's child has no runtime: it ends as it would without.
        ::signal(number, SIG_DFL);
        ::raise(number);
        errno = error;
        return;
    }
    handler.running.fetch_add(1);
    const int event = handler.event.load();
    const auto index = index_of(number);
    if (event >= 0 && index) {
        handler.noted[*index].fetch_add(1);
        write_event(event);
    }
    handler.running.fetch_sub(1);
    errno = error;
}

bool is_default(const struct sigaction& action) noexcept {
    return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL;
}

bool is_ours(const struct sigaction& action) noexcept {
    return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == &note_signal;
}

// All listeners, and what there is for all. Never destroyed: a runtime may end late.
struct all_listeners {
    std::mutex mutex;
    signal_listener* first = nullptr;

    // Each is called with the mutex locked.

    // In the child of a fork, which has copies of its parent's listeners, and their descriptor.
    static void forget_parent() noexcept;
    [[nodiscard]] static std::error_code begin() noexcept {
        const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (event < 0) { return last_error(); }
        for (auto& each : handler.noted) { each.store(0); }
        handler.process.store(::getpid());
        handler.event.store(event);
        for (const auto& [number, name] : handled) {
            struct sigaction action{};
            if (::sigaction(number, nullptr, &action) != 0) { continue; }
            if (!is_default(action) && !is_ours(action)) { continue; }
            action = {};
            action.sa_handler = &note_signal;
            action.sa_flags = SA_RESTART;
            ::sigaction(number, &action, nullptr);
        }
        return {};
    }
    static void end() noexcept {
        for (const auto& [number, name] : handled) {
            struct sigaction action{};
            if (::sigaction(number, nullptr, &action) != 0 || !is_ours(action)) { continue; }
            action = {};
            action.sa_handler = SIG_DFL;
            ::sigaction(number, &action, nullptr);
        }
        const int event = handler.event.exchange(-1);
        while (handler.running.load() != 0) { std::this_thread::yield(); }
        if (event >= 0) { ::close(event); }
    }
};

constinit all_listeners everyone;

void all_listeners::forget_parent() noexcept {
    everyone.first = nullptr;
    handler.running.store(0);
    const int event = handler.event.exchange(-1);
    if (event >= 0) { ::close(event); }
}

}  // namespace

blocked_signals::blocked_signals() noexcept {
    sigemptyset(&blocked_);
    for (const auto& [number, name] : handled) { sigaddset(&blocked_, number); }
    (void)::pthread_sigmask(SIG_BLOCK, &blocked_, &previous_);
}

blocked_signals::~blocked_signals() { (void)::pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }

signal_listener::signal_listener(int wakes) noexcept : wakes_(wakes) {
    pending_ = ::signalfd(-1, &blocked_.set(), SFD_CLOEXEC | SFD_NONBLOCK);
    if (pending_ < 0) { failure_ = last_error(); }
    const std::lock_guard lock(everyone.mutex);
    if (handler.process.load() != ::getpid()) { all_listeners::forget_parent(); }
    if (handler.event.load() < 0) {
        if (const auto failed = all_listeners::begin()) { failure_ = failed; }
    }
    next_ = std::exchange(everyone.first, this);
}

signal_listener::~signal_listener() {
    {
        const std::lock_guard lock(everyone.mutex);
        signal_listener** link = &everyone.first;
        while (*link != nullptr && *link != this) { link = &(*link)->next_; }
        if (*link != nullptr) { *link = next_; }  // Else it is a copy that a fork made.
        if (everyone.first == nullptr) { all_listeners::end(); }
    }
    if (pending_ >= 0) { ::close(pending_); }
}

int signal_listener::noted_descriptor() noexcept { return handler.event.load(); }

signal signal_listener::at(std::size_t index) noexcept { return handled[index].name; }

// *Requires*: the mutex is locked.
void signal_listener::find_pending() noexcept {
    counts found{};
    bool any = false;
    signalfd_siginfo info{};
    while (::read(pending_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
        if (const auto index = index_of(static_cast<int>(info.ssi_signo))) {
            ++found[*index];
            any = true;
        }
    }
    std::uint64_t events = 0;
    if (::read(handler.event.load(), &events, sizeof(events)) > 0) {
        for (std::size_t i = 0; i < found.size(); ++i) {
            const unsigned noted = handler.noted[i].exchange(0);
            found[i] += noted;
            any = any || noted != 0;
        }
    }
    if (!any) { return; }
    for (signal_listener* each = everyone.first; each != nullptr; each = each->next_) {
        for (std::size_t i = 0; i < found.size(); ++i) { each->came_[i] += found[i]; }
        if (each != this) { write_event(each->wakes_); }
    }
}

signal_listener::counts signal_listener::take() noexcept {
    const std::lock_guard lock(everyone.mutex);
    find_pending();
    return std::exchange(came_, {});
}

}  // namespace heph::rt::detail
