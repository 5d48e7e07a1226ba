#include "note_tag.hpp"

#include <string>

namespace notes {

heph::http::entity_tag tag_of(std::string_view content_type, std::string_view body) {
    std::string all(content_type);
    all += '\n';
    all += body;
    return heph::http::entity_tag::of_content(all);
}

}  // namespace notes
