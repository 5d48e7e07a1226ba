#pragma once

#include <string_view>

namespace notes {

/// Gives the page at `/`: one HTML document that needs nothing else.
[[nodiscard]] std::string_view page() noexcept;

}  // namespace notes
