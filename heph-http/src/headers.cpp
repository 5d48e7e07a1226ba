#include "chars.hpp"

#include <algorithm>
#include <functional>
#include <string>

#include <heph/http/headers.hpp>

namespace heph::http {

namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) { return false; }
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i] != b[i] && lower(a[i]) != lower(b[i])) { return false; }
    }
    return true;
}

bool is_token(std::string_view text) noexcept {
    for (const char c : text) {
        if (!detail::is_char(c, detail::token_char)) { return false; }
    }
    return !text.empty();
}

bool is_field_value(std::string_view text) noexcept {
    const char* end = text.data() + text.size();
    return detail::find_line_end(text.data(), end) == end && detail::trim(text) == text;
}

std::size_t headers::find_from(std::size_t index, std::string_view name) const noexcept {
    for (; index < fields_.size(); ++index) {
        if (fields_[index].name_size != name.size()) { continue; }
        if (equal_ignoring_case((*this)[index].name, name)) { break; }
    }
    return index;
}

std::optional<std::string_view> headers::get(std::string_view name) const noexcept {
    const std::size_t at = find_from(0, name);
    if (at == size()) { return std::nullopt; }
    return (*this)[at].value;
}

std::expected<std::string_view, field_error> headers::get_only(
    std::string_view name) const noexcept {
    const std::size_t at = find_from(0, name);
    if (at == size()) { return std::unexpected(field_error::missing); }
    if (find_from(at + 1, name) != size()) { return std::unexpected(field_error::repeated); }
    return (*this)[at].value;
}

std::optional<std::string_view> headers::element_cursor::next() noexcept {
    for (;;) {
        while (rest_.empty()) {
            const auto line = lines_.next();
            if (!line) { return std::nullopt; }
            rest_ = *line;
        }
        std::size_t end = 0;
        for (bool quoted = false; end < rest_.size(); ++end) {
            if (rest_[end] == '"') { quoted = !quoted; }
            if (rest_[end] == '\\' && quoted) { ++end; }
            if (end < rest_.size() && rest_[end] == ',' && !quoted) { break; }
        }
        const std::string_view element = detail::trim(rest_.substr(0, end));
        rest_ = end < rest_.size() ? rest_.substr(end + 1) : std::string_view();
        if (!element.empty()) { return element; }
    }
}

std::string_view message(field_error failure) noexcept {
    switch (failure) {
        case field_error::missing: return "there is no such header";
        case field_error::repeated: return "the header is there more than once";
        case field_error::malformed: return "the header's value is malformed";
        case field_error::out_of_range: return "the header's value is out of range";
    }
    return "";
}

bool headers::contains(std::string_view name) const noexcept { return get(name).has_value(); }

std::size_t headers::count(std::string_view name) const noexcept {
    return static_cast<std::size_t>(std::ranges::count_if(
        *this, [name](const header& each) { return equal_ignoring_case(each.name, name); }));
}

bool headers::has_token(std::string_view name, std::string_view token) const noexcept {
    for (const header each : *this) {
        if (!equal_ignoring_case(each.name, name)) { continue; }
        std::string_view list = each.value;
        while (!list.empty()) {
            if (equal_ignoring_case(detail::next_element(list), token)) { return true; }
        }
    }
    return false;
}

std::uint32_t headers::store(std::string_view text) {
    const auto at = static_cast<std::uint32_t>(text_.size());
    text_.append(text.data(), text.size());
    return at;
}

bool headers::is_ours(std::string_view text) const noexcept {
    const std::less<> before;
    return !before(text.data(), text_.data()) && before(text.data(), text_.data() + text_.size());
}

void headers::append(std::string_view name, std::string_view value) {
    // Growing would take the text away under a view into it.
    if (is_ours(name)) { return append(std::string(name), value); }
    if (is_ours(value)) { return append(name, std::string(value)); }
    field added{};
    added.name_at = store(name);
    added.name_size = static_cast<std::uint32_t>(name.size());
    added.value_at = store(value);
    added.value_size = static_cast<std::uint32_t>(value.size());
    fields_.push_back(added);
}

void headers::set(std::string_view name, std::string_view value) {
    if (is_ours(name)) { return set(std::string(name), value); }
    if (is_ours(value)) { return set(name, std::string(value)); }
    for (std::size_t i = 0; i < fields_.size(); ++i) {
        if (!equal_ignoring_case((*this)[i].name, name)) { continue; }
        const std::uint32_t at = store(value);
        fields_[i].value_at = at;
        fields_[i].value_size = static_cast<std::uint32_t>(value.size());
        for (std::size_t j = fields_.size() - 1; j > i; --j) {
            if (equal_ignoring_case((*this)[j].name, name)) { fields_.erase(j); }
        }
        return;
    }
    append(name, value);
}

std::size_t headers::remove(std::string_view name) noexcept {
    std::size_t removed = 0;
    for (std::size_t i = fields_.size(); i-- > 0;) {
        if (equal_ignoring_case((*this)[i].name, name)) {
            fields_.erase(i);
            ++removed;
        }
    }
    return removed;
}

void headers::clear() noexcept {
    text_.clear();
    fields_.clear();
}

}  // namespace heph::http
