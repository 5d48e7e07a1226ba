#pragma once

#include <cstddef>
#include <cstdint>

namespace heph::rt::net {

/// Tells whether a part of a file is in the page cache, so that reading it waits for no disk. False
/// where the kernel cannot tell (before Linux 6.5; file systems that cannot read without waiting),
/// and for what goes beyond the file's end.
///
/// Not a promise: pages may go before they are read, and of pages that are just being read into the
/// cache only some are looked at (one in 16, the first and the last). Whoever relies on it then
/// waits for that disk, which is rare and harmless, but may not be long: do it for small parts.
[[nodiscard]] bool in_page_cache(int file, std::uint64_t offset, std::size_t bytes) noexcept;

}  // namespace heph::rt::net
