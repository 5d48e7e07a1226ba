#pragma once

#include <string_view>

#include <heph/http/entity_tag.hpp>

namespace notes {

/// Names a note as it is. The type belongs to it: a change of that alone is one.
[[nodiscard]] heph::http::entity_tag tag_of(std::string_view content_type, std::string_view body);

}  // namespace notes
