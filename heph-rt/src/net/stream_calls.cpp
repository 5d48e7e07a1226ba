// What byte streams do besides the plain receive and send: exact counts, several buffers at once,
// and sending without a copy.

#include <liburing.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include <heph/rt/error.hpp>
#include <heph/rt/net/stream.hpp>

#include "../buffer_parts.hpp"
#include "../system_call.hpp"
#include "message_call.hpp"
#include "socket_calls.hpp"

namespace heph::rt::net {

namespace {

using detail::io_call;
using detail::receive_message_call;
using detail::send_message_call;
using detail::transfer_bytes_max;

/// Receives until there are as many bytes as were asked for.
class receive_exactly_call final : public io_call {
public:
    receive_exactly_call(int descriptor, buffer into, std::size_t count) noexcept
        : io_call(descriptor, waits::to_read, true), into_(std::move(into)), left_(count) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        return detail::retry([this] {
            return detail::calls::recv(descriptor(), into_.spare_bytes().data(), next_bytes(),
                                       MSG_DONTWAIT);
        });
    }
    void submit(io_uring_sqe& entry) noexcept override {
        io_uring_prep_recv(&entry, descriptor(), into_.spare_bytes().data(), next_bytes(),
                           MSG_WAITALL);
    }
    [[nodiscard]] bool again(std::int32_t& result) noexcept override {
        if (result <= 0) { return false; }
        into_.commit(static_cast<std::size_t>(result));
        left_ -= static_cast<std::size_t>(result);
        return left_ != 0;
    }

    [[nodiscard]] bool is_complete() const noexcept { return left_ == 0; }
    [[nodiscard]] buffer& received() noexcept { return into_; }

private:
    [[nodiscard]] std::size_t next_bytes() const noexcept {
        return std::min(left_, transfer_bytes_max);
    }

    buffer into_;
    std::size_t left_;
};

std::expected<buffer, std::error_code> take_exactly(io_call& call, std::int32_t /*result*/) {
    auto& received = static_cast<receive_exactly_call&>(call);
    if (!received.is_complete()) { return std::unexpected(make_error_code(errc::unexpected_end)); }
    return std::move(received.received());
}

/// Sends everything, out of the buffer itself as long as kernel and socket allow that.
class send_zero_copy_call final : public io_call {
public:
    send_zero_copy_call(int descriptor, buffer bytes) noexcept
        : io_call(descriptor, waits::to_write, true), bytes_(std::move(bytes)) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        return detail::retry([this] {
            return detail::calls::send(descriptor(), from(), next_bytes(),
                                       MSG_DONTWAIT | MSG_NOSIGNAL);
        });
    }
    void submit(io_uring_sqe& entry) noexcept override {
        constexpr int flags = MSG_NOSIGNAL | MSG_WAITALL;
        if (zero_copy_) {
            io_uring_prep_send_zc(&entry, descriptor(), from(), next_bytes(), flags, 0);
        } else {
            io_uring_prep_send(&entry, descriptor(), from(), next_bytes(), flags);
        }
    }
    [[nodiscard]] bool again(std::int32_t& result) noexcept override {
        if (zero_copy_ && is_refusal(result)) {
            zero_copy_ = false;
            return true;
        }
        if (result < 0) { return false; }
        sent_ += static_cast<std::size_t>(result);
        return sent_ < bytes_.size();
    }

    [[nodiscard]] buffer& sent() noexcept { return bytes_; }

private:
    // A kernel before 6.0, a socket of another kind, or no memory to be pinned any more.
    [[nodiscard]] static bool is_refusal(std::int32_t result) noexcept {
        return result == -EINVAL || result == -EOPNOTSUPP || result == -ENOMEM ||
               result == -ENOBUFS;
    }
    [[nodiscard]] const std::byte* from() const noexcept { return bytes_.data() + sent_; }
    [[nodiscard]] std::size_t next_bytes() const noexcept {
        return std::min(bytes_.size() - sent_, transfer_bytes_max);
    }

    buffer bytes_;
    std::size_t sent_ = 0;
    bool zero_copy_ = true;
};

std::expected<buffer, std::error_code> take_zero_copy(io_call& call, std::int32_t /*result*/) {
    return std::move(static_cast<send_zero_copy_call&>(call).sent());
}

/// Sends once.
class send_once_call final : public io_call {
public:
    send_once_call(int descriptor, buffer bytes) noexcept
        : io_call(descriptor, waits::to_write, true), bytes_(std::move(bytes)) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        return detail::retry([this] {
            return detail::calls::send(descriptor(), bytes_.data(), count(),
                                       MSG_DONTWAIT | MSG_NOSIGNAL);
        });
    }
    void submit(io_uring_sqe& entry) noexcept override {
        io_uring_prep_send(&entry, descriptor(), bytes_.data(), count(), MSG_NOSIGNAL);
    }

    [[nodiscard]] buffer& bytes() noexcept { return bytes_; }

private:
    [[nodiscard]] std::size_t count() const noexcept {
        return std::min(bytes_.size(), transfer_bytes_max);
    }

    buffer bytes_;
};

std::expected<partly_sent, std::error_code> take_partly_sent(io_call& call, std::int32_t result) {
    return partly_sent(std::move(static_cast<send_once_call&>(call).bytes()),
                       static_cast<std::size_t>(result));
}

/// Receives until there are as many bytes as were asked for, in several buffers.
class receive_exactly_vectored_call final : public io_call {
public:
    receive_exactly_vectored_call(int descriptor, std::vector<buffer> into, std::size_t count)
        : io_call(descriptor, waits::to_read, true), into_(std::move(into)), left_(count) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        prepare();
        return detail::retry(
            [this] { return detail::calls::recvmsg(descriptor(), &header_, MSG_DONTWAIT); });
    }
    void submit(io_uring_sqe& entry) noexcept override {
        prepare();
        io_uring_prep_recvmsg(&entry, descriptor(), &header_, MSG_WAITALL);
    }
    [[nodiscard]] bool again(std::int32_t& result) noexcept override {
        if (result <= 0) { return false; }
        into_.commit(static_cast<std::size_t>(result));
        left_ -= static_cast<std::size_t>(result);
        return left_ != 0;
    }

    [[nodiscard]] bool is_complete() const noexcept { return left_ == 0; }
    [[nodiscard]] std::vector<buffer> take() noexcept { return into_.take<std::vector<buffer>>(); }

private:
    // No more than is left.
    void prepare() noexcept {
        auto parts = into_.to_fill(detail::parts_max);
        std::size_t room = std::min(left_, transfer_bytes_max);
        std::size_t used = 0;
        while (used < parts.size() && room != 0) {
            parts[used].iov_len = std::min(parts[used].iov_len, room);
            room -= parts[used++].iov_len;
        }
        header_ = {};
        header_.msg_iov = parts.data();
        header_.msg_iovlen = used;
    }

    detail::buffer_parts into_;
    std::size_t left_;
    msghdr header_{};
};

std::expected<std::vector<buffer>, std::error_code> take_exactly_scattered(
    io_call& call, std::int32_t /*result*/) {
    auto& received = static_cast<receive_exactly_vectored_call&>(call);
    if (!received.is_complete()) { return std::unexpected(make_error_code(errc::unexpected_end)); }
    return received.take();
}

std::size_t room_of(const std::vector<buffer>& into) noexcept {
    std::size_t room = 0;
    for (const buffer& each : into) { room += each.spare(); }
    return room;
}

std::expected<std::vector<buffer>, std::error_code> take_scattered(io_call& call,
                                                                   std::int32_t result) {
    auto& received = static_cast<receive_message_call&>(call);
    received.commit(static_cast<std::size_t>(result));
    return received.bytes.take<std::vector<buffer>>();
}

}  // namespace

io_future<buffer> byte_stream::recv_n(buffer into, std::size_t count) {
    const bool fits = count <= into.spare();
    if (const auto refused = may_receive(fits ? count : 0)) { return io_future<buffer>(refused); }
    return {std::make_unique<receive_exactly_call>(descriptor(), std::move(into), count),
            &take_exactly};
}

io_future<std::vector<buffer>> byte_stream::recv_vectored(std::vector<buffer> into) {
    if (const auto refused = may_receive(room_of(into))) {
        return io_future<std::vector<buffer>>(refused);
    }
    return {std::make_unique<receive_message_call>(descriptor(), std::move(into), 0, false),
            &take_scattered};
}

io_future<std::vector<buffer>> byte_stream::recv_n_vectored(std::vector<buffer> into,
                                                            std::size_t count) {
    const bool fits = count <= room_of(into);
    if (const auto refused = may_receive(fits ? count : 0)) {
        return io_future<std::vector<buffer>>(refused);
    }
    return {std::make_unique<receive_exactly_vectored_call>(descriptor(), std::move(into), count),
            &take_exactly_scattered};
}

pool_recv_future<buffer> byte_stream::recv(const buffer_pool& pool) {
    using result = pool_recv_future<buffer>;
    if (const auto refused = may_receive(1)) { return result(detail::pool_receiving(refused)); }
    return result(detail::pool_receiving(pool, descriptor(), detail::pool_source::stream, false));
}

pool_receiver<buffer> byte_stream::recv_many(const buffer_pool& pool) {
    using result = pool_receiver<buffer>;
    if (const auto refused = may_receive(1)) { return result(detail::pool_receiving(refused)); }
    return result(detail::pool_receiving(pool, descriptor(), detail::pool_source::stream, true));
}

io_future<partly_sent> byte_stream::send_some(buffer bytes) {
    if (!is_open()) { return io_future<partly_sent>(make_error_code(errc::closed)); }
    return {std::make_unique<send_once_call>(descriptor(), std::move(bytes)), &take_partly_sent};
}

io_future<std::vector<buffer>> byte_stream::send_all_vectored(std::vector<buffer> bytes) {
    using result = io_future<std::vector<buffer>>;
    if (!is_open()) { return result(make_error_code(errc::closed)); }
    auto call = std::make_unique<send_message_call>(descriptor(), std::move(bytes));
    call->send_all();
    return {std::move(call), &detail::take_sent<std::vector<buffer>>};
}

io_future<buffer> byte_stream::send_all_zero_copy(buffer bytes) {
    if (!is_open()) { return io_future<buffer>(make_error_code(errc::closed)); }
    return {std::make_unique<send_zero_copy_call>(descriptor(), std::move(bytes)), &take_zero_copy};
}

}  // namespace heph::rt::net
