// Requests that try to make two parsers disagree about where they end.

#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "http/hostile_feed.hpp"

using heph::http::error;
using heph::http::test::check_refused;
using heph::http::test::fields;
using heph::http::test::heard;
using heph::http::test::heard_singly;
using heph::http::test::heard_whole;
using heph::http::test::refusal;

namespace {

std::string with_byte(std::string_view format, char byte) {
    std::string text(format);
    for (char& c : text) {
        if (c == '@') { c = byte; }
    }
    return text;
}

}  // namespace

TEST_CASE("hostile heads: any other byte makes Transfer-Encoding another field, or none",
          "[http][hostile]") {
    // With a length beside it: whoever reads the coding and whoever does not would disagree.
    const std::string begin = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n";
    const std::string end = "\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (const char* format : {
             "@Transfer-Encoding: chunked",
             "Transfer-Encoding@: chunked",
             "Transfer-Encoding:@chunked",
             "Transfer-Encoding: chunked@",
             "Transfer@Encoding: chunked",
             "Transfer-Encoding: chun@ked",
             "X: X@Transfer-Encoding: chunked",
             "Transfer-Encoding: chunked@X: X",
             "X: X\r@Transfer-Encoding: chunked",
             "X: X@\nTransfer-Encoding: chunked",
             "Transfer-Encoding: chunked\r@X: X",
             "Transfer-Encoding: chunked@\nX: X",
             "Transfer-Encoding: @chunked",
             "Transfer-Encoding: chunked,@",
             "Transfer-Encoding: @,chunked",
             "Transfer-Encoding@\r\n: chunked",
             "Transfer-Encoding:@\r\nX: chunked",
         }) {
        for (int byte = 0; byte < 256; ++byte) {
            const std::string bytes = begin + with_byte(format, static_cast<char>(byte)) + end;
            CAPTURE(format, byte);
            const std::string text = heard_whole(bytes);
            CHECK(heard_singly(bytes) == text);
            if (text.starts_with("error ")) { continue; }
            // It was taken: then by its length, and nothing in it can be read as the coding.
            CHECK(text.starts_with("POST / HTTP/1.1 keep-alive length=3\n"));
            CHECK(text.find("\nbody 0\r\n\nend\n") != std::string::npos);
            const std::string lines = text.substr(0, text.find("\nbody"));
            CHECK(lines.find("\n Transfer-Encoding=") == std::string::npos);
            CHECK(lines.find('\r') == std::string::npos);
        }
    }
}

TEST_CASE("hostile heads: transfer codings other than exactly chunked are refused",
          "[http][hostile]") {
    using enum error;
    for (const char* value : {"chunk",
                              "chunked chunked",
                              "chunked,chunked",
                              "chunked, identity",
                              "identity, identity",
                              "identity",
                              "cow",
                              "cow chunked bar",
                              "'chunked'",
                              "\"chunked\"",
                              "chunked\"",
                              "chunked;",
                              "chunked;a=b",
                              "chunked; q=0",
                              "chunked,",
                              ",chunked",
                              ", chunked",
                              "chunked, ,",
                              ",",
                              "\xff"
                              "chunked",
                              "ch\x96"
                              "nked",
                              "\xe3\x83\x81hunked",
                              "chunked\xc2\xa0",
                              "chunked/1",
                              "x-chunked",
                              "chunked-x",
                              "trailers",
                              "deflate, gzip",
                              "gzip;chunked",
                              "gzip\tchunked",
                              "chunked, chunked, chunked",
                              "chunked\t,\tgzip",
                              "ch unked",
                              "c",
                              "gzip, chunked, chunked"}) {
        CAPTURE(value);
        const std::string text(value);
        const std::string lines = "Transfer-Encoding: " + text;
        CHECK(heard(fields(lines, error::bad_transfer_encoding).bytes) ==
              refusal(error::bad_transfer_encoding));
    }
    check_refused({
        fields("Transfer-Encoding: gzip, chunked", unknown_transfer_encoding),
        fields("Transfer-Encoding: cow , Chunked", unknown_transfer_encoding),
        fields("Transfer-Encoding: identity, chunked", unknown_transfer_encoding),
        fields("Transfer-Encoding: gzip,,chunked", unknown_transfer_encoding),
        fields("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", bad_transfer_encoding),
        fields("Transfer-Encoding: chunked\r\nX: y\r\ntransfer-encoding: cow",
               bad_transfer_encoding),
        fields("Transfer-Encoding:\r\nTransfer-Encoding:", bad_transfer_encoding),
        fields("Transfer-Encoding:", bad_transfer_encoding),
        fields("Transfer-Encoding: chunked\r\nContent-Length: 0", length_and_transfer_encoding),
        fields("content-length: 6\r\ntransfer-encoding: chunked", length_and_transfer_encoding),
        fields("Content-Length: 1\r\nTransfer-Encoding: identity", bad_transfer_encoding),
        fields("Content-Length: 6\r\nTransfer-Encoding: \tchunked \t",
               length_and_transfer_encoding),
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
         length_and_transfer_encoding},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n", bad_transfer_encoding},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         transfer_encoding_in_http_1_0},
    });
    for (const char* value :
         {"chunked", "CHUNKED", " chunked", "\tchunked\t", "chunked \t ", "\t \tcHuNkEd"}) {
        CAPTURE(value);
        const std::string text =
            heard("POST / HTTP/1.1\r\nHost: a\r\ntRANSFER-eNCODING:" + std::string(value) +
                  "\r\n\r\n1\r\na\r\n0\r\n\r\n");
        CHECK(text.starts_with("POST / HTTP/1.1 keep-alive chunked\n"));
        CHECK(text.ends_with("\nbody a\nend\n"));
    }
}

TEST_CASE("hostile heads: lengths other than one decimal number are refused", "[http][hostile]") {
    for (const char* value : {"-0",
                              "+0",
                              "0x5",
                              "0X5",
                              "0o5",
                              "0b1",
                              "5h",
                              "5L",
                              "5,",
                              ",5",
                              "5,5",
                              "5, 5",
                              "5;5",
                              "5 5",
                              "5\t5",
                              "1e1",
                              "1.",
                              ".5",
                              "1_000",
                              "1'000",
                              "1,000",
                              "\xb2",
                              "\xef\xbc\x95",
                              "five",
                              "NaN",
                              "inf",
                              "''",
                              "\"5\"",
                              "(5)",
                              "$5",
                              "18446744073709551616",
                              "18446744073709551620",
                              "36893488147419103232",
                              "184467440737095516150",
                              "100000000000000000000000000000000000000000000",
                              "4294967296 ,4294967296"}) {
        CAPTURE(value);
        const std::string lines = "Content-Length: " + std::string(value);
        CHECK(heard(fields(lines, error::bad_content_length).bytes) ==
              refusal(error::bad_content_length));
    }
    using enum error;
    check_refused({
        fields("Content-Length: 0\r\nContent-Length: 44", repeated_content_length),
        fields("Content-Length: 44\r\nX: y\r\ncontent-LENGTH: 0", repeated_content_length),
        fields("Content-Length: 5\r\nContent-Length: 5", repeated_content_length),
        fields("Content-Length: 5\r\nContent-Length:", repeated_content_length),
        fields("Content-Length:\r\nContent-Length: 5", bad_content_length),
        {"GET / HTTP/1.0\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
         repeated_content_length},
    });
    // All digits count, however many: the same number for everyone.
    for (const char* value : {"3", "003", "0000000000000000000000003", " 3", "3 ", "\t3\t  "}) {
        CAPTURE(value);
        const std::string text = heard(
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length:" + std::string(value) + "\r\n\r\nabcGET");
        CHECK(text.find(" length=3\n") != std::string::npos);
        CHECK(text.ends_with("\nbody abc\nend\nwaits\n"));
    }
}

TEST_CASE("hostile heads: fields that only look like framing are fields like others",
          "[http][hostile]") {
    for (const char* name :
         {"Content_Length", "Transfer_Encoding", "ContentLength", "X-Content-Length",
          "Content-Lengt", "Content-Length2", "Content--Length", "TransferEncoding",
          "Transfer-Encoding2", "TE", "Content-Encoding", "Trailer", "Content-Length*",
          "Transfer\x60"
          "Encoding",
          "Content-Transfer-Encoding"}) {
        CAPTURE(name);
        CHECK(heard("GET / HTTP/1.1\r\nHost: a\r\n" + std::string(name) +
                    ": chunked\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n") ==
              "GET / HTTP/1.1 keep-alive\n Host=a\n " + std::string(name) +
                  "=chunked\nend\nGET /2 HTTP/1.1 keep-alive\n Host=a\nend\n");
    }
}

TEST_CASE("hostile heads: expectations are read as the list they are", "[http][hostile]") {
    const auto put = [](std::string_view lines, std::string_view version = "1.1") {
        return "PUT / HTTP/" + std::string(version) + "\r\nHost: a\r\nContent-Length: 1\r\n" +
               std::string(lines) + "\r\n\r\nx";
    };
    for (const char* lines :
         {"Expect: 100-continue", "expect: 100-CONTINUE", "Expect: 100-continue, 100-continue",
          "Expect: 100-continue\r\nExpect: 100-continue", "Expect: , 100-continue"}) {
        CAPTURE(lines);
        const std::string text = heard(put(lines));
        CHECK(text.starts_with("PUT / HTTP/1.1 keep-alive expects-continue length=1\n"));
        CHECK(text.ends_with("\nbody x\nend\n"));
        CHECK(heard(put(lines, "1.0")).starts_with("PUT / HTTP/1.0 length=1\n"));
    }
    for (const char* lines :
         {"Expect: 100", "Expect: 100-continued", "Expect: 100 continue",
          "Expect: \"100-continue\"", "Expect: 100-continue;q=1", "Expect: a=b",
          "Expect: 100-continue, later", "Expect: x100-continue",
          "Expect: 100-continue\r\nExpect: later", "Expect: continue", "Expect: y 100-continue"}) {
        CAPTURE(lines);
        CHECK(heard(put(lines)) == refusal(error::unknown_expectation));
    }
    CHECK(heard(put("Expect:")).starts_with("PUT / HTTP/1.1 keep-alive length=1\n"));
}
