#include "chars.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <heph/http/negotiation.hpp>

namespace heph::http {

namespace {

/// One element of `Accept` and its kin: what is liked, and how much, in thousandths.
struct preference {
    std::string_view what;
    std::string_view parameters;  // Behind the first semicolon, without the weight.
    int weight = 1000;
};

/// Takes text up to a separator that does not stand in quotes, and the separator itself.
std::string_view cut(std::string_view& text, char separator) noexcept {
    bool quoted = false;
    std::size_t at = 0;
    for (; at < text.size(); ++at) {
        if (quoted && text[at] == '\\') {
            ++at;
        } else if (text[at] == '"') {
            quoted = !quoted;
        } else if (text[at] == separator && !quoted) {
            break;
        }
    }
    const std::string_view before = text.substr(0, at);
    text = at < text.size() ? text.substr(at + 1) : std::string_view();
    return detail::trim(before);
}

// qvalue of RFC 9110, 12.4.2; and two forms beyond it that clients in wide use send: without the
// digit before the point (`.2`, Java's own), and with more than three digits behind it, of which
// those that are too many count for nothing. What is no number counts as zero: it is not wanted for
// sure.
int parse_weight(std::string_view text) noexcept {
    std::string_view digits = text;
    int weight = 0;
    if (digits.starts_with('0') || digits.starts_with('1')) {
        weight = (digits.front() - '0') * 1000;
        digits.remove_prefix(1);
        if (digits.empty()) { return weight; }
    } else if (digits.size() < 2) {
        return 0;
    }
    if (!digits.starts_with('.')) { return 0; }
    digits.remove_prefix(1);
    int unit = 100;
    bool beyond = false;
    for (const char c : digits) {
        if (!detail::is_digit(c)) { return 0; }
        weight += (c - '0') * unit;
        beyond = beyond || c != '0';
        unit /= 10;
    }
    return text.starts_with('1') && beyond ? 0 : weight;  // More than one is no weight.
}

preference parse_preference(std::string_view element) noexcept {
    preference parsed;
    parsed.what = cut(element, ';');
    const char* const begin = element.data();
    const char* end = begin;
    while (!element.empty()) {
        const std::string_view parameter = cut(element, ';');
        if (parameter.size() >= 2 && (parameter[0] | 0x20) == 'q' && parameter[1] == '=') {
            parsed.weight = parse_weight(parameter.substr(2));
            break;  // What comes behind it are extensions.
        }
        end = parameter.data() + parameter.size();
    }
    parsed.parameters = {begin, static_cast<std::size_t>(end - begin)};
    return parsed;
}

/// Reads a list over all fields of a name. Nothing when there is no such field.
std::optional<std::vector<preference>> preferences_of(const headers& from, std::string_view name) {
    std::optional<std::vector<preference>> found;
    for (const header each : from) {
        if (!equal_ignoring_case(each.name, name)) { continue; }
        if (!found) { found.emplace(); }
        for (std::string_view list = each.value; !list.empty();) {
            const std::string_view element = cut(list, ',');
            if (!element.empty()) { found->push_back(parse_preference(element)); }
        }
    }
    return found;
}

/// Gives the first of the offers with the highest weight, if that is more than nothing.
template <typename Weigh>
std::optional<std::size_t> choose(std::span<const std::string_view> offers, Weigh weigh) {
    std::optional<std::size_t> best;
    int best_weight = 0;
    for (std::size_t i = 0; i < offers.size(); ++i) {
        const int weight = weigh(offers[i]);
        if (weight > best_weight) {
            best_weight = weight;
            best = i;
        }
    }
    return best;
}

/// Gives the value of a parameter, which may be in quotes.
std::string unquoted(std::string_view value) {
    std::string made;
    if (!value.starts_with('"')) { return made.append(value); }
    for (std::size_t at = 1; at < value.size() && value[at] != '"'; ++at) {
        if (value[at] == '\\' && at + 1 < value.size()) { ++at; }
        made += value[at];
    }
    return made;
}

/// Compares parameters; a value in quotes is the same as without them (RFC 9110, 5.6.6).
bool is_same_parameter(std::string_view a, std::string_view b) {
    if (equal_ignoring_case(a, b)) { return true; }
    const std::size_t at_a = a.find('=');
    const std::size_t at_b = b.find('=');
    if (at_a == std::string_view::npos || at_b == std::string_view::npos) { return false; }
    return equal_ignoring_case(a.substr(0, at_a), b.substr(0, at_b)) &&
           equal_ignoring_case(unquoted(a.substr(at_a + 1)), unquoted(b.substr(at_b + 1)));
}

bool has_parameter(std::string_view list, std::string_view wanted) {
    while (!list.empty()) {
        if (is_same_parameter(cut(list, ';'), wanted)) { return true; }
    }
    return false;
}

/// Tells how specifically a range of media types names an offer: 0 when not at all.
int specificity(const preference& range, std::string_view offer) {
    std::string_view parameters = offer;
    const std::string_view type = cut(parameters, ';');
    if (range.what == "*/*") { return 1; }
    const std::size_t slash = range.what.find('/');
    if (slash == std::string_view::npos) { return 0; }
    if (range.what.substr(slash) == "/*") {
        return equal_ignoring_case(range.what.substr(0, slash + 1), type.substr(0, slash + 1)) ? 2
                                                                                               : 0;
    }
    if (!equal_ignoring_case(range.what, type)) { return 0; }
    int count = 3;
    for (std::string_view wanted = range.parameters; !wanted.empty(); ++count) {
        const std::string_view parameter = cut(wanted, ';');
        if (!parameter.empty() && !has_parameter(parameters, parameter)) { return 0; }
    }
    return count;
}

}  // namespace

std::optional<std::size_t> choose_media_type(const headers& request,
                                             std::span<const std::string_view> offers) {
    const auto ranges = preferences_of(request, "Accept");
    const bool any = !ranges || ranges->empty();
    return choose(offers, [&](std::string_view offer) {
        if (any) { return 1000; }
        int weight = 0;
        int most_specific = 0;
        for (const preference& range : *ranges) {
            const int how = specificity(range, offer);
            if (how > most_specific) {
                most_specific = how;
                weight = range.weight;
            }
        }
        return weight;
    });
}

std::optional<std::size_t> choose_encoding(const headers& request,
                                           std::span<const std::string_view> offers) {
    const auto codings = preferences_of(request, "Accept-Encoding");
    return choose(offers, [&](std::string_view offer) {
        const bool identity = equal_ignoring_case(offer, "identity");
        std::optional<int> any;
        if (codings) {
            for (const preference& coding : *codings) {
                const std::string_view name =
                    equal_ignoring_case(coding.what, "x-gzip") ? "gzip" : coding.what;
                // Weights go by two, so that there is room for one below them all.
                if (equal_ignoring_case(name, offer)) { return coding.weight * 2; }
                if (coding.what == "*") { any = coding.weight * 2; }
            }
        }
        if (identity) { return any == 0 ? 0 : 1; }
        return any.value_or(0);
    });
}

std::optional<std::size_t> choose_language(const headers& request,
                                           std::span<const std::string_view> offers) {
    const auto ranges = preferences_of(request, "Accept-Language");
    const bool everything = !ranges || ranges->empty();
    return choose(offers, [&](std::string_view offer) {
        if (everything) { return 1000; }
        int weight = 0;
        std::size_t best_rank = 0;
        for (const preference& range : *ranges) {
            if (range.what == "*") {
                if (best_rank == 0) { weight = range.weight; }
                continue;
            }
            // The shorter one has to be the longer one's beginning, up to a hyphen.
            const std::size_t common = std::min(range.what.size(), offer.size());
            const std::string_view longer = range.what.size() > common ? range.what : offer;
            if (!equal_ignoring_case(range.what.substr(0, common), offer.substr(0, common)) ||
                (longer.size() > common && longer[common] != '-')) {
                continue;
            }
            // A range that is the offer, or its beginning, counts more than one that had to be
            // shortened; the longer the match, the more it counts.
            const std::size_t rank = common + (range.what.size() == common ? offer.size() : 0);
            if (rank > best_rank) {
                best_rank = rank;
                weight = range.weight;
            }
        }
        return weight;
    });
}

}  // namespace heph::http
