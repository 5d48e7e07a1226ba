#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>

#include <heph/core/task.hpp>
#include <heph/http/error.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/fs/file.hpp>

namespace heph::http::detail {

/// So much of a file is in memory at a time.
inline constexpr std::size_t file_piece_bytes = 64 * 1024;

/// Reads `size` bytes from `offset` on into the memory of `into`, which may be any.
/// *Errors*: `handler_failed`: the file cannot be read, or has fewer.
/// *Lifetime*: `file` outlives the task.
[[nodiscard]] task<std::expected<rt::buffer, error>> read_file_piece(const rt::fs::file* file,
                                                                     rt::buffer into,
                                                                     std::uint64_t offset,
                                                                     std::size_t size);

}  // namespace heph::http::detail
