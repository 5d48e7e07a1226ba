#include "keep_alive.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "chars.hpp"

namespace heph::http::detail {

namespace {

// Whoever means to wait for longer than this sets no limit.
constexpr std::chrono::seconds told_timeout_max = std::chrono::hours(24 * 365);
// What an answer's last byte, and the next request, may take on their way.
constexpr std::chrono::milliseconds travel_margin{1'000};

std::optional<std::uint64_t> read_count(std::string_view digits) noexcept {
    std::uint64_t count = 0;
    const auto [end, failure] =
        std::from_chars(digits.data(), digits.data() + digits.size(), count);
    const bool good = failure == std::errc() && end == digits.data() + digits.size();
    return good && !digits.empty() ? std::optional(count) : std::nullopt;
}

template <typename Bound>
void tighten(std::optional<Bound>& bound, const std::optional<Bound>& to) noexcept {
    if (to && (!bound || *to < *bound)) { bound = to; }
}

keep_alive_terms read_term(std::string_view element) noexcept {
    keep_alive_terms term;
    const std::size_t equals = std::min(element.find('='), element.size());
    const std::string_view name = trim(element.substr(0, equals));
    const auto count = read_count(trim(element.substr(std::min(equals + 1, element.size()))));
    if (!count) { return term; }
    if (equal_ignoring_case(name, "max")) { term.uses = *count; }
    if (equal_ignoring_case(name, "timeout") &&
        *count <= static_cast<std::uint64_t>(told_timeout_max.count())) {
        term.timeout = std::chrono::seconds(*count);
    }
    return term;
}

}  // namespace

void keep_alive_terms::add(const keep_alive_terms& other) noexcept {
    tighten(timeout, other.timeout);
    tighten(uses, other.uses);
}

std::chrono::milliseconds keep_alive_terms::usable_for(
    std::chrono::milliseconds at_most) const noexcept {
    if (!timeout) { return at_most; }
    const std::chrono::milliseconds told = *timeout;
    return std::min(at_most, told - std::min(travel_margin, told / 2));
}

keep_alive_terms read_keep_alive(const headers& fields) noexcept {
    keep_alive_terms terms;
    for (const header field : fields) {
        if (!equal_ignoring_case(field.name, "keep-alive")) { continue; }
        std::string_view list = field.value;
        while (!list.empty()) { terms.add(read_term(next_element(list))); }
    }
    return terms;
}

}  // namespace heph::http::detail
