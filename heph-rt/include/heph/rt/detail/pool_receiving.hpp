#pragma once

// What receives into the buffers of a pool have in common.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include <heph/inbox/future.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/buffer_pool.hpp>
#include <heph/rt/detail/operation.hpp>
#include <heph/rt/net/endpoint.hpp>

namespace heph::rt::detail {

/// From what it comes.
enum class pool_source : std::uint8_t {
    stream,          // A socket's bytes.
    datagrams,       // Of UDP, with their senders.
    messages,        // Of a Unix socket.
    unix_datagrams,  // Messages with their senders.
    pipe,            // What is read in order.
    file,            // What is read from an offset on.
};

/// What came: bytes, or a message.
class pool_arrival {
public:
    pool_arrival(buffer received, std::size_t sent, bool cut_off) noexcept
        : bytes(std::move(received)), size(sent), truncated(cut_off) {}

    buffer bytes;
    std::size_t size;  // Of the message, as it was sent.
    bool truncated;
    net::endpoint from;
    std::string unix_from;  // As the kernel has it.
};

/// A receive into a pool, or a series of them.
///
///     not started --poll--> under way --something comes--> gives it
///     a series goes on by itself until much waits to be taken, or the pool is exhausted; and again
///     when what came is taken
///
/// *Cancellation*: destroying it gives back what came and was not taken.
class pool_receiving {
public:
    using outcome = std::expected<pool_arrival, std::error_code>;

    pool_receiving(const rt::buffer_pool& pool, int descriptor, pool_source source, bool many,
                   std::uint64_t offset = 0);
    /// Makes one that fails.
    explicit pool_receiving(std::error_code refused) noexcept : refused_(refused) {}

    [[nodiscard]] polled<outcome> poll(const waker& waker);

private:
    std::error_code refused_;
    std::shared_ptr<pool_state> pool_;
    std::uint64_t offset_ = 0;
    int descriptor_ = -1;
    pool_source source_ = pool_source::stream;
    bool many_ = false;
    operation operation_;
};

}  // namespace heph::rt::detail
