#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include <heph/http/h1/request_writer.hpp>

namespace http = heph::http;
namespace h1 = heph::http::h1;
using http::client_request;
using http::method;

namespace {

std::string written(const client_request& request, std::string_view target = "/") {
    h1::request_writer writer;
    std::string out = "before";
    const auto done = writer.write(out, request, target, "a:81");
    if (!done) {
        CHECK(out == "before");
        CHECK(done.error() == http::error::bad_outgoing_request);
        return "refused";
    }
    return out.substr(6);
}

client_request streamed(std::optional<std::uint64_t> length = {}) {
    client_request request(method::post, "");
    request.set_stream([](http::body_writer& to) { return to.write("never run here"); }, length);
    return request;
}

}  // namespace

TEST_CASE("request writer: a request has Host first, and its framing", "[http][request_writer]") {
    CHECK(written(client_request(method::get, "").set_header("Accept", " x "), "/a?b") ==
          "GET /a?b HTTP/1.1\r\nHost: a:81\r\nAccept: x\r\n\r\n");
    CHECK(written(client_request(method::get, "").set_header("X", "1").set_header("host", "b")) ==
          "GET / HTTP/1.1\r\nHost: b\r\nX: 1\r\n\r\n");
    CHECK(written(client_request(method::put, "").set_body("12345")) ==
          "PUT / HTTP/1.1\r\nHost: a:81\r\nContent-Length: 5\r\n\r\n12345");
    CHECK(written(client_request(method::post, "")) ==
          "POST / HTTP/1.1\r\nHost: a:81\r\nContent-Length: 0\r\n\r\n");
    CHECK(written(client_request(method::delete_, "")) ==
          "DELETE / HTTP/1.1\r\nHost: a:81\r\n\r\n");
    CHECK(written(client_request(method::delete_, "").set_body("")) ==
          "DELETE / HTTP/1.1\r\nHost: a:81\r\nContent-Length: 0\r\n\r\n");
    CHECK(written(client_request(method::get, "").set_header("TE", "trailers")) ==
          "GET / HTTP/1.1\r\nHost: a:81\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    CHECK(
        written(client_request(method::get, "").set_header("TE", "").set_header("Upgrade", "x")) ==
        "GET / HTTP/1.1\r\nHost: a:81\r\nTE: \r\nUpgrade: x\r\n"
        "Connection: upgrade, TE\r\n\r\n");
    CHECK(written(client_request(method::connect, ""), "b:443") ==
          "CONNECT b:443 HTTP/1.1\r\nHost: a:81\r\n\r\n");
}

TEST_CASE("request writer: the end of a long body may be left to the caller",
          "[http][request_writer]") {
    h1::request_writer writer;
    const auto request = client_request(method::put, "").set_body("12345");
    for (const std::size_t most : {0U, 2U, 5U, 6U}) {
        CAPTURE(most);
        std::string out;
        REQUIRE(writer.write(out, request, "/", "a", {}, most));
        const std::string body(request.body().substr(0, most));
        CHECK(out == "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n" + body);
        CHECK(writer.left_out() == 5 - body.size());
    }
    std::string out;
    REQUIRE(writer.write(out, streamed(), "/", "a", {}, 0));
    CHECK(writer.left_out() == 0);
}

TEST_CASE("request writer: streams are chunked, or as long as was said", "[http][request_writer]") {
    h1::request_writer writer;
    std::string out;
    REQUIRE(writer.write(out, streamed(), "/", "a"));
    CHECK(out == "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    CHECK(writer.expects_body());
    out.clear();
    REQUIRE(writer.write_piece(out, "0123456789abcdef"));
    REQUIRE(writer.write_piece(out, ""));
    REQUIRE(writer.write_end(out));
    CHECK(out == "10\r\n0123456789abcdef\r\n0\r\n\r\n");
    CHECK_FALSE(writer.expects_body());

    out.clear();
    REQUIRE(writer.write(out, streamed(3), "/", "a"));
    CHECK(out == "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    out.clear();
    REQUIRE(writer.write_piece(out, "ab"));
    CHECK_FALSE(writer.write_piece(out, "cd"));
    CHECK_FALSE(writer.write_piece(out, "c"));
    CHECK_FALSE(writer.write_end(out));
    CHECK(out == "ab");
    REQUIRE(writer.write(out, streamed(3), "/", "a"));
    REQUIRE(writer.write_piece(out, "ab"));
    CHECK_FALSE(writer.write_end(out));
}

TEST_CASE("request writer: what would break the message is refused", "[http][request_writer]") {
    for (const char* target : {"", "/a b", "/a\r\nX: y", "/a\x7f", "/\xc3\xa4"}) {
        CHECK(written(client_request(method::get, ""), target) == "refused");
    }
    for (const char* name :
         {"", "a b", "a:", "Content-Length", "transfer-encoding", "Connection", "Keep-Alive"}) {
        CAPTURE(name);
        CHECK(written(client_request(method::get, "").set_header(name, "1")) == "refused");
    }
    CHECK(written(client_request(method::get, "").set_header("A", "b\r\nC: d")) == "refused");
    CHECK(written(client_request(method::get, "").set_header("Host", "a\r\nC: d")) == "refused");
    client_request twice(method::get, "");
    twice.headers().append("Host", "a");
    twice.headers().append("Host", "b");
    CHECK(written(twice) == "refused");
}

TEST_CASE("request writer: trailers stand behind chunks, and only there",
          "[http][request_writer]") {
    std::string lines;
    REQUIRE(h1::request_writer::add_trailer(lines, "Digest", " abc "));
    for (const char* name : {"Content-Length", "host", "Authorization", "a b", ""}) {
        CHECK_FALSE(h1::request_writer::add_trailer(lines, name, "1"));
    }
    CHECK_FALSE(h1::request_writer::add_trailer(lines, "X", "a\r\nb: c"));
    CHECK(lines == "Digest: abc\r\n");

    h1::request_writer writer;
    std::string out;
    REQUIRE(writer.write(out, streamed().set_header("Trailer", "Digest"), "/", "a"));
    CHECK(out ==
          "POST / HTTP/1.1\r\nHost: a\r\nTrailer: Digest\r\nTransfer-Encoding: chunked\r\n\r\n");
    out.clear();
    REQUIRE(writer.write_end(out, lines));
    CHECK(out == "0\r\nDigest: abc\r\n\r\n");
    out.clear();
    REQUIRE(writer.write(out, streamed(0).set_header("Trailer", "Digest"), "/", "a"));
    REQUIRE(writer.write_end(out, lines));
    CHECK(out == "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    CHECK(written(client_request(method::get, "").set_header("Trailer", "a\r\nb: c")) ==
          "GET / HTTP/1.1\r\nHost: a:81\r\n\r\n");
}
