#include "page_cache.hpp"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

namespace heph::rt::net {

namespace {

// cachestat(2). glibc has no function for it, and Debian 12's kernel headers are older than it; the
// number is the same for all machines but Alpha.
constexpr long cachestat_call = 451;

struct cache_range {
    std::uint64_t offset;
    std::uint64_t bytes;
};

struct cache_counts {
    std::uint64_t cached;
    std::uint64_t dirty;
    std::uint64_t under_write;
    std::uint64_t evicted;
    std::uint64_t recently_evicted;
};

constexpr std::uint64_t pages_a_look = 16;

// Tells whether a byte can be read without waiting: its page is there, and has been read.
bool is_read(int file, std::uint64_t offset) noexcept {
    char byte;
    const iovec into{&byte, 1};
    // 0 at the end of the file.
    return ::preadv2(file, &into, 1, static_cast<off_t>(offset), RWF_NOWAIT) >= 0;
}

}  // namespace

bool in_page_cache(int file, std::uint64_t offset, std::size_t bytes) noexcept {
    if (bytes == 0) { return true; }
    cache_range range{offset, bytes};
    cache_counts counts{};
    if (::syscall(cachestat_call, file, &range, &counts, 0) != 0) { return false; }
    static const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const std::uint64_t first = offset / page_bytes;
    const std::uint64_t last = (offset + bytes - 1) / page_bytes;
    if (counts.cached < last - first + 1) { return false; }
    for (std::uint64_t at = offset; at < offset + bytes; at += pages_a_look * page_bytes) {
        if (!is_read(file, at)) { return false; }
    }
    return is_read(file, offset + bytes - 1);
}

}  // namespace heph::rt::net
