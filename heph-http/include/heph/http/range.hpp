#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace heph::http {

/// A part of a representation, in bytes; never empty.
struct byte_range {
    std::uint64_t first;
    std::uint64_t last;  ///< Included.

    [[nodiscard]] std::uint64_t size() const noexcept { return last - first + 1; }
    bool operator==(const byte_range&) const noexcept = default;
};

/// Says why there are no ranges to send.
enum class range_error : std::uint8_t {
    ignored,        ///< Answer as if there were no `Range`: another unit, malformed, too many, or
                    ///< the last bytes of what is empty.
    unsatisfiable,  ///< All of it is beyond the end: 416, with `Content-Range: bytes */SIZE`.
};

/// Reads the value of `Range` (RFC 9110, 14.2) for a representation of `size` bytes.
///
/// The ranges are within the representation and in the order asked for. When some of them overlap
/// or touch each other, all are put in order and joined, so that nothing is sent twice. More than
/// `ranges_max` are ignored.
[[nodiscard]] std::expected<std::vector<byte_range>, range_error> parse_ranges(
    std::string_view value, std::uint64_t size, std::size_t ranges_max = 16);

/// Gives the value of `Content-Range` for a part: `bytes 0-9/100`.
[[nodiscard]] std::string content_range(byte_range part, std::uint64_t size);

/// Gives the value of `Content-Range` for a 416: `bytes */100`.
[[nodiscard]] std::string unsatisfied_range(std::uint64_t size);

}  // namespace heph::http
