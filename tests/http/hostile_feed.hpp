#pragma once

// Feeds what attackers and odd clients send to a parser, in every way it may arrive.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "http/transcript.hpp"

namespace heph::http::test {

/// Gives what a parser says about bytes that come all at once.
inline std::string heard_whole(std::string_view bytes,
                               const limits& limits = transcriber::default_limits()) {
    transcriber parser(limits);
    parser.feed(bytes);
    return parser.text();
}

/// Gives what a parser says about bytes that come one by one.
inline std::string heard_singly(std::string_view bytes,
                                const limits& limits = transcriber::default_limits()) {
    transcriber parser(limits);
    for (std::size_t at = 0; at < bytes.size(); ++at) { parser.feed(bytes.substr(at, 1)); }
    return parser.text();
}

/// Gives what a parser says, and checks that it says the same however the bytes are cut.
inline std::string heard(std::string_view bytes,
                         const limits& limits = transcriber::default_limits()) {
    std::string expected = heard_whole(bytes, limits);
    CHECK(heard_singly(bytes, limits) == expected);
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
        transcriber parts(limits);
        parts.feed(bytes.substr(0, cut));
        parts.feed(bytes.substr(cut));
        if (parts.text() == expected) { continue; }
        CAPTURE(cut);
        CHECK(parts.text() == expected);
    }
    return expected;
}

/// Gives the last line of a transcript that has one: for a refused request, why it is.
inline std::string last_line(std::string_view transcript) {
    if (transcript.empty()) { return {}; }
    const std::size_t before = transcript.substr(0, transcript.size() - 1).rfind('\n');
    return std::string(transcript.substr(before + 1));
}

/// Gives what `last_line` is for a refusal.
inline std::string refusal(error why) { return "error " + std::string(message(why)) + "\n"; }

struct refused_case {
    std::string bytes;
    error why;
};

/// Gives a request line, with a good rest.
inline refused_case line(std::string_view text, error why) {
    return {std::string(text) + "\r\nHost: a\r\n\r\n", why};
}

/// Gives fields of a POST that is good but for them.
inline refused_case fields(std::string_view lines, error why) {
    return {"POST / HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n\r\n", why};
}

/// Checks that each is refused, and for the right reason, and that nothing behind it is taken for a
/// request.
inline void check_refused(const std::vector<refused_case>& cases) {
    for (const refused_case& each : cases) {
        CAPTURE(each.bytes);
        CHECK(last_line(heard(each.bytes)) == refusal(each.why));
        const std::string next = "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        CHECK(heard_whole(each.bytes + next).find("/smuggled") == std::string::npos);
    }
}

}  // namespace heph::http::test
