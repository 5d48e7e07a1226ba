#include "chars.hpp"

#include <algorithm>

#include <heph/http/form.hpp>
#include <heph/http/uri.hpp>

namespace heph::http {

namespace {

std::string decode(std::string_view text) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t at = 0; at < text.size(); ++at) {
        const int byte = text[at] == '%' ? detail::encoded_byte(text, at) : -1;
        if (byte >= 0) {
            decoded.push_back(static_cast<char>(byte));
            at += 2;
        } else {
            decoded.push_back(text[at] == '+' ? ' ' : text[at]);
        }
    }
    return decoded;
}

void encode(std::string& to, std::string_view text) {
    for (const char c : text) {
        // The application/x-www-form-urlencoded percent-encode set leaves `*` and encodes `~`.
        if ((detail::is_char(c, detail::unreserved_char) && c != '~') || c == '*') {
            to.push_back(c);
        } else if (c == ' ') {
            to.push_back('+');
        } else {
            detail::append_percent_encoded(to, c);
        }
    }
}

/// A field as it is written.
struct encoded_field {
    std::string_view name;
    std::string_view value;
};

/// Takes the next field off a list that is not empty. Nothing when it is an empty one, as in
/// `a&&b`.
std::optional<encoded_field> next_field(std::string_view& list) noexcept {
    const std::size_t end = list.find('&');
    const std::string_view pair = list.substr(0, end);
    list = end == std::string_view::npos ? std::string_view() : list.substr(end + 1);
    if (pair.empty()) { return {}; }
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) { return encoded_field{pair, {}}; }
    return encoded_field{pair.substr(0, equals), pair.substr(equals + 1)};
}

}  // namespace

std::expected<form, error> form::parse(std::string_view text, std::size_t fields_max) {
    form parsed;
    while (!text.empty()) {
        const auto field = next_field(text);
        if (!field) { continue; }
        if (parsed.size() == fields_max) { return std::unexpected(error::too_many_fields); }
        parsed.append(decode(field->name), decode(field->value));
    }
    return parsed;
}

std::optional<std::string_view> form::get(std::string_view name) const noexcept {
    const auto found = std::ranges::find(fields_, name, &field::first);
    if (found == fields_.end()) { return {}; }
    return found->second;
}

std::vector<std::string_view> form::get_all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const field& each : fields_) {
        if (each.first == name) { values.push_back(each.second); }
    }
    return values;
}

std::string form::to_string() const {
    std::string text;
    for (const field& each : fields_) {
        if (!text.empty()) { text += '&'; }
        encode(text, each.first);
        text += '=';
        encode(text, each.second);
    }
    return text;
}

std::optional<std::string> query_parameter(std::string_view query, std::string_view name) {
    while (!query.empty()) {
        const auto field = next_field(query);
        if (field && decode(field->name) == name) { return decode(field->value); }
    }
    return {};
}

}  // namespace heph::http
