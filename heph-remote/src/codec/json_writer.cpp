#include <heph/remote/codec/json_writer.hpp>

#include <array>
#include <charconv>
#include <cmath>

#include "codec/base64.hpp"
#include "codec/utf8.hpp"

namespace heph::remote {

namespace {

// The integers of which a double holds each one: -(2^53 - 1) to 2^53 - 1.
constexpr std::uint64_t exact_max = (std::uint64_t{1} << 53U) - 1;

template <typename Number>
void append_number(std::string& to, Number value) {
    std::array<char, 40> digits{};
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    to.append(digits.data(), written.ptr);
}

template <typename Floating>
void append_floating(std::string& to, Floating value) {
    if (std::isfinite(value)) { return append_number(to, value); }
    to.append(std::isnan(value) ? R"("NaN")" : value < 0 ? R"("-Infinity")" : R"("Infinity")");
}

}  // namespace

namespace detail {

void append_json_text(std::string& to, std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    to.push_back('"');
    while (!text.empty()) {
        const auto first = static_cast<unsigned char>(text.front());
        const std::size_t length = codec::utf8_length(text);
        if (length == 0) {
            to.append("\\ufffd");
        } else if (first == '"' || first == '\\') {
            to.append({'\\', text.front()});
        } else if (first == '\n') {
            to.append("\\n");
        } else if (first < 0x20 || first == 0x7f) {
            to.append("\\u00").append({hex[first >> 4U], hex[first & 0xfU]});
        } else {
            to.append(text.substr(0, length));
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    to.push_back('"');
}

}  // namespace detail

void json_writer::signed_integer(std::int64_t value) {
    separate();
    const bool is_exact = value >= -static_cast<std::int64_t>(exact_max) &&
                          value <= static_cast<std::int64_t>(exact_max);
    if (!is_exact) { out_->push_back('"'); }
    append_number(*out_, value);
    if (!is_exact) { out_->push_back('"'); }
}

void json_writer::unsigned_integer(std::uint64_t value) {
    separate();
    if (value > exact_max) { out_->push_back('"'); }
    append_number(*out_, value);
    if (value > exact_max) { out_->push_back('"'); }
}

void json_writer::floating(float value) {
    separate();
    append_floating(*out_, value);
}

void json_writer::floating(double value) {
    separate();
    append_floating(*out_, value);
}

void json_writer::text(std::string_view value) {
    separate();
    detail::append_json_text(*out_, value);
}

void json_writer::bytes(std::span<const std::byte> value) {
    separate();
    out_->push_back('"');
    codec::append_base64(*out_, {reinterpret_cast<const char*>(value.data()), value.size()});
    out_->push_back('"');
}

void json_writer::name(std::string_view name) {
    separate();
    detail::append_json_text(*out_, name);
    out_->push_back(':');
    needs_comma_ = false;
}

}  // namespace heph::remote
