#include "cached_read.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <heph/rt/fs/file.hpp>

namespace heph::rt::detail {

namespace {

// Tells whether a file has nothing after the bytes that were read. Of what is no file this is not
// known.
std::optional<bool> ends_after(const request& asked, std::uint64_t bytes) noexcept {
    struct stat status{};
    if (::fstat(asked.descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        return std::nullopt;
    }
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
    const auto ended = ends_after(asked, bytes);
    // Kernels 5.9 and 5.10 give 0 also for what is not there.
    if (ended ? *ended : bytes != 0) { return static_cast<std::int32_t>(bytes); }
    asked.from = bytes;
    return std::nullopt;
}

}  // namespace heph::rt::detail
