#include <heph/rt/net/send_file.hpp>

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include <heph/rt/descriptor.hpp>
#include <heph/rt/error.hpp>

#include "../pipe_signal.hpp"
#include "../readiness_call.hpp"
#include "../system_call.hpp"
#include "../without_blocking.hpp"
#include "../worker_core.hpp"
#include "kernel_tls.hpp"
#include "page_cache.hpp"

namespace heph::rt::net {

namespace {

// So much is read at once on a ring, where the file is not in the page cache.
constexpr std::size_t piece_bytes = 128 * 1024;
// So much is sent from the page cache before others have their turn.
constexpr std::size_t cached_bytes = 256 * 1024;
// So much a thread sends before it asks whether to go on: the future may be gone.
constexpr std::uint64_t turn_bytes = 1024 * 1024;
constexpr auto offset_max = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());

/// On a ring, by the worker's thread, which must not wait:
///
///     next part in the page cache:  await room --> sendfile what fits --> next part
///     else:                         read it --> send it, until all is sent --> next part
///
/// where "await", "read" and "send" are requests to the ring. A sendfile waits for neither the
/// disk, whose part it is in the cache, nor the peer, as the socket does not block meanwhile.
///
/// Without a ring: sendfile on a thread, for as long as the socket takes bytes; on descriptors of
/// its own, since those of stream and file may be closed meanwhile.
class send_file_call final : public detail::io_call {
public:
    send_file_call(int socket, int file, std::uint64_t offset, std::uint64_t count) noexcept
        : io_call(socket, waits::to_write_on_thread, true),
          file_(file),
          offset_(offset),
          left_(count) {}

    std::error_code own_descriptors() noexcept {
        auto socket = duplicate(descriptor());
        if (!socket) { return socket.error(); }
        auto file = duplicate(file_);
        if (!file) { return file.error(); }
        own_socket_ = std::move(*socket);
        detail::make_non_blocking(own_socket_.get());
        own_file_ = std::move(*file);
        // Asked for more than there is, the kernel may keep the last bytes back, for what follows.
        struct stat known{};
        if (::fstat(own_file_.get(), &known) == 0 && S_ISREG(known.st_mode)) {
            const auto size = static_cast<std::uint64_t>(known.st_size);
            if (offset_ < size) { left_ = std::min(left_, size - offset_); }
        }
        return {};
    }

    /// Has ordinary descriptors of its own where those that it was made of are direct.
    std::error_code own_direct() noexcept {
        if (is_direct(descriptor())) {
            auto socket = duplicate(descriptor());
            if (!socket) { return socket.error(); }
            own_socket_ = std::move(*socket);
            set(own_socket_.get(), how(), true);
        }
        if (is_direct(file_)) {
            auto file = duplicate(file_);
            if (!file) { return file.error(); }
            own_file_ = std::move(*file);
            file_ = own_file_.get();
        }
        return {};
    }

    /// Chooses the first step on a ring. Gives false when there is no memory.
    [[nodiscard]] bool begin_on_ring() noexcept {
        struct stat known{};
        if (::fstat(file_, &known) == 0) { size_ = static_cast<std::uint64_t>(known.st_size); }
        return left_ == 0 || choose_step();
    }

    /// Says that the kernel makes records of what is sent, and refuses MSG_WAITALL.
    void send_in_records() noexcept { send_flags_ = MSG_NOSIGNAL; }

    [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }

    [[nodiscard]] std::int32_t perform() noexcept override {
        const std::uint64_t enough = sent_ + turn_bytes;
        while (left_ != 0 && sent_ < enough) {
            const std::int32_t result =
                send_directly(own_socket_.get(), own_file_.get(), turn_bytes);
            if (result < 0) { return result; }
        }
        return 0;
    }

    void submit(io_uring_sqe& entry) noexcept override {
        switch (step_) {
            case step::on_thread:
            case step::await_room: io_uring_prep_poll_add(&entry, descriptor(), POLLOUT); break;
            case step::read:
                io_uring_prep_read(&entry, file_, piece_.get(),
                                   static_cast<unsigned>(std::min(left_, room_bytes_)), offset_);
                break;
            case step::send:
                io_uring_prep_send(&entry, descriptor(), piece_.get() + taken_, filled_ - taken_,
                                   send_flags_);
                break;
        }
    }

    [[nodiscard]] bool again(std::int32_t& result) noexcept override {
        if (result < 0) { return false; }
        const auto bytes = static_cast<std::size_t>(result);
        switch (step_) {
            case step::on_thread: return left_ != 0;
            case step::await_room: {
                const detail::without_blocking flag(descriptor());
                detail::without_pipe_signal signal;
                const std::uint64_t before = sent_;
                const std::uint64_t wanted = std::min<std::uint64_t>(left_, cached_bytes);
                result = send_directly(descriptor(), file_, cached_bytes);
                if (sent_ - before < wanted) { signal.note_shortfall(); }
                if (result == -EAGAIN) { return true; }  // Another one has filled it up.
                if (result < 0) { return false; }
                break;
            }
            case step::read:
                filled_ = bytes;
                if (bytes == 0) { return false; }  // The file has ended.
                step_ = step::send;
                return true;
            case step::send:
                taken_ += bytes;
                advance(bytes);
                if (taken_ != filled_) { return true; }
                taken_ = filled_ = 0;
                break;
        }
        if (left_ == 0) { return false; }
        if (choose_step()) { return true; }
        result = -ENOMEM;
        return false;
    }

private:
    enum class step : std::uint8_t { on_thread, await_room, read, send };

    bool choose_step() noexcept {
        // What lies behind the end as it was known is found out by reading.
        const std::uint64_t known = offset_ < size_ ? size_ - offset_ : 0;
        const std::uint64_t next = std::min<std::uint64_t>({left_, cached_bytes, known});
        if (next != 0 && in_page_cache(file_, offset_, next)) {
            step_ = step::await_room;
            return true;
        }
        step_ = step::read;
        if (piece_ == nullptr) {
            room_bytes_ = std::min<std::uint64_t>(left_, piece_bytes);
            piece_.reset(new (std::nothrow) std::byte[room_bytes_]);
        }
        return piece_ != nullptr;
    }

    // Sends at most `most`, from the file to the socket. Gives 0, or a negative errno.
    std::int32_t send_directly(int socket, int file, std::uint64_t most) noexcept {
        auto position = static_cast<off_t>(offset_);
        const std::int32_t result = detail::retry(
            [&] { return ::sendfile(socket, file, &position, std::min(left_, most)); });
        if (result < 0) { return result; }
        if (result == 0) {
            left_ = 0;  // The file has ended.
        } else {
            advance(static_cast<std::size_t>(result));
        }
        return 0;
    }

    void advance(std::size_t bytes) noexcept {
        offset_ += bytes;
        sent_ += bytes;
        left_ -= bytes;
    }

    step step_ = step::on_thread;
    int file_;
    std::uint64_t offset_;
    std::uint64_t left_;
    std::uint64_t sent_ = 0;
    // On a ring: the size of the file in the beginning; a piece of the file, the bytes of it, and
    // those that are sent.
    std::uint64_t size_ = 0;
    std::unique_ptr<std::byte[]> piece_;
    std::uint64_t room_bytes_ = 0;
    std::size_t filled_ = 0;
    std::size_t taken_ = 0;
    int send_flags_ = MSG_NOSIGNAL | MSG_WAITALL;
    descriptor_handle own_socket_;
    descriptor_handle own_file_;
};

std::expected<std::uint64_t, std::error_code> take_sent(detail::io_call& call,
                                                        std::int32_t /*result*/) {
    return static_cast<send_file_call&>(call).sent();
}

io_future<std::uint64_t> begin_sending(const byte_stream& stream, const fs::file& file,
                                       std::uint64_t offset, std::uint64_t count, bool in_records) {
    using result = io_future<std::uint64_t>;
    if (!stream.is_open() || !file.is_open()) { return result(make_error_code(errc::closed)); }
    if (offset > offset_max) { return result(std::make_error_code(std::errc::invalid_argument)); }
    detail::worker_core* worker = detail::current_worker();
    if (worker == nullptr) { return result(make_error_code(errc::no_worker)); }
    auto call =
        std::make_unique<send_file_call>(stream.descriptor(), file.descriptor(), offset, count);
    if (in_records) { call->send_in_records(); }
    if (worker->driver().kind() == driver_kind::io_uring) {
        if (const auto failed = call->own_direct()) { return result(failed); }
        if (!call->begin_on_ring()) {
            return result(std::make_error_code(std::errc::not_enough_memory));
        }
    } else if (const auto failed = call->own_descriptors()) {
        return result(failed);
    }
    return result(std::move(call), &take_sent);
}

}  // namespace

io_future<std::uint64_t> send_file(const byte_stream& stream, const fs::file& file,
                                   std::uint64_t offset, std::uint64_t count) {
    return begin_sending(stream, file, offset, count, false);
}

}  // namespace heph::rt::net

namespace heph::rt::detail {

io_future<std::uint64_t> send_file_in_records(const net::byte_stream& stream, const fs::file& file,
                                              std::uint64_t offset, std::uint64_t count) {
    return net::begin_sending(stream, file, offset, count, true);
}

}  // namespace heph::rt::detail
