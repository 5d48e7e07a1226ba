#pragma once

// Which bytes may stand where in HTTP/1.1 (RFC 9110, 5.6; RFC 3986).

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace heph::http::detail {

enum char_class : std::uint8_t {
    token_char = 1,       // tchar
    host_char = 2,        // reg-name without percent-encoding: unreserved, sub-delims
    unreserved_char = 4,  // unreserved
    path_char = 8,        // in a path: pchar, slash, and what clients do not encode
    query_char = 16,      // in a query: likewise
};

consteval std::array<std::uint8_t, 256> make_char_classes() {
    std::array<std::uint8_t, 256> classes{};
    const auto mark = [&classes](std::string_view text, std::uint8_t value) {
        for (const char c : text) { classes[static_cast<unsigned char>(c)] |= value; }
    };
    constexpr std::uint8_t target = path_char | query_char;
    constexpr std::uint8_t all = token_char | host_char | unreserved_char | target;
    for (char c = '0'; c <= '9'; ++c) { mark({&c, 1}, all); }
    for (char c = 'a'; c <= 'z'; ++c) { mark({&c, 1}, all); }
    for (char c = 'A'; c <= 'Z'; ++c) { mark({&c, 1}, all); }
    mark("-._~", unreserved_char | host_char | target);
    mark("!#$%&'*+-.^_`|~", token_char);
    mark("!$&'()*+,;=", host_char | target);
    mark("%:@/", target);
    mark("?", query_char);
    // No URI has these, and yet browsers and scripts send them; a 400 is only recommended for them
    // (RFC 9112, 3).
    mark("[]^{|}", target);
    mark("\"\\`", query_char);
    return classes;
}

inline constexpr std::array<std::uint8_t, 256> char_classes = make_char_classes();

[[nodiscard]] constexpr bool is_char(char c, char_class wanted) noexcept {
    return (char_classes[static_cast<unsigned char>(c)] & wanted) != 0;
}

[[nodiscard]] constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Gives the value of a hexadecimal digit, or -1.
[[nodiscard]] constexpr int hex_digit(char c) noexcept {
    if (is_digit(c)) { return c - '0'; }
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// Gives the value of the two digits behind a percent sign at `at`, or -1.
[[nodiscard]] constexpr int encoded_byte(std::string_view text, std::size_t at) noexcept {
    if (at + 2 >= text.size()) { return -1; }
    const int high = hex_digit(text[at + 1]);
    const int low = hex_digit(text[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/// Gives a text with the letters of ASCII in lower case.
inline std::string lower_case(std::string_view text) {
    std::string made(text);
    for (char& c : made) {
        if (c >= 'A' && c <= 'Z') { c = static_cast<char>(c - 'A' + 'a'); }
    }
    return made;
}

/// Appends a byte percent-encoded: `%41`.
inline void append_percent_encoded(std::string& to, char c) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    to.push_back('%');
    to.push_back(digits[byte >> 4U]);
    to.push_back(digits[byte & 15U]);
}

[[nodiscard]] constexpr bool is_text_char(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

/// Gives the first byte that is neither visible, a blank, a tab nor above 127; a line of a message
/// ends at such a byte. Looks at eight bytes at a time, or at sixteen.
[[nodiscard]] inline const char* find_line_end(const char* at, const char* end) noexcept {
#ifdef __SSE2__
    const __m128i controls = _mm_set1_epi8(0x1f);
    const __m128i deletes = _mm_set1_epi8(0x7f);
    while (end - at >= 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, controls), bytes);
        const __m128i hits = _mm_or_si128(low, _mm_cmpeq_epi8(bytes, deletes));
        const auto which = static_cast<unsigned>(_mm_movemask_epi8(hits));
        if (which == 0) {
            at += 16;
            continue;
        }
        at += std::countr_zero(which);
        if (*at != '\t') { return at; }
        ++at;
    }
#endif
    constexpr std::uint64_t ones = 0x0101010101010101;
    constexpr std::uint64_t tops = 0x8080808080808080;
    while (end - at >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, at, 8);
        // The first byte becomes the lowest one.
        if constexpr (std::endian::native == std::endian::big) { word = std::byteswap(word); }
        // The classic "has a byte less than n" and "has a byte equal to n": what they borrow goes
        // upwards, so that the lowest hit of both is exact.
        const std::uint64_t low = (word - ones * 0x20) & ~word & tops;
        const std::uint64_t del = word ^ (ones * 0x7f);
        const std::uint64_t hits = low | ((del - ones) & ~del & tops);
        if (hits == 0) {
            at += 8;
            continue;
        }
        at += std::countr_zero(hits) / 8;
        if (*at != '\t') { return at; }
        ++at;
    }
    while (at != end && is_text_char(*at)) { ++at; }
    return at;
}

/// Removes blanks and tabs around a text.
[[nodiscard]] constexpr std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
        text.remove_prefix(1);
    }
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) { text.remove_suffix(1); }
    return text;
}

/// Takes the next element off a comma-separated list. Elements may be empty.
[[nodiscard]] constexpr std::string_view next_element(std::string_view& list) noexcept {
    const std::size_t comma = list.find(',');
    const std::string_view element = trim(list.substr(0, comma));
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    return element;
}

}  // namespace heph::http::detail
