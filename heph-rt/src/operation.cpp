#include <heph/rt/detail/operation.hpp>

#include "worker_core.hpp"

namespace heph::rt::detail {

void operation::finish() noexcept { slot_->pool->release(*std::exchange(slot_, nullptr)); }

void operation::abandon() noexcept {
    slot& dropped = *std::exchange(slot_, nullptr);
    // After its worker's end, `owner` is only compared.
    worker_core* here = current_worker();
    if (here == dropped.owner && here != nullptr) {
        here->driver().abandon(dropped);
    } else {
        dropped.pool->drop_elsewhere(dropped);
    }
}

}  // namespace heph::rt::detail
