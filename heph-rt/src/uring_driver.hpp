#pragma once

#include <liburing.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>

#include "buffer_pool.hpp"
#include "slot_pool.hpp"

namespace heph::rt::detail {

struct driver_settings {
    std::size_t ring_entries;
    std::size_t receive_buffers;
    std::size_t receive_buffer_bytes;
};

/// Tries to set a ring up as the driver would. Gives the positive errno of what failed, or 0.
[[nodiscard]] int probe_io_uring(unsigned entries) noexcept;

/// Carries out operations on one io_uring.
///
/// It only turns requests into submissions and completions into slot states and wakes; no user code
/// runs below it, except the wakers' `wake`.
///
/// *Thread safety*: used by the worker's thread only.
class uring_driver {
public:
    /// *Errors*: a positive errno.
    [[nodiscard]] static std::expected<std::unique_ptr<uring_driver>, int> make(
        worker_link& link, const driver_settings& settings);
    ~uring_driver();
    uring_driver(const uring_driver&) = delete;
    uring_driver& operator=(const uring_driver&) = delete;

    [[nodiscard]] slot_pool& slots() noexcept { return *slots_; }

    // Whether a slot or a pool is this driver's. Those of a driver that is gone may be asked about,
    // too: for as long as something refers to a pool, no other has its address.
    [[nodiscard]] bool owns(const slot& asked) const noexcept { return asked.pool == slots_.get(); }
    [[nodiscard]] bool owns(const buffer_pool& asked) const noexcept {
        return &asked == buffers_.get();
    }

    /// Gives the provided buffers, registered at the first call. Null when that fails.
    [[nodiscard]] buffer_pool* buffers() noexcept;
    /// Tells whether `receive_many` works; a kernel before 6.0 refuses it at the first use.
    [[nodiscard]] bool receives_many() noexcept {
        return !multishot_refused_ && buffers() != nullptr;
    }

    // Requests. Each queues one submission for a slot in flight, whose fields hold what the kernel
    // may read or write until the last completion.
    void receive_once(slot& operation, int descriptor) noexcept;  // Into `data`'s spare room.
    void receive_many(slot& operation, int descriptor) noexcept;  // Multishot.
    void send(slot& operation, int descriptor, std::size_t from) noexcept;
    void accept_many(slot& operation, int descriptor) noexcept;  // Multishot.
    void connect(slot& operation, int descriptor, unsigned address_bytes) noexcept;
    void open(slot& operation, int flags, unsigned mode) noexcept;  // `path`.
    void read(slot& operation, int descriptor, std::uint64_t offset) noexcept;
    void write(slot& operation, int descriptor, std::size_t from, std::uint64_t offset) noexcept;
    void sync(slot& operation, int descriptor, bool data_only) noexcept;

    /// Asks the kernel to end a slot's operation; the completion still comes.
    void cancel(slot& operation) noexcept;
    /// Drops a slot: discards its result, or cancels it and leaves it to the last completion.
    void abandon(slot& dropped) noexcept;
    /// Closes a descriptor with the next submission.
    void close_descriptor(int descriptor) noexcept;

    /// Submits what is queued and takes completions without waiting; makes no system call when
    /// there is nothing to submit and nothing to take.
    void turn() noexcept;
    /// Submits what is queued and waits for a completion, at most for `timeout`.
    void wait(std::optional<std::chrono::milliseconds> timeout) noexcept;

    /// Cancels what is left and waits for the last completions, at most for `patience`.
    /// Gives how many did not come.
    std::size_t drain(std::chrono::milliseconds patience) noexcept;

private:
    uring_driver(worker_link& link, const driver_settings& settings);

    [[nodiscard]] io_uring_sqe& next_submission() noexcept;
    io_uring_sqe& submission_for(slot& operation) noexcept;
    void watch_event() noexcept;
    void reap() noexcept;
    void complete(slot& operation, std::int32_t result, std::uint32_t flags) noexcept;
    void complete_receive(slot& operation, std::int32_t result, std::uint32_t flags) noexcept;
    void complete_accept(slot& operation, std::int32_t result) noexcept;
    void discard_result(slot& operation) noexcept;

    worker_link* link_;
    driver_settings settings_;
    io_uring ring_{};
    bool initialised_ = false;
    bool event_watched_ = false;
    bool draining_ = false;
    bool no_buffers_ = false;
    bool multishot_refused_ = false;
    bool multishot_worked_ = false;
    std::size_t closes_ = 0;         // Under way.
    std::uint64_t event_count_ = 0;  // What the read of the event descriptor writes to.
    std::unique_ptr<slot_pool> slots_;
    std::unique_ptr<buffer_pool> buffers_;
};

}  // namespace heph::rt::detail
