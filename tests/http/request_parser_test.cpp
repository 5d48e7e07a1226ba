#include <algorithm>
#include <cstdint>
#include <random>
#include <string>

#include <catch2/catch.hpp>

#include "http/samples.hpp"
#include "http/transcript.hpp"

using heph::http::error;
using heph::http::limits;
using heph::http::request_head;
using heph::http::test::bad_samples;
using heph::http::test::good_samples;
using heph::http::test::transcriber;
namespace http = heph::http;
namespace h1 = heph::http::h1;

namespace {

std::string whole(std::string_view bytes) {
    transcriber all;
    all.feed(bytes);
    return all.text();
}

void check_each_cut(std::string_view bytes) {
    const std::string expected = whole(bytes);
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
        transcriber parts;
        parts.feed(bytes.substr(0, cut));
        parts.feed(bytes.substr(cut));
        if (parts.text() == expected) { continue; }
        CAPTURE(cut);
        CHECK(parts.text() == expected);
    }
    transcriber single;
    for (std::size_t at = 0; at < bytes.size(); ++at) { single.feed(bytes.substr(at, 1)); }
    CHECK(single.text() == expected);
}

}  // namespace

TEST_CASE("request parser: good requests are taken as they are", "[http][parser]") {
    for (const auto& sample : good_samples()) {
        CAPTURE(sample.what);
        CHECK(whole(sample.bytes) == sample.expected);
    }
}

TEST_CASE("request parser: ambiguous and malformed requests are refused", "[http][parser]") {
    for (const auto& sample : bad_samples()) {
        CAPTURE(sample.what);
        transcriber parser;
        parser.feed(sample.bytes);
        CHECK(parser.failed());
        CHECK(std::string(message(parser.failure())) == std::string(message(sample.expected)));
        CHECK(should_close(parser.failure()));
        CHECK(code(status_of(parser.failure())) >= 400);
    }
}

TEST_CASE("request parser: the statuses of refusals are those that RFC 9110 names",
          "[http][parser]") {
    using http::status_of;
    CHECK(code(status_of(error::target_too_long)) == 414);
    CHECK(code(status_of(error::head_too_large)) == 431);
    CHECK(code(status_of(error::too_many_headers)) == 431);
    CHECK(code(status_of(error::body_too_large)) == 413);
    CHECK(code(status_of(error::unsupported_version)) == 505);
    CHECK(code(status_of(error::unknown_method)) == 501);
    CHECK(code(status_of(error::unknown_transfer_encoding)) == 501);
    CHECK(code(status_of(error::unknown_expectation)) == 417);
    CHECK(code(status_of(error::bad_chunk)) == 400);
    CHECK(code(status_of(error::head_timed_out)) == 408);
}

TEST_CASE("request parser: how bytes are cut into pieces changes nothing", "[http][parser]") {
    for (const auto& sample : good_samples()) {
        CAPTURE(sample.what);
        check_each_cut(sample.bytes);
    }
    for (const auto& sample : bad_samples()) {
        if (sample.bytes.size() > 1000) { continue; }
        CAPTURE(sample.what);
        check_each_cut(sample.bytes);
    }
}

TEST_CASE("request parser: an error stays, whatever comes", "[http][parser]") {
    transcriber parser;
    parser.feed("GET / HTTP/1.1\r\n\r\n");
    REQUIRE(parser.failed());
    const std::string before = parser.text();
    parser.feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(parser.text() == before);
}

TEST_CASE("request parser: sizes are taken up to their limits and not beyond", "[http][parser]") {
    limits small;
    small.request_line_bytes_max = 20;
    small.head_bytes_max = 60;
    small.headers_max = 2;
    small.streamed_body_bytes_max = 10;
    const auto outcome = [&small](const std::string& bytes) {
        transcriber parser(small);
        parser.feed(bytes);
        return parser.failed() ? std::string(message(parser.failure())) : std::string("good");
    };
    const auto refused = [](error value) { return std::string(message(value)); };

    CHECK(outcome("GET /6789 1 HTTP/1.1") == "good");
    CHECK(outcome("GET /678901 HTTP/1.1\r\nHost: a\r\n\r\n") == "good");
    CHECK(outcome("GET /6789012 HTTP/1.1\r\nHost: a\r\n\r\n") == refused(error::target_too_long));

    const std::string begin = "GET / HTTP/1.1\r\nHost: a\r\nB: ";
    const std::string fill(60 - begin.size() - 4, 'b');
    CHECK(outcome(begin + fill + "\r\n\r\n") == "good");
    CHECK(outcome(begin + fill + "b\r\n\r\n") == refused(error::head_too_large));
    CHECK(outcome(begin + fill + "bbbbb") == refused(error::head_too_large));

    CHECK(outcome("GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n") == "good");
    CHECK(outcome("GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nD: e\r\n\r\n") ==
          refused(error::too_many_headers));

    const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
    CHECK(outcome(post + "Content-Length: 10\r\n\r\n") == "good");
    CHECK(outcome(post + "Content-Length: 11\r\n\r\n") == refused(error::body_too_large));
    small.head_bytes_max = 100;
    const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
    CHECK(outcome(chunked + "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n") == "good");
    CHECK(outcome(chunked + "5\r\n01234\r\n6\r\n") == refused(error::body_too_large));
    CHECK(outcome(chunked + "ffffffffffffffff\r\n") == refused(error::body_too_large));
}

TEST_CASE("request parser: the parts of the target are told apart", "[http][parser]") {
    const limits defaults;
    h1::request_parser parser(defaults);
    request_head head;
    const auto parse = [&](std::string_view target) {
        const std::string bytes = "GET " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n\r\n";
        std::string_view input = bytes;
        REQUIRE(parser.next(input, head).kind == h1::event_kind::head);
        REQUIRE(parser.next(input, head).kind == h1::event_kind::end);
    };
    parse("/a/b?c=d&e");
    CHECK(head.path() == "/a/b");
    CHECK(head.query() == "c=d&e");
    CHECK(head.authority() == "h");
    parse("http://other:81/x?y");
    CHECK(head.path() == "/x");
    CHECK(head.query() == "y");
    CHECK(head.authority() == "other:81");
    parse("http://other?y/z");
    CHECK(head.path() == "/");
    CHECK(head.query() == "y/z");
    parse("http://other");
    CHECK(head.path() == "/");
    CHECK(head.query().empty());
    parse("/...?");
    CHECK(head.path() == "/...");
    CHECK(head.query().empty());
}

TEST_CASE("request parser: a refused request by HEAD is still known as one", "[http][parser]") {
    const limits defaults;
    const auto asked_by = [&defaults](std::string_view bytes, std::size_t cut) {
        h1::request_parser parser(defaults);
        request_head head;
        std::string_view first = bytes.substr(0, cut);
        auto event = parser.next(first, head);
        while (event.kind != h1::event_kind::need_input && event.kind != h1::event_kind::error) {
            event = parser.next(first, head);
        }
        std::string_view rest = bytes.substr(cut);
        while (event.kind != h1::event_kind::error && !rest.empty()) {
            event = parser.next(rest, head);
        }
        if (event.kind != h1::event_kind::error) { event = parser.give_up(error::bad_host, head); }
        CHECK(event.kind == h1::event_kind::error);
        CHECK(parser.next(rest, head).kind == h1::event_kind::error);
        return head.method();
    };
    const std::string good = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (const auto& [bytes, method] :
         {std::pair<std::string, http::method>{"HEAD / HTTP/1.1\r\n\r\n", http::method::head},
          {"HEAD / HTTP/1.1\r\nHost : a\r\n\r\n", http::method::head},
          {"HEAD / HTTP/1.1\nHost: a\r\n\r\n", http::method::head},
          {"HEAD /% HTTP/1.1\r\nHost: a\r\n\r\n", http::method::head},
          {"HEAD  / HTTP/1.1\r\n", http::method::head},
          {"HEAD / HTTP/1.1\r\nHost: a\r\n", http::method::head},
          {"\r\nHEAD / HTTP/3.0\r\n\r\n", http::method::head},
          {"HEADER / HTTP/1.1\r\nHost: a\r\n\r\n", http::method::get},
          {"GET /HEAD HTTP/1.1\r\n\r\n", http::method::get},
          {good + "\r\r", http::method::get},
          {good + "GET / HTTP/1.1\r\n\r\n", http::method::get},
          {good + "HEAD / HTTP/1.1\r\n\r\n", http::method::head}}) {
        for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
            CAPTURE(bytes, cut);
            CHECK(asked_by(bytes, cut) == method);
        }
    }
}

TEST_CASE("request parser: the head survives the input it came from", "[http][parser]") {
    const limits defaults;
    h1::request_parser parser(defaults);
    request_head head;
    std::string bytes = "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    std::string_view input = bytes;
    REQUIRE(parser.next(input, head).kind == h1::event_kind::head);
    CHECK(input == "abc");
    std::ranges::fill(bytes, '#');
    head.headers().append("X-Added", std::string(2000, 'x'));
    CHECK(head.target() == "/a");
    CHECK(head.headers().get("host") == "h");
}

TEST_CASE("request parser: random changes of good requests never break it", "[http][parser]") {
    std::mt19937 random(4711);
    const auto below = [&random](std::size_t end) {
        return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
    };
    std::size_t refused = 0;
    for (int round = 0; round < 20'000; ++round) {
        std::string bytes = good_samples()[below(good_samples().size())].bytes;
        for (std::size_t changes = 1 + below(4); changes > 0 && !bytes.empty(); --changes) {
            const std::size_t at = below(bytes.size());
            switch (below(3)) {
                case 0: bytes[at] = static_cast<char>(below(256)); break;
                case 1: bytes.erase(at, 1); break;
                default: bytes.insert(at, 1, "\r\n :,;\t0"[below(8)]);
            }
        }
        transcriber parser;
        parser.feed(bytes);
        refused += parser.failed() ? 1 : 0;
        transcriber halves;
        const std::size_t cut = bytes.empty() ? 0 : below(bytes.size());
        halves.feed(std::string_view(bytes).substr(0, cut));
        halves.feed(std::string_view(bytes).substr(cut));
        if (halves.text() != parser.text()) {
            CAPTURE(bytes, cut);
            REQUIRE(halves.text() == parser.text());
        }
    }
    // Most changes hit the framing or a name; that none is noticed would be a defect as well.
    CHECK(refused > 5'000);
}

TEST_CASE("request parser: random bytes are refused or waited for", "[http][parser]") {
    std::mt19937 random(42);
    std::uniform_int_distribution<int> any(0, 255);
    for (int round = 0; round < 5'000; ++round) {
        std::string bytes(64, '\0');
        for (char& c : bytes) { c = static_cast<char>(any(random)); }
        transcriber parser;
        parser.feed(bytes);
        const std::string text = parser.text();
        CHECK((text == "waits\n" || text.starts_with("error ")));
    }
}
