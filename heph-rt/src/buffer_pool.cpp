#include "buffer_pool.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/rt/net/chunk.hpp>

#include "worker_core.hpp"

namespace heph::rt::detail {

std::unique_ptr<buffer_pool> buffer_pool::make(std::size_t count, std::size_t bytes) {
    std::unique_ptr<buffer_pool> pool(new buffer_pool(count, bytes));
    pool->next_.resize(count);
    pool->filled_.resize(count);
    pool->returned_.reserve(count);
    pool->memory_ = static_cast<std::byte*>(map_anonymous(count * bytes));
    if (pool->memory_ == nullptr) { return nullptr; }
    pool->free_.reserve(count);
    // The first is taken first, so that an idle worker touches little memory.
    for (std::size_t id = count; id-- > 0;) { pool->make_free(static_cast<std::uint16_t>(id)); }
    return pool;
}

int buffer_pool::hand_to(io_uring& ring) {
    if (const int failed = ring_.hand_to(ring, count_, group); failed != 0) { return failed; }
    free_ = {};
    for (std::size_t id = 0; id < count_; ++id) { make_free(static_cast<std::uint16_t>(id)); }
    return 0;
}

buffer_pool::~buffer_pool() {
    if (memory_ != nullptr) { ::munmap(memory_, count_ * bytes_); }
}

void buffer_pool::make_free(std::uint16_t id) noexcept {
    if (!ring_.is_there()) {
        free_.push_back(id);  // There is room for all.
        return;
    }
    ring_.provide(data(id), bytes_, id);
}

void buffer_pool::enqueue(chunk_queue& queue, std::uint16_t id, std::size_t size) noexcept {
    ++held_;
    filled_[id] = static_cast<std::uint32_t>(size);
    if (queue.count++ == 0) {
        queue.head = id;
    } else {
        next_[queue.tail] = id;
    }
    queue.tail = id;
}

std::pair<std::uint16_t, std::size_t> buffer_pool::dequeue(chunk_queue& queue) noexcept {
    HEPH_ASSERT(queue.count != 0);
    const std::uint16_t id = queue.head;
    queue.head = next_[id];
    --queue.count;
    return {id, filled_[id]};
}

void buffer_pool::discard(chunk_queue& queue) noexcept {
    while (queue.count != 0) {
        --held_;
        make_free(dequeue(queue).first);
    }
}

void buffer_pool::recycle(std::uint16_t id) noexcept { make_free(id); }

void buffer_pool::give_back(std::uint16_t id) noexcept {
    const worker_core* here = current_worker();
    if (here != nullptr && here->owns(*this)) {
        --held_;
        make_free(id);
        return;
    }
    bool last = false;
    {
        const std::lock_guard lock(elsewhere_);
        if (!closed_) {
            returned_.push_back(id);
            any_returned_.store(true, std::memory_order_relaxed);
        } else {
            last = --held_ == 0;
        }
    }
    if (last) { delete this; }
}

void buffer_pool::take_returned() noexcept {
    const std::lock_guard lock(elsewhere_);
    any_returned_.store(false, std::memory_order_relaxed);
    held_ -= returned_.size();
    for (const std::uint16_t id : returned_) { make_free(id); }
    returned_.clear();
}

void buffer_pool::close(std::unique_ptr<buffer_pool> pool) noexcept {
    const std::lock_guard lock(pool->elsewhere_);
    pool->closed_ = true;
    pool->held_ -= pool->returned_.size();
    if (pool->held_ != 0) { (void)pool.release(); }
}

void give_back(buffer_pool& pool, std::uint16_t id) noexcept { pool.give_back(id); }

}  // namespace heph::rt::detail
