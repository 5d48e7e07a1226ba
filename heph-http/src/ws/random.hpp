#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace heph::http::ws::detail {

/// Gives random bytes from the kernel. *Errors*: throws `std::system_error`.
[[nodiscard]] std::uint32_t random_mask();
[[nodiscard]] std::string random_bytes(std::size_t count);

}  // namespace heph::http::ws::detail
