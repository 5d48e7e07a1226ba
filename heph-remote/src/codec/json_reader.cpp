#include <heph/remote/codec/json_reader.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <ranges>
#include <system_error>

#include <heph/remote/codec/json_writer.hpp>

#include "codec/base64.hpp"
#include "codec/utf8.hpp"

namespace heph::remote {

namespace {

std::size_t count_digits(std::string_view text, std::size_t from) noexcept {
    const auto end = text.find_first_not_of("0123456789", from);
    return (end == std::string_view::npos ? text.size() : end) - from;
}

/// Gives the length of the number with which a text begins; 0 when it begins with none.
std::size_t number_length(std::string_view text) noexcept {
    std::size_t at = text.starts_with('-') ? 1 : 0;
    const auto whole = count_digits(text, at);
    if (whole == 0 || (whole > 1 && text[at] == '0')) { return 0; }
    at += whole;
    if (at < text.size() && text[at] == '.') {
        const auto fraction = count_digits(text, at + 1);
        if (fraction == 0) { return 0; }
        at += 1 + fraction;
    }
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
        ++at;
        if (at < text.size() && (text[at] == '+' || text[at] == '-')) { ++at; }
        const auto exponent = count_digits(text, at);
        if (exponent == 0) { return 0; }
        at += exponent;
    }
    return at;
}

// Tells whether a number other than 0 lies between -1 and 1: which way one that does not fit is out
// of range, as `std::from_chars` does not say it.
bool is_below_one(std::string_view number) noexcept {
    const auto mantissa = number.substr(0, number.find_first_of("eE"));
    const auto point = std::min(mantissa.find('.'), mantissa.size());
    const auto first = mantissa.find_first_not_of("-0.");
    if (first == std::string_view::npos) { return false; }
    // The power of ten of the first digit that counts.
    auto power = static_cast<std::int64_t>(point) - static_cast<std::int64_t>(first);
    if (first < point) { --power; }
    if (mantissa.size() == number.size()) { return power < 0; }
    auto exponent_text = number.substr(mantissa.size() + 1);
    if (exponent_text.starts_with('+')) { exponent_text.remove_prefix(1); }
    std::int64_t exponent = 0;
    const auto read = std::from_chars(exponent_text.data(),
                                      exponent_text.data() + exponent_text.size(), exponent);
    if (read.ec != std::errc()) { return exponent_text.starts_with('-'); }
    return exponent < -power;
}

std::string_view words_for(codec_error error) noexcept {
    switch (error) {
        case codec_error::truncated: return "the text ends too early";
        case codec_error::trailing_bytes: return "something follows the message";
        case codec_error::duplicate_key: return "a name is there twice";
        case codec_error::malformed: return "the text is not JSON";
        case codec_error::wrong_type:
        case codec_error::out_of_range:
        case codec_error::too_deep:
        case codec_error::too_large:
        case codec_error::unknown_alternative:
        case codec_error::invalid_utf8: break;
    }
    return to_string(error);
}

void append_utf8(std::string& to, std::uint32_t point) {
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

}  // namespace

std::string json_error::message() const {
    std::string said(what_.empty() ? words_for(reason_) : what_);
    said.append(", at byte ").append(std::to_string(offset_));
    if (!path_.empty()) { said.append(", in ").append(path_); }
    return said;
}

void json_reader::skip_space() noexcept {
    at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
}

json_reader::kind json_reader::next() noexcept {
    skip_space();
    if (at_ == text_.size()) { return kind::nothing; }
    switch (text_[at_]) {
        case '{': return kind::object;
        case '[': return kind::array;
        case '"': return kind::string;
        case 't':
        case 'f': return kind::boolean;
        case 'n': return kind::null;
        case '-': return kind::number;
        default: break;
    }
    return text_[at_] >= '0' && text_[at_] <= '9' ? kind::number : kind::nothing;
}

bool json_reader::expect(kind wanted) noexcept {
    const kind found = next();
    if (found == wanted) { return true; }
    if (at_ == text_.size()) { return fail(codec_error::truncated); }
    return fail(found == kind::nothing ? codec_error::malformed : codec_error::wrong_type);
}

bool json_reader::read_word(std::string_view word) noexcept {
    const auto found = text_.substr(at_, word.size());
    if (found == word) {
        at_ += word.size();
        return true;
    }
    const bool is_cut = at_ + found.size() == text_.size() && word.starts_with(found);
    return fail(is_cut ? codec_error::truncated : codec_error::malformed);
}

bool json_reader::read_null() noexcept { return expect(kind::null) && read_word("null"); }

bool json_reader::read_bool(bool& value) noexcept {
    if (!expect(kind::boolean)) { return false; }
    value = text_[at_] == 't';
    return read_word(value ? "true" : "false");
}

bool json_reader::read_number(std::string_view& digits) noexcept {
    if (!expect(kind::number)) { return false; }
    digits = text_.substr(at_, number_length(text_.substr(at_)));
    if (digits.empty()) { return fail(codec_error::malformed, "a number is not one of JSON"); }
    at_ += digits.size();
    return true;
}

bool json_reader::read_any_integer(std::uint64_t& bits, bool& is_negative) {
    const bool is_text = next() == kind::string;
    const std::size_t begin = at_;
    std::string_view digits;
    if (is_text ? !read_text(digits) : !read_number(digits)) { return false; }
    if (digits.empty() || number_length(digits) != digits.size() ||
        digits.find_first_of(".eE") != std::string_view::npos) {
        return fail_at(begin, codec_error::wrong_type, "a field wants an integer");
    }
    is_negative = digits.starts_with('-');
    if (is_negative) { digits.remove_prefix(1); }
    std::uint64_t magnitude = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude);
    constexpr auto negative_max =
        static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) + 1;
    if (read.ec != std::errc() || (is_negative && magnitude > negative_max)) {
        return fail_at(begin, codec_error::out_of_range);
    }
    is_negative = is_negative && magnitude != 0;
    bits = is_negative ? 0 - magnitude : magnitude;
    return true;
}

template <typename T>
bool json_reader::read_floating(T& value) {
    const bool is_text = next() == kind::string;
    const std::size_t begin = at_;
    std::string_view digits;
    if (is_text) {
        if (!read_text(digits)) { return false; }
        using limits = std::numeric_limits<T>;
        value = digits == "NaN" ? limits::quiet_NaN() : limits::infinity();
        if (digits == "-Infinity") { value = -value; }
        return digits == "NaN" || digits == "Infinity" || digits == "-Infinity" ||
               fail_at(begin, codec_error::wrong_type);
    }
    if (!read_number(digits)) { return false; }
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (read.ec == std::errc()) { return true; }
    if (!is_below_one(digits)) { return fail_at(begin, codec_error::out_of_range); }
    value = digits.starts_with('-') ? -T(0) : T(0);
    return true;
}

bool json_reader::read_float(float& value) { return read_floating(value); }
bool json_reader::read_double(double& value) { return read_floating(value); }

bool json_reader::pass_character() noexcept {
    if (static_cast<unsigned char>(text_[at_]) < 0x20) {
        return fail(codec_error::malformed, "a control character in a string is not escaped");
    }
    const auto length = codec::utf8_length(text_.substr(at_));
    if (length == 0) { return fail(codec_error::invalid_utf8); }
    at_ += length;
    return true;
}

bool json_reader::read_text(std::string_view& value) {
    if (!expect(kind::string)) { return false; }
    const std::size_t begin = ++at_;
    while (at_ < text_.size()) {
        if (text_[at_] == '"') {
            value = text_.substr(begin, at_ - begin);
            ++at_;
            return true;
        }
        if (text_[at_] == '\\') { return read_escaped(begin, value); }
        if (!pass_character()) { return false; }
    }
    return fail(codec_error::truncated, "a string has no end");
}

bool json_reader::read_escaped(std::size_t begin, std::string_view& value) {
    unescaped_.assign(text_.substr(begin, at_ - begin));
    while (at_ < text_.size()) {
        if (text_[at_] == '"') {
            ++at_;
            value = unescaped_;
            return true;
        }
        if (text_[at_] == '\\') {
            if (!read_escape()) { return false; }
            continue;
        }
        const std::size_t from = at_;
        if (!pass_character()) { return false; }
        unescaped_.append(text_.substr(from, at_ - from));
    }
    return fail(codec_error::truncated, "a string has no end");
}

bool json_reader::read_escape() {
    if (at_ + 1 == text_.size()) { return fail(codec_error::truncated); }
    const char which = text_[at_ + 1];
    if (which == 'u') { return read_code_point(); }
    constexpr std::string_view escapes = "\"\\/bfnrt";
    constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    const auto found = escapes.find(which);
    if (found == std::string_view::npos) {
        return fail(codec_error::malformed, "an escape is not one of JSON");
    }
    unescaped_ += meanings[found];
    at_ += 2;
    return true;
}

bool json_reader::read_unit(std::uint32_t& unit) noexcept {
    const auto escape = text_.substr(at_, 6);
    if (escape.size() < 6) { return fail(codec_error::truncated); }
    const char* const end = escape.data() + escape.size();
    const auto read = std::from_chars(escape.data() + 2, end, unit, 16);
    if (!escape.starts_with("\\u") || read.ec != std::errc() || read.ptr != end) {
        return fail(codec_error::malformed, "an escape is not one of JSON");
    }
    at_ += escape.size();
    return true;
}

bool json_reader::read_code_point() {
    const std::size_t begin = at_;
    std::uint32_t point = 0;
    if (!read_unit(point)) { return false; }
    if (point >= 0xd800 && point < 0xe000) {
        std::uint32_t second = 0;
        const bool has_second = point < 0xdc00 && text_.substr(at_).starts_with("\\u");
        if (has_second && !read_unit(second)) { return false; }
        if (!has_second || second < 0xdc00 || second >= 0xe000) {
            return fail_at(begin, codec_error::invalid_utf8, "a surrogate has no other half");
        }
        point = 0x10000 + ((point - 0xd800) << 10U) + (second - 0xdc00);
    }
    append_utf8(unescaped_, point);
    return true;
}

bool json_reader::read_string(std::string& value) {
    std::string_view text;
    if (!read_text(text) || !charge(text.size(), 1)) { return false; }
    value.assign(text);
    return true;
}

bool json_reader::read_bytes(std::vector<std::byte>& value) {
    const std::size_t begin = begin_of_next();
    std::string_view text;
    if (!read_text(text)) { return false; }
    // Twice: what is decoded is copied.
    const std::size_t most = text.size() / 4 * 3 + 3;
    if (!charge(2, most)) { return false; }
    const auto bytes = codec::from_base64(text);
    if (!bytes) { return fail_at(begin, codec_error::wrong_type, "a field wants base64"); }
    const auto* const first = reinterpret_cast<const std::byte*>(bytes->data());
    value.assign(first, first + bytes->size());
    give_back(1, 2 * most - bytes->size());
    return true;
}

bool json_reader::read_name(std::string_view& name) {
    if (next() != kind::string && at_ < text_.size()) {
        return fail(codec_error::malformed, "a member has no name");
    }
    if (!read_text(name)) { return false; }
    skip_space();
    if (at_ == text_.size()) { return fail(codec_error::truncated); }
    if (text_[at_] != ':') { return fail(codec_error::malformed, "a name has no colon"); }
    ++at_;
    return true;
}

bool json_reader::enter(kind what, bool& more) noexcept {
    if (!expect(what)) { return false; }
    if (depth_left_ == 0) { return fail(codec_error::too_deep); }
    ++at_;
    skip_space();
    if (at_ == text_.size()) { return fail(codec_error::truncated); }
    more = text_[at_] != (what == kind::array ? ']' : '}');
    more ? --depth_left_ : ++at_;
    return true;
}

bool json_reader::advance(char close, bool& more) noexcept {
    skip_space();
    if (at_ == text_.size()) { return fail(codec_error::truncated); }
    more = text_[at_] == ',';
    if (!more && text_[at_] != close) {
        return fail(codec_error::malformed, "a comma, or an end, is missing");
    }
    ++at_;
    if (!more) { ++depth_left_; }
    return true;
}

bool json_reader::skip() {
    std::string_view passed;
    bool word = false;
    bool more = false;
    switch (next()) {
        case kind::null: return read_null();
        case kind::boolean: return read_bool(word);
        case kind::number: return read_number(passed);
        case kind::string: return read_text(passed);
        case kind::nothing: return expect(kind::object);
        case kind::array:
            if (!enter_array(more)) { return false; }
            while (more) {
                if (!skip() || !next_element(more)) { return false; }
            }
            return true;
        case kind::object:
            if (!enter_object(more)) { return false; }
            while (more) {
                if (!read_name(passed) || !skip() || !next_member(more)) { return false; }
            }
            return true;
    }
    return false;
}

bool json_reader::finish() noexcept {
    skip_space();
    return at_ == text_.size() || fail(codec_error::trailing_bytes);
}

bool json_reader::fail_at(std::size_t offset, codec_error why, std::string_view what) noexcept {
    if (!failed_) {
        failed_ = true;
        failed_at_ = offset;
        error_ = why;
        what_ = what;
    }
    return false;
}

bool json_reader::failed_in_member(std::string_view name) {
    path_.push_back('.' + std::string(name));
    return false;
}

bool json_reader::failed_in_key(std::string_view key) {
    // It is the peer's, and may be long.
    constexpr std::size_t shown_max = 40;
    std::string piece = "[";
    detail::append_json_text(piece, key.substr(0, shown_max));
    if (key.size() > shown_max) { piece += "..."; }
    path_.push_back(std::move(piece) + ']');
    return false;
}

bool json_reader::failed_in_element(std::size_t index) {
    path_.push_back('[' + std::to_string(index) + ']');
    return false;
}

json_error json_reader::error() const {
    std::string path;
    for (const auto& piece : path_ | std::views::reverse) { path += piece; }
    if (path.starts_with('.')) { path.erase(0, 1); }
    return {error_, what_, failed_at_, std::move(path)};
}

}  // namespace heph::remote
