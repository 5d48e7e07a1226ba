#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace heph::http::detail {

/// Gives random bytes from the kernel. *Errors*: throws `std::system_error`.
[[nodiscard]] std::uint32_t random_mask();
[[nodiscard]] std::string random_bytes(std::size_t count);
/// Gives 32 random hexadecimal digits.
[[nodiscard]] std::string random_name();

}  // namespace heph::http::detail
