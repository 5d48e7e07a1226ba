#include "metadata_call.hpp"

#include <liburing.h>

#include <chrono>

#include "../system_call.hpp"

namespace heph::rt::detail {

namespace {

constexpr unsigned wanted = STATX_BASIC_STATS | STATX_BTIME;

// The first or the last time there is, for what is before or after: from 1677 to 2262.
fs::metadata::time_point to_time(const statx_timestamp& from) noexcept {
    using time_point = fs::metadata::time_point;
    constexpr auto first = std::chrono::ceil<std::chrono::seconds>(time_point::min());
    constexpr auto last = std::chrono::floor<std::chrono::seconds>(time_point::max());
    const std::chrono::sys_seconds whole(std::chrono::seconds(from.tv_sec));
    if (whole < first) { return time_point::min(); }
    if (whole >= last) { return time_point::max(); }
    return time_point(whole) + std::chrono::nanoseconds(from.tv_nsec);
}

}  // namespace

fs::file_type type_of_mode(std::uint32_t mode) noexcept {
    switch (mode & static_cast<std::uint32_t>(S_IFMT)) {
        case S_IFREG: return fs::file_type::regular;
        case S_IFDIR: return fs::file_type::directory;
        case S_IFLNK: return fs::file_type::symbolic_link;
        case S_IFIFO: return fs::file_type::pipe;
        case S_IFSOCK: return fs::file_type::socket;
        case S_IFCHR: return fs::file_type::character_device;
        case S_IFBLK: return fs::file_type::block_device;
        default: return fs::file_type::unknown;
    }
}

std::int32_t metadata_call::perform() noexcept {
    return retry([this] { return ::statx(from(), path_.c_str(), flags_, wanted, &known_); });
}

void metadata_call::submit(io_uring_sqe& entry) noexcept {
    io_uring_prep_statx(&entry, from(), path_.c_str(), flags_, wanted, &known_);
}

fs::metadata metadata_call::result() const noexcept {
    fs::metadata::fields fields;
    fields.size = known_.stx_size;
    fields.allocated = known_.stx_blocks * 512;
    fields.inode = known_.stx_ino;
    fields.device = std::uint64_t{known_.stx_dev_major} << 32U | known_.stx_dev_minor;
    fields.mode = known_.stx_mode;
    fields.links = known_.stx_nlink;
    fields.user = known_.stx_uid;
    fields.group = known_.stx_gid;
    fields.type = type_of_mode(known_.stx_mode);
    fields.accessed = to_time(known_.stx_atime);
    fields.modified = to_time(known_.stx_mtime);
    fields.changed = to_time(known_.stx_ctime);
    fields.created = to_time(known_.stx_btime);
    return fs::metadata(fields);
}

std::expected<fs::metadata, std::error_code> take_metadata(io_call& call, std::int32_t /*result*/) {
    return static_cast<metadata_call&>(call).result();
}

}  // namespace heph::rt::detail
