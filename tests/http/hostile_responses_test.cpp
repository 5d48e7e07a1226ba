// Responses as careless handlers make them, with what a client sent in them.

#include <string>
#include <string_view>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/http/h1/response_writer.hpp>

#include "http/write_response.hpp"

namespace http = heph::http;
using heph::http::error;
using heph::http::method;
using heph::http::response;
using heph::http::version;
using heph::http::h1::response_writer;
using heph::http::test::streamed;
using heph::http::test::write;

namespace {

const std::string refused(message(error::bad_response));

}  // namespace

TEST_CASE("hostile responses: no byte of a value or a name can begin another line",
          "[http][hostile]") {
    response_writer writer;
    for (int byte = 0; byte < 256; ++byte) {
        CAPTURE(byte);
        const char c = static_cast<char>(byte);
        const std::string value = std::string("a") + c + "b";
        const bool control = byte < 0x20 || byte == 0x7f;
        const std::string out = write(writer, response().set_header("X", value));
        if (control && c != '\t') {
            CHECK(out == refused);
        } else {
            CHECK(out ==
                  "HTTP/1.1 200 OK\r\nX: " + value + "\r\nDate: D\r\nContent-Length: 0\r\n\r\n");
        }
        constexpr std::string_view token =
            "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        const std::string name = std::string("X") + c;
        const std::string named = write(writer, response().set_header(name, "a"));
        CHECK((named == refused) == (token.find(c) == std::string_view::npos || c == '\0'));
    }
    for (const char* value : {"a\r\nSet-Cookie: b", "a\r\n\r\n<script>", "a\nContent-Length: 0",
                              "\r\n", "a\r", "a\n", "a\r\n b", "a\r\n\tb", "\v", "a\x85\r"}) {
        CAPTURE(value);
        CHECK(write(writer, response().set_header("Location", value)) == refused);
        CHECK(write(writer, response::bytes("", value)) == refused);
        CHECK(write(writer, response().set_header(std::string("X: a\r\n") + value, "b")) ==
              refused);
    }
}

TEST_CASE("hostile responses: white space around a value is left out", "[http][hostile]") {
    response_writer writer;
    for (const char* value : {"a b", " a b", "a b ", "\t a b \t"}) {
        CHECK(write(writer, response().set_header("X", value)) ==
              "HTTP/1.1 200 OK\r\nX: a b\r\nDate: D\r\nContent-Length: 0\r\n\r\n");
    }
    CHECK(write(writer, response().set_header("X", " \t ")) ==
          "HTTP/1.1 200 OK\r\nX: \r\nDate: D\r\nContent-Length: 0\r\n\r\n");
}

TEST_CASE("hostile responses: framing cannot be set by hand in any spelling", "[http][hostile]") {
    response_writer writer;
    for (const char* name :
         {"Content-Length", "CONTENT-LENGTH", "content-length", "Transfer-Encoding",
          "tRANSFER-eNCODING", "Connection", "connection", "Keep-Alive", "keep-ALIVE"}) {
        CAPTURE(name);
        CHECK(write(writer, response().set_header(name, "0")) == refused);
        response twice = response::text("abc");
        twice.headers().append("X", "y");
        twice.headers().append(name, "5");
        CHECK(write(writer, std::move(twice)) == refused);
    }
}

TEST_CASE("hostile responses: Trailer announces what follows chunks, and is left out elsewhere",
          "[http][hostile]") {
    response_writer writer;
    for (const char* name : {"Trailer", "trailer", "TRAILER"}) {
        CHECK(write(writer, response().set_header(name, "Digest")) ==
              "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 0\r\n\r\n");
        response twice = response::bytes("abc", "text/plain");
        twice.headers().append(name, "Digest");
        twice.headers().append("X", "y");
        twice.headers().append(name, "a\r\nContent-Length: 9");
        CHECK(write(writer, std::move(twice)) ==
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX: y\r\nDate: D\r\n"
              "Content-Length: 3\r\n\r\nabc");
    }
}

TEST_CASE("hostile responses: what was refused leaves nothing behind", "[http][hostile]") {
    response_writer writer;
    std::string out = "before";
    REQUIRE(writer.write(out, streamed(), method::get, version::http_1_1, true).has_value());
    REQUIRE(writer.expects_body());
    out = "before";
    const response bad = response().set_header("X", "\n");
    CHECK_FALSE(writer.write(out, bad, method::get, version::http_1_1, true).has_value());
    CHECK(out == "before");
    CHECK_FALSE(writer.expects_body());
    CHECK(writer.write_piece(out, "stray").has_value());
    CHECK(writer.write_end(out).has_value());
    CHECK(out == "before");
}

TEST_CASE("hostile responses: no status has content that must not have it", "[http][hostile]") {
    response_writer writer;
    for (unsigned code = 0; code < 1200; ++code) {
        CAPTURE(code);
        const auto status = static_cast<http::status>(code);
        const std::string out = write(writer, response::text("abc", status));
        if (code < 200 || code > 999) {
            CHECK(out == refused);
            continue;
        }
        CHECK(out.starts_with("HTTP/1.1 " + std::to_string(code) + " "));
        const bool bodiless = code == 204 || code == 304;
        CHECK((out.find("Content-Length") == std::string::npos) == bodiless);
        CHECK(out.ends_with("\r\n\r\nabc") == (!bodiless && code != 205));
        (void)write(writer, streamed(status));
        CHECK(writer.expects_body() == (!bodiless && code != 205));
        (void)write(writer, streamed(status), method::head);
        CHECK_FALSE(writer.expects_body());
    }
    CHECK(write(writer, response::text("abc", http::status::reset_content)) ==
          "HTTP/1.1 205 Reset Content\r\nContent-Type: text/plain; charset=utf-8\r\n"
          "Date: D\r\nContent-Length: 0\r\n\r\n");
    CHECK(write(writer, streamed(http::status::reset_content).set_content_length(9)) ==
          "HTTP/1.1 205 Reset Content\r\nContent-Type: text/plain\r\nDate: D\r\n"
          "Content-Length: 0\r\n\r\n");
    for (const http::status none : {http::status::no_content, http::status::not_modified}) {
        const std::string out = write(writer, streamed(none).set_content_length(9));
        CHECK(out.find("Content-Length") == std::string::npos);
        CHECK(out.find("Transfer-Encoding") == std::string::npos);
        CHECK(out.ends_with("\r\nDate: D\r\n\r\n"));
        CHECK(writer.keeps_alive());
        (void)write(writer, streamed(none), method::get, version::http_1_0);
        CHECK(writer.keeps_alive());
    }
}

TEST_CASE("hostile responses: CONNECT is never told that it succeeded", "[http][hostile]") {
    response_writer writer;
    CHECK(write(writer, response(), method::connect) == refused);
    CHECK(write(writer, response(http::status::no_content), method::connect) == refused);
    CHECK(write(writer, streamed(static_cast<http::status>(299)), method::connect) == refused);
    CHECK(write(writer, response(http::status::not_implemented), method::connect) ==
          "HTTP/1.1 501 Not Implemented\r\nDate: D\r\nContent-Length: 0\r\n\r\n");
}

TEST_CASE("hostile responses: a body of a wrong length can never look whole", "[http][hostile]") {
    response_writer writer;
    std::string out;
    // The producer ignores that a piece did not fit, and goes on with one that does.
    (void)write(writer, streamed().set_content_length(5));
    CHECK(writer.write_piece(out, "abc").has_value());
    CHECK(writer.write_piece(out, "def").error() == error::bad_response);
    CHECK(writer.write_piece(out, "de").error() == error::bad_response);
    CHECK(writer.write_end(out).error() == error::bad_response);
    CHECK(out == "abc");
    // All is written, and then some.
    out.clear();
    (void)write(writer, streamed().set_content_length(3));
    CHECK(writer.write_piece(out, "abc").has_value());
    CHECK(writer.write_piece(out, "").has_value());
    CHECK(writer.write_piece(out, "d").error() == error::bad_response);
    CHECK(writer.write_end(out).error() == error::bad_response);
    CHECK(out == "abc");
    // Nothing was announced, and something is written.
    out.clear();
    (void)write(writer, streamed().set_content_length(0));
    CHECK(writer.expects_body());
    CHECK(writer.write_piece(out, "a").error() == error::bad_response);
    CHECK(writer.write_end(out).error() == error::bad_response);
    CHECK(out.empty());
    // The next response begins anew.
    CHECK(write(writer, streamed().set_content_length(1)).ends_with("Content-Length: 1\r\n\r\n"));
    CHECK(writer.write_piece(out, "a").has_value());
    CHECK(writer.write_end(out).has_value());
    // Too little, for HEAD nothing at all.
    (void)write(writer, streamed().set_content_length(2));
    CHECK(writer.write_piece(out, "a").has_value());
    CHECK(writer.write_end(out).error() == error::bad_response);
    CHECK(write(writer, streamed().set_content_length(2), method::head)
              .ends_with("Content-Length: 2\r\n\r\n"));
    CHECK(writer.write_end(out).has_value());
}

TEST_CASE("hostile responses: chunks carry any bytes, and none of them ends the body",
          "[http][hostile]") {
    response_writer writer;
    std::string out;
    (void)write(writer, streamed());
    CHECK(writer.write_piece(out, "0\r\n\r\n").has_value());
    CHECK(writer.write_piece(out, "").has_value());
    CHECK(writer.write_piece(out, std::string(1, '\0')).has_value());
    CHECK(writer.write_end(out).has_value());
    CHECK(out == std::string("5\r\n0\r\n\r\n\r\n1\r\n") + '\0' + "\r\n0\r\n\r\n");
    CHECK(writer.write_end(out).has_value());
    CHECK(out.ends_with("\r\n0\r\n\r\n"));
    CHECK_FALSE(out.ends_with("0\r\n\r\n0\r\n\r\n"));
}

TEST_CASE("hostile responses: Upgrade is named in Connection", "[http][hostile]") {
    response_writer writer;
    const auto answer = [] {
        return response(http::status::upgrade_required).set_header("Upgrade", "websocket");
    };
    const std::string begin =
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nDate: D\r\nContent-Length: 0\r\n"
        "Connection: upgrade\r\n";
    CHECK(write(writer, answer()) == begin + "\r\n");
    CHECK(write(writer, answer().close_connection()) == begin + "Connection: close\r\n\r\n");
}

TEST_CASE("hostile responses: headers may be made from each other", "[http][hostile]") {
    // Each value is a view into the memory that has to grow for its copy.
    response answer;
    answer.set_header("A", std::string(200, 'a'));
    for (int i = 0; i < 8; ++i) {
        const std::string name = "B" + std::to_string(i);
        answer.set_header(name, *answer.headers().get("A"));
        answer.headers().append(answer.headers()[0].name, answer.headers()[0].value);
        answer.set_header(answer.headers()[0].name, answer.headers()[0].value);
    }
    REQUIRE(answer.headers().size() == 9);
    for (const http::header field : answer.headers()) {
        CHECK(field.value == std::string(200, 'a'));
    }
    CHECK(answer.headers()[0].name == "A");
    CHECK(answer.headers()[8].name == "B7");
}
