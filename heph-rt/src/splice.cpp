#include <heph/rt/splice.hpp>

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include <heph/rt/descriptor.hpp>
#include <heph/rt/error.hpp>

#include "direct_descriptor.hpp"
#include "pipe_signal.hpp"
#include "readiness_call.hpp"
#include "system_call.hpp"
#include "without_blocking.hpp"
#include "worker_core.hpp"

namespace heph::rt {

namespace {

using detail::io_call;
using detail::is_ready;
using detail::transfer_bytes_max;
using detail::without_blocking;

constexpr auto offset_max = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());

// What the kernel says to itself of a call that a signal interrupted; a ring hands it on.
constexpr std::int32_t interrupted_in_kernel = -512;

bool is_sound(std::uint64_t offset) noexcept {
    return offset <= offset_max || offset == fs::file::current_position;
}

/// Waits for bytes, then for room, then moves:
///
///     ask both ends --no bytes--> wait until they can be read    --> ask again
///                   --no room---> wait until it can be written to --> ask again
///                   --both------> move --none or all--> done
///                                      --another one was quicker--> ask again
///
/// Asking is a system call that does not wait. On a ring, moving from or to a file is left to a
/// thread of the kernel, which waits for the disk. Between a pipe and a socket, or another pipe,
/// the worker moves by itself once both are ready: a socket on a ring does block, and a thread of
/// the kernel that waits in a splice keeps the pipe locked, for the worker, too.
class splice_call final : public io_call {
public:
    splice_call(splice_source from, splice_target to, std::uint64_t count, bool all) noexcept
        : io_call(from.descriptor(), waits::to_read, true),
          from_(from.descriptor()),
          to_(to.descriptor()),
          from_offset_(from.offset()),
          to_offset_(to.offset()),
          left_(count),
          all_(all) {}

    /// Prepares for a ring: a thread of the kernel may look the descriptors up after a drop, when
    /// they stand for something else.
    [[nodiscard]] std::error_code begin_on_ring() noexcept {
        on_ring_ = true;
        if (const auto failed = own_descriptors()) { return failed; }
        by_worker_ = !is_file(from_) && !is_file(to_);
        set(from_, waits::to_retry, true);
        return {};
    }

    /// Prepares for doing without a ring.
    [[nodiscard]] std::error_code begin_by_readiness() noexcept {
        make_sockets_non_blocking();
        const bool from_file = is_file(from_);
        if (!from_file && !is_file(to_)) { return {}; }
        if (const auto failed = own_descriptors()) { return failed; }
        on_thread_ = true;
        if (from_file) {
            set(to_, waits::to_write_on_thread, false);
        } else {
            set(from_, waits::to_read_on_thread, false);
        }
        return {};
    }

    [[nodiscard]] std::uint64_t moved() const noexcept { return moved_; }

    [[nodiscard]] std::int32_t perform() noexcept override {
        if (on_thread_) { return move(); }
        const step next = choose_step();
        if (next == step::move) {
            const std::int32_t result = move();
            if (result != -EAGAIN) { return result; }
            if (how() == waits::to_retry) { return result; }
            next_wait_ = {descriptor(), waits::to_retry};
            return 0;
        }
        const bool reads = next == step::await_bytes;
        const waiting wanted{reads ? from_ : to_, reads ? waits::to_read : waits::to_write};
        if (descriptor() == wanted.descriptor && how() == wanted.how) { return -EAGAIN; }
        next_wait_ = wanted;
        return 0;
    }

    void submit(io_uring_sqe& entry) noexcept override {
        step_ = choose_step();
        if (by_worker_ && step_ == step::move && left_ != 0) {
            step_ = step::await_room;  // There is some, so for a moment.
        }
        switch (step_) {
            case step::await_bytes: io_uring_prep_poll_add(&entry, from_, POLLIN); break;
            case step::await_room: io_uring_prep_poll_add(&entry, to_, POLLOUT); break;
            case step::move:
                io_uring_prep_splice(&entry, from_, to_signed(from_offset_), to_,
                                     to_signed(to_offset_), static_cast<unsigned>(next_bytes()),
                                     flags);
                break;
        }
    }

    [[nodiscard]] bool again(std::int32_t& result) noexcept override {
        if (next_wait_) {
            set(next_wait_->descriptor, next_wait_->how, false);
            next_wait_.reset();
            return true;
        }
        if (result == interrupted_in_kernel) { return true; }
        if (result < 0) { return false; }
        if (on_ring_ && step_ != step::move) {
            if (!by_worker_ || choose_step() != step::move) { return true; }
            const without_blocking from(from_);
            const without_blocking to(to_);
            result = move();
            if (result == -EAGAIN) { return true; }  // Another one was quicker.
            if (result < 0) { return false; }
        }
        if (result == 0) { return false; }
        const auto bytes = static_cast<std::uint64_t>(result);
        advance(from_offset_, bytes);
        advance(to_offset_, bytes);
        moved_ += bytes;
        left_ -= bytes;
        return all_ && left_ != 0;
    }

private:
    enum class step : std::uint8_t { await_bytes, await_room, move };
    struct waiting {
        int descriptor;
        waits how;
    };
    static constexpr unsigned flags = SPLICE_F_NONBLOCK | SPLICE_F_MOVE;

    [[nodiscard]] static bool is_file(int descriptor) noexcept {
        struct stat known{};
        if (::fstat(descriptor, &known) != 0) { return false; }
        return S_ISREG(known.st_mode) || S_ISBLK(known.st_mode);
    }
    // Pipes are asked not to block by a flag of the call.
    void make_sockets_non_blocking() const noexcept {
        for (const int each : {from_, to_}) {
            struct stat known{};
            if (::fstat(each, &known) == 0 && S_ISSOCK(known.st_mode)) {
                detail::make_non_blocking(each);
            }
        }
    }

    [[nodiscard]] std::error_code own_descriptors() noexcept {
        auto from = duplicate(from_);
        if (!from) { return from.error(); }
        auto to = duplicate(to_);
        if (!to) { return to.error(); }
        own_from_ = std::move(*from);
        own_to_ = std::move(*to);
        from_ = own_from_.get();
        to_ = own_to_.get();
        return {};
    }

    // What fails is left to the move to tell.
    [[nodiscard]] step choose_step() const noexcept {
        if (left_ == 0) { return step::move; }
        if (is_ready(from_, true) == -EAGAIN) { return step::await_bytes; }
        if (is_ready(to_, false) == -EAGAIN) { return step::await_room; }
        return step::move;
    }

    [[nodiscard]] std::int32_t move() noexcept {
        off64_t from = to_signed(from_offset_);
        off64_t to = to_signed(to_offset_);
        detail::without_pipe_signal signal;
        const std::int32_t result = detail::retry([&] {
            return ::splice(from_, from < 0 ? nullptr : &from, to_, to < 0 ? nullptr : &to,
                            next_bytes(), flags);
        });
        // A part may have been sent before the peer was found gone.
        if (result < 0 || static_cast<std::size_t>(result) < next_bytes()) {
            signal.note_shortfall();
        }
        return result;
    }

    [[nodiscard]] std::size_t next_bytes() const noexcept {
        return std::min<std::uint64_t>(left_, transfer_bytes_max);
    }
    // -1 for the descriptor's own position, for both ways to move.
    [[nodiscard]] static std::int64_t to_signed(std::uint64_t offset) noexcept {
        return static_cast<std::int64_t>(offset);
    }
    static void advance(std::uint64_t& offset, std::uint64_t bytes) noexcept {
        if (offset != fs::file::current_position) { offset += bytes; }
    }

    int from_;
    int to_;
    std::uint64_t from_offset_;
    std::uint64_t to_offset_;
    std::uint64_t left_;
    std::uint64_t moved_ = 0;
    bool all_;
    bool on_ring_ = false;
    bool by_worker_ = false;
    bool on_thread_ = false;
    step step_ = step::move;
    std::optional<waiting> next_wait_;
    descriptor_handle own_from_;
    descriptor_handle own_to_;
};

// Tells whether the kernel moves bytes between the two: one has to be an end of a pipe, and not
// both of the same one. It says so by itself only when there are bytes, and room for them.
bool has_way(int from, int to) noexcept {
    struct stat source{};
    struct stat target{};
    // What cannot be looked at is left to the move to tell.
    const detail::ordinary_descriptor one(from);
    const detail::ordinary_descriptor other(to);
    if (::fstat(one.get(), &source) != 0 || ::fstat(other.get(), &target) != 0) { return true; }
    const bool both = S_ISFIFO(source.st_mode) && S_ISFIFO(target.st_mode);
    if (both) { return source.st_dev != target.st_dev || source.st_ino != target.st_ino; }
    return S_ISFIFO(source.st_mode) || S_ISFIFO(target.st_mode);
}

std::expected<std::uint64_t, std::error_code> take_moved(io_call& call, std::int32_t /*result*/) {
    return static_cast<splice_call&>(call).moved();
}

io_future<std::uint64_t> begin(splice_source from, splice_target to, std::uint64_t count,
                               bool all) {
    using result = io_future<std::uint64_t>;
    if (from.descriptor() < 0 || to.descriptor() < 0) {
        return result(make_error_code(errc::closed));
    }
    if (from.receives_ahead()) { return result(make_error_code(errc::conflicting_operation)); }
    if (!is_sound(from.offset()) || !is_sound(to.offset())) {
        return result(std::make_error_code(std::errc::invalid_argument));
    }
    detail::worker_core* worker = detail::current_worker();
    if (worker == nullptr) { return result(make_error_code(errc::no_worker)); }
    if (!has_way(from.descriptor(), to.descriptor())) {
        return result(std::make_error_code(std::errc::invalid_argument));
    }
    auto call = std::make_unique<splice_call>(from, to, count, all);
    const bool on_ring = worker->driver().kind() == driver_kind::io_uring;
    if (const auto failed = on_ring ? call->begin_on_ring() : call->begin_by_readiness()) {
        return result(failed);
    }
    return result(std::move(call), &take_moved);
}

}  // namespace

io_future<std::uint64_t> splice(splice_source from, splice_target to, std::uint64_t count) {
    return begin(from, to, count, false);
}

io_future<std::uint64_t> splice_all(splice_source from, splice_target to, std::uint64_t count) {
    return begin(from, to, count, true);
}

}  // namespace heph::rt
