#include "chars.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include <heph/http/headers.hpp>
#include <heph/http/range.hpp>

namespace heph::http {

namespace {

/// Reads a number of digits only. One that is too large counts as the largest there is: it is
/// beyond the end in any case.
std::optional<std::uint64_t> parse_position(std::string_view text) noexcept {
    constexpr std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();
    if (text.empty()) { return {}; }
    std::uint64_t value = 0;
    for (const char c : text) {
        if (!detail::is_digit(c)) { return {}; }
        const auto digit = static_cast<std::uint64_t>(c - '0');
        value = value > (largest - digit) / 10 ? largest : value * 10 + digit;
    }
    return value;
}

/// What one element of the list comes to.
struct parsed_range {
    bool valid = false;
    std::optional<byte_range> part;  // Nothing when it is beyond the end.
    bool all_of_nothing = false;     // The last bytes of what is empty: all that there is.
};

parsed_range parse_range(std::string_view text, std::uint64_t size) noexcept {
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos) { return {}; }
    const std::string_view from = text.substr(0, dash);
    const std::string_view to = text.substr(dash + 1);
    if (from.empty()) {  // The last so many bytes.
        const auto length = parse_position(to);
        if (!length) { return {}; }
        if (*length == 0 || size == 0) { return {true, {}, *length > 0}; }
        return {true, byte_range{size - std::min(*length, size), size - 1}, false};
    }
    const auto first = parse_position(from);
    const auto last = to.empty() ? std::numeric_limits<std::uint64_t>::max() : parse_position(to);
    if (!first || !last || *last < *first) { return {}; }
    if (*first >= size) { return {true, {}, false}; }
    return {true, byte_range{*first, std::min(*last, size - 1)}, false};
}

bool touch(const byte_range& a, const byte_range& b) noexcept {
    // `last` is below the size, so adding one cannot wrap.
    return a.first <= b.last + 1 && b.first <= a.last + 1;
}

void join_overlapping(std::vector<byte_range>& parts) {
    bool apart = true;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        for (std::size_t j = i + 1; j < parts.size(); ++j) {
            apart = apart && !touch(parts[i], parts[j]);
        }
    }
    if (apart) { return; }
    std::ranges::sort(parts, {}, &byte_range::first);
    std::vector<byte_range> joined;
    for (const byte_range& part : parts) {
        if (!joined.empty() && touch(joined.back(), part)) {
            joined.back().last = std::max(joined.back().last, part.last);
        } else {
            joined.push_back(part);
        }
    }
    parts = std::move(joined);
}

}  // namespace

std::expected<std::vector<byte_range>, range_error> parse_ranges(std::string_view value,
                                                                 std::uint64_t size,
                                                                 std::size_t ranges_max) {
    constexpr std::string_view unit = "bytes=";
    if (value.size() < unit.size() || !equal_ignoring_case(value.substr(0, unit.size()), unit)) {
        return std::unexpected(range_error::ignored);
    }
    std::vector<byte_range> parts;
    std::size_t count = 0;
    bool all_of_nothing = false;
    for (std::string_view list = value.substr(unit.size()); !list.empty();) {
        const std::string_view element = detail::next_element(list);
        if (element.empty()) { continue; }
        const parsed_range parsed = parse_range(element, size);
        if (!parsed.valid || ++count > ranges_max) { return std::unexpected(range_error::ignored); }
        if (parsed.part) { parts.push_back(*parsed.part); }
        all_of_nothing = all_of_nothing || parsed.all_of_nothing;
    }
    // The last bytes of an empty representation are all of it (RFC 9110, 14.1.2), which no
    // `Content-Range` could describe.
    if (count == 0 || all_of_nothing) { return std::unexpected(range_error::ignored); }
    if (parts.empty()) { return std::unexpected(range_error::unsatisfiable); }
    join_overlapping(parts);
    return parts;
}

std::string content_range(byte_range part, std::uint64_t size) {
    return "bytes " + std::to_string(part.first) + '-' + std::to_string(part.last) + '/' +
           std::to_string(size);
}

std::string unsatisfied_range(std::uint64_t size) { return "bytes */" + std::to_string(size); }

}  // namespace heph::http
