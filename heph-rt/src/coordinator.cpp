#include "coordinator.hpp"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>

#include <heph/core/log.hpp>

namespace heph::rt::detail {

namespace {

// Nobody waits longer; what is added to the clock must not overflow.
constexpr std::chrono::milliseconds grace_max = std::chrono::years(100);

void empty_event(int descriptor) noexcept {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto taken = ::read(descriptor, &count, sizeof(count));
}

}  // namespace

void block_write_signals() noexcept {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    sigaddset(&set, SIGXFSZ);
    (void)pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

coordinator::coordinator(runtime_core& runtime, std::chrono::milliseconds grace,
                         std::vector<actor_ref<signal>> receivers, std::shared_ptr<trace_log> trace)
    : runtime_(runtime), grace_(std::min(grace, grace_max)), receivers_(std::move(receivers)) {
    if (trace != nullptr) { trace_.emplace(std::move(trace), coordinator_stream); }
}

// Events are few, and each is written at once.
void coordinator::trace(trace_stream::time_point since, std::string_view description,
                        std::span<const trace_attribute> attributes) noexcept {
    if (!trace_) { return; }
    trace_->add(0, since, description, attributes);
    trace_->flush();
}

int coordinator::patience_ms() const noexcept {
    if (!stopping_) { return -1; }
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(drop_at_ - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1'000'000));
}

std::expected<void, error> coordinator::watch(signal_listener* signals) {
    if (signals != nullptr && signals->failure()) {
        return std::unexpected(
            error(signals->failure(), "cannot receive signals: " + signals->failure().message()));
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
        std::array<pollfd, 3> sources{
            {{runtime_.coordinator_descriptor(), POLLIN, 0},
             {signals != nullptr ? signals->pending_descriptor() : -1, POLLIN, 0},
             {signals != nullptr ? signal_listener::noted_descriptor() : -1, POLLIN, 0}}};
        const auto since = std::chrono::steady_clock::now();
        (void)::poll(sources.data(), sources.size(), patience_ms());
        trace(since, "waiting");
        if (sources[0].revents != 0) { empty_event(runtime_.coordinator_descriptor()); }
        if (signals != nullptr) { take_signals(*signals); }
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

void coordinator::relay(signal received) noexcept {
    for (auto& receiver : receivers_) {
        // The program's code: a reference may map what is sent.
        try {
            if (!receiver.try_send(received) && receiver.is_connected()) {
                log(log_level::warning, std::string(name_of(received)) +
                                            " was lost: the inbox of its receiver is full");
            }
        } catch (const std::exception& thrown) {
            log(log_level::error,
                std::string(name_of(received)) +
                    " was lost: sending it to its receiver threw: " + thrown.what());
        } catch (...) {
            log(log_level::error, "a signal was lost: sending it to its receiver threw");
        }
    }
}

void coordinator::take_signals(signal_listener& signals) {
    const auto came = signals.take();
    for (std::size_t i = 0; i < came.size(); ++i) {
        for (unsigned left = came[i]; left != 0; --left) { handle(signal_listener::at(i)); }
    }
}

void coordinator::handle(signal received) {
    const auto since = std::chrono::steady_clock::now();
    relay(received);
    if (received == signal::user2) { print_snapshot(); }
    const trace_attribute name("signal", name_of(received));
    trace(since, "relaying a signal", {&name, 1});
    if (!asks_to_stop(received)) { return; }
    if (runtime_.stop_requested()) {
        hurry_ = true;
    } else {
        log(log_level::info, std::string(name_of(received)) + ": stopping");
        runtime_.request_stop();
    }
}

}  // namespace heph::rt::detail
