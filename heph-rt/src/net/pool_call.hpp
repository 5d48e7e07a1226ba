#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include <heph/rt/detail/io_call.hpp>
#include <heph/rt/detail/pool_receiving.hpp>

#include "../pool_state.hpp"
#include "../slot.hpp"

namespace heph::rt::detail {

/// Receives, or reads, into buffers of a pool, once or again and again, bytes or messages.
///
/// A message's buffer begins with what the kernel says of it when it receives many, in whatever
/// way it came: `io_uring_recvmsg_out`, then the address; but for a single one by a ring, whose
/// address is here.
///
/// The pool is its worker's: what is done on a thread needs its buffer before it begins.
///
/// *Thread safety*: unsafe.
class pool_call final : public io_call {
public:
    /// `by_ring` tells whether a ring carries it out.
    pool_call(std::shared_ptr<pool_state> pool, int descriptor, pool_source source, bool many,
              std::uint64_t offset, bool by_ring) noexcept;
    ~pool_call() override;

    /// Takes what it needs before it begins. Gives false when no buffer is free, which is the last
    /// result then.
    [[nodiscard]] bool get_ready() noexcept;

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

    /// What a message's buffer has in front of it.
    [[nodiscard]] static std::size_t header_bytes(pool_source source) noexcept;

private:
    [[nodiscard]] bool is_message() const noexcept { return header_bytes_ != 0; }
    [[nodiscard]] bool reads_bytes() const noexcept {
        return source_ == pool_source::pipe || source_ == pool_source::file;
    }
    void set_sender(pool_arrival& arrived, const std::byte* address, std::size_t bytes) const;
    void prepare(std::byte* buffer) noexcept;
    [[nodiscard]] std::int32_t receive(std::byte* buffer) noexcept;
    [[nodiscard]] std::size_t queue_max() const noexcept;

    std::shared_ptr<pool_state> pool_;
    arrivals queue_;
    std::size_t header_bytes_;
    std::uint64_t offset_;               // Of a file.
    std::optional<std::uint16_t> held_;  // The buffer that a thread fills.
    std::int32_t last_ = 1;
    pool_source source_;
    bool many_;
    bool on_thread_ = false;      // Without a ring: on a thread.
    bool was_performed_ = false;  // On a thread, which fills the held buffer and no more.
    bool worked_ = false;         // Some completion had a buffer.
    bool paused_ = false;         // It was asked to pause.
    bool at_front_ = false;       // Datagrams: they begin where their buffer does.
    bool came_empty_ = false;     // A single datagram without bytes, for which no buffer was taken.
    sockaddr_storage from_{};
    iovec part_{};
    msghdr header_{};
};

}  // namespace heph::rt::detail
