#pragma once

#include <string_view>

namespace chat {

/// Gives the page that talks to the room.
[[nodiscard]] std::string_view page() noexcept;

}  // namespace chat
