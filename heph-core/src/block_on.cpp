#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include <heph/core/block_on.hpp>

namespace heph::detail {

// The mutex guards no data, but the time between the look at `woken` and the sleep.
struct parking_lot {
    std::atomic<std::uint32_t> references{1};
    std::atomic<bool> woken{false};
    std::mutex mutex;
    std::condition_variable changed;
};

namespace {

void drop_reference(parking_lot* lot) noexcept {
    // Acquire and release: every use happens before the delete.
    if (lot->references.fetch_sub(1, std::memory_order_acq_rel) == 1) { delete lot; }
}

void clone(void* data) noexcept {
    static_cast<parking_lot*>(data)->references.fetch_add(1, std::memory_order_relaxed);
}

void wake(void* data) noexcept {
    auto* lot = static_cast<parking_lot*>(data);
    // Release pairs with the acquire in `take_wake`: the poll that follows sees what was written
    // before the wake.
    if (lot->woken.exchange(true, std::memory_order_acq_rel)) { return; }
    { const std::scoped_lock lock(lot->mutex); }
    lot->changed.notify_one();
}

bool take_wake(parking_lot& lot) noexcept {
    return lot.woken.exchange(false, std::memory_order_acq_rel);
}

void drop(void* data) noexcept { drop_reference(static_cast<parking_lot*>(data)); }

constexpr waker_vtable parker_functions{&clone, &wake, &drop};

}  // namespace

parker::parker() : lot_(new parking_lot) {}

parker::~parker() { drop_reference(lot_); }

waker parker::make_waker() const noexcept {
    clone(lot_);
    return {lot_, &parker_functions};
}

void parker::park() noexcept {
    if (take_wake(*lot_)) { return; }
    std::unique_lock lock(lot_->mutex);
    lot_->changed.wait(lock, [this] { return take_wake(*lot_); });
}

bool parker::park_until(std::chrono::steady_clock::time_point until) noexcept {
    if (take_wake(*lot_)) { return true; }
    std::unique_lock lock(lot_->mutex);
    return lot_->changed.wait_until(lock, until, [this] { return take_wake(*lot_); });
}

}  // namespace heph::detail
