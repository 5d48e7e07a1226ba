#pragma once

// What answers to conditions and ranges are made of, whatever the body is.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <heph/http/conditional.hpp>
#include <heph/http/range.hpp>
#include <heph/http/request.hpp>
#include <heph/http/response.hpp>

namespace heph::http::detail {

/// Gives the 304 or 412 that answers a GET or HEAD instead of `full`, or nothing.
[[nodiscard]] std::optional<response> conditional_answer(const request& asked,
                                                         const response& full);

/// Reads the ranges that a GET asks for, when `If-Range` lets it.
/// *Errors*: `ignored` where the whole is to be sent.
[[nodiscard]] std::expected<std::vector<byte_range>, range_error> ranges_asked_for(
    const request& asked, const validators& current, std::uint64_t size);

/// Makes the answer to a range that lies beyond the end.
[[nodiscard]] response beyond_end(std::uint64_t size);

/// Gives what stands before a part of `multipart/byteranges`, and what stands behind the last one
/// and its line end (RFC 9110, 14.6).
[[nodiscard]] std::string part_head(const std::string& boundary, std::string_view type,
                                    byte_range part, std::uint64_t size);
[[nodiscard]] std::string parts_end(const std::string& boundary);

/// Gives a boundary of random bytes.
[[nodiscard]] std::string unforeseeable_boundary();

}  // namespace heph::http::detail
