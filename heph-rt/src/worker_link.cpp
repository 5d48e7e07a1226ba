#include "worker_link.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include "runtime_core.hpp"
#include "snapshot_request.hpp"
#include "worker_core.hpp"

namespace heph::rt::detail {

constinit thread_local worker_link* this_thread_link = nullptr;

worker_link::worker_link(runtime_core& runtime)
    : runtime_(&runtime), event_(::eventfd(0, EFD_CLOEXEC)) {
    if (event_ < 0) {
        throw std::system_error(errno, std::system_category(), "cannot make an event descriptor");
    }
}

worker_link::~worker_link() { ::close(event_); }

void worker_link::push_remote(process_header& process) noexcept {
    // Mostly it is empty: to try that first takes the cache line once, not for a look before.
    process_header* head = nullptr;
    do {
        process.remote_next = head;
    } while (!remote_.compare_exchange_weak(head, &process, std::memory_order_seq_cst,
                                            std::memory_order_relaxed));
    notify();
}

bool worker_link::push_shared(process_header& process) noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (process.is_bound()) {
            const std::uint64_t left = ready_time_.load(std::memory_order_relaxed);
            process.set_bound(
                false,
                left == 0 ? 0 : fair_queue::carry(process.virtual_time, left, shared_.time()));
        }
        shared_.push(process);
        shared_count_.fetch_add(1, std::memory_order_seq_cst);
    }
    return notify();
}

bool worker_link::notify(bool with_a_message) noexcept {
    // The load keeps the cache line shared while the worker is awake, which is most of the time.
    if (!sleeping_.load(std::memory_order_seq_cst)) { return false; }
    if (!sleeping_.exchange(false, std::memory_order_seq_cst)) { return false; }
    if (with_a_message) {
        woken_at_.store(std::chrono::steady_clock::now().time_since_epoch().count(),
                        std::memory_order_relaxed);
    }
    rouse();
    return true;
}

void worker_link::rouse() noexcept {
    worker_core* here = current_worker();
    const int ring = ring_.load(std::memory_order_relaxed);
    // One of another runtime might outlive this link, to whose descriptor it would fall back.
    if (here != nullptr && ring >= 0 && &here->runtime() == runtime_ &&
        here->driver().rouse(ring, event_)) {
        return;
    }
    const std::uint64_t one = 1;
    // It can only fail when the counter is full, and then the worker is woken anyway.
    [[maybe_unused]] const auto written = ::write(event_, &one, sizeof(one));
}

void worker_link::ask(std::shared_ptr<snapshot_request> request) {
    {
        const std::lock_guard lock(mutex_);
        requests_.push_back(std::move(request));
        asked_.store(true, std::memory_order_seq_cst);  // See Sleeping.
    }
    notify();
}

std::vector<std::shared_ptr<snapshot_request>> worker_link::take_requests() noexcept {
    const std::lock_guard lock(mutex_);
    asked_.store(false, std::memory_order_seq_cst);
    return std::exchange(requests_, {});
}

process_header* worker_link::take_remote() noexcept {
    process_header* newest = remote_.exchange(nullptr, std::memory_order_seq_cst);
    process_header* oldest = nullptr;
    while (newest != nullptr) {
        process_header* following = std::exchange(newest->remote_next, oldest);
        oldest = std::exchange(newest, following);
    }
    return oldest;
}

std::uint64_t worker_link::advance_shared(const shared_run& since) noexcept {
    const std::lock_guard lock(mutex_);
    shared_.advance(since);
    shared_time_.store(shared_.time(), std::memory_order_relaxed);
    return shared_.time();
}

process_header* worker_link::take_shared(const shared_run& since) noexcept {
    if (!has_shared()) { return nullptr; }
    const std::lock_guard lock(mutex_);
    auto* first = static_cast<process_header*>(shared_.pop(since));
    shared_time_.store(shared_.time(), std::memory_order_relaxed);
    if (first != nullptr) { shared_count_.fetch_sub(1, std::memory_order_seq_cst); }
    return first;
}

process_header* worker_link::steal_for(worker_link& thief) noexcept {
    process_header* stolen = take_shared({});
    if (stolen != nullptr) {
        // How far it is ahead of those here does not matter there: the thief had nothing to do.
        // What it runs from now on does.
        stolen->virtual_time = thief.shared_time();
        stolen->home = &thief;
    }
    return stolen;
}

void worker_link::drop_header(bool shared) noexcept {
    if (shared) {
        runtime_->drop_header();
    } else if (this_thread_link == this) {
        headers_.owner_drop();
    } else if (headers_.other_drop()) {
        runtime_->drop_header();
    }
}

void worker_link::open() noexcept { runtime_->add_header(); }

void worker_link::close() noexcept {
    if (headers_.merge()) { runtime_->drop_header(); }
}

}  // namespace heph::rt::detail
