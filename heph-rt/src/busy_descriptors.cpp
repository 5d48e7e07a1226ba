#include "busy_descriptors.hpp"

#include <unistd.h>

#include <array>
#include <cstddef>
#include <mutex>
#include <utility>

namespace heph::rt::detail {

namespace {

// The slots whose descriptors have the same remainder; linked through the slots, so that holding
// one needs no memory.
struct bucket {
    std::mutex mutex;
    slot* first = nullptr;
};

bucket& bucket_of(int descriptor) noexcept {
    static std::array<bucket, 64> buckets;
    return buckets[static_cast<std::size_t>(descriptor) % buckets.size()];
}

slot* find(const bucket& among, int descriptor) noexcept {
    for (slot* each = among.first; each != nullptr; each = each->busy_next) {
        if (each->request.descriptor == descriptor) { return each; }
    }
    return nullptr;
}

}  // namespace

void hold_descriptor(slot& operation) noexcept {
    if (operation.request.descriptor < 0) { return; }
    bucket& home = bucket_of(operation.request.descriptor);
    const std::lock_guard lock(home.mutex);
    operation.close_at_end = false;
    operation.busy_next = std::exchange(home.first, &operation);
}

void let_go_of_descriptor(slot& operation) noexcept {
    const int descriptor = operation.request.descriptor;
    if (descriptor < 0) { return; }
    bucket& home = bucket_of(descriptor);
    {
        const std::lock_guard lock(home.mutex);
        slot** link = &home.first;
        while (*link != &operation) { link = &(*link)->busy_next; }
        *link = operation.busy_next;
        if (!operation.close_at_end) { return; }
        if (slot* other = find(home, descriptor)) {
            other->close_at_end = true;
            return;
        }
    }
    ::close(descriptor);
}

bool close_when_let_go(int descriptor) noexcept {
    bucket& home = bucket_of(descriptor);
    const std::lock_guard lock(home.mutex);
    slot* const busy = find(home, descriptor);
    if (busy != nullptr) { busy->close_at_end = true; }
    return busy != nullptr;
}

}  // namespace heph::rt::detail
