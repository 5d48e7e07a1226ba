#pragma once

// Moves bytes between descriptors within the kernel: pipes to and from sockets and files.
//
//     auto [from, to] = *heph::rt::make_pipe();
//     auto moved = co_await heph::rt::splice(client, to, 65'536);  // what the client sent
//     if (moved && *moved != 0) { moved = co_await heph::rt::splice_all(from, file, *moved); }

#include <cstdint>
#include <system_error>

#include <heph/rt/fs/file.hpp>
#include <heph/rt/io_future.hpp>
#include <heph/rt/net/stream.hpp>
#include <heph/rt/pipe.hpp>

namespace heph::rt {

/// Says where bytes are moved from: a pipe's reading end, a stream, or a file. It borrows.
class splice_source {
public:
    splice_source(const byte_reader& from) noexcept : descriptor_(from.descriptor()) {}
    splice_source(const net::byte_stream& from) noexcept
        : descriptor_(from.descriptor()), receives_ahead_(from.receives_ahead()) {}
    /// Stands for a file from `offset` bytes on; without one, from its own position on, which moves
    /// along.
    splice_source(const fs::file& from, std::uint64_t offset = fs::file::current_position) noexcept
        : descriptor_(from.descriptor()), offset_(offset) {}

    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
    [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
    [[nodiscard]] bool receives_ahead() const noexcept { return receives_ahead_; }

private:
    int descriptor_;
    bool receives_ahead_ = false;
    std::uint64_t offset_ = fs::file::current_position;
};

/// Says where bytes are moved to: a pipe's writing end, a stream, or a file. It borrows.
class splice_target {
public:
    splice_target(const byte_writer& to) noexcept : descriptor_(to.descriptor()) {}
    splice_target(const net::byte_stream& to) noexcept : descriptor_(to.descriptor()) {}
    /// As that of `splice_source`.
    splice_target(const fs::file& to, std::uint64_t offset = fs::file::current_position) noexcept
        : descriptor_(to.descriptor()), offset_(offset) {}

    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
    [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

private:
    int descriptor_;
    std::uint64_t offset_ = fs::file::current_position;
};

/// Moves at most `count` bytes, as soon as there are some, and room for them. Gives how many: 0 is
/// the end of what is moved from. Nothing is copied, and no memory is taken but the pipe's own.
///
/// One of both has to be an end of a pipe, so that between two others one is in the middle. While
/// it waits, it holds no thread; with epoll, moving from or to a file takes one.
///
/// *Errors*: those of reading and writing, `errc::closed`; `invalid_argument` without a pipe, for
/// both ends of the same one, for an offset that no file has, and for a file opened with `append`;
/// `errc::conflicting_operation` from a stream of which `next()` was used; `errc::no_worker`.
/// *Cancellation*: bytes may have been moved; they are where they were moved to.
/// *Lifetime*: both ends outlive the future. Dropped, it may keep what they stand for open for
/// a moment.
[[nodiscard]] io_future<std::uint64_t> splice(splice_source from, splice_target to,
                                              std::uint64_t count);

/// Moves `count` bytes, or what there is until the end. Gives how many; as `splice` otherwise.
[[nodiscard]] io_future<std::uint64_t> splice_all(splice_source from, splice_target to,
                                                  std::uint64_t count);

}  // namespace heph::rt
