#include <heph/rt/detail/operation.hpp>

#include <utility>

#include "worker_core.hpp"

namespace heph::rt::detail {

void operation::finish() noexcept { slot_->pool->release(*std::exchange(slot_, nullptr)); }

void operation::abandon() noexcept {
    slot& dropped = *std::exchange(slot_, nullptr);
    worker_core* here = current_worker();
    if (here != nullptr && here->owns(dropped)) {
        here->driver().abandon(dropped);
    } else {
        dropped.pool->drop_elsewhere(dropped);
    }
}

void operation::drop_and_close(int descriptor) noexcept {
    slot_->close_after = descriptor;
    abandon();
}

}  // namespace heph::rt::detail
