#include <atomic>
#include <cstdint>

#include <heph/core/block_on.hpp>

namespace heph::detail {

struct parking_lot {
    std::atomic<std::uint32_t> references{1};
    std::atomic<std::uint32_t> woken{0};
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
    // Release pairs with the acquire in `park`: the poll that follows sees what was written
    // before the wake.
    if (lot->woken.exchange(1, std::memory_order_acq_rel) == 0) { lot->woken.notify_one(); }
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
    while (lot_->woken.exchange(0, std::memory_order_acq_rel) == 0) {
        lot_->woken.wait(0, std::memory_order_acquire);
    }
}

}  // namespace heph::detail
