#pragma once

#include <chrono>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <heph/core/actor_ref.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/signal.hpp>

#include "runtime_core.hpp"
#include "signal_listener.hpp"
#include "trace_log.hpp"

namespace heph::rt::detail {

/// Blocks, in the calling thread for good, the signals of writing to a broken pipe, and more to a
/// file than the process may: these are errors like any other. Sockets do without: they ask for no
/// signal.
void block_write_signals() noexcept;

/// Watches over a started runtime, on the thread that started it: relays signals, times the grace
/// of an orderly stop, and returns when the workers have nothing left to do.
///
///     running  --stop asked for--> stopping --grace passed, or a second signal--> dropping
///     any      --runtime finished--> done
class coordinator {
public:
    coordinator(runtime_core& runtime, std::chrono::milliseconds grace,
                std::vector<actor_ref<signal>> receivers, std::shared_ptr<trace_log> trace);

    /// Watches until the runtime is finished or told its workers to drop what is left.
    /// `signals` is null when signals are left to the program. *Errors*: they cannot be received.
    [[nodiscard]] std::expected<void, error> watch(signal_listener* signals);

    /// Tells whether a second signal came.
    [[nodiscard]] bool hurries() const noexcept { return hurry_; }

private:
    void take_signals(signal_listener& signals);
    void handle(signal received);
    void relay(signal received) noexcept;
    void print_snapshot() noexcept;
    [[nodiscard]] int patience_ms() const noexcept;
    void trace(trace_stream::time_point since, std::string_view description,
               std::span<const trace_attribute> attributes = {}) noexcept;

    runtime_core& runtime_;
    std::chrono::milliseconds grace_;
    std::vector<actor_ref<signal>> receivers_;
    std::optional<trace_stream> trace_;
    bool stopping_ = false;
    bool hurry_ = false;
    std::chrono::steady_clock::time_point drop_at_;
};

}  // namespace heph::rt::detail
