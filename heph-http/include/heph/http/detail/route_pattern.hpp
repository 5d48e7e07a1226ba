#pragma once

// The patterns of routes, taken apart: by the compiler for those that it knows, else when the route
// is added. See `router` for what they mean.

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string_view>

namespace heph::http::detail {

/// Names what a parameter takes. The order is that in which they are tried.
enum class param_type : std::uint8_t { unsigned_integer, integer, uuid, text };

/// Holds one segment of a pattern.
struct pattern_segment {
    enum class kind_type : std::uint8_t { literal, parameter, rest };

    std::string_view text;  // Of a parameter, its name.
    kind_type kind = kind_type::literal;
    param_type type = param_type::text;
    const char* fault = nullptr;  // What is wrong with it.
};

/// Gives the name of a type as patterns have it; empty for text, which needs none.
[[nodiscard]] constexpr std::string_view name_of(param_type type) noexcept {
    switch (type) {
        case param_type::unsigned_integer: return "uint";
        case param_type::integer: return "int";
        case param_type::uuid: return "uuid";
        case param_type::text: break;
    }
    return {};
}

[[nodiscard]] constexpr bool is_param_name(std::string_view text) noexcept {
    for (const char c : text) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(c >= '0' && c <= '9')) { return false; }
    }
    return !text.empty();
}

/// Reads what stands between two slashes.
[[nodiscard]] constexpr pattern_segment read_segment(std::string_view segment) noexcept {
    pattern_segment made;
    made.text = segment;
    if (segment.find_first_of("{}") == std::string_view::npos) {
        if (segment == "." || segment == "..") {
            made.fault = "has a segment \".\" or \"..\"";
        } else if (segment.find_first_of("%?#") != std::string_view::npos) {
            made.fault = "has one of % ? #: literal text is written decoded";
        }
        return made;
    }
    if (!segment.starts_with('{') || !segment.ends_with('}') || segment.size() < 2) {
        made.fault = "has a segment that mixes text and a parameter";
        return made;
    }
    made.kind = pattern_segment::kind_type::parameter;
    made.text = segment.substr(1, segment.size() - 2);
    if (made.text.ends_with("...")) {
        made.kind = pattern_segment::kind_type::rest;
        made.text.remove_suffix(3);
    }
    const std::size_t colon = made.text.find(':');
    if (colon != std::string_view::npos) {
        const std::string_view wanted = made.text.substr(colon + 1);
        made.text = made.text.substr(0, colon);
        if (wanted == "int") {
            made.type = param_type::integer;
        } else if (wanted == "uint") {
            made.type = param_type::unsigned_integer;
        } else if (wanted == "uuid") {
            made.type = param_type::uuid;
        } else {
            made.fault = "has a parameter of a type that is none of int, uint and uuid";
        }
        if (made.kind == pattern_segment::kind_type::rest) {
            made.fault = "has a type for a parameter that takes all that is left";
        }
    }
    if (!is_param_name(made.text)) { made.fault = "has a parameter without a proper name"; }
    return made;
}

/// Takes the next segment off a pattern, of which the slash before it was taken.
[[nodiscard]] constexpr pattern_segment next_segment(std::string_view& left, bool& last) noexcept {
    const std::size_t slash = left.find('/');
    const pattern_segment made = read_segment(left.substr(0, slash));
    last = slash == std::string_view::npos;
    left = last ? std::string_view() : left.substr(slash + 1);
    return made;
}

/// Tells what is wrong with a pattern; null when nothing is.
[[nodiscard]] constexpr const char* fault_of(std::string_view pattern) noexcept {
    if (!pattern.starts_with('/')) { return "does not begin with a slash"; }
    std::string_view left = pattern.substr(1);
    for (bool last = false; !last;) {
        const pattern_segment segment = next_segment(left, last);
        if (segment.fault != nullptr) { return segment.fault; }
        if (segment.kind == pattern_segment::kind_type::literal) { continue; }
        if (segment.kind == pattern_segment::kind_type::rest && !last) {
            return "goes on behind a parameter that takes all that is left";
        }
        std::string_view others = left;
        for (bool end = last; !end;) {
            const pattern_segment other = next_segment(others, end);
            if (other.kind != pattern_segment::kind_type::literal && other.text == segment.text) {
                return "uses a parameter's name twice";
            }
        }
    }
    return nullptr;
}

/// Holds a pattern that the compiler has checked.
template <std::size_t Size>
struct checked_pattern {
    // NOLINTNEXTLINE(google-explicit-constructor): it is written as a template argument.
    consteval checked_pattern(const char (&from)[Size]) {
        for (std::size_t i = 0; i < Size; ++i) { text[i] = from[i]; }
        if (const char* fault = fault_of(view())) { throw std::invalid_argument(fault); }
    }
    [[nodiscard]] constexpr std::string_view view() const noexcept { return {text, Size - 1}; }

    char text[Size]{};
};

}  // namespace heph::http::detail
