#include "etcd/json.hpp"

#include <charconv>
#include <concepts>
#include <system_error>
#include <utility>

namespace heph::remote::etcd {

/// Reads a value by descent, whose depth is bounded.
class json_reader {
public:
    explicit json_reader(std::string_view text) noexcept : rest_(text) {}

    bool read_all(json_value& into) {
        if (!read(into, 0)) { return false; }
        skip_space();
        return rest_.empty();
    }

private:
    bool read(json_value& into, std::size_t depth) {
        if (depth > json_value::depth_max || ++values_ > json_value::values_max) { return false; }
        skip_space();
        if (rest_.empty()) { return false; }
        switch (rest_.front()) {
            case '{': return read_object(into, depth);
            case '[': return read_array(into, depth);
            case '"': into.kind_ = json_value::kind::string; return read_string(into.text_);
            case 't': return read_word("true", into, json_value::kind::boolean);
            case 'f': return read_word("false", into, json_value::kind::boolean);
            case 'n': return read_word("null", into, json_value::kind::null);
            default: return read_number(into);
        }
    }

    void skip_space() noexcept {
        const auto end = rest_.find_first_not_of(" \t\r\n");
        rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end);
    }
    bool take(char wanted) noexcept {
        skip_space();
        if (!rest_.starts_with(wanted)) { return false; }
        rest_.remove_prefix(1);
        return true;
    }

    bool read_word(std::string_view word, json_value& into, json_value::kind what) {
        if (!rest_.starts_with(word)) { return false; }
        rest_.remove_prefix(word.size());
        into.kind_ = what;
        if (what == json_value::kind::boolean) { into.text_ = word.front(); }
        return true;
    }

    std::size_t count_digits(std::size_t from) const noexcept {
        const auto end = rest_.find_first_not_of("0123456789", from);
        return (end == std::string_view::npos ? rest_.size() : end) - from;
    }

    bool read_number(json_value& into) {
        std::size_t at = rest_.starts_with('-') ? 1 : 0;
        const auto whole = count_digits(at);
        if (whole == 0 || (whole > 1 && rest_[at] == '0')) { return false; }
        at += whole;
        if (at < rest_.size() && rest_[at] == '.') {
            const auto fraction = count_digits(at + 1);
            if (fraction == 0) { return false; }
            at += 1 + fraction;
        }
        if (at < rest_.size() && (rest_[at] == 'e' || rest_[at] == 'E')) {
            ++at;
            if (at < rest_.size() && (rest_[at] == '+' || rest_[at] == '-')) { ++at; }
            const auto exponent = count_digits(at);
            if (exponent == 0) { return false; }
            at += exponent;
        }
        into.kind_ = json_value::kind::number;
        into.text_ = rest_.substr(0, at);
        rest_.remove_prefix(at);
        return true;
    }

    bool read_object(json_value& into, std::size_t depth) {
        into.kind_ = json_value::kind::object;
        rest_.remove_prefix(1);
        if (take('}')) { return true; }
        do {
            skip_space();
            std::string name;
            if (!rest_.starts_with('"') || !read_string(name) || !take(':')) { return false; }
            into.names_.push_back(std::move(name));
            if (!read(into.items_.emplace_back(), depth + 1)) { return false; }
        } while (take(','));
        return take('}');
    }

    bool read_array(json_value& into, std::size_t depth) {
        into.kind_ = json_value::kind::array;
        rest_.remove_prefix(1);
        if (take(']')) { return true; }
        do {
            if (!read(into.items_.emplace_back(), depth + 1)) { return false; }
        } while (take(','));
        return take(']');
    }

    bool read_string(std::string& into) {
        rest_.remove_prefix(1);
        while (!rest_.empty()) {
            const char first = rest_.front();
            if (static_cast<unsigned char>(first) < 0x20) { return false; }
            rest_.remove_prefix(1);
            if (first == '"') { return true; }
            if (first != '\\') {
                into += first;
            } else if (!read_escape(into)) {
                return false;
            }
        }
        return false;
    }

    bool read_escape(std::string& into) {
        if (rest_.empty()) { return false; }
        const char kind = rest_.front();
        rest_.remove_prefix(1);
        if (kind == 'u') { return read_code_point(into); }
        constexpr std::string_view escapes = "\"\\/bfnrt";
        constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
        const auto which = escapes.find(kind);
        if (which == std::string_view::npos) { return false; }
        into += meanings[which];
        return true;
    }

    std::optional<std::uint32_t> read_unit() {
        std::uint32_t unit = 0;
        if (rest_.size() < 4) { return std::nullopt; }
        const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + 4, unit, 16);
        if (error != std::errc() || end != rest_.data() + 4) { return std::nullopt; }
        rest_.remove_prefix(4);
        return unit;
    }

    bool read_code_point(std::string& into) {
        const auto first = read_unit();
        if (!first || (*first >= 0xdc00 && *first < 0xe000)) { return false; }
        std::uint32_t point = *first;
        if (point >= 0xd800 && point < 0xdc00) {
            if (!rest_.starts_with("\\u")) { return false; }
            rest_.remove_prefix(2);
            const auto second = read_unit();
            if (!second || *second < 0xdc00 || *second >= 0xe000) { return false; }
            point = 0x10000 + ((point - 0xd800) << 10U) + (*second - 0xdc00);
        }
        append_utf8(into, point);
        return true;
    }

    static void append_utf8(std::string& to, std::uint32_t point) {
        const auto tail = [&](unsigned shift) {
            to += static_cast<char>(0x80U | (point >> shift & 0x3fU));
        };
        if (point < 0x80) {
            to += static_cast<char>(point);
        } else if (point < 0x800) {
            to += static_cast<char>(0xc0U | point >> 6U);
            tail(0);
        } else if (point < 0x10000) {
            to += static_cast<char>(0xe0U | point >> 12U);
            tail(6);
            tail(0);
        } else {
            to += static_cast<char>(0xf0U | point >> 18U);
            tail(12);
            tail(6);
            tail(0);
        }
    }

    std::string_view rest_;
    std::size_t values_ = 0;
};

std::optional<json_value> json_value::parse(std::string_view text) {
    json_value made;
    if (!json_reader(text).read_all(made)) { return std::nullopt; }
    return made;
}

namespace {

const json_value absent;

template <std::integral Integer>
std::optional<Integer> integer_of(const json_value& value) noexcept {
    if (value.is_null()) { return Integer{0}; }
    if (value.type() != json_value::kind::number && value.type() != json_value::kind::string) {
        return std::nullopt;
    }
    const auto& text = value.text();
    Integer number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) { return std::nullopt; }
    return number;
}

}  // namespace

const json_value& json_value::operator[](std::string_view name) const noexcept {
    for (std::size_t i = 0; i < names_.size(); ++i) {
        if (names_[i] == name) { return items_[i]; }
    }
    return absent;
}

const std::vector<json_value>& json_value::items() const noexcept {
    return kind_ == kind::array ? items_ : absent.items_;
}

std::optional<std::int64_t> json_value::int64() const noexcept {
    return integer_of<std::int64_t>(*this);
}
std::optional<std::uint64_t> json_value::uint64() const noexcept {
    return integer_of<std::uint64_t>(*this);
}

}  // namespace heph::remote::etcd
