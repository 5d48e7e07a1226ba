#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "slot.hpp"

namespace heph::rt::detail {

/// What is longer is not read on a worker, not even out of the page cache.
inline constexpr std::size_t cached_read_bytes_max = std::size_t{1} << 20U;

/// Carries out a slot's read if nothing has to be waited for: what is asked for is in the page
/// cache, up to the file's end, or in a pipe. Gives the result; nothing when a thread has to go on,
/// which does so after the bytes that there were (`request::from`).
///
/// Each answer that is not sure is none: a thread finds out.
[[nodiscard]] std::optional<std::int32_t> read_cached(slot& operation) noexcept;

}  // namespace heph::rt::detail
