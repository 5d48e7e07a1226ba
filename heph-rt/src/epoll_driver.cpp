#include "epoll_driver.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <new>
#include <utility>

#include <heph/inbox/assert.hpp>

#include "busy_descriptors.hpp"
#include "cached_read.hpp"
#include "readiness_call.hpp"
#include "system_call.hpp"
#include "worker_core.hpp"
#include "worker_link.hpp"

namespace heph::rt::detail {

namespace {

constexpr std::uint64_t wake_data = ~std::uint64_t{0};

// While processes are ready, events are looked for so often.
constexpr std::chrono::microseconds poll_period{20};

// What no event is to be had for is tried again so often.
constexpr std::chrono::milliseconds retry_period{5};

// So many operations of one process in a row may complete at once; then others have their turn.
constexpr int at_once_max = 32;
// A read out of the page cache counts as one more for each of so many bytes.
constexpr std::size_t bytes_a_share = 32 * 1024;
// So many shares of the reads that had to wait for their turn are served in one.
constexpr int reads_a_turn = 32;

constexpr std::uint32_t always_watched = EPOLLET | EPOLLRDHUP | EPOLLPRI;

std::uint32_t direction_of(const slot& operation) noexcept {
    switch (operation.request.code) {
        case request_code::send:
        case request_code::connect:
        case request_code::write: return EPOLLOUT;
        case request_code::call:
        case request_code::await: return operation.call->reads() ? EPOLLIN : EPOLLOUT;
        default: return EPOLLIN;
    }
}

constexpr bool would_block(std::int32_t result) noexcept {
    return result == -EAGAIN || result == -EWOULDBLOCK;
}

int shares_of_read(const slot& operation) noexcept {
    const std::size_t bytes = std::min(operation.data.spare(), cached_read_bytes_max);
    return 1 + static_cast<int>(bytes / bytes_a_share);
}

std::int32_t accept_from(int listener) noexcept {
    return retry(
        [listener] { return ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); });
}

std::int32_t readiness_of(const slot& operation) noexcept {
    return is_ready(operation.request.descriptor, direction_of(operation) == EPOLLIN);
}

}  // namespace

std::expected<std::unique_ptr<driver>, int> epoll_driver::make(worker_link& link,
                                                               const driver_settings& settings) {
    std::unique_ptr<epoll_driver> made(new epoll_driver(link, settings));
    made->epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (made->epoll_ < 0) { return std::unexpected(errno); }
    // Edge-triggered, its count is never read: each write is an event.
    epoll_event wakes{};
    wakes.events = EPOLLIN | EPOLLET;
    wakes.data.u64 = wake_data;
    if (::epoll_ctl(made->epoll_, EPOLL_CTL_ADD, link.event_descriptor(), &wakes) != 0) {
        return std::unexpected(errno);
    }
    return made;
}

epoll_driver::~epoll_driver() {
    if (epoll_ >= 0) { ::close(epoll_); }
    give_up_slots();
}

std::unique_ptr<buffer_pool> epoll_driver::make_buffers() {
    return buffer_pool::make(settings_.receive_buffers, settings_.receive_buffer_bytes);
}

int epoll_driver::socket_flags() const noexcept { return SOCK_NONBLOCK; }

// What is known of descriptors.

epoll_driver::watched* epoll_driver::find(int descriptor) noexcept {
    const auto index = static_cast<std::size_t>(descriptor);
    if (descriptor < 0 || index / table_chunk >= table_.size()) { return nullptr; }
    watched_chunk* const chunk = table_[index / table_chunk].get();
    return chunk != nullptr ? &(*chunk)[index % table_chunk] : nullptr;
}

epoll_driver::watched* epoll_driver::find_or_make(int descriptor) noexcept {
    if (watched* known = find(descriptor)) { return known; }
    const std::size_t index = static_cast<std::size_t>(descriptor) / table_chunk;
    try {
        if (index >= table_.size()) { table_.resize(index + 1); }
        if (table_[index] == nullptr) { table_[index] = std::make_unique<watched_chunk>(); }
    } catch (const std::bad_alloc&) { return nullptr; }
    return find(descriptor);
}

int epoll_driver::watch(slot& operation, watched& entry) noexcept {
    const int descriptor = operation.request.descriptor;
    const std::uint32_t wanted = direction_of(operation);
    if (entry.trusted != nullptr && (entry.events & wanted) != 0) { return 0; }
    epoll_event asked{};
    asked.data.u64 = static_cast<std::uint32_t>(descriptor);
    asked.events = always_watched | entry.events | wanted;
    int action = entry.events != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int result = ::epoll_ctl(epoll_, action, descriptor, &asked);
    if (result != 0 && errno == ENOENT) {
        // The one that was watched is closed, and another has its number.
        asked.events = always_watched | wanted;
        result = ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &asked);
    } else if (result != 0 && errno == EEXIST) {
        asked.events |= EPOLLIN | EPOLLOUT;  // Whatever it was watched for.
        result = ::epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &asked);
    }
    if (result != 0) {
        entry.events = 0;
        return errno;
    }
    entry.events = asked.events;
    return 0;
}

void epoll_driver::unwatch(slot& operation) noexcept {
    operation.watched = false;
    watched* const entry = find(operation.request.descriptor);
    if (entry != nullptr && entry->trusted == &operation) { entry->trusted = nullptr; }
}

// Requests.

// `shares` is how many of the small ones it takes as long as.
bool epoll_driver::may_go_on_at_once(int shares) noexcept {
    const process_header* const process = current_process();
    if (process != last_process_) {
        last_process_ = process;
        at_once_ = 0;
    }
    const bool may = at_once_ < at_once_max;
    at_once_ += may ? shares : 0;
    return may;
}

void epoll_driver::start_soon(slot& operation) noexcept {
    if (may_go_on_at_once()) {
        try_or_wait(operation);
    } else {
        ready_.push(operation);
    }
}

// Pipes, terminals and the like say when they are ready; files are refused. What is ready now is
// seen here: there may be no event for that.
void epoll_driver::start_when_ready(slot& operation) noexcept {
    if (readiness_of(operation) == 0) {
        start_blocking(operation);
        return;
    }
    watched* const entry = find_or_make(operation.request.descriptor);
    if (entry == nullptr || watch(operation, *entry) != 0) {
        start_blocking(operation);
    } else {
        wait_for_readiness(operation, *entry);
    }
}

// What is in the page cache is copied here: handing it to a thread and back takes many times as
// long as a few pages do.
void epoll_driver::start_read(slot& operation) noexcept {
    if (!may_go_on_at_once(shares_of_read(operation))) {
        ready_reads_.push(operation);
    } else if (const auto result = read_cached(operation)) {
        finish(operation, *result);
    } else {
        start_when_ready(operation);
    }
}

void epoll_driver::start_call(slot& operation) noexcept {
    switch (operation.call->how()) {
        case io_call::waits::to_read:
        case io_call::waits::to_write:
        case io_call::waits::to_retry: start_soon(operation); return;
        case io_call::waits::on_thread: start_blocking(operation); return;
        case io_call::waits::to_read_on_thread:
        case io_call::waits::to_write_on_thread: start_when_ready(operation); return;
    }
}

void epoll_driver::start(slot& operation) noexcept {
    switch (operation.request.code) {
        case request_code::receive:
        case request_code::send:
        case request_code::connect:
        case request_code::await: start_soon(operation); return;
        case request_code::call: start_call(operation); return;
        case request_code::accept_one:
            make_non_blocking(operation.request.descriptor);
            finish(operation, accept_from(operation.request.descriptor));
            return;
        case request_code::receive_many:
        case request_code::accept_many: break;
        case request_code::open:
        case request_code::close:
        case request_code::sync: start_blocking(operation); return;
        case request_code::read: start_read(operation); return;
        case request_code::write: start_when_ready(operation); return;
    }
    watched* const entry = find_or_make(operation.request.descriptor);
    if (entry == nullptr) {
        finish(operation, -ENOMEM);
    } else if (!operation.watched) {
        if (operation.request.code == request_code::accept_many) {
            make_non_blocking(operation.request.descriptor);
        }
        // Being ready already is an event, too.
        wait_for_readiness(operation, *entry);
    } else if (entry->readable) {
        ready_.push(operation);
    } else {
        entry->readers.push(operation);
    }
}

void epoll_driver::try_or_wait(slot& operation) noexcept {
    watched* const entry = find_or_make(operation.request.descriptor);
    if (entry == nullptr) {
        finish(operation, -ENOMEM);
        return;
    }
    const bool reads = direction_of(operation) == EPOLLIN;
    // Behind others that wait, in order; but what there is no event for is only tried.
    const bool waits_for_no_event =
        operation.call != nullptr && operation.call->how() == io_call::waits::to_retry;
    const bool first = waits_for_no_event || (reads ? entry->readers : entry->writers).empty();
    if (first && attempt(operation, *entry)) { return; }
    wait_for_readiness(operation, *entry);
}

void epoll_driver::wait_for_readiness(slot& operation, watched& entry) noexcept {
    const bool reads = direction_of(operation) == EPOLLIN;
    (reads ? entry.readers : entry.writers).push(operation);
    const bool lasting =
        operation.kind == slot_kind::receives || operation.kind == slot_kind::accepts;
    if (const int failed = watch(operation, entry); failed != 0) {
        finish(operation, -failed);
    } else if (lasting && !operation.watched) {
        operation.watched = true;
        entry.trusted = &operation;
    }
}

void epoll_driver::cancel(slot& operation) noexcept {
    if (operation.watched) { unwatch(operation); }
    if (operation.list != nullptr) {
        finish(operation, -ECANCELED);
    } else {
        operation.unwanted.store(true, std::memory_order_relaxed);
    }
}

void epoll_driver::pause(slot& operation) noexcept {
    if (operation.armed) { (void)end_multishot(operation); }
}

void epoll_driver::close_ordinary(int descriptor) noexcept {
    if (watched* const entry = find(descriptor)) {
        while (slot* each = entry->readers.front()) { finish(*each, -ECANCELED); }
        while (slot* each = entry->writers.front()) { finish(*each, -ECANCELED); }
        *entry = watched();
    }
    ::close(descriptor);
}

void epoll_driver::close_ordinary_file(int descriptor) noexcept {
    if (close_when_let_go(descriptor)) { return; }
    if (watched* const entry = find(descriptor); entry != nullptr && entry->events != 0) {
        close_ordinary(descriptor);  // A pipe or the like.
        return;
    }
    slot* closing = nullptr;
    try {
        closing = &slots_->acquire(slot_kind::plain, nullptr);
    } catch (const std::bad_alloc&) {
        ::close(descriptor);
        return;
    }
    close_in_background(*closing, descriptor);
}

// Attempts.

bool epoll_driver::attempt(slot& operation, watched& entry) noexcept {
    const request& asked = operation.request;
    std::int32_t result = 0;
    switch (asked.code) {
        case request_code::receive_many: return attempt_receive_many(operation, entry);
        case request_code::accept_many: return attempt_accept_many(operation, entry);
        case request_code::receive: {
            const auto room = operation.data.spare_bytes();
            result = retry([&] {
                return ::recv(asked.descriptor, room.data(),
                              std::min(room.size(), transfer_bytes_max), MSG_DONTWAIT);
            });
            if (would_block(result)) { entry.readable = false; }
            break;
        }
        case request_code::send:
            result = retry([&] {
                return ::send(asked.descriptor, operation.data.data() + asked.from,
                              std::min(operation.data.size() - asked.from, transfer_bytes_max),
                              MSG_DONTWAIT | MSG_NOSIGNAL);
            });
            break;
        case request_code::connect:
            // Asked again, it tells how the attempt ended.
            result =
                ::connect(asked.descriptor, reinterpret_cast<sockaddr*>(operation.address.get()),
                          static_cast<socklen_t>(asked.flags)) == 0
                    ? 0
                    : -errno;
            if (result == -EISCONN) { result = 0; }
            if (would_block(result)) {
                // A Unix listener's backlog is full; there is no event for when it is not.
                try_later(operation);
                return true;
            }
            if (result == -EINPROGRESS || result == -EALREADY || result == -EINTR) { return false; }
            break;
        case request_code::read: {
            const auto cached = read_cached(operation);
            if (!cached) { return attempt_on_thread(operation); }
            result = *cached;
            break;
        }
        case request_code::write: return attempt_on_thread(operation);
        case request_code::call:
            if (operation.call->how() == io_call::waits::to_read_on_thread ||
                operation.call->how() == io_call::waits::to_write_on_thread) {
                return attempt_on_thread(operation);
            }
            result = operation.call->perform();
            if (would_block(result) && operation.call->how() == io_call::waits::to_retry) {
                try_later(operation);
                return true;
            }
            break;
        case request_code::await: result = readiness_of(operation); break;
        case request_code::accept_one:
        case request_code::open:
        case request_code::sync:
        case request_code::close: HEPH_ASSERT(false); break;
    }
    if (would_block(result)) { return false; }
    finish(operation, result);
    return true;
}

// The event may be an old one, or told to several that wait; a thread would be held up by what is
// not there, and swallow what comes for another.
bool epoll_driver::attempt_on_thread(slot& operation) noexcept {
    if (readiness_of(operation) != 0) { return false; }
    if (operation.list != nullptr) { operation.list->remove(operation); }
    start_blocking(operation);
    return true;
}

bool epoll_driver::attempt_receive_many(slot& operation, watched& entry) noexcept {
    const std::size_t bytes = buffers_->buffer_bytes();
    bool arrived = false;
    for (;;) {
        if (operation.chunks.count >= chunks_max) {
            operation.flooded = true;
            return end_multishot(operation);
        }
        const auto id = buffers_->take_free();
        if (!id) {
            operation.starved = true;
            return end_multishot(operation);
        }
        const std::int32_t result = retry([&] {
            return ::recv(operation.request.descriptor, buffers_->data(*id), bytes, MSG_DONTWAIT);
        });
        if (result > 0) {
            arrived = true;
            buffers_->enqueue(operation.chunks, *id, static_cast<std::size_t>(result));
            const bool filled = static_cast<std::size_t>(result) == bytes;
            if (filled || entry.to_the_end || !operation.short_is_all) { continue; }
            entry.readable = false;
        } else {
            buffers_->recycle(*id);
            if (!would_block(result)) {
                note_received(operation, result);
                return end_multishot(operation);
            }
            entry.readable = false;
        }
        if (arrived) { settle(operation, false); }
        return false;
    }
}

bool epoll_driver::attempt_accept_many(slot& operation, watched& entry) noexcept {
    bool arrived = false;
    for (;;) {
        if (operation.accepted_waiting() >= accepted_max) { return end_multishot(operation); }
        const std::int32_t result = accept_from(operation.request.descriptor);
        if (would_block(result)) {
            entry.readable = false;
            if (arrived) { settle(operation, false); }
            return false;
        }
        if (result == -ECONNABORTED) { continue; }
        note_accepted(operation, result);
        if (result < 0 || operation.result < 0) { return end_multishot(operation); }
        arrived = true;
    }
}

// Events.

void epoll_driver::serve(slot_list& waiting, watched& entry) noexcept {
    while (slot* const first = waiting.front()) {
        if (!attempt(*first, entry)) { return; }
    }
}

void epoll_driver::serve_ready() noexcept {
    // What gets ready meanwhile waits for the next turn.
    slot* const last = ready_.back();
    while (slot* const each = ready_.front()) {
        ready_.remove(*each);
        try_or_wait(*each);
        if (each == last) { return; }
    }
}

// Each may copy much: timers, sockets and processes have their turn between a few of them.
void epoll_driver::serve_ready_reads() noexcept {
    for (int served = 0; served < reads_a_turn;) {
        slot* const first = ready_reads_.front();
        if (first == nullptr) { return; }
        served += shares_of_read(*first);  // Before: completed, it has no more room.
        ready_reads_.remove(*first);
        try_or_wait(*first);
    }
}

void epoll_driver::try_later(slot& operation) noexcept {
    if (operation.list != nullptr) { operation.list->remove(operation); }
    if (retried_.empty()) { retry_at_ = clock::now() + retry_period; }
    retried_.push(operation);
}

void epoll_driver::retry_due() noexcept {
    if (retried_.empty() || clock::now() < retry_at_) { return; }
    while (slot* const each = retried_.front()) {
        retried_.remove(*each);
        ready_.push(*each);
    }
}

void epoll_driver::poll_events(int timeout_ms) noexcept {
    const int count =
        ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), timeout_ms);
    slots_->begin_touching([this](slot& each) { abandon(each); });
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events_[static_cast<std::size_t>(i)];
        if (event.data.u64 == wake_data) { continue; }
        watched* const entry = find(static_cast<int>(event.data.u64));
        if (entry == nullptr) { continue; }
        if ((event.events & ~(EPOLLIN | EPOLLOUT)) != 0) { entry->to_the_end = true; }
        if ((event.events & ~EPOLLOUT) != 0) {
            entry->readable = true;
            serve(entry->readers, *entry);
        }
        if ((event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
            serve(entry->writers, *entry);
        }
    }
    retry_due();
    serve_ready();
    serve_ready_reads();
    slots_->end_touching();
    take_finished_jobs();
    if (buffers_ != nullptr) { buffers_->collect_returned(); }
    drop_unused_pools();
}

void epoll_driver::turn() noexcept {
    at_once_ = 0;
    last_process_ = nullptr;
    const auto now = clock::now();
    if (!anything_completed() && now - polled_at_ < poll_period) { return; }
    polled_at_ = now;
    poll_events(0);
}

void epoll_driver::wait(std::optional<std::chrono::milliseconds> timeout) noexcept {
    at_once_ = 0;
    last_process_ = nullptr;
    int timeout_ms = -1;
    if (anything_completed()) {
        timeout_ms = 0;
    } else if (timeout) {
        timeout_ms = static_cast<int>(std::min<std::int64_t>(timeout->count(), INT_MAX));
    }
    if (!retried_.empty() && (timeout_ms < 0 || timeout_ms > retry_period.count())) {
        timeout_ms = static_cast<int>(retry_period.count());
    }
    poll_events(timeout_ms);
}

std::size_t epoll_driver::drain(std::chrono::milliseconds patience) noexcept {
    slots_->for_each_used([this](slot& used) {
        if (used.armed && used.state == slot_state::in_flight) { cancel(used); }
    });
    const auto until = clock::now() + patience;
    while (slots_->in_flight() != 0 && jobs_ != nullptr && clock::now() < until) {
        jobs_->wait_for_finished(until);
        take_finished_jobs();
    }
    return slots_->in_flight();
}

}  // namespace heph::rt::detail
