#pragma once

#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <vector>

#include "driver.hpp"
#include "slot_list.hpp"

namespace heph::rt::detail {

struct process_header;

/// Carries out operations where io_uring is not to be had: it tries a socket's at once, and those
/// that would block again when epoll says so. What blocks for want of a readiness, such as files,
/// goes to threads.
///
/// Descriptors are watched edge-triggered and stay watched until they are closed: an event is only
/// a hint to try again, and a stale one does no harm. What is known of a descriptor is trusted
/// while a slot of a stream or a listener is there, which is dropped before its descriptor is
/// closed. A single operation has none: it asks the kernel to watch, again, each time it would
/// block.
///
/// *Thread safety*: used by the worker's thread only.
class epoll_driver final : public driver {
public:
    /// *Errors*: a positive errno.
    [[nodiscard]] static std::expected<std::unique_ptr<driver>, int> make(
        worker_link& link, const driver_settings& settings);
    ~epoll_driver() override;

    [[nodiscard]] driver_kind kind() const noexcept override { return driver_kind::epoll; }
    [[nodiscard]] int socket_flags() const noexcept override;

    /// Sees threads and retries; for sockets it would take a system call.
    [[nodiscard]] bool anything_completed() const noexcept override {
        return !ready_.empty() || !ready_reads_.empty() || any_job_finished();
    }

    void pause(slot& operation) noexcept override;
    /// Makes a system call when some time has passed since the last one, and not each time.
    void turn() noexcept override;
    void wait(std::optional<std::chrono::milliseconds> timeout) noexcept override;
    std::size_t drain(std::chrono::milliseconds patience) noexcept override;

protected:
    void start(slot& operation) noexcept override;
    void cancel(slot& operation) noexcept override;
    void close_ordinary(int descriptor) noexcept override;
    void close_ordinary_file(int descriptor) noexcept override;
    void unwatch(slot& operation) noexcept override;
    [[nodiscard]] std::unique_ptr<buffer_pool> make_buffers() override;

private:
    using clock = std::chrono::steady_clock;

    /// What is known of a descriptor.
    struct watched {
        slot_list readers;
        slot_list writers;
        const slot* trusted = nullptr;  // Whose descriptor it is for sure, and is watched.
        std::uint32_t events = 0;       // What the kernel was asked for last.
        bool readable = false;          // There may be more to read.
        bool to_the_end = false;        // Only EAGAIN, or the end, tells that there is no more.
    };
    static constexpr std::size_t table_chunk = 128;
    using watched_chunk = std::array<watched, table_chunk>;

    epoll_driver(worker_link& link, const driver_settings& settings) : driver(link, settings) {}

    [[nodiscard]] watched* find(int descriptor) noexcept;
    [[nodiscard]] watched* find_or_make(int descriptor) noexcept;
    [[nodiscard]] int watch(slot& operation, watched& entry) noexcept;
    [[nodiscard]] bool may_go_on_at_once(int shares = 1) noexcept;

    void start_soon(slot& operation) noexcept;
    void start_when_ready(slot& operation) noexcept;
    void start_read(slot& operation) noexcept;
    void start_call(slot& operation) noexcept;
    void try_or_wait(slot& operation) noexcept;
    void wait_for_readiness(slot& operation, watched& entry) noexcept;
    // These give false when the operation would block.
    bool attempt(slot& operation, watched& entry) noexcept;
    bool attempt_on_thread(slot& operation) noexcept;
    bool attempt_receive_many(slot& operation, watched& entry) noexcept;
    bool attempt_accept_many(slot& operation, watched& entry) noexcept;

    void serve(slot_list& waiting, watched& entry) noexcept;
    void serve_ready() noexcept;
    void serve_ready_reads() noexcept;
    void try_later(slot& operation) noexcept;
    void retry_due() noexcept;
    void poll_events(int timeout_ms) noexcept;

    int epoll_ = -1;
    std::vector<std::unique_ptr<watched_chunk>> table_;  // By descriptor.
    slot_list ready_;                                    // To be tried in the next turn.
    slot_list ready_reads_;                              // Likewise, but only some in each turn.
    slot_list retried_;                                  // To be tried at `retry_at_`.
    clock::time_point retry_at_;
    std::array<epoll_event, 256> events_{};
    clock::time_point polled_at_;
    const process_header* last_process_ = nullptr;  // Of the last operations completed at once,
    int at_once_ = 0;                               // and so many of them; or their shares.
};

}  // namespace heph::rt::detail
