#pragma once

#include <cstdint>

#include <heph/rt/fs/file.hpp>
#include <heph/rt/io_future.hpp>
#include <heph/rt/net/stream.hpp>

namespace heph::rt::net {

/// Sends `count` bytes of a file from `offset` on, or what there is of them. Gives how many were
/// sent: fewer than asked for if the file ends before.
///
/// The kernel takes what is in its page cache straight from there (sendfile), where it can tell
/// (io_uring: Linux 6.5 and most file systems). What is not there goes through one buffer of
/// 128 KiB at most with io_uring, and is left to a thread with epoll, so that no worker waits for a
/// disk.
///
/// No other send on the stream may be under way; nor may another process use the same socket, as it
/// does not block (O_NONBLOCK) for moments.
/// *Errors*: those of reading the file and of sending; `is_a_directory`, `errc::closed`;
/// `invalid_argument` for an offset that no file has.
/// *Cancellation*: a part may have been sent; the file's position is not changed.
/// *Lifetime*: stream and file outlive the future.
[[nodiscard]] io_future<std::uint64_t> send_file(const byte_stream& stream, const fs::file& file,
                                                 std::uint64_t offset, std::uint64_t count);

}  // namespace heph::rt::net
