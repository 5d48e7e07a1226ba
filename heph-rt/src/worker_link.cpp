#include "worker_link.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

namespace heph::rt::detail {

worker_link::worker_link() : event_(::eventfd(0, EFD_CLOEXEC)) {
    if (event_ < 0) {
        throw std::system_error(errno, std::system_category(), "cannot make an event descriptor");
    }
}

worker_link::~worker_link() { ::close(event_); }

void worker_link::push_remote(process_header& process) noexcept {
    process_header* head = remote_.load(std::memory_order_relaxed);
    do {
        process.next = head;
    } while (!remote_.compare_exchange_weak(head, &process, std::memory_order_seq_cst,
                                            std::memory_order_relaxed));
    notify();
}

bool worker_link::push_shared(process_header& process) noexcept {
    {
        const std::lock_guard lock(shared_);
        process.next = nullptr;
        if (shared_head_ == nullptr) {
            shared_head_ = &process;
        } else {
            shared_tail_->next = &process;
        }
        shared_tail_ = &process;
        shared_count_.fetch_add(1, std::memory_order_seq_cst);
    }
    return notify();
}

bool worker_link::notify() noexcept {
    // The load keeps the cache line shared while the worker is awake, which is most of the time.
    if (!sleeping_.load(std::memory_order_seq_cst)) { return false; }
    if (!sleeping_.exchange(false, std::memory_order_seq_cst)) { return false; }
    const std::uint64_t one = 1;
    // It can only fail when the counter is full, and then the worker is woken anyway.
    [[maybe_unused]] const auto written = ::write(event_, &one, sizeof(one));
    return true;
}

process_header* worker_link::take_remote() noexcept {
    process_header* newest = remote_.exchange(nullptr, std::memory_order_seq_cst);
    process_header* oldest = nullptr;
    while (newest != nullptr) {
        process_header* following = std::exchange(newest->next, oldest);
        oldest = std::exchange(newest, following);
    }
    return oldest;
}

process_header* worker_link::take_shared() noexcept {
    if (!has_shared()) { return nullptr; }
    const std::lock_guard lock(shared_);
    process_header* first = shared_head_;
    if (first != nullptr) {
        shared_head_ = std::exchange(first->next, nullptr);
        shared_count_.fetch_sub(1, std::memory_order_seq_cst);
    }
    return first;
}

}  // namespace heph::rt::detail
