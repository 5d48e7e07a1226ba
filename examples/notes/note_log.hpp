#pragma once

// The file that keeps a node's notes: an append-only log, without the I/O.
//
// Format (all numbers little-endian)
//     file    = header frame*
//     header  = "heph-notes-log 1" (16 bytes)  salt u64  node_crc u32  crc u32     32 bytes
//     frame   = "HNLf"  payload_bytes u32  first_sequence u64  records u32
//               payload_crc u32  header_crc u32  payload                    28 bytes + payload
//     payload = record{records}
//     record  = kind u8  id_bytes u16  type_bytes u16  body_bytes u32  id  type  body
//
// A frame is what was written by one group commit. The next one is written only when this one is
// known to be on the disk. So, after a crash at any moment:
//     1. every frame but the last is whole, and all of its records may have been acknowledged;
//     2. the last frame is whole, or none of its records was acknowledged.
// Hence a bad frame at the end is a torn write, to be cut off; a bad frame with a good one behind
// it is a damaged disk or file, where going on would lose notes in silence.
//
// Both checksums start from the salt, a random number of the file's own: no note's body can be made
// to look like a frame of this file.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <heph/rt/buffer.hpp>

namespace notes {

/// Says what a record does.
enum class record_kind : std::uint8_t { put = 1, remove = 2 };

/// Is one change of one note. The texts belong to somebody else.
struct record {
    record_kind kind = record_kind::put;
    std::string_view id;
    std::string_view content_type;
    std::string_view body;
};

inline constexpr std::size_t log_header_bytes = 32;
inline constexpr std::size_t frame_header_bytes = 28;
inline constexpr std::size_t frame_payload_bytes_max = 4 * 1024 * 1024;

/// Makes the first bytes of a new log file, that of the node `node`.
[[nodiscard]] heph::rt::buffer make_log_header(std::uint64_t salt, std::string_view node);

/// Collects the records of one group commit into one frame.
class frame_builder {
public:
    /// `first_sequence` is the number of the first record; records are numbered without gaps.
    frame_builder(std::uint64_t salt, std::uint64_t first_sequence);

    /// Tells whether the frame has room for `added`. An empty frame has room for any record with an
    /// id, a type and a body within the limits of the service.
    [[nodiscard]] bool has_room_for(const record& added) const noexcept;

    /// Adds a copy. *Requires*: `has_room_for(added)`.
    void add(const record& added);

    [[nodiscard]] std::uint32_t records() const noexcept { return records_; }

    /// Gives the bytes to append to the file.
    [[nodiscard]] heph::rt::buffer finish() &&;

private:
    heph::rt::buffer bytes_;
    std::uint64_t salt_;
    std::uint64_t first_sequence_;
    std::uint32_t records_ = 0;
};

/// Is where a log is read from: a file, or memory in a test.
class log_source {
public:
    log_source() = default;
    log_source(const log_source&) = delete;
    log_source& operator=(const log_source&) = delete;
    virtual ~log_source() = default;

    [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;
    /// Fills `out` from `offset` on. *Requires*: so many bytes are there.
    [[nodiscard]] virtual std::expected<void, std::error_code> read_at(
        std::uint64_t offset, std::span<std::byte> out) = 0;
};

/// Tells what a crash left unfinished at the end of a log.
struct torn_tail {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    std::string reason;
};

/// Tells what was found in a log.
struct recovery {
    std::uint64_t salt = 0;
    std::uint64_t good_bytes = 0;  ///< Cut the file to this. 0: write a new header first.
    std::uint64_t next_sequence = 1;
    std::uint64_t records = 0;
    std::optional<torn_tail> tail;
};

/// Says why a log cannot be used, and where.
struct log_error {
    std::uint64_t offset = 0;
    std::string reason;
};

/// Reads a log from its start, and gives each record, in order, to `apply`. Records of a torn frame
/// are not given. Reads one frame at a time into memory.
/// *Errors*: it is no such log, it belongs to another node than `node`, it cannot be read, or it is
/// damaged before its end.
[[nodiscard]] std::expected<recovery, log_error> recover(
    log_source& source, std::string_view node, const std::function<void(const record&)>& apply);

}  // namespace notes
