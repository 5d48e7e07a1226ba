#include <string>

#include <catch2/catch.hpp>

#include <heph/http/date.hpp>
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

TEST_CASE("response writer: a text goes out with its length", "[http][writer]") {
    response_writer writer;
    CHECK(write(writer, response::text("Hello, World!")) ==
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nDate: D\r\n"
          "Content-Length: 13\r\n\r\nHello, World!");
    CHECK(writer.keeps_alive());
    CHECK_FALSE(writer.expects_body());
    CHECK(write(writer, response(http::status::not_found)) ==
          "HTTP/1.1 404 Not Found\r\nDate: D\r\nContent-Length: 0\r\n\r\n");
    CHECK(write(writer, response(static_cast<http::status>(299))) ==
          "HTTP/1.1 299 \r\nDate: D\r\nContent-Length: 0\r\n\r\n");
}

TEST_CASE("response writer: what is large of a body may be left out", "[http][writer]") {
    response_writer writer;
    const auto write_some = [&writer](std::size_t body_bytes_max, method asked) {
        std::string out;
        response answer = response::bytes("0123456789", "a/b");
        answer.set_header("Date", "D");
        REQUIRE(writer.write(out, answer, asked, version::http_1_1, true, body_bytes_max));
        return out;
    };
    const std::string head =
        "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nDate: D\r\n"
        "Content-Length: 10\r\n\r\n";
    CHECK(write_some(4, method::get) == head + "0123");
    CHECK(writer.left_out() == 6);
    CHECK_FALSE(writer.expects_body());
    CHECK(write_some(0, method::get) == head);
    CHECK(writer.left_out() == 10);
    CHECK(write_some(4, method::head) == head);
    CHECK(writer.left_out() == 0);
    CHECK(write_some(10, method::get) == head + "0123456789");
    CHECK(writer.left_out() == 0);
}

TEST_CASE("response writer: the date is set unless the handler did", "[http][writer]") {
    response_writer writer;
    std::string out;
    REQUIRE(writer.write(out, response(), method::get, version::http_1_1, true).has_value());
    const std::size_t at = out.find("Date: ");
    REQUIRE(at != std::string::npos);
    CHECK(out.substr(at + 6 + 26, 5) == "GMT\r\n");
    CHECK(out.find("Date: ", at + 1) == std::string::npos);
}

TEST_CASE("response writer: what has no body gets none", "[http][writer]") {
    response_writer writer;
    CHECK(write(writer, response::text("abc"), method::head) ==
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nDate: D\r\n"
          "Content-Length: 3\r\n\r\n");
    CHECK(write(writer, response::empty()) == "HTTP/1.1 204 No Content\r\nDate: D\r\n\r\n");
    CHECK(
        write(writer, response::text("abc", http::status::not_modified)) ==
        "HTTP/1.1 304 Not Modified\r\nContent-Type: text/plain; charset=utf-8\r\nDate: D\r\n\r\n");
    CHECK(write(writer, streamed(), method::head) ==
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: D\r\n"
          "Transfer-Encoding: chunked\r\n\r\n");
    CHECK_FALSE(writer.expects_body());
    CHECK(write(writer, streamed(), method::head, version::http_1_0) ==
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: D\r\n"
          "Connection: keep-alive\r\n\r\n");
}

TEST_CASE("response writer: Connection says what will happen", "[http][writer]") {
    response_writer writer;
    CHECK(write(writer, response(), method::get, version::http_1_1, false) ==
          "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    CHECK_FALSE(writer.keeps_alive());
    CHECK(write(writer, response(), method::get, version::http_1_0, true) ==
          "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
    CHECK(writer.keeps_alive());
    CHECK(write(writer, response().close_connection()) ==
          "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    CHECK_FALSE(writer.keeps_alive());
}

TEST_CASE("response writer: a streamed body goes out in chunks", "[http][writer]") {
    response_writer writer;
    std::string out = write(writer, streamed());
    CHECK(out ==
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: D\r\n"
          "Transfer-Encoding: chunked\r\n\r\n");
    REQUIRE(writer.expects_body());
    out.clear();
    CHECK(writer.write_piece(out, "abc").has_value());
    CHECK(writer.write_piece(out, "").has_value());
    CHECK(writer.write_piece(out, std::string(26, 'x')).has_value());
    CHECK(writer.write_end(out).has_value());
    CHECK(out == "3\r\nabc\r\n1a\r\n" + std::string(26, 'x') + "\r\n0\r\n\r\n");
    CHECK_FALSE(writer.expects_body());
}

TEST_CASE("response writer: a streamed body of known length keeps to it", "[http][writer]") {
    response_writer writer;
    std::string out = write(writer, streamed().set_content_length(5));
    CHECK(out ==
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: D\r\n"
          "Content-Length: 5\r\n\r\n");
    out.clear();
    CHECK(writer.write_piece(out, "abc").has_value());
    CHECK(writer.write_piece(out, "def").error() == error::bad_response);
    CHECK(writer.write_end(out).error() == error::bad_response);
    CHECK(out == "abc");
}

TEST_CASE("response writer: HTTP/1.0 gets a streamed body up to the end", "[http][writer]") {
    response_writer writer;
    std::string out = write(writer, streamed(), method::get, version::http_1_0);
    CHECK(out ==
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: D\r\n"
          "Connection: close\r\n\r\n");
    CHECK_FALSE(writer.keeps_alive());
    out.clear();
    CHECK(writer.write_piece(out, "abc").has_value());
    CHECK(writer.write_end(out).has_value());
    CHECK(out == "abc");
}

TEST_CASE("response writer: headers that would break the framing are refused", "[http][writer]") {
    response_writer writer;
    const std::string refused(message(error::bad_response));
    for (const auto& [name, value] : {std::pair{"X", "a\r\nSet-Cookie: b"},
                                      {"X", "a\nb"},
                                      {"X", "a\rb"},
                                      {"X", "\x7f"},
                                      {"X Y", "a"},
                                      {"", "a"},
                                      {"X:", "a"},
                                      {"Content-Length", "5"},
                                      {"transfer-encoding", "chunked"},
                                      {"Connection", "close"}}) {
        CAPTURE(name, value);
        CHECK(write(writer, response().set_header(name, value)) == refused);
    }
    CHECK(write(writer, response(http::status::continue_)) == refused);
    CHECK(write(writer, response(static_cast<http::status>(1000))) == refused);

    std::string out = "before";
    const response bad = response().set_header("X", "\n");
    CHECK_FALSE(writer.write(out, bad, method::get, version::http_1_1, true).has_value());
    CHECK(out == "before");
}

TEST_CASE("response writer: trailers stand behind chunks, and only there", "[http][writer]") {
    std::string lines;
    REQUIRE(response_writer::add_trailer(lines, "Digest", " abc "));
    for (const char* name : {"Content-Length", "trailer", "Set-Cookie", "Vary", "a b", ""}) {
        CHECK_FALSE(response_writer::add_trailer(lines, name, "1"));
    }
    CHECK_FALSE(response_writer::add_trailer(lines, "X", "a\nb: c"));
    REQUIRE(response_writer::add_trailer(lines, "Sum", ""));
    CHECK(lines == "Digest: abc\r\nSum: \r\n");

    response_writer writer;
    std::string out = write(writer, streamed().set_header("Trailer", "Digest"));
    CHECK(out ==
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTrailer: Digest\r\nDate: D\r\n"
          "Transfer-Encoding: chunked\r\n\r\n");
    out.clear();
    CHECK(writer.write_end(out, lines).has_value());
    CHECK(out == "0\r\nDigest: abc\r\nSum: \r\n\r\n");
    out.clear();
    // Neither a known length, nor HTTP/1.0, nor a body that is not streamed has a place for them.
    CHECK(write(writer, streamed().set_content_length(0).set_header("Trailer", "Digest")) ==
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: D\r\n"
          "Content-Length: 0\r\n\r\n");
    CHECK(writer.write_end(out, lines).has_value());
    CHECK(
        write(writer, streamed().set_header("Trailer", "Digest"), method::get, version::http_1_0) ==
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: D\r\n"
        "Connection: close\r\n\r\n");
    CHECK(writer.write_end(out, lines).has_value());
    CHECK(write(writer, response().set_header("trailer", "Digest")) ==
          "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 0\r\n\r\n");
    CHECK(out.empty());
}

TEST_CASE("response writer: interim responses are heads alone, and none for HTTP/1.0",
          "[http][writer]") {
    http::headers hints;
    hints.append("Link", "</a.css>; rel=preload");
    hints.append("Link", "</b.js>; rel=preload");
    std::string out = "before ";
    CHECK(response_writer::write_interim(out, http::status::early_hints, hints, version::http_1_1));
    CHECK(out ==
          "before HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n"
          "Link: </b.js>; rel=preload\r\n\r\n");
    out.clear();
    CHECK(
        response_writer::write_interim(out, static_cast<http::status>(199), {}, version::http_1_1));
    CHECK(out == "HTTP/1.1 199 \r\n\r\n");
    out = "before";
    CHECK(response_writer::write_interim(out, http::status::early_hints, hints, version::http_1_0));
    for (const int status : {0, 99, 100, 101, 200, 404}) {
        for (const version spoken : {version::http_1_0, version::http_1_1}) {
            CHECK(response_writer::write_interim(out, static_cast<http::status>(status), {}, spoken)
                      .error() == error::bad_response);
        }
    }
    for (const auto& [name, value] : {std::pair{"X", "a\r\nb: c"},
                                      {"Content-Length", "5"},
                                      {"Transfer-Encoding", "chunked"},
                                      {"Connection", "close"},
                                      {"Upgrade", "x"}}) {
        http::headers bad;
        bad.append(name, value);
        CHECK(response_writer::write_interim(out, http::status::early_hints, bad, version::http_1_1)
                  .error() == error::bad_response);
    }
    CHECK(out == "before");
}

TEST_CASE("response: a problem is JSON whatever its detail", "[http][response]") {
    CHECK(response::problem(http::status::not_found).body() ==
          "{\"status\":404,\"title\":\"Not Found\"}\n");
    CHECK(response::problem(http::status::bad_request, "a\"b\\c\n\x01 \xc3\xa4 \xff \xed\xa0\x80")
              .body() ==
          "{\"status\":400,\"title\":\"Bad Request\",\"detail\":"
          "\"a\\\"b\\\\c\\u000a\\u0001 \xc3\xa4 \\ufffd \\ufffd\\ufffd\\ufffd\"}\n");
    const response answer = response::problem(error::body_too_large);
    CHECK(answer.status() == http::status::content_too_large);
    CHECK(answer.headers().get("content-type") == "application/problem+json");
}
