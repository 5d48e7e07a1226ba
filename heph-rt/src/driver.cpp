#include "driver.hpp"

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include <heph/inbox/assert.hpp>

#include "net/socket_calls.hpp"
#include "worker_link.hpp"

namespace heph::rt::detail {

driver::driver(worker_link& link, const driver_settings& settings)
    : link_(&link), settings_(settings), slots_(std::make_unique<slot_pool>(link)) {}

driver::~driver() { HEPH_ASSERT(slots_ == nullptr); }

void driver::give_up_slots() noexcept {
    jobs_.reset();
    for (const auto& each : pools_) { each->leave(); }
    pools_.clear();
    // Futures elsewhere may still hold slots; what those have is of no use without the driver.
    slots_->for_each_used([this](slot& held) { discard_result(held); });
    if (buffers_ != nullptr) {
        if (slots_->in_flight() == 0) {
            buffer_pool::close(std::move(buffers_));
        } else {
            (void)buffers_.release();  // The kernel may still write to them: rather leaked.
        }
    }
    slot_pool::close(std::move(slots_));
}

buffer_pool* driver::buffers() noexcept {
    if (buffers_ == nullptr && !no_buffers_) {
        try {
            buffers_ = make_buffers();
        } catch (const std::bad_alloc&) {}  // Streams do without.
        no_buffers_ = buffers_ == nullptr;
    }
    return buffers_.get();
}

std::error_code driver::adopt(std::shared_ptr<pool_state> pool) {
    // The first number that none has; 0 is that of the worker's own buffers.
    std::uint16_t group = 1;
    const auto has_it = [&group](const auto& each) { return each->group() == group; };
    while (std::any_of(pools_.begin(), pools_.end(), has_it)) {
        if (++group == 0) { return std::make_error_code(std::errc::no_buffer_space); }
    }
    pools_.reserve(pools_.size() + 1);
    if (const int failed = give_to_kernel(*pool, group); failed != 0) {
        return {failed, std::system_category()};
    }
    pools_.push_back(std::move(pool));
    return {};
}

void driver::look_for_unused_pools() noexcept {
    // Nobody can come to refer to one to which none does: who would have to copy a reference.
    std::erase_if(pools_, [this](const auto& each) {
        if (each.use_count() != 1) { return false; }
        take_from_kernel(*each);
        return true;
    });
}

void driver::begin(slot& operation, const request& asked) noexcept {
    HEPH_ASSERT(operation.state == slot_state::in_flight && !operation.armed);
    operation.request = asked;
    operation.armed = true;
    slots_->count_in_flight(1);
    if (is_direct(asked.descriptor)) [[unlikely]] {
        if (!begin_direct(operation)) { return; }
    }
    start(operation);
}

// Refuses those of another worker, and those whose worker has ended.
bool driver::begin_direct(slot& operation) noexcept {
    const int number = operation.request.descriptor;
    if (owns_direct(number)) {
        direct_->begin_operation(number);
        return true;
    }
    operation.request.descriptor = -1;
    complete(operation, -EBADF);
    return false;
}

void driver::close_direct(int number) noexcept {
    if (!owns_direct(number)) {
        drop_direct(number);
    } else if (direct_->close(number)) {
        close_slot(direct_table::slot_of(number));
    }
}

int driver::to_direct(int descriptor) noexcept {
    if (direct_ == nullptr || direct_->in_use() == direct_->size()) { return -ENFILE; }
    const int slot = take_in(descriptor);
    return slot < 0 ? slot : direct_->note_taken(static_cast<unsigned>(slot));
}

void driver::take_dropped() noexcept {
    slots_->take_dropped([this](slot& each) { abandon(each); });
    if (direct_ != nullptr && direct_->any_dropped()) {
        direct_->take_dropped([this](int number) { close_direct(number); });
    }
}

void driver::abandon(slot& dropped) noexcept {
    HEPH_ASSERT(dropped.state == slot_state::in_flight || dropped.state == slot_state::completed);
    const int close_after = std::exchange(dropped.close_after, -1);
    discard_result(dropped);
    if (dropped.armed) {
        dropped.state = slot_state::abandoned;
        dropped.waker = waker();
        dropped.holder = pin();
        cancel(dropped);
    } else {
        if (dropped.watched) { unwatch(dropped); }
        slots_->release(dropped);
    }
    if (close_after >= 0) { close_descriptor(close_after); }
}

void driver::start_blocking(slot& operation) noexcept {
    operation.on_thread = true;
    try {
        if (jobs_ == nullptr) { jobs_ = std::make_unique<blocking_jobs>(*link_); }
        if (jobs_->submit(operation)) { return; }
    } catch (const std::bad_alloc&) {}  // As without threads.
    complete(operation, perform(operation));
}

void driver::close_in_background(slot& taken, int descriptor) noexcept {
    taken.request = {.code = request_code::close, .descriptor = descriptor};
    taken.armed = true;
    taken.state = slot_state::abandoned;  // Nobody waits for it.
    slots_->count_in_flight(1);
    start_blocking(taken);
}

void driver::complete_jobs() noexcept {
    jobs_->take_finished([this](slot& each) { complete(each, each.job_result); });
}

void driver::retire(slot& operation) noexcept {
    HEPH_ASSERT(operation.armed);
    operation.armed = false;
    operation.pausing = false;
    operation.on_thread = false;
    slots_->count_in_flight(-1);
    const int descriptor = operation.request.descriptor;
    if (is_direct(descriptor)) [[unlikely]] {
        if (direct_->end_operation(descriptor)) { close_slot(direct_table::slot_of(descriptor)); }
    }
}

void driver::note_accepted(slot& operation, std::int32_t result) noexcept {
    if (result >= 0) {
        try {
            operation.accepted.push_back(result);
        } catch (const std::bad_alloc&) {
            calls::close(result);
            operation.result = -ENOMEM;
        }
    } else if (result != -ECANCELED) {
        operation.result = result;
    }
}

void driver::note_received(slot& operation, std::int32_t result) noexcept {
    if (result > 0) {
        operation.data.commit(static_cast<std::size_t>(result));  // The receive of a starved one.
    } else if (result == 0) {
        operation.ended = true;
    } else if (result == -ENOBUFS) {
        operation.starved = true;
    } else {
        operation.result = result;
    }
}

void driver::settle(slot& operation, bool last) noexcept {
    if (operation.state == slot_state::abandoned) {
        discard_result(operation);
        if (last) { slots_->release(operation); }
        return;
    }
    if (last) { operation.state = slot_state::completed; }
    operation.waker.wake();
}

void driver::complete(slot& operation, std::int32_t result) noexcept {
    retire(operation);
    if (result == -ECANCELED && operation.call != nullptr) { operation.call->note_cancelled(); }
    switch (operation.kind) {
        case slot_kind::plain:
        case slot_kind::opens: operation.result = result; break;
        case slot_kind::receives: note_received(operation, result); break;
        case slot_kind::accepts: note_accepted(operation, result); break;
        case slot_kind::takes: (void)operation.call->note_completion(result, 0); break;
    }
    settle(operation, true);
}

bool driver::end_multishot(slot& operation) noexcept {
    if (operation.list != nullptr) { operation.list->remove(operation); }
    retire(operation);
    settle(operation, true);
    return true;
}

void driver::discard_result(slot& operation) noexcept {
    switch (operation.kind) {
        case slot_kind::plain:
        case slot_kind::takes: break;  // The call has it, and goes with the slot.
        case slot_kind::opens:
            if (!operation.armed && operation.result >= 0) {
                calls::close(std::exchange(operation.result, -ECANCELED));
            }
            break;
        case slot_kind::receives:
            if (operation.chunks.count != 0) { buffers_->discard(operation.chunks); }
            break;
        case slot_kind::accepts:
            for (std::size_t i = operation.accepted_taken; i < operation.accepted.size(); ++i) {
                calls::close(operation.accepted[i]);
            }
            operation.accepted.clear();
            operation.accepted_taken = 0;
            break;
    }
}

}  // namespace heph::rt::detail
