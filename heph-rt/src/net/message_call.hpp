#pragma once

// Messages: what one sendmsg or recvmsg takes, in an object that owns it.

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <heph/rt/buffer.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/detail/io_call.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/io_future.hpp>
#include <heph/rt/net/datagram.hpp>
#include <heph/rt/net/descriptors.hpp>

#include "../buffer_parts.hpp"

namespace heph::rt::detail {

/// What both directions have in common: buffers, an address and control data.
class message_call : public io_call {
public:
    buffer_parts bytes;
    sockaddr_storage address{};
    socklen_t address_bytes = 0;  // Of a receive: 0 for not wanted.

protected:
    template <typename Bytes>
    message_call(int descriptor, waits how, Bytes of)
        : io_call(descriptor, how, true), bytes(std::move(of)) {}

    void set_parts(std::span<iovec> parts) noexcept {
        header_.msg_iov = parts.data();
        header_.msg_iovlen = parts.size();
    }

    msghdr header_{};
    std::unique_ptr<std::byte[]> control_;
    std::size_t control_bytes_ = 0;
};

/// Sends a message; or, of a stream, everything.
class send_message_call final : public message_call {
public:
    template <typename Bytes>
    send_message_call(int descriptor, Bytes of)
        : message_call(descriptor, waits::to_write, std::move(of)) {}

    /// Goes on until everything is sent.
    void send_all() noexcept { all_ = true; }
    /// Tries again while the receiver's queue is full, of which nothing else would tell.
    void retry_when_full() noexcept { set(descriptor(), waits::to_retry, true); }
    /// Sends copies of descriptors along.
    void attach(std::vector<descriptor_handle> descriptors);

    [[nodiscard]] std::int32_t perform() noexcept override;
    void submit(io_uring_sqe& entry) noexcept override;
    [[nodiscard]] bool again(std::int32_t& result) noexcept override;

private:
    void prepare() noexcept;

    std::vector<descriptor_handle> descriptors_;
    bool all_ = false;
    bool begun_ = false;
};

/// Receives a message; or, of a stream, what is there.
class receive_message_call final : public message_call {
public:
    template <typename Bytes>
    receive_message_call(int descriptor, Bytes of, int flags, bool wants_address)
        : message_call(descriptor, waits::to_read, std::move(of)),
          flags_(flags),
          wants_address_(wants_address) {}
    ~receive_message_call() override;

    /// Has room for descriptors.
    void expect_descriptors(std::size_t count);
    /// Takes what came along.
    [[nodiscard]] std::vector<descriptor_handle> take_descriptors();

    [[nodiscard]] std::int32_t perform() noexcept override;
    void submit(io_uring_sqe& entry) noexcept override;

    /// Adds bytes that were received to the buffers.
    void commit(std::size_t received) noexcept {
        address_bytes = header_.msg_namelen;
        bytes.commit(received);
    }
    [[nodiscard]] bool is_truncated() const noexcept {
        return (header_.msg_flags & MSG_TRUNC) != 0;
    }
    [[nodiscard]] bool lost_descriptors() const noexcept {
        return (header_.msg_flags & MSG_CTRUNC) != 0;
    }

private:
    void prepare() noexcept;

    int flags_;  // MSG_TRUNC, of what keeps messages apart: the result is the message's size.
    bool wants_address_;
};

/// Makes a message of what was received.
template <typename Bytes>
[[nodiscard]] net::message<Bytes> to_message(receive_message_call& call, std::int32_t result) {
    const auto size = static_cast<std::size_t>(result);
    call.commit(size);
    return net::message<Bytes>(call.bytes.take<Bytes>(), size, call.is_truncated());
}

/// Receives one message of a socket that keeps them apart; its sender's address goes to the call.
template <typename Result, typename Bytes>
[[nodiscard]] io_future<Result> receive_message(int descriptor, Bytes into, bool wants_address,
                                                typename io_future<Result>::taker take) {
    if (descriptor < 0) { return io_future<Result>(make_error_code(errc::closed)); }
    auto call = std::make_unique<receive_message_call>(descriptor, std::move(into), MSG_TRUNC,
                                                       wants_address);
    return io_future<Result>(std::move(call), take);
}

// Takers of `io_future`.

template <typename Bytes>
[[nodiscard]] std::expected<net::message<Bytes>, std::error_code> take_message(
    io_call& call, std::int32_t result) {
    return to_message<Bytes>(static_cast<receive_message_call&>(call), result);
}

template <typename Bytes>
[[nodiscard]] std::expected<Bytes, std::error_code> take_sent(io_call& call,
                                                              std::int32_t /*result*/) {
    return static_cast<send_message_call&>(call).bytes.take<Bytes>();
}

// Descriptors along with bytes.

[[nodiscard]] io_future<buffer> send_with_descriptors(int descriptor, buffer bytes,
                                                      std::vector<descriptor_handle> descriptors,
                                                      bool all);
[[nodiscard]] io_future<net::message_with_descriptors> recv_with_descriptors(int descriptor,
                                                                             buffer into,
                                                                             std::size_t most,
                                                                             int flags);

}  // namespace heph::rt::detail
