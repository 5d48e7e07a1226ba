#include "coordinator.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <heph/core/log.hpp>

namespace heph::rt::detail {

namespace {

constexpr std::array<std::pair<int, signal>, 6> handled_signals{{
    {SIGINT, signal::interrupt},
    {SIGTERM, signal::terminate},
    {SIGQUIT, signal::quit},
    {SIGHUP, signal::hangup},
    {SIGUSR1, signal::user1},
    {SIGUSR2, signal::user2},
}};

// Nobody waits longer; what is added to the clock must not overflow.
constexpr std::chrono::milliseconds grace_max = std::chrono::years(100);

std::optional<signal> to_signal(std::uint32_t number) noexcept {
    for (const auto& [known, named] : handled_signals) {
        if (static_cast<std::uint32_t>(known) == number) { return named; }
    }
    return std::nullopt;
}

void empty_event(int descriptor) noexcept {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto taken = ::read(descriptor, &count, sizeof(count));
}

// Closes a descriptor that may be none.
struct descriptor_guard {
    int descriptor;
    ~descriptor_guard() {
        if (descriptor >= 0) { ::close(descriptor); }
    }
};

}  // namespace

blocked_signals::blocked_signals() noexcept {
    sigemptyset(&blocked_);
    for (const auto& [number, named] : handled_signals) { sigaddset(&blocked_, number); }
    pthread_sigmask(SIG_BLOCK, &blocked_, &previous_);
}

blocked_signals::~blocked_signals() { pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }

void block_write_signals() noexcept {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    sigaddset(&set, SIGXFSZ);
    (void)pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

coordinator::coordinator(runtime_core& runtime, std::chrono::milliseconds grace,
                         std::vector<actor_ref<signal>> receivers)
    : runtime_(runtime), grace_(std::min(grace, grace_max)), receivers_(std::move(receivers)) {}

int coordinator::patience_ms() const noexcept {
    if (!stopping_) { return -1; }
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(drop_at_ - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1'000'000));
}

std::expected<void, error> coordinator::watch(const sigset_t* signals) {
    const descriptor_guard signal_source{
        signals != nullptr ? ::signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK) : -1};
    if (signals != nullptr && signal_source.descriptor < 0) {
        const std::error_code code(errno, std::system_category());
        return std::unexpected(error(code, "cannot receive signals: " + code.message()));
    }
    while (!runtime_.finished() && !runtime_.dropping()) {
        if (runtime_.stop_requested() && !stopping_) {
            stopping_ = true;
            drop_at_ = std::chrono::steady_clock::now() + grace_;
            receivers_.clear();  // An actor that receives nothing but signals is done now.
        }
        if (hurry_ || (stopping_ && patience_ms() == 0)) {
            if (!hurry_) {
                log(log_level::warning, "what did not stop within its grace time is dropped");
            }
            return {};
        }
        std::array<pollfd, 2> sources{{{runtime_.coordinator_descriptor(), POLLIN, 0},
                                       {signal_source.descriptor, POLLIN, 0}}};
        (void)::poll(sources.data(), sources.size(), patience_ms());
        if (sources[0].revents != 0) { empty_event(runtime_.coordinator_descriptor()); }
        if (sources[1].revents != 0) { take_signals(signal_source.descriptor); }
    }
    return {};
}

void coordinator::print_snapshot() noexcept {
    try {
        log(log_level::info,
            "SIGUSR2:\n" + to_text(runtime_.snapshot(std::chrono::milliseconds(100))));
    } catch (const std::exception& thrown) {
        log(log_level::error, std::string("SIGUSR2: no snapshot: ") + thrown.what());
    }
}

void coordinator::take_signals(int descriptor) {
    signalfd_siginfo info{};
    while (::read(descriptor, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
        const auto received = to_signal(info.ssi_signo);
        if (!received) { continue; }
        for (auto& receiver : receivers_) {
            if (!receiver.try_send(*received) && receiver.is_connected()) {
                log(log_level::warning, std::string(name_of(*received)) +
                                            " was lost: the inbox of its receiver is full");
            }
        }
        if (*received == signal::user2) { print_snapshot(); }
        if (!asks_to_stop(*received)) { continue; }
        if (runtime_.stop_requested()) {
            hurry_ = true;
        } else {
            log(log_level::info, std::string(name_of(*received)) + ": stopping");
            runtime_.request_stop();
        }
    }
}

}  // namespace heph::rt::detail
