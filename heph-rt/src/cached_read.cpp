#include "cached_read.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <heph/rt/fs/file.hpp>

namespace heph::rt::detail {

namespace {

// Tells whether less than was asked for is all that there is: up to the end of a file, or what a
// pipe or the like had. A 0 is no answer by itself: Linux 5.9 and 5.10 give it also for what has to
// be waited for.
bool is_all(const request& asked, std::uint64_t bytes) noexcept {
    struct stat status{};
    if (::fstat(asked.descriptor, &status) != 0 || S_ISBLK(status.st_mode)) { return false; }
    if (!S_ISREG(status.st_mode)) { return bytes != 0; }
    const off_t at = asked.offset == fs::file::current_position
                         ? ::lseek(asked.descriptor, 0, SEEK_CUR)
                         : static_cast<off_t>(asked.offset + bytes);
    return at >= status.st_size;
}

}  // namespace

std::optional<std::int32_t> read_cached(slot& operation) noexcept {
    request& asked = operation.request;
    const auto room = operation.data.spare_bytes().subspan(asked.from);
    if (asked.from != 0 || room.size() > cached_read_bytes_max) { return std::nullopt; }
    // One that passes by the page cache waits for the device all the same.
    const int flags = ::fcntl(asked.descriptor, F_GETFL);
    if (flags < 0 || (flags & O_DIRECT) != 0) { return std::nullopt; }
    const iovec into{room.data(), room.size()};
    // The file's own position is -1 to both.
    const auto got =
        ::preadv2(asked.descriptor, &into, 1, static_cast<off_t>(asked.offset), RWF_NOWAIT);
    // EAGAIN for what is not there, EOPNOTSUPP where the file system cannot tell; and others.
    if (got < 0) { return std::nullopt; }
    const auto bytes = static_cast<std::size_t>(got);
    if (bytes == room.size()) { return static_cast<std::int32_t>(bytes); }
    if (is_all(asked, bytes)) { return static_cast<std::int32_t>(bytes); }
    asked.from = bytes;
    return std::nullopt;
}

}  // namespace heph::rt::detail
