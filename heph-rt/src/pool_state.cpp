#include "pool_state.hpp"

#include <sys/mman.h>

#include <bit>
#include <cerrno>
#include <limits>
#include <span>
#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/rt/error.hpp>

#include "worker_core.hpp"

namespace heph::rt {

namespace {

constexpr std::size_t buffers_max = 32'768;  // As many as a ring of buffers takes.
constexpr std::size_t buffer_bytes_max = std::size_t{1} << 31U;

}  // namespace

std::expected<buffer_pool, std::error_code> buffer_pool::make(const buffer_pool_options& options) {
    if (!std::has_single_bit(options.count) || options.count > buffers_max || options.bytes == 0 ||
        options.bytes > buffer_bytes_max) {
        return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    }
    std::shared_ptr<detail::pool_state> state;
    try {
        state = std::make_shared<detail::pool_state>(options);
    } catch (const std::bad_alloc&) {}  // As without memory for the buffers.
    if (state == nullptr || !state->has_memory()) {
        return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
    }
    return buffer_pool(std::move(state));
}

std::size_t buffer_pool::buffer_count() const noexcept { return state_->count(); }
std::size_t buffer_pool::buffer_bytes() const noexcept { return state_->bytes(); }
std::size_t buffer_pool::buffers_in_use() const noexcept { return state_->in_use(); }

}  // namespace heph::rt

namespace heph::rt::detail {

namespace {

/// Keeps a buffer from the pool until the last who reads it is gone.
class pool_lease {
public:
    pool_lease(std::shared_ptr<pool_state> pool, std::uint16_t id) noexcept
        : pool_(std::move(pool)), id_(id) {}
    pool_lease(const pool_lease&) = delete;
    pool_lease& operator=(const pool_lease&) = delete;
    ~pool_lease() { pool_->give_back(id_); }

private:
    std::shared_ptr<pool_state> pool_;
    std::uint16_t id_;
};

}  // namespace

pool_state::pool_state(const buffer_pool_options& options)
    : count_(options.count), bytes_(options.bytes), exhausted_(options.exhausted) {
    queued_.resize(count_);
    returned_.reserve(count_);
    free_.reserve(count_);
    // The first is taken first, so that little memory is touched while little comes.
    for (std::size_t id = count_; id-- > 0;) { free_.push_back(static_cast<std::uint16_t>(id)); }
    memory_ = static_cast<std::byte*>(map_anonymous(count_ * bytes_));
}

pool_state::~pool_state() {
    if (memory_ != nullptr) { ::munmap(memory_, count_ * bytes_); }
}

std::error_code pool_state::join(driver& of) {
    // Written here and by `leave` only, by the worker's thread; a pool is used by one at a time.
    if (owner_.load(std::memory_order_relaxed) == &of) { return {}; }
    if (joined_) { return errc::wrong_worker; }
    if (const auto failed = of.adopt(shared_from_this())) { return failed; }
    joined_ = true;
    owner_.store(&of, std::memory_order_release);
    return {};
}

int pool_state::hand_to(io_uring& ring, std::uint16_t group) noexcept {
    if (const int failed = ring_.hand_to(ring, count_, group); failed != 0) { return failed; }
    group_ = group;
    for (std::size_t id = 0; id < count_; ++id) { make_free(static_cast<std::uint16_t>(id)); }
    free_.clear();
    return 0;
}

void pool_state::take_from(io_uring& ring) noexcept { ring_.take_from(ring, group_); }

void pool_state::leave() noexcept {
    owner_.store(nullptr, std::memory_order_release);
    std::vector<waker> waiting;
    const std::lock_guard lock(elsewhere_);
    waiting.swap(waiting_);
}

std::optional<std::uint16_t> pool_state::take_free() noexcept {
    HEPH_ASSERT(!ring_.is_there());
    if (free_.empty() && !has_free()) { return std::nullopt; }
    const std::uint16_t id = free_.back();
    free_.pop_back();
    note_taken();
    return id;
}

void pool_state::enqueue(arrivals& queue, std::uint16_t id, std::size_t bytes) noexcept {
    queued_[id].bytes = static_cast<std::uint32_t>(bytes);
    if (queue.count++ == 0) {
        queue.first = id;
    } else {
        queued_[queue.last].next = id;
    }
    queue.last = id;
}

std::pair<std::uint16_t, std::size_t> pool_state::dequeue(arrivals& queue) noexcept {
    HEPH_ASSERT(queue.count != 0);
    const std::uint16_t id = queue.first;
    queue.first = queued_[id].next;
    --queue.count;
    return {id, queued_[id].bytes};
}

buffer pool_state::lease(std::uint16_t id, std::size_t from, std::size_t bytes) {
    std::shared_ptr<const void> held;
    try {
        held = std::make_shared<const pool_lease>(shared_from_this(), id);
    } catch (const std::bad_alloc&) {
        give_back(id);
        throw;
    }
    buffer made =
        buffer::in_memory(std::move(held), std::span<std::byte>(data(id), bytes_).subspan(from));
    made.commit(bytes);
    return made;
}

bool pool_state::collect_returned() noexcept {
    for (const std::uint16_t id : returned_) { make_free(id); }
    in_use_.fetch_sub(returned_.size(), std::memory_order_relaxed);
    returned_.clear();
    return in_use() < count_;
}

bool pool_state::has_free() noexcept {
    const std::lock_guard lock(elsewhere_);
    return collect_returned();
}

bool pool_state::await_free(const waker& waker) {
    const std::lock_guard lock(elsewhere_);
    if (collect_returned()) { return true; }
    for (const auto& each : waiting_) {
        if (each.will_wake(waker)) { return false; }
    }
    waiting_.push_back(waker);
    awaited_.store(true, std::memory_order_relaxed);
    return false;
}

void pool_state::make_free(std::uint16_t id) noexcept {
    if (!ring_.is_there()) {
        free_.push_back(id);  // There is room for all.
        return;
    }
    ring_.provide(data(id), bytes_, id);
}

void pool_state::give_back(std::uint16_t id) noexcept {
    const worker_core* here = current_worker();
    const driver* const owner = owner_.load(std::memory_order_acquire);
    const bool at_home = here != nullptr && owner != nullptr && here->runs_on(*owner);
    if (at_home) {
        make_free(id);
        in_use_.fetch_sub(1, std::memory_order_relaxed);
        // Set by this thread only; a false one that is not seen yet has been woken.
        if (!awaited_.load(std::memory_order_relaxed)) { return; }
    }
    std::vector<waker> waiting;
    {
        const std::lock_guard lock(elsewhere_);
        if (!at_home) { returned_.push_back(id); }
        waiting.swap(waiting_);
        awaited_.store(false, std::memory_order_relaxed);
    }
    for (const auto& each : waiting) { each.wake(); }
}

}  // namespace heph::rt::detail
