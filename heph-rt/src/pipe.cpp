#include <heph/rt/pipe.hpp>

#include <fcntl.h>
#include <liburing.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include <heph/rt/error.hpp>

#include "system_call.hpp"
#include "worker_core.hpp"

namespace heph::rt {

namespace {

using detail::io_call;
using detail::transfer_bytes_max;

// For the ring: from where the descriptor stands.
constexpr std::uint64_t current_position = ~std::uint64_t{0};

// Without a ring: a descriptor that does not block is tried on the worker, another on a thread.
bool may_block(int descriptor) noexcept {
    const detail::worker_core* worker = detail::current_worker();
    if (worker == nullptr) { return true; }
    return (::fcntl(descriptor, F_GETFL) & O_NONBLOCK) == 0;
}

class read_call final : public io_call {
public:
    read_call(int descriptor, buffer into, std::size_t count) noexcept
        : io_call(descriptor, may_block(descriptor) ? waits::to_read_on_thread : waits::to_read,
                  true),
          into_(std::move(into)),
          left_(count) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        return detail::retry(
            [this] { return ::read(descriptor(), into_.spare_bytes().data(), next_bytes()); });
    }
    void submit(io_uring_sqe& entry) noexcept override {
        io_uring_prep_read(&entry, descriptor(), into_.spare_bytes().data(),
                           static_cast<unsigned>(next_bytes()), current_position);
    }
    [[nodiscard]] bool again(std::int32_t& result) noexcept override {
        if (result <= 0) { return false; }
        into_.commit(static_cast<std::size_t>(result));
        if (left_ == 0) { return false; }  // Once.
        left_ -= static_cast<std::size_t>(result);
        return left_ != 0;
    }

    [[nodiscard]] std::size_t left() const noexcept { return left_; }
    [[nodiscard]] buffer& bytes() noexcept { return into_; }

private:
    [[nodiscard]] std::size_t next_bytes() const noexcept {
        return std::min(left_ != 0 ? left_ : into_.spare(), transfer_bytes_max);
    }

    buffer into_;
    std::size_t left_;  // Of an exact read; 0 for one that reads once.
};

class write_call final : public io_call {
public:
    write_call(int descriptor, buffer bytes) noexcept
        : io_call(descriptor, may_block(descriptor) ? waits::to_write_on_thread : waits::to_write,
                  true),
          bytes_(std::move(bytes)) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        return detail::retry([this] { return ::write(descriptor(), from(), next_bytes()); });
    }
    void submit(io_uring_sqe& entry) noexcept override {
        io_uring_prep_write(&entry, descriptor(), from(), static_cast<unsigned>(next_bytes()),
                            current_position);
    }
    [[nodiscard]] bool again(std::int32_t& result) noexcept override {
        if (result < 0) { return false; }
        written_ += static_cast<std::size_t>(result);
        if (result == 0 && written_ < bytes_.size()) {
            result = -ENOSPC;  // Without progress it would go on for ever.
            return false;
        }
        return written_ < bytes_.size();
    }

    [[nodiscard]] buffer& bytes() noexcept { return bytes_; }

private:
    [[nodiscard]] const std::byte* from() const noexcept { return bytes_.data() + written_; }
    [[nodiscard]] std::size_t next_bytes() const noexcept {
        return std::min(bytes_.size() - written_, transfer_bytes_max);
    }

    buffer bytes_;
    std::size_t written_ = 0;
};

std::expected<buffer, std::error_code> take_read(io_call& call, std::int32_t /*result*/) {
    return std::move(static_cast<read_call&>(call).bytes());
}

std::expected<buffer, std::error_code> take_exact(io_call& call, std::int32_t result) {
    if (static_cast<read_call&>(call).left() != 0) {
        return std::unexpected(make_error_code(errc::unexpected_end));
    }
    return take_read(call, result);
}

std::expected<buffer, std::error_code> take_written(io_call& call, std::int32_t /*result*/) {
    return std::move(static_cast<write_call&>(call).bytes());
}

/// Reads once, or receives, into what has a limit.
class room_call final : public io_call {
public:
    enum class kind : std::uint8_t { receives, reads, reads_at };

    room_call(kind what, int descriptor, waits how, std::unique_ptr<detail::room> into,
              std::uint64_t offset)
        : io_call(descriptor, how, true), kind_(what), into_(std::move(into)), offset_(offset) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        return detail::retry([this]() -> ssize_t {
            switch (kind_) {
                case kind::receives: return ::recv(descriptor(), into(), count(), MSG_DONTWAIT);
                case kind::reads: return ::read(descriptor(), into(), count());
                case kind::reads_at: break;
            }
            return ::pread(descriptor(), into(), count(), static_cast<off_t>(offset_));
        });
    }
    void submit(io_uring_sqe& entry) noexcept override {
        if (kind_ == kind::receives) {
            io_uring_prep_recv(&entry, descriptor(), into(), count(), 0);
        } else {
            io_uring_prep_read(&entry, descriptor(), into(), static_cast<unsigned>(count()),
                               offset_);
        }
    }
    [[nodiscard]] bool again(std::int32_t& result) noexcept override {
        if (result > 0) { into_->commit(static_cast<std::size_t>(result)); }
        return false;
    }

    [[nodiscard]] detail::room& room() noexcept { return *into_; }

private:
    [[nodiscard]] std::byte* into() const noexcept { return into_->spare().data(); }
    [[nodiscard]] std::size_t count() const noexcept {
        return std::min(into_->spare().size(), transfer_bytes_max);
    }

    kind kind_;
    std::unique_ptr<detail::room> into_;
    std::uint64_t offset_;
};

io_future<buffer> start_read(int descriptor, buffer into, std::size_t count, bool sensible,
                             io_future<buffer>::taker take) {
    if (descriptor < 0) { return io_future<buffer>(make_error_code(errc::closed)); }
    if (!sensible) { return io_future<buffer>(std::make_error_code(std::errc::invalid_argument)); }
    return {std::make_unique<read_call>(descriptor, std::move(into), count), take};
}

}  // namespace

std::error_code byte_reader::may_read(std::size_t room) const noexcept {
    if (descriptor_ < 0) { return errc::closed; }
    if (room == 0) { return std::make_error_code(std::errc::invalid_argument); }
    return {};
}

io_future<buffer> byte_reader::read(buffer into) const {
    const bool has_room = into.spare() != 0;
    return start_read(descriptor_, std::move(into), 0, has_room, &take_read);
}

static detail::pool_receiving read_into_pool(int descriptor, const buffer_pool& pool, bool many) {
    if (descriptor < 0) { return detail::pool_receiving(make_error_code(errc::closed)); }
    return detail::pool_receiving(pool, descriptor, detail::pool_source::pipe, many);
}

net::pool_recv_future<buffer> byte_reader::read(const buffer_pool& pool) const {
    return net::pool_recv_future<buffer>(read_into_pool(descriptor_, pool, false));
}

net::pool_receiver<buffer> byte_reader::read_many(const buffer_pool& pool) const {
    return net::pool_receiver<buffer>(read_into_pool(descriptor_, pool, true));
}

io_future<buffer> byte_reader::read_n(buffer into, std::size_t count) const {
    const bool fits = count != 0 && count <= into.spare();
    return start_read(descriptor_, std::move(into), count, fits, &take_exact);
}

io_future<buffer> byte_writer::write_all(buffer bytes) const {
    if (descriptor_ < 0) { return io_future<buffer>(make_error_code(errc::closed)); }
    return {std::make_unique<write_call>(descriptor_, std::move(bytes)), &take_written};
}

std::expected<std::pair<byte_reader, byte_writer>, std::error_code> make_pipe() {
    detail::worker_core* worker = detail::current_worker();
    // Without a ring, ends that do not block save a thread.
    const bool by_readiness = worker != nullptr && worker->driver().kind() == driver_kind::epoll;
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | (by_readiness ? O_NONBLOCK : 0)) != 0) {
        return std::unexpected(detail::last_error());
    }
    return std::pair(byte_reader(descriptor_handle(ends[0])),
                     byte_writer(descriptor_handle(ends[1])));
}

byte_reader standard_input() noexcept { return byte_reader::borrow(0); }
byte_writer standard_output() noexcept { return byte_writer::borrow(1); }
byte_writer standard_error() noexcept { return byte_writer::borrow(2); }

}  // namespace heph::rt

namespace heph::rt::detail {

std::unique_ptr<io_call> receive_into(int socket, std::unique_ptr<room> into) {
    return std::make_unique<room_call>(room_call::kind::receives, socket, io_call::waits::to_read,
                                       std::move(into), current_position);
}

std::unique_ptr<io_call> read_into(int descriptor, std::unique_ptr<room> into) {
    const auto how =
        may_block(descriptor) ? io_call::waits::to_read_on_thread : io_call::waits::to_read;
    return std::make_unique<room_call>(room_call::kind::reads, descriptor, how, std::move(into),
                                       current_position);
}

std::unique_ptr<io_call> read_into_at(int file, std::unique_ptr<room> into, std::uint64_t offset) {
    const auto what =
        offset == current_position ? room_call::kind::reads : room_call::kind::reads_at;
    return std::make_unique<room_call>(what, file, io_call::waits::on_thread, std::move(into),
                                       offset);
}

room& room_of(io_call& call) noexcept { return static_cast<room_call&>(call).room(); }

}  // namespace heph::rt::detail
