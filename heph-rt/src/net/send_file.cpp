#include <heph/rt/net/send_file.hpp>

#include <liburing.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <utility>

#include <heph/rt/descriptor.hpp>
#include <heph/rt/error.hpp>

#include "../readiness_call.hpp"
#include "../system_call.hpp"
#include "../worker_core.hpp"

namespace heph::rt::net {

namespace {

// So much is read at once on a ring.
constexpr std::size_t piece_bytes = 128 * 1024;
// So much a thread sends before it asks whether to go on: the future may be gone.
constexpr std::uint64_t turn_bytes = 1024 * 1024;

/// On a ring: reads a piece, sends it, and so on. Else: sendfile on a thread, for as long as the
/// socket takes bytes; on descriptors of its own, since those of stream and file may be closed
/// meanwhile.
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
        return {};
    }

    [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }

    [[nodiscard]] std::int32_t perform() noexcept override {
        const std::uint64_t enough = sent_ + turn_bytes;
        while (left_ != 0 && sent_ < enough) {
            auto position = static_cast<off_t>(offset_);
            const std::int32_t result = detail::retry([&] {
                return ::sendfile(own_socket_.get(), own_file_.get(), &position,
                                  std::min(left_, turn_bytes));
            });
            if (result < 0) { return result; }
            if (result == 0) {
                left_ = 0;
            } else {
                advance(static_cast<std::size_t>(result));
            }
        }
        return 0;
    }

    void submit(io_uring_sqe& entry) noexcept override {
        if (filled_ == 0) {
            const std::size_t bytes = std::min<std::uint64_t>(left_, room_bytes_);
            io_uring_prep_read(&entry, file_, piece_.get(), static_cast<unsigned>(bytes), offset_);
        } else {
            io_uring_prep_send(&entry, descriptor(), piece_.get() + taken_, filled_ - taken_,
                               MSG_NOSIGNAL | MSG_WAITALL);
        }
    }

    [[nodiscard]] bool again(std::int32_t& result) noexcept override {
        if (result < 0) { return false; }
        if (piece_ == nullptr) { return left_ != 0; }  // On a thread.
        const auto bytes = static_cast<std::size_t>(result);
        if (filled_ == 0) {
            filled_ = bytes;
            return bytes != 0;  // Else the file has ended.
        }
        taken_ += bytes;
        advance(bytes);
        if (taken_ == filled_) { taken_ = filled_ = 0; }
        return left_ != 0;
    }

    void make_room() {
        room_bytes_ = std::min<std::uint64_t>(left_, piece_bytes);
        piece_ = std::make_unique_for_overwrite<std::byte[]>(room_bytes_);
    }

private:
    void advance(std::size_t bytes) noexcept {
        offset_ += bytes;
        sent_ += bytes;
        left_ -= bytes;
    }

    int file_;
    std::uint64_t offset_;
    std::uint64_t left_;
    std::uint64_t sent_ = 0;
    // On a ring: a piece of the file, the bytes of it, and those that are sent.
    std::unique_ptr<std::byte[]> piece_;
    std::size_t room_bytes_ = 0;
    std::size_t filled_ = 0;
    std::size_t taken_ = 0;
    descriptor_handle own_socket_;
    descriptor_handle own_file_;
};

std::expected<std::uint64_t, std::error_code> take_sent(detail::io_call& call,
                                                        std::int32_t /*result*/) {
    return static_cast<send_file_call&>(call).sent();
}

}  // namespace

io_future<std::uint64_t> send_file(const byte_stream& stream, const fs::file& file,
                                   std::uint64_t offset, std::uint64_t count) {
    using result = io_future<std::uint64_t>;
    if (!stream.is_open() || !file.is_open()) { return result(make_error_code(errc::closed)); }
    detail::worker_core* worker = detail::current_worker();
    if (worker == nullptr) { return result(make_error_code(errc::no_worker)); }
    auto call =
        std::make_unique<send_file_call>(stream.descriptor(), file.descriptor(), offset, count);
    if (worker->driver().kind() == driver_kind::io_uring) {
        call->make_room();
    } else if (const auto failed = call->own_descriptors()) {
        return result(failed);
    }
    return result(std::move(call), &take_sent);
}

}  // namespace heph::rt::net
