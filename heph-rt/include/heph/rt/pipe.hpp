#pragma once

// Pipes, and the standard streams of the process.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <system_error>
#include <utility>

#include <heph/rt/buffer.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/io_future.hpp>
#include <heph/rt/limited.hpp>
#include <heph/rt/net/pool_receiver.hpp>

namespace heph::rt {

/// Reads bytes in order: from a pipe, a FIFO, a terminal, or what standard input is redirected
/// from.
///
/// One read may be under way at a time.
/// *Errors*: the system's codes, `errc::closed`; `invalid_argument` for a buffer without room.
/// *Cancellation* of a read: bytes that had just come may be lost; on a thread, with epoll, a read
/// of a terminal or of a pipe that others read, too, may go on and take bytes.
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
/// *Lifetime*: it outlives its futures.
class [[nodiscard]] byte_reader {
public:
    /// Makes a closed one.
    byte_reader() noexcept = default;
    /// Takes over a descriptor.
    explicit byte_reader(descriptor_handle owned) noexcept
        : descriptor_(owned.get()), owned_(std::move(owned)) {}
    /// Reads from a descriptor that somebody else closes.
    [[nodiscard]] static byte_reader borrow(int descriptor) noexcept {
        byte_reader made;
        made.descriptor_ = descriptor;
        return made;
    }
    byte_reader(byte_reader&& other) noexcept
        : descriptor_(std::exchange(other.descriptor_, -1)), owned_(std::move(other.owned_)) {}
    byte_reader& operator=(byte_reader&& other) noexcept {
        descriptor_ = std::exchange(other.descriptor_, -1);
        owned_ = std::move(other.owned_);
        return *this;
    }
    ~byte_reader() = default;

    /// Reads once into the buffer's spare room. At the end its size has not grown.
    io_future<buffer> read(buffer into) const;
    /// Reads once, at most as many bytes as the limit says; see `limit`.
    template <byte_container Bytes>
    io_future<Bytes> read(limited<Bytes> into) const {
        auto room = std::make_unique<detail::limited_room<Bytes>>(std::move(into));
        if (const auto refused = may_read(room->spare().size())) {
            return io_future<Bytes>(refused);
        }
        return {detail::read_into(descriptor_, std::move(room)), &detail::take_room<Bytes>};
    }
    /// Reads once into a buffer of a pool, which is taken when there are bytes; with epoll before
    /// that, where the descriptor blocks. An empty buffer is the end.
    net::pool_recv_future<buffer> read(const buffer_pool& pool) const;
    /// Reads again and again into the buffers of a pool. Excludes other reads meanwhile.
    net::pool_receiver<buffer> read_many(const buffer_pool& pool) const;
    /// Reads exactly `count` bytes, at least one, into the buffer's spare room.
    /// *Errors*: `errc::unexpected_end` when there are no more before that.
    io_future<buffer> read_n(buffer into, std::size_t count) const;

    [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

private:
    // Tells what speaks against a read into so many bytes of room.
    [[nodiscard]] std::error_code may_read(std::size_t room) const noexcept;

    int descriptor_ = -1;
    descriptor_handle owned_;
};

/// Writes bytes in order: to a pipe, a FIFO, a terminal, or what standard output is redirected to.
/// Destroying it ends what its reader reads.
///
/// One write may be under way at a time.
/// *Errors*: the system's codes, `errc::closed`; `broken_pipe` when nobody reads any more.
/// *Cancellation* of a write: a part may have been written.
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
/// *Lifetime*: it outlives its futures.
class [[nodiscard]] byte_writer {
public:
    /// Makes a closed one.
    byte_writer() noexcept = default;
    /// Takes over a descriptor.
    explicit byte_writer(descriptor_handle owned) noexcept
        : descriptor_(owned.get()), owned_(std::move(owned)) {}
    /// Writes to a descriptor that somebody else closes.
    [[nodiscard]] static byte_writer borrow(int descriptor) noexcept {
        byte_writer made;
        made.descriptor_ = descriptor;
        return made;
    }
    byte_writer(byte_writer&& other) noexcept
        : descriptor_(std::exchange(other.descriptor_, -1)), owned_(std::move(other.owned_)) {}
    byte_writer& operator=(byte_writer&& other) noexcept {
        descriptor_ = std::exchange(other.descriptor_, -1);
        owned_ = std::move(other.owned_);
        return *this;
    }
    ~byte_writer() = default;

    /// Writes all of the buffer's bytes and gives it back.
    io_future<buffer> write_all(buffer bytes) const;

    [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

private:
    int descriptor_ = -1;
    descriptor_handle owned_;
};

/// Makes a pipe: what is written to the second end is read from the first. Children do not inherit
/// it. Does not wait. *Errors*: `too_many_files_open`, ….
[[nodiscard]] std::expected<std::pair<byte_reader, byte_writer>, std::error_code> make_pipe();

// The standard streams of the process, whatever they are. Closing them is left to the program.
[[nodiscard]] byte_reader standard_input() noexcept;
[[nodiscard]] byte_writer standard_output() noexcept;
[[nodiscard]] byte_writer standard_error() noexcept;

}  // namespace heph::rt
