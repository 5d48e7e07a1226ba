#include "uring_driver.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <utility>

#include <heph/inbox/assert.hpp>

#include "busy_descriptors.hpp"
#include "system_call.hpp"
#include "tsan_hooks.hpp"
#include "worker_core.hpp"
#include "worker_link.hpp"

namespace heph::rt::detail {

namespace {

// User data without a slot's index, which is in the lower half and not 0.
constexpr std::uint64_t ignored = 0;
constexpr std::uint64_t event_of_wake = std::uint64_t{1} << 63U;

constexpr bool is_slot(std::uint64_t user_data) noexcept {
    return static_cast<std::uint32_t>(user_data) != 0;
}
// That of a close; the same for no descriptor as the others.
constexpr std::uint64_t closing(int descriptor) noexcept {
    return (std::uint64_t{static_cast<std::uint32_t>(descriptor)} + 1) << 32U;
}
constexpr int descriptor_of(std::uint64_t user_data) noexcept {
    return static_cast<int>((user_data >> 32U) - 1);
}

// What nothing tells the end of is tried again so often.
__kernel_timespec retry_after{0, 5'000'000};

// That of a message to another ring: the descriptor to fall back to.
constexpr std::uint64_t message = std::uint64_t{1} << 62U;
constexpr std::uint64_t message_or(int descriptor) noexcept {
    return message | std::uint64_t{static_cast<std::uint32_t>(descriptor)} << 32U;
}

// That of closing a slot of the table; and of what is carried out while it is submitted.
constexpr std::uint64_t slot_closing = std::uint64_t{1} << 61U;
constexpr std::uint64_t at_once = std::uint64_t{1} << 60U;

// From 6.13 on a file leaves the table for good when its own operations have ended. Before, all
// that began earlier on any slot had to end first: the peer of a connection would not learn that it
// was closed for as long as another one receives. This came with 6.14, and can be asked for.
constexpr unsigned leaves_at_once = 1U << 16U;  // IORING_FEAT_RW_ATTR
constexpr int fixed_fd_install = 54;            // Newer than the library's header.

void write_event(int descriptor) noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(descriptor, &one, sizeof(one));
}

// Tells whether the kernel takes an operation (5.6 and newer can be asked).
bool supports(io_uring& ring, int operation) noexcept {
    io_uring_probe* probe = io_uring_get_probe_ring(&ring);
    if (probe == nullptr) { return false; }
    const bool found = io_uring_opcode_supported(probe, operation) != 0;
    io_uring_free_probe(probe);
    return found;
}

// Sets a ring up with the best flags that the kernel takes. Gives a negative errno or 0.
int set_up(unsigned entries, io_uring& ring) noexcept {
    constexpr unsigned common = IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL;
    constexpr std::array<unsigned, 2> choices{
        // 6.1: completions come only when the loop asks for them.
        common | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
            IORING_SETUP_TASKRUN_FLAG,
        // 5.19, which also has all operations that are used: no interrupts for completions.
        common | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    };
    int failed = 0;
    for (const unsigned flags : choices) {
        io_uring_params parameters{};
        parameters.flags = flags | IORING_SETUP_CQSIZE;
        parameters.cq_entries = entries * 4;
        failed = io_uring_queue_init_params(entries, &ring, &parameters);
        if (failed != -EINVAL) { break; }
    }
    if (failed == 0) { ring_was_mapped(); }
    return failed;
}

void tear_down(io_uring& ring) noexcept {
    about_to_unmap_ring();
    io_uring_queue_exit(&ring);
}

}  // namespace

int probe_io_uring(unsigned entries) noexcept {
    io_uring ring{};
    const int failed = set_up(entries, ring);
    if (failed == 0) { tear_down(ring); }
    return -failed;
}

std::expected<std::unique_ptr<driver>, int> uring_driver::make(worker_link& link,
                                                               const driver_settings& settings) {
    std::unique_ptr<uring_driver> made(new uring_driver(link, settings));
    if (const int failed = set_up(static_cast<unsigned>(settings.ring_entries), made->ring_);
        failed != 0) {
        return std::unexpected(-failed);
    }
    made->initialised_ = true;
    // Saves a descriptor look-up on each call; a kernel without it does as well.
    (void)io_uring_register_ring_fd(&made->ring_);
    made->sends_messages_ = supports(made->ring_, IORING_OP_MSG_RING);
    made->make_direct_table();
    made->watch_event();
    return made;
}

uring_driver::~uring_driver() {
    if (initialised_) {
        io_uring_submit(&ring_);
        // The end of the ring would close what is left only some time later.
        if (direct_ != nullptr) { (void)io_uring_unregister_files(&ring_); }
        tear_down(ring_);
    }
    give_up_slots();
}

std::unique_ptr<buffer_pool> uring_driver::make_buffers() {
    auto made = buffer_pool::make(settings_.receive_buffers, settings_.receive_buffer_bytes);
    if (made != nullptr && made->hand_to(ring_) != 0) { made.reset(); }
    return made;
}

int uring_driver::give_to_kernel(pool_state& pool, std::uint16_t group) {
    return pool.hand_to(ring_, group);
}

void uring_driver::take_from_kernel(pool_state& pool) noexcept { pool.take_from(ring_); }

io_uring_sqe& uring_driver::next_submission() noexcept {
    for (;;) {
        if (io_uring_sqe* entry = io_uring_get_sqe(&ring_)) { return *entry; }
        // The queue is full: hand it over and go on. It may stay full only while completions are
        // to be taken first.
        if (io_uring_submit_and_get_events(&ring_) < 0) { reap(); }
    }
}

void uring_driver::start(slot& operation) noexcept {
    if (operation.request.code == request_code::call && !operation.call->on_ring()) {
        start_blocking(operation);
        return;
    }
    io_uring_sqe& entry = next_submission();
    const request& asked = operation.request;
    const int descriptor = asked.descriptor;
    const auto room = operation.data.spare_bytes();
    const std::size_t room_bytes = std::min(room.size(), transfer_bytes_max);
    const std::byte* from = operation.data.data() + asked.from;
    const std::size_t left = std::min(operation.data.size() - asked.from, transfer_bytes_max);
    switch (asked.code) {
        case request_code::receive:
            io_uring_prep_recv(&entry, descriptor, room.data(), room_bytes, 0);
            break;
        case request_code::receive_many:
            io_uring_prep_recv_multishot(&entry, descriptor, nullptr, 0, 0);
            entry.flags |= IOSQE_BUFFER_SELECT;
            entry.buf_group = buffer_pool::group;
            break;
        case request_code::send:
            io_uring_prep_send(&entry, descriptor, from, left, MSG_NOSIGNAL | MSG_WAITALL);
            break;
        case request_code::accept_many:
            if (asked.flags != 0) {
                io_uring_prep_multishot_accept_direct(&entry, descriptor, nullptr, nullptr, 0);
            } else {
                io_uring_prep_multishot_accept(&entry, descriptor, nullptr, nullptr, SOCK_CLOEXEC);
            }
            break;
        case request_code::accept_one:
            io_uring_prep_accept(&entry, descriptor, nullptr, nullptr, SOCK_CLOEXEC);
            break;
        case request_code::connect:
            io_uring_prep_connect(&entry, descriptor,
                                  reinterpret_cast<sockaddr*>(operation.address.get()),
                                  static_cast<unsigned>(asked.flags));
            break;
        case request_code::open:
            io_uring_prep_openat(&entry, AT_FDCWD, operation.path->c_str(), asked.flags,
                                 asked.mode);
            break;
        case request_code::read:
            io_uring_prep_read(&entry, descriptor, room.data(), static_cast<unsigned>(room_bytes),
                               asked.offset);
            break;
        case request_code::write:
            io_uring_prep_write(&entry, descriptor, from, static_cast<unsigned>(left),
                                asked.offset);
            break;
        case request_code::sync:
            io_uring_prep_fsync(&entry, descriptor, asked.flags != 0 ? IORING_FSYNC_DATASYNC : 0);
            break;
        case request_code::close:
            about_to_close(descriptor);
            io_uring_prep_close(&entry, descriptor);
            break;
        case request_code::call: operation.call->submit(entry); break;
        case request_code::await:
            if (operation.call->how() == io_call::waits::to_retry) {
                io_uring_prep_timeout(&entry, &retry_after, 0, 0);
            } else {
                io_uring_prep_poll_add(&entry, descriptor,
                                       operation.call->reads() ? POLLIN : POLLOUT);
            }
            break;
    }
    if (is_direct(entry.fd)) [[unlikely]] {
        entry.fd = static_cast<int>(direct_table::slot_of(entry.fd));
        entry.flags |= IOSQE_FIXED_FILE;
    }
    entry.user_data = operation.user_data();
    // It is tried before it waits, and the next submission ends the wait.
    if (asked.code == request_code::accept_one) { cancel(operation); }
}

void uring_driver::cancel(slot& operation) noexcept {
    if (operation.on_thread) {
        operation.unwanted.store(true, std::memory_order_relaxed);
        return;
    }
    io_uring_sqe& entry = next_submission();
    io_uring_prep_cancel64(&entry, operation.user_data(), 0);
    entry.user_data = ignored;
}

void uring_driver::close_ordinary(int descriptor) noexcept {
    io_uring_sqe& entry = next_submission();
    about_to_close(descriptor);
    io_uring_prep_close(&entry, descriptor);
    entry.user_data = closing(descriptor);
    ++closes_;
}

void uring_driver::close_ordinary_file(int descriptor) noexcept {
    if (!close_when_let_go(descriptor)) { close_ordinary(descriptor); }
}

void uring_driver::make_direct_table() noexcept {
    const std::size_t slots = settings_.direct_descriptors;
    if (slots == 0 || (ring_.features & leaves_at_once) == 0) { return; }
    try {
        auto made = direct_table::make(*link_, slots);
        if (made != nullptr &&
            io_uring_register_files_sparse(&ring_, static_cast<unsigned>(slots)) == 0) {
            direct_ = std::move(made);
        }
    } catch (const std::bad_alloc&) {}  // As with a kernel that has none.
}

// Carries out what the kernel does while it takes it, and looks for its completion among the
// others, which stay where they are. Gives its result.
template <typename Prepare>
std::int32_t uring_driver::run_now(Prepare prepare) noexcept {
    // With so much room its completion is there, and not in the kernel's list of those without any.
    if (io_uring_cq_ready(&ring_) >= ring_.cq.ring_entries / 2 ||
        (IO_URING_READ_ONCE(*ring_.sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0) {
        return -EBUSY;
    }
    io_uring_sqe& entry = next_submission();
    prepare(entry);
    entry.user_data = at_once;
    (void)io_uring_submit(&ring_);
    if (io_uring_sq_ready(&ring_) != 0) {
        io_uring_prep_nop(&entry);  // The last in the queue: not taken, it has to do nothing.
        entry.user_data = ignored;
        return -EBUSY;
    }
    unsigned head = 0;
    io_uring_cqe* each = nullptr;
    io_uring_for_each_cqe(&ring_, head, each) {
        if (each->user_data == at_once) {
            each->user_data = ignored;
            return each->res;
        }
    }
    HEPH_ASSERT(false);
    return -EBUSY;
}

int uring_driver::install(unsigned slot) noexcept {
    return run_now([slot](io_uring_sqe& entry) {
        io_uring_prep_rw(fixed_fd_install, &entry, static_cast<int>(slot), nullptr, 0, 0);
        entry.flags |= IOSQE_FIXED_FILE;
    });
}

int uring_driver::take_in(int descriptor) noexcept {
    handed_over_ = descriptor;
    const std::int32_t result = run_now([this](io_uring_sqe& entry) {
        io_uring_prep_files_update(&entry, &handed_over_, 1, 0);
        entry.off = IORING_FILE_INDEX_ALLOC;
    });
    return result < 0 ? result : handed_over_;
}

void uring_driver::close_slot(unsigned slot) noexcept {
    io_uring_sqe& entry = next_submission();
    io_uring_prep_close_direct(&entry, slot);
    entry.user_data = slot_closing;
    ++closes_;
}

void uring_driver::watch_event() noexcept {
    io_uring_sqe& entry = next_submission();
    io_uring_prep_read(&entry, link_->event_descriptor(), &event_count_, sizeof(event_count_), 0);
    entry.user_data = event_of_wake;
    event_watched_ = true;
}

bool uring_driver::anything_completed() const noexcept {
    return io_uring_cq_ready(&ring_) != 0 || any_job_finished() ||
           (IO_URING_READ_ONCE(*ring_.sq.kflags) & IORING_SQ_TASKRUN) != 0;
}

bool uring_driver::rouse(int ring_descriptor, int event_descriptor_of_other) noexcept {
    if (!sends_messages_) { return false; }
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) { return false; }
    io_uring_prep_msg_ring(entry, ring_descriptor, 0, ignored, 0);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    entry->user_data = message_or(event_descriptor_of_other);
    // At once: the process that is being polled may take its time. What is queued besides goes with
    // it. What is not submitted now is so in the next turn.
    (void)io_uring_submit(&ring_);
    return true;
}

void uring_driver::turn() noexcept {
    const unsigned ring_flags = IO_URING_READ_ONCE(*ring_.sq.kflags);
    if (io_uring_sq_ready(&ring_) != 0 ||
        (ring_flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0) {
        // EBUSY and the like mean that completions come first; they are taken now.
        (void)io_uring_submit_and_get_events(&ring_);
    }
    reap();
}

void uring_driver::wait(std::optional<std::chrono::milliseconds> timeout) noexcept {
    if (any_job_finished()) {
        turn();
        return;
    }
    io_uring_cqe* first = nullptr;
    if (timeout) {
        __kernel_timespec limit{};
        limit.tv_sec = timeout->count() / 1000;
        limit.tv_nsec = timeout->count() % 1000 * 1'000'000;
        (void)io_uring_submit_and_wait_timeout(&ring_, &first, 1, &limit, nullptr);
    } else {
        (void)io_uring_submit_and_wait(&ring_, 1);
    }
    reap();
}

void uring_driver::reap() noexcept {
    // Each is copied and given back before it is dealt with: that may need the submission queue,
    // and a full one may have to take completions, here again, before it goes on.
    for (unsigned left = io_uring_cq_ready(&ring_); left != 0; --left) {
        io_uring_cqe* entry = nullptr;
        if (io_uring_peek_cqe(&ring_, &entry) != 0) { break; }
        const std::uint64_t user_data = entry->user_data;
        const std::int32_t result = entry->res;
        const std::uint32_t flags = entry->flags;
        io_uring_cqe_seen(&ring_, entry);
        if (!is_slot(user_data)) {
            if (user_data == event_of_wake) {
                event_watched_ = false;
            } else if ((user_data & message) != 0) {
                // Comes only when it failed.
                write_event(static_cast<int>((user_data & ~message) >> 32U));
            } else if ((user_data & slot_closing) != 0) {
                --closes_;
            } else if (user_data != ignored && user_data != at_once) {
                --closes_;
                if (result == -ECANCELED) { ::close(descriptor_of(user_data)); }
            }
            continue;
        }
        slot* operation = slots_->find(user_data);
        HEPH_ASSERT(operation != nullptr);
        if (operation != nullptr) { take(*operation, result, flags); }
    }
    if (!event_watched_ && !draining_) { watch_event(); }
    take_finished_jobs();
    if (buffers_ != nullptr) { buffers_->collect_returned(); }
    drop_unused_pools();
}

void uring_driver::take(slot& operation, std::int32_t result, std::uint32_t flags) noexcept {
    const bool last = (flags & IORING_CQE_F_MORE) == 0;
    if (operation.kind == slot_kind::plain || operation.kind == slot_kind::opens) {
        if (!last) {
            operation.first_result = result;  // A second one tells that the buffer is free.
            return;
        }
        const bool second = (flags & IORING_CQE_F_NOTIF) != 0;
        complete(operation, second ? operation.first_result : result);
        return;
    }
    const bool paused = result == -ECANCELED && operation.pausing;
    if (last) { retire(operation); }
    if (operation.kind == slot_kind::takes) {
        if (operation.call->note_completion(result, flags)) { pause(operation); }
        settle(operation, last);
        return;
    }
    if (operation.kind == slot_kind::accepts) {
        take_accepted(operation, result);
    } else if (!paused) {
        take_received(operation, result, flags);
        if (operation.chunks.count >= chunks_max) {
            operation.flooded = true;
            pause(operation);
        }
    }
    settle(operation, last);
}

void uring_driver::take_accepted(slot& operation, std::int32_t result) noexcept {
    const bool direct = operation.request.flags != 0;
    if (direct && result >= 0) {
        result = direct_->note_taken(static_cast<unsigned>(result));
    } else if (direct && result == -ENFILE) {
        operation.starved = true;  // The table was full. It goes on with ordinary ones.
        result = -ECANCELED;
    }
    note_accepted(operation, result);
    const bool goes_on_otherwise =
        operation.accepts_direct && direct_ != nullptr &&
        (direct ? !direct_->has_room_to_accept() : direct_->has_ample_room());
    if (goes_on_otherwise || operation.accepted_waiting() >= accepted_max) { pause(operation); }
}

void uring_driver::take_received(slot& operation, std::int32_t result,
                                 std::uint32_t flags) noexcept {
    if ((flags & IORING_CQE_F_BUFFER) != 0) {
        const auto id = static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT);
        multishot_worked_ = true;
        if (result > 0) {
            buffers_->enqueue(operation.chunks, id, static_cast<std::size_t>(result));
            return;
        }
        buffers_->recycle(id);
    }
    if (result == -EINVAL && !multishot_worked_ && !operation.starved) {
        multishot_refused_ = true;
        operation.starved = true;
        return;
    }
    note_received(operation, result);
}

void uring_driver::pause(slot& operation) noexcept {
    if (!operation.armed || operation.pausing || operation.state != slot_state::in_flight) {
        return;
    }
    operation.pausing = true;
    cancel(operation);
}

std::size_t uring_driver::drain(std::chrono::milliseconds patience) noexcept {
    draining_ = true;
    io_uring_sqe& entry = next_submission();
    io_uring_prep_cancel64(&entry, event_of_wake, 0);
    entry.user_data = ignored;
    slots_->for_each_used([this](slot& used) {
        if (used.armed && used.state == slot_state::in_flight) { cancel(used); }
    });
    const auto until = std::chrono::steady_clock::now() + patience;
    // A close may have been handed to a kernel thread, as those of overlay, network and user space
    // file systems are; the end of the ring would cancel it, and leak the descriptor.
    while ((slots_->in_flight() != 0 || closes_ != 0 || event_watched_) &&
           std::chrono::steady_clock::now() < until) {
        wait(std::chrono::milliseconds(10));
    }
    return slots_->in_flight();
}

}  // namespace heph::rt::detail
