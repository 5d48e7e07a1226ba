#pragma once

#include <liburing.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>

#include "driver.hpp"

namespace heph::rt::detail {

/// Tries to set a ring up as the driver would. Gives the positive errno of what failed, or 0.
[[nodiscard]] int probe_io_uring(unsigned entries) noexcept;

/// Carries out operations on one io_uring. A request is a submission, queued until the worker's
/// next turn.
class uring_driver final : public driver {
public:
    /// *Errors*: a positive errno.
    [[nodiscard]] static std::expected<std::unique_ptr<driver>, int> make(
        worker_link& link, const driver_settings& settings);
    ~uring_driver() override;

    [[nodiscard]] driver_kind kind() const noexcept override { return driver_kind::io_uring; }

    /// A kernel before 6.0 refuses a multishot receive at the first use.
    [[nodiscard]] bool receives_many() noexcept override {
        return !multishot_refused_ && buffers() != nullptr;
    }

    void pause(slot& operation) noexcept override;
    /// Makes no system call when there is nothing to submit and nothing to take.
    void turn() noexcept override;
    void wait(std::optional<std::chrono::milliseconds> timeout) noexcept override;
    [[nodiscard]] bool anything_completed() const noexcept override;
    [[nodiscard]] int ring_descriptor() const noexcept override {
        return sends_messages_ ? ring_.ring_fd : -1;
    }
    bool rouse(int ring_descriptor, int event_descriptor) noexcept override;
    std::size_t drain(std::chrono::milliseconds patience) noexcept override;

protected:
    void start(slot& operation) noexcept override;
    void cancel(slot& operation) noexcept override;
    void close_ordinary(int descriptor) noexcept override;
    void close_ordinary_file(int descriptor) noexcept override;
    [[nodiscard]] int install(unsigned slot) noexcept override;
    [[nodiscard]] int take_in(int descriptor) noexcept override;
    void close_slot(unsigned slot) noexcept override;
    [[nodiscard]] std::unique_ptr<buffer_pool> make_buffers() override;
    [[nodiscard]] int give_to_kernel(pool_state& pool, std::uint16_t group) override;
    void take_from_kernel(pool_state& pool) noexcept override;

private:
    uring_driver(worker_link& link, const driver_settings& settings) : driver(link, settings) {}

    [[nodiscard]] io_uring_sqe& next_submission() noexcept;
    void watch_event() noexcept;
    void make_direct_table() noexcept;
    template <typename Prepare>
    [[nodiscard]] std::int32_t run_now(Prepare prepare) noexcept;
    void take_accepted(slot& operation, std::int32_t result) noexcept;
    void reap() noexcept;
    void take(slot& operation, std::int32_t result, std::uint32_t flags) noexcept;
    void take_received(slot& operation, std::int32_t result, std::uint32_t flags) noexcept;

    io_uring ring_{};
    bool initialised_ = false;
    bool event_watched_ = false;
    bool draining_ = false;
    bool multishot_refused_ = false;
    bool multishot_worked_ = false;
    bool sends_messages_ = false;
    std::size_t closes_ = 0;         // Under way.
    std::uint64_t event_count_ = 0;  // What the read of the event descriptor writes to.
    int handed_over_ = -1;           // A descriptor to be put into a slot, then that slot.
};

}  // namespace heph::rt::detail
