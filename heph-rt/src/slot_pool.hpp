#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "slot.hpp"

namespace heph::rt::detail {

class worker_link;

/// The slots of one worker's driver, in chunks that never move.
///
/// Futures may be dropped on other threads, and may outlive the worker. The first tell the worker
/// (`drop_elsewhere`); because of the second the pool lives until its last held slot is given back.
///
/// *Thread safety*: used by the worker's thread, except `drop_elsewhere`.
class slot_pool {
public:
    explicit slot_pool(worker_link& link) noexcept : link_(&link) {}
    slot_pool(const slot_pool&) = delete;
    slot_pool& operator=(const slot_pool&) = delete;

    /// Takes a free slot and holds the process that is being polled to the worker.
    [[nodiscard]] slot& acquire(slot_kind kind, process_header* process);

    /// Puts a slot back. *Requires*: nothing of its result is left, the kernel is done with it.
    void release(slot& freed) noexcept;

    /// Gives the slot a completion is for, or null when the generation is another.
    [[nodiscard]] slot* find(std::uint64_t user_data) noexcept;

    /// Drops a slot from a thread that is not the worker's.
    void drop_elsewhere(slot& dropped) noexcept;

    [[nodiscard]] bool any_dropped() const noexcept {
        return any_dropped_.load(std::memory_order_seq_cst);  // See `worker_link`, Sleeping.
    }
    /// Calls `visit` with each slot that was dropped elsewhere since the last call.
    template <typename Visit>
    void take_dropped(Visit visit) {
        for (slot* each = take_dropped(); each != nullptr;) {
            slot* following = std::exchange(each->next_free, nullptr);
            visit(*each);
            each = following;
        }
    }

    /// Says that the worker makes system calls for slots that wait for readiness. From when a slot
    /// was dropped elsewhere, none is made for it: the one that drops waits for those under way,
    /// which block nobody. `visit` is as in `take_dropped`, which may not be called meanwhile.
    template <typename Visit>
    void begin_touching(Visit visit) {
        for (;;) {
            touching_.store(true, std::memory_order_seq_cst);  // Pairs with `drop_elsewhere`.
            if (!any_dropped()) { return; }
            touching_.store(false, std::memory_order_release);
            take_dropped(visit);
        }
    }
    void end_touching() noexcept { touching_.store(false, std::memory_order_release); }

    /// Counts slots whose completion is still to come.
    [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }
    void count_in_flight(std::ptrdiff_t change) noexcept {
        in_flight_ = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(in_flight_) + change);
    }

    /// Calls `visit` with each slot that is not free.
    template <typename Visit>
    void for_each_used(Visit visit) {
        for (auto& slots : chunks_) {
            for (slot& each : *slots) {
                if (each.state != slot_state::free) { visit(each); }
            }
        }
    }

    /// Ends the worker's part. Deletes the pool now, or when the last held slot is dropped.
    static void close(std::unique_ptr<slot_pool> pool) noexcept;

private:
    static constexpr std::size_t chunk_slots = 128;
    using chunk = std::array<slot, chunk_slots>;

    void grow();
    [[nodiscard]] slot* take_dropped() noexcept;

    worker_link* link_;
    std::vector<std::unique_ptr<chunk>> chunks_;
    slot* free_ = nullptr;
    std::size_t in_flight_ = 0;

    std::atomic<bool> any_dropped_{false};
    std::atomic<bool> touching_{false};
    std::mutex elsewhere_;     // Guards what follows.
    slot* dropped_ = nullptr;  // Linked by `next_free`: dropping needs no memory.
    bool closed_ = false;
    std::size_t held_after_close_ = 0;
};

}  // namespace heph::rt::detail
