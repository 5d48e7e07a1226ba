#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <heph/rt/error.hpp>
#include <heph/rt/trace_format.hpp>

namespace heph::rt::detail {

/// A runtime's trace file, which its streams share. *Thread safety*: safe.
class trace_log {
public:
    /// Makes a file, and writes when the trace's epoch is: now.
    /// *Errors*: the system's; `file_exists` if there is one.
    [[nodiscard]] static std::expected<std::shared_ptr<trace_log>, error> open(
        const std::string& path);

    trace_log(const trace_log&) = delete;
    trace_log& operator=(const trace_log&) = delete;
    ~trace_log();

    /// Writes whole packets. After the first time that it fails it does nothing any more.
    void write(std::string_view packets) noexcept;

    [[nodiscard]] std::chrono::steady_clock::time_point epoch() const noexcept { return epoch_; }
    [[nodiscard]] bool has_failed() const noexcept {
        return failed_.load(std::memory_order_relaxed);
    }

private:
    explicit trace_log(int file) noexcept : file_(file) {}
    [[nodiscard]] int write_all(std::string_view packets) noexcept;

    int file_;
    std::chrono::steady_clock::time_point epoch_ = std::chrono::steady_clock::now();
    std::atomic<bool> failed_{false};
    std::mutex writing_;  // So that packets stay whole.
};

/// One thread's events, which go to the file many at a time.
///
/// *Thread safety*: unsafe.
class trace_stream {
public:
    using time_point = std::chrono::steady_clock::time_point;

    trace_stream(std::shared_ptr<trace_log> log, std::uint32_t stream) noexcept
        : log_(std::move(log)), stream_(stream) {}
    trace_stream(const trace_stream&) = delete;
    trace_stream& operator=(const trace_stream&) = delete;
    ~trace_stream() { flush(); }

    static constexpr std::chrono::milliseconds leisure{100};

    /// Adds an event, from then until now. Events that find no memory are left out; their numbers
    /// are missing. It writes nothing, but when there is a lot.
    void add(std::uint64_t substream, time_point start, std::string_view description,
             std::span<const trace_attribute> attributes) noexcept;

    /// Writes what was added.
    void flush() noexcept;
    /// Tells whether there is enough for that to be worth while.
    [[nodiscard]] bool is_large() const noexcept;
    /// Writes it if that was not done for `leisure`. Tells whether nothing is left.
    [[nodiscard]] bool flush_at_leisure(time_point now) noexcept;

private:
    std::shared_ptr<trace_log> log_;
    std::uint32_t stream_;
    std::uint32_t counter_ = 0;
    std::string pending_;
    time_point flushed_{};
};

/// The streams that are no worker's.
inline constexpr std::uint32_t coordinator_stream = 0;
inline constexpr std::uint32_t first_sync_stream = std::uint32_t{1} << 31U;

/// Where the events of a thread go that is a sync actor's, while it lives; nowhere without a log.
/// It writes an event of the actor's whole life in the end.
///
/// *Thread safety*: used by that thread only.
class sync_trace {
public:
    /// Makes it the thread's. `name` outlives it.
    sync_trace(std::shared_ptr<trace_log> log, std::uint32_t stream, std::uint64_t substream,
               std::string_view name);
    ~sync_trace();
    sync_trace(const sync_trace&) = delete;
    sync_trace& operator=(const sync_trace&) = delete;

    /// Gives the calling thread's, or null.
    [[nodiscard]] static sync_trace* of_thread() noexcept;

    /// Adds an event, and writes what there is now and then.
    void add(trace_stream::time_point start, std::string_view description,
             std::span<const trace_attribute> attributes) noexcept;

private:
    std::optional<trace_stream> stream_;
    std::uint64_t substream_;
    std::string_view name_;
    trace_stream::time_point start_;
};

}  // namespace heph::rt::detail
