// Chunked bodies as attackers send them, and as another reading of the grammar takes them.

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <regex>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "http/hostile_feed.hpp"

namespace http = heph::http;
using heph::http::error;
using heph::http::test::heard;
using heph::http::test::heard_singly;
using heph::http::test::heard_whole;
using heph::http::test::last_line;
using heph::http::test::refusal;

namespace {

const std::string begin = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const std::string heard_begin =
    "POST / HTTP/1.1 keep-alive chunked\n Host=a\n Transfer-Encoding=chunked\n";

struct decoded {
    std::string body;
    std::size_t size;  // Of what was read.
};

// Reads a chunked body that is there as a whole by the expressions of RFC 9112, 7.1, and gives
// nothing where there is none.
std::optional<decoded> decode(const std::string& text) {
    const std::string token = "[-!#$%&'*+.^_`|~0-9A-Za-z]+";
    const std::string quoted =
        "\"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|"
        "\\\\[\\t \\x21-\\x7e\\x80-\\xff])*\"";
    static const std::regex size_line("(0{0,256}[0-9A-Fa-f]{1,16})(?:[ \\t]*;[ \\t]*" + token +
                                      "(?:[ \\t]*=[ \\t]*(?:" + token + "|" + quoted + "))?)*");
    static const std::regex trailer_line(token + ":[\\t\\x20-\\x7e\\x80-\\xff]*");
    decoded made{{}, 0};
    const auto take_line = [&](std::smatch& match, const std::regex& form) {
        const std::size_t end = text.find("\r\n", made.size);
        if (end == std::string::npos) { return false; }
        const auto from = text.begin() + static_cast<std::ptrdiff_t>(made.size);
        made.size = end + 2;
        return std::regex_match(from, text.begin() + static_cast<std::ptrdiff_t>(end), match, form);
    };
    for (;;) {
        std::smatch line;
        if (!take_line(line, size_line)) { return std::nullopt; }
        const std::string digits = line[1];
        std::uint64_t size = 0;
        std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
        if (size == 0) { break; }
        if (size > text.size() - made.size) { return std::nullopt; }
        made.body.append(text, made.size, static_cast<std::size_t>(size));
        made.size += static_cast<std::size_t>(size);
        if (text.compare(made.size, 2, "\r\n") != 0) { return std::nullopt; }
        made.size += 2;
    }
    while (text.compare(made.size, 2, "\r\n") != 0) {
        std::smatch line;
        if (!take_line(line, trailer_line)) { return std::nullopt; }
    }
    made.size += 2;
    return made;
}

}  // namespace

TEST_CASE("hostile bodies: sizes that are no plain hexadecimal number are refused",
          "[http][hostile]") {
    for (const char* size : {"",
                             " ",
                             "-1",
                             "+1",
                             "-0",
                             "0x1",
                             "0X1",
                             "x1",
                             "1x",
                             "1h",
                             "1_0",
                             "_1",
                             "1.0",
                             "1,1",
                             "1'0",
                             "1 0",
                             "1\t0",
                             " 1",
                             "\t1",
                             "1 ",
                             "1\t",
                             "1 \t ",
                             "0 ",
                             " 0",
                             "g",
                             "1g",
                             "\xb1",
                             "\xef\xbc\x91",
                             "1\xa0",
                             "\"1\"",
                             "'1'",
                             "$1",
                             "#1",
                             "%31",
                             "1%20",
                             "1/",
                             "1:",
                             "1=a",
                             "1\"a\"",
                             "10000000000000000",
                             "000000000000000010000000000000000",
                             "fffffffffffffffff",
                             "99999999999999999999",
                             "1these bytes stand for nothing"}) {
        CAPTURE(size);
        const std::string text(size);
        CHECK(heard(begin + text + "\r\na\r\n0\r\n\r\n") ==
              heard_begin + refusal(error::bad_chunk));
    }
    const auto bad = [](std::string_view body) {
        const std::string bytes = begin + std::string(body);
        CHECK(last_line(heard(bytes)) == refusal(error::bad_chunk));
        const std::string next = "\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        CHECK(heard_whole(bytes + next).find("/smuggled") == std::string::npos);
    };
    bad(std::string_view("1\0\r\na\r\n", 7));
    bad("1\va\r\n");
    bad("1\f\r\na\r\n");
    // Ends of lines that are none.
    bad("1\na\n0\n\n");
    bad("1\ra\r0\r\r");
    bad("1\r\r\na\r\n");
    bad("1\n\ra\r\n");
    bad("1\r\na\n0\r\n");
    bad("1\r\na\r0\r\n");
    bad("1\r\na\r\r\n");
    bad("1\r\na0\r\n\r\n");
    bad("1\r\n\r\n\r\n");
    // More or less data than its size says.
    bad("4\r\nSEE-THIS\r\n0\r\n\r\n");
    bad("3\r\nxxx__1a\r\n");
    bad("3\r\nxxx\r_1a\r\n");
    bad("3\r\nxxx_\n1a\r\n");
    bad("5\r\nab\r\n0\r\n\r\n");
    bad("0\r\n1\r\na\r\n0\r\n\r\n");
    bad("\r\n0\r\n\r\n");
    bad("1\r\na\r\n\r\n0\r\n\r\n");
    // Another request where the size of the next chunk should be.
    bad("1\r\na\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    bad("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST_CASE("hostile bodies: chunk extensions keep to their grammar", "[http][hostile]") {
    for (const char* extension :
         {";a", " ;a", "\t;\ta", ";a=b", "; a = b", ";a\t=\tb", ";a;b", ";a ; b=c ;d", ";a=\"\"",
          ";a=\"b;c\"", ";a=\"b\\\"c\\\\\"", ";a=\"\\;\"", ";a=\" \t!\xff\"", ";a=\"b\" ;c",
          ";!#$%&'*+-.^_`|~=~", ";0=0", ";a=\"\\\xff\"",
          ";ilove=\"I \\\"love\\\" them\";much=very;x"}) {
        CAPTURE(extension);
        const std::string text(extension);
        CHECK(heard(begin + "1" + text + "\r\na\r\n0" + text + "\r\n\r\n") ==
              heard_begin + "body a\nend\n");
    }
    for (const char* extension :
         {";",         "; ",           ";;",          ";a;",      ";a; ",          ";a ",
          ";a\t",      ";=b",          ";a=",         ";a= ",     ";a=;b",         ";a==b",
          ";a=b=c",    ";a=b ",        ";a b",        ";a=b c",   ";a,b",          ";a=b,c",
          ";bad[=x",   ";a=[x]",       ";a=\"b",      ";a=b\"",   ";a=\"b\"c",     ";a=\"b\"=c",
          ";a=\"b\" ", ";a=\"b\\\"",   ";\"a\"",      ";\"a\"=b", ";a=\"b\"\"c\"", ";a:b",
          ";a/b",      ";\xc3\xa4",    ";a=\xc3\xa4", " a",       " a=b",          "=a",
          ",a",        ";a=\"b\x7f\"", ";a=\"\x01\"", ";a\v",     ";a=\"\\\x01\""}) {
        CAPTURE(extension);
        const std::string text(extension);
        CHECK(heard(begin + "1" + text + "\r\na\r\n0\r\n\r\n") ==
              heard_begin + refusal(error::bad_chunk));
    }
    // Each of these ends the line for some parser, and not for another.
    for (const char* extension :
         {";\n", ";a\n", ";\r", ";a\r", ";a\nb", ";a\rb", ";a=\"\n\"", ";a=\"\r\"", ";a=\"\\\n\"",
          ";a=\"\r\n\"", "\n;a", "\r;a", ";a\r\r", ";a\n\r", ";a=\"b\\\r\n"}) {
        CAPTURE(extension);
        const std::string bytes = begin + "2" + std::string(extension) +
                                  "\r\nxx\r\n4c\r\n0\r\n\r\n"
                                  "GET /smuggled HTTP/1.1\r\nHost: a\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        CHECK(heard(bytes) == heard_begin + refusal(error::bad_chunk));
    }
}

TEST_CASE("hostile bodies: extensions cannot cost far more than the body", "[http][hostile]") {
    const std::string full = "1;" + std::string(255, 'x') + "\r\na\r\n";
    const auto chunks = [&full](int count) {
        std::string bytes = begin;
        for (int i = 0; i < count; ++i) { bytes += full; }
        return bytes + "0\r\n\r\n";
    };
    CHECK(heard_whole(chunks(64)).ends_with("\nend\n"));
    CHECK(last_line(heard_whole(chunks(80))) == refusal(error::chunk_extension_too_long));
    CHECK(last_line(heard_singly(chunks(80))) == refusal(error::chunk_extension_too_long));
    // What carries data may go on having extensions.
    std::string bytes = begin;
    for (int i = 0; i < 1000; ++i) {
        bytes += "100;" + std::string(200, 'x') + "\r\n" + std::string(256, 'a') + "\r\n";
    }
    CHECK(heard_whole(bytes + "0\r\n\r\n").ends_with("\nend\n"));
    http::limits short_ones;
    short_ones.chunk_extension_bytes_max = 3;
    CHECK(heard(begin + "1;ab\r\na\r\n0\r\n\r\n", short_ones).ends_with("\nend\n"));
    CHECK(last_line(heard(begin + "1;abc\r\na\r\n", short_ones)) ==
          refusal(error::chunk_extension_too_long));
}

TEST_CASE("hostile bodies: trailers are checked, and change nothing", "[http][hostile]") {
    for (const auto& [trailers, given] : {std::pair{"X: y", "~X=y\n"},
                                          {"X:", "~X=\n"},
                                          {"X:y", "~X=y\n"},
                                          {"X: \t y \t", "~X=y\n"},
                                          {"X: \xff", "~X=\xff\n"},
                                          {"X:  \t ", "~X=\n"},
                                          {"X: a : b\r\nX: c", "~X=a : b\n~X=c\n"},
                                          {"Content-Length: 5", ""},
                                          {"content-length: 5\r\nA: b\r\nHOST: c", "~A=b\n"},
                                          {"Transfer-Encoding: chunked", ""},
                                          {"Host: evil", ""},
                                          {"Connection: close", ""},
                                          {"Expect: later", ""},
                                          {"Authorization: x\r\nContent-Type: y", ""},
                                          {"Vary: *\r\nContent-Type: text/plain", ""}}) {
        CAPTURE(trailers);
        CHECK(heard(begin + "1\r\na\r\n0\r\n" + std::string(trailers) +
                    "\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n") ==
              heard_begin + "body a\nend\n" + given + "GET /2 HTTP/1.1 keep-alive\n Host=a\nend\n");
    }
    for (const char* trailers : {"X",           "X y",        "X y: z",
                                 "X : y",       "X\t: y",     ": y",
                                 " X: y",       "X: y\r\n z", "X@: y",
                                 "\xc3\xa4: y", "X: y\nZ: a", "X: y\rZ: a",
                                 "X: \x01",     "X: \x7f",    "X: y\n",
                                 "X\n",         "\n",         "GET / HTTP/1.1\r\nHost: a",
                                 "X: y\r",      "\r"}) {
        CAPTURE(trailers);
        const std::string bytes = begin + "1\r\na\r\n0\r\n" + std::string(trailers) +
                                  "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        CHECK(heard(bytes) == heard_begin + "body a\n" + refusal(error::bad_chunk));
    }
    http::limits small;
    small.trailer_bytes_max = 10;
    CHECK(heard(begin + "0\r\nX: 56\r\n\r\n", small).ends_with("\nend\n~X=56\n"));
    CHECK(heard(begin + "0\r\nX: 56789\r\n\r\n", small).ends_with("\nend\n~X=56789\n"));
    CHECK(last_line(heard(begin + "0\r\nX: 567890\r\n\r\n", small)) ==
          refusal(error::trailers_too_large));
    CHECK(last_line(heard(begin + "0\r\nA:\r\nB:\r\nC:\r\n\r\n", small)) ==
          refusal(error::trailers_too_large));
    // What is left out does not count; what is given does.
    http::limits few;
    few.headers_max = 3;
    CHECK(heard(begin + "0\r\nA:\r\nAge: 1\r\nB:\r\nC:\r\n\r\n", few)
              .ends_with("\nend\n~A=\n~B=\n~C=\n"));
    CHECK(last_line(heard(begin + "0\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n", few)) ==
          refusal(error::too_many_headers));
}

TEST_CASE("hostile bodies: sizes are legal in any spelling up to 16 digits that count",
          "[http][hostile]") {
    const std::string zeros(256 + 15, '0');
    for (const std::string& size :
         {std::string("a"), std::string("A"), std::string("0a"), std::string("000000000000000a"),
          std::string("0000000000000000000000A"), zeros + "a"}) {
        CAPTURE(size);
        CHECK(heard(begin + size + "\r\n0123456789\r\n000\r\n\r\n") ==
              heard_begin + "body 0123456789\nend\n");
    }
    for (const std::string& zero :
         {std::string("0"), std::string("0000000000000000"), zeros + "0"}) {
        CAPTURE(zero);
        CHECK(heard(begin + zero + "\r\n\r\n") == heard_begin + "end\n");
    }
    CHECK(heard(begin + zeros + "00\r\n\r\n") == heard_begin + refusal(error::bad_chunk));
    // They cost as much as extensions, of all of which together there may be so many.
    std::string padded = begin;
    for (int chunk = 0; chunk < 65; ++chunk) { padded += zeros + "1\r\nb\r\n"; }
    CHECK(last_line(heard(padded + "0\r\n\r\n")) == refusal(error::chunk_extension_too_long));
    CHECK(heard(begin + "ffffffffffffffff\r\nabc") == heard_begin + "body abc\nwaits\n");
    // The sum of two sizes wraps around to a small one.
    http::limits small;
    small.streamed_body_bytes_max = 10;
    CHECK(heard(begin + "5\r\n01234\r\nfffffffffffffffc\r\n", small) ==
          heard_begin + "body 01234\n" + refusal(error::body_too_large));
    CHECK(heard(begin + "5\r\n01234\r\nfffffffffffffffb\r\n") ==
          heard_begin + "body 01234\n" + refusal(error::body_too_large));
}

TEST_CASE("hostile bodies: the decoder takes what another reading of the grammar takes",
          "[http][hostile]") {
    const std::string seeds[] = {
        "3\r\nabc\r\n0\r\n\r\n",
        "3;a\r\nabc\r\n1 ; b = \"c\\\"\" ;d\r\n!\r\n0;e=f\r\n\r\n",
        "A\r\n0123456789\r\n2;x=\"\"\r\n\r\n\r\n0\r\nX: y\r\nZ:\r\n\r\n",
        "00\r\nA: b\tc\r\n\r\n",
        "1\r\na\r\n01\r\nb\r\n001\r\nc\r\n0\r\n\r\n1\r\nd\r\n0\r\n\r\n",
    };
    std::mt19937 random(9112);
    const auto below = [&random](std::size_t end) {
        return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
    };
    constexpr std::string_view likely = "\r\n\t ;=\"\\:0123afAFg,x-+_\x7f\x80";
    std::size_t taken = 0;
    for (int round = 0; round < 30'000; ++round) {
        std::string body = seeds[below(std::size(seeds))];
        for (std::size_t changes = below(4); changes > 0; --changes) {
            const std::size_t at = below(body.size());
            const char c = likely[below(likely.size())];
            switch (below(4)) {
                case 0: body[at] = c; break;
                case 1: body.erase(at, 1); break;
                case 2: body.insert(at, 1, c); break;
                default: body.insert(at, body, below(body.size()), 1 + below(4));
            }
            if (body.empty()) { body = "0"; }
        }
        const std::optional<decoded> expected = decode(body);
        const http::limits limits;
        http::h1::chunked_decoder decoder;
        http::headers trailers;
        std::string_view input = body;
        std::string got;
        http::h1::event event(http::h1::event_kind::need_input);
        for (;;) {
            event = decoder.next(input, limits, trailers);
            if (event.kind != http::h1::event_kind::body) { break; }
            got += event.data;
        }
        const bool ended = event.kind == http::h1::event_kind::end;
        taken += ended ? 1 : 0;
        const bool agrees =
            ended == expected.has_value() &&
            (!ended || (got == expected->body && body.size() - input.size() == expected->size));
        if (agrees) { continue; }
        CAPTURE(body);
        CHECK(ended == expected.has_value());
        REQUIRE(agrees);
    }
    // Both outcomes must come up, or this compares nothing.
    CHECK(taken > 3'000);
    CHECK(taken < 27'000);
}
