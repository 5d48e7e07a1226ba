#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include <heph/rt/detail/io_call.hpp>
#include <heph/rt/detail/pool_receiving.hpp>

#include "../pool_state.hpp"
#include "../slot.hpp"

namespace heph::rt::detail {

/// Receives into buffers of a pool, once or again and again, bytes or datagrams.
///
/// A datagram's buffer begins with what the kernel says of it when it receives many, in whatever
/// way it came: `io_uring_recvmsg_out`, then the address; but for a single one by a ring, whose
/// address is here.
///
/// *Thread safety*: unsafe.
class pool_call final : public io_call {
public:
    pool_call(std::shared_ptr<pool_state> pool, int descriptor, bool datagrams, bool many) noexcept;
    ~pool_call() override;

    [[nodiscard]] std::int32_t perform() noexcept override;
    void submit(io_uring_sqe& entry) noexcept override;
    [[nodiscard]] bool note_completion(std::int32_t result, std::uint32_t flags) noexcept override;

    [[nodiscard]] bool any() const noexcept { return queue_.count != 0 || came_empty_; }
    /// Takes the first of what came. *Requires*: there is any. *Errors*: throws `std::bad_alloc`;
    /// it is lost then.
    [[nodiscard]] pool_arrival pop();

    enum class next_step : std::uint8_t { go_on, await_data, await_buffer, end, fail };
    /// Tells what to do now that it is under way no more and nothing is left of what came.
    [[nodiscard]] next_step after_last() noexcept;
    [[nodiscard]] std::int32_t last_result() const noexcept { return last_; }
    /// Lets the next look at it go on, whatever the last result was.
    void forget_result() noexcept { last_ = 1; }

    /// What a datagram's buffer has in front of it.
    static constexpr std::size_t header_bytes = 16 + sizeof(sockaddr_in6);

private:
    void prepare(std::byte* buffer) noexcept;
    [[nodiscard]] std::int32_t receive(std::byte* buffer) noexcept;
    [[nodiscard]] std::size_t queue_max() const noexcept;

    std::shared_ptr<pool_state> pool_;
    arrivals queue_;
    std::int32_t last_ = 1;
    bool datagrams_;
    bool many_;
    bool worked_ = false;      // Some completion had a buffer.
    bool paused_ = false;      // It was asked to pause.
    bool at_front_ = false;    // Datagrams: they begin where their buffer does.
    bool came_empty_ = false;  // A single datagram without bytes, for which no buffer was taken.
    socket_address from_{};
    iovec part_{};
    msghdr header_{};
};

}  // namespace heph::rt::detail
