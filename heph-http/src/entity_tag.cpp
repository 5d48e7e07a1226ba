#include <algorithm>

#include <heph/http/entity_tag.hpp>

#include "chars.hpp"
#include "content_hash.hpp"

namespace heph::http {

namespace {

bool is_tag_char(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return byte == 0x21 || (byte >= 0x23 && byte != 0x7f);
}

}  // namespace

std::optional<entity_tag> entity_tag::make(std::string_view opaque, bool weak) {
    if (!std::ranges::all_of(opaque, is_tag_char)) { return {}; }
    return entity_tag(std::string(opaque), weak);
}

entity_tag entity_tag::of_content(std::string_view content) {
    detail::content_hash hash(content.size());
    hash.add(content);
    return {hash.text(), false};
}

std::optional<entity_tag> entity_tag::parse(std::string_view text) {
    if (!text.starts_with('"') && !text.starts_with("W/")) { return {}; }
    if (!text.ends_with('"')) { return {}; }
    auto tag = next_entity_tag(text);
    if (!text.empty()) { return {}; }
    return tag;
}

std::string entity_tag::to_string() const {
    std::string text = weak_ ? "W/\"" : "\"";
    text += opaque_;
    text += '"';
    return text;
}

std::optional<entity_tag> next_entity_tag(std::string_view& list) {
    // Empty elements are to be passed over (RFC 9110, 5.6.1.2).
    while (!list.empty() && (list.front() == ',' || list.front() == ' ' || list.front() == '\t')) {
        list.remove_prefix(1);
    }
    const bool weak = list.starts_with("W/");
    const std::string_view quoted = list.substr(weak ? 2 : 0);
    if (!quoted.starts_with('"')) { return {}; }
    const std::size_t end = quoted.find('"', 1);
    if (end == std::string_view::npos) { return {}; }
    std::string_view rest = detail::trim(quoted.substr(end + 1));
    if (!rest.empty() && rest.front() != ',') { return {}; }
    auto tag = entity_tag::make(quoted.substr(1, end - 1), weak);
    if (tag) { list = rest; }
    return tag;
}

}  // namespace heph::http
