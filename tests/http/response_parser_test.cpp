#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/h1/response_parser.hpp>

namespace http = heph::http;
namespace h1 = heph::http::h1;
using http::error;

namespace {

constexpr std::string_view framing_names[] = {"none", "length", "chunked", "until-close", "tunnel"};

/// Feeds a parser and writes down what it says.
class reader {
public:
    explicit reader(http::method asked = http::method::get, http::limits bounds = {})
        : bounds_(std::move(bounds)), parser_(bounds_) {
        parser_.begin(asked);
    }
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;

    void feed(std::string_view bytes) {
        for (;;) {
            const auto event = parser_.next(bytes, head_);
            if (event.kind == h1::event_kind::need_input) { break; }
            if (!write(event)) { break; }
        }
        if (!failed_) { left_ += bytes; }
    }
    void end() { (void)write(parser_.end_of_input()); }

    [[nodiscard]] std::string text() const {
        std::string all = text_;
        if (!body_.empty()) { all += "body " + body_ + "\n"; }
        if (!left_.empty()) { all += "left " + left_ + "\n"; }
        return all;
    }
    [[nodiscard]] h1::response_parser& parser() noexcept { return parser_; }
    [[nodiscard]] const http::response_head& head() const noexcept { return head_; }

private:
    bool write(const h1::event& event) {
        if (event.kind == h1::event_kind::body) {
            body_ += event.data;
            return true;
        }
        if (!body_.empty()) { text_ += "body " + std::exchange(body_, {}) + "\n"; }
        switch (event.kind) {
            case h1::event_kind::head:
                text_ += std::to_string(code(head_.status())) + " " + std::string(head_.reason()) +
                         " " +
                         std::string(framing_names[static_cast<std::size_t>(head_.framing())]);
                if (head_.keep_alive()) { text_ += " keep-alive"; }
                text_ += "\n";
                return true;
            case h1::event_kind::end:
                text_ += "end\n";
                for (const http::header field : head_.trailers()) {
                    text_ += "~" + std::string(field.name) + "=" + std::string(field.value) + "\n";
                }
                return true;
            case h1::event_kind::error:
                if (!failed_) { text_ += "error " + std::string(message(event.failure)) + "\n"; }
                failed_ = true;
                return false;
            default: return false;
        }
    }

    http::limits bounds_;
    h1::response_parser parser_;
    http::response_head head_;
    std::string text_;
    std::string body_;
    std::string left_;
    bool failed_ = false;
};

/// Reads a whole connection, also cut at each place, and byte by byte: it must not matter.
std::string whole(std::string_view bytes, http::method asked = http::method::get,
                  bool ends = false) {
    reader once(asked);
    once.feed(bytes);
    if (ends) { once.end(); }
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
        reader parts(asked);
        parts.feed(bytes.substr(0, cut));
        parts.feed(bytes.substr(cut));
        if (ends) { parts.end(); }
        if (parts.text() == once.text()) { continue; }
        CAPTURE(cut);
        CHECK(parts.text() == once.text());
    }
    reader single(asked);
    for (std::size_t at = 0; at < bytes.size(); ++at) { single.feed(bytes.substr(at, 1)); }
    if (ends) { single.end(); }
    CHECK(single.text() == once.text());
    return once.text();
}

std::string failure(error what) { return "error " + std::string(message(what)) + "\n"; }

}  // namespace

TEST_CASE("response parser: bodies end where the framing says", "[http][response_parser]") {
    CHECK(whole("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") ==
          "200 OK length keep-alive\nbody hello\nend\n");
    CHECK(whole("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") ==
          "200 OK length keep-alive\nend\n");
    CHECK(whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n") ==
          "200 OK chunked keep-alive\nbody hello\nend\n");
    CHECK(whole("HTTP/1.1 200 OK\r\n\r\nhello", http::method::get, true) ==
          "200 OK until-close\nbody hello\nend\n");
    CHECK(whole("HTTP/1.1 200 OK\r\n\r\n", http::method::get, true) == "200 OK until-close\nend\n");
    CHECK(whole("HTTP/1.1 204 No Content\r\n\r\n") == "204 No Content none keep-alive\nend\n");
    CHECK(whole("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n") ==
          "304 Not Modified none keep-alive\nend\n");
    CHECK(whole("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", http::method::head) ==
          "200 OK none keep-alive\nend\n");
    CHECK(whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", http::method::head) ==
          "200 OK none keep-alive\nend\n");
}

TEST_CASE("response parser: what follows a response is left", "[http][response_parser]") {
    CHECK(whole("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n") ==
          "200 OK length keep-alive\nbody ok\nend\nleft HTTP/1.1 200 OK\r\n\n");
    reader two;
    two.feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    CHECK(two.parser().is_done());
    two.parser().begin(http::method::head);
    CHECK(two.parser().has_seen_nothing());
    two.feed("HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n");
    CHECK(two.text() ==
          "200 OK length keep-alive\nbody ok\nend\n404 Not Found none keep-alive\nend\n");
}

TEST_CASE("response parser: interim responses come before the final one",
          "[http][response_parser]") {
    CHECK(whole("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na") ==
          "100 Continue none keep-alive\n103 Early Hints none keep-alive\n"
          "200 OK length keep-alive\nbody a\nend\n");
    std::string many;
    for (int i = 0; i < 33; ++i) { many += "HTTP/1.1 102 Processing\r\n\r\n"; }
    reader flooded;
    flooded.feed(many);
    CHECK(flooded.text().ends_with(failure(error::too_many_interim_responses)));
}

TEST_CASE("response parser: a tunnel gets all that is left", "[http][response_parser]") {
    CHECK(whole("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\x16\x03", http::method::connect) ==
          "200 OK tunnel keep-alive\nleft \x16\x03\n");
    CHECK(whole("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nxyz") ==
          "101 Switching Protocols tunnel keep-alive\nleft xyz\n");
    CHECK(whole("HTTP/1.1 403 Forbidden\r\nContent-Length: 1\r\n\r\na", http::method::connect) ==
          "403 Forbidden length keep-alive\nbody a\nend\n");
}

TEST_CASE("response parser: status lines of old and sloppy servers are taken",
          "[http][response_parser]") {
    CHECK(whole("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n") == "200  length keep-alive\nend\n");
    CHECK(whole("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n") == "200  length keep-alive\nend\n");
    CHECK(whole("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n") == "200 OK length\nend\n");
    CHECK(whole("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n") ==
          "200 OK length keep-alive\nend\n");
    CHECK(whole("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") ==
          "200 OK length\nend\n");
    CHECK(whole("HTTP/1.9 299 \xc3\xa4 b\r\nContent-Length: 0\r\n\r\n") ==
          "299 \xc3\xa4 b length keep-alive\nend\n");
    CHECK(whole("HTTP/1.1 999 x\r\ncontent-length:\t7 \t\r\n\r\n1234567") ==
          "999 x length keep-alive\nbody 1234567\nend\n");
}

TEST_CASE("response parser: what is no status line is refused", "[http][response_parser]") {
    for (const char* line :
         {"HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 2000 OK", "HTTP/1.1 20x OK",
          "HTTP/1.1  200 OK", "HTTP/1.1 099 OK", "HTTP/1 200 OK", "http/1.1 200 OK",
          "HTTP/1.1\t200 OK", "HTTP/11 200 OK", "SIP/2.0 200 OK", "200 OK", " HTTP/1.1 200 OK",
          "SSH-2.0-OpenSSH_9.2p1", "HTTP/1.1 200OK", ""}) {
        CAPTURE(line);
        CHECK(whole(std::string(line) + "\r\nContent-Length: 0\r\n\r\n") ==
              failure(error::bad_status_line));
    }
    CHECK(whole("HTTP/2.0 200 OK\r\n\r\n") == failure(error::unsupported_version));
}

TEST_CASE("response parser: ambiguous framing is refused", "[http][response_parser]") {
    const auto refused = [](std::string_view fields, std::string_view version = "1.1") {
        return whole("HTTP/" + std::string(version) + " 200 OK\r\n" + std::string(fields) +
                     "\r\n\r\n0\r\n\r\n");
    };
    CHECK(refused("Content-Length: 5\r\nTransfer-Encoding: chunked") ==
          failure(error::length_and_transfer_encoding));
    CHECK(refused("Transfer-Encoding: chunked\r\nContent-Length: 5") ==
          failure(error::length_and_transfer_encoding));
    CHECK(refused("Content-Length: 5\r\nContent-Length: 6") ==
          failure(error::repeated_content_length));
    CHECK(refused("Content-Length: 5\r\nContent-Length: 5\r\ncontent-length: 05, 5") ==
          failure(error::bad_content_length));
    CHECK(refused("Content-Length: 5\r\nContent-Length: 5\r\nTransfer-Encoding: chunked") ==
          failure(error::length_and_transfer_encoding));
    CHECK(refused("Content-Length: 5\nTransfer-Encoding : chunked") ==
          failure(error::length_and_transfer_encoding));
    CHECK(refused("Content-Length: 5, 5") == failure(error::bad_content_length));
    for (const char* length : {"", "-1", "+1", "0x5", "5 5", "5.0", "99999999999999999999", "a"}) {
        CAPTURE(length);
        CHECK(refused("Content-Length: " + std::string(length)) ==
              failure(error::bad_content_length));
    }
    CHECK(refused("Transfer-Encoding: gzip, chunked") == failure(error::unknown_transfer_encoding));
    CHECK(refused("Transfer-Encoding: chunked, gzip") == failure(error::unknown_transfer_encoding));
    CHECK(refused("Transfer-Encoding: xchunked") == failure(error::unknown_transfer_encoding));
    CHECK(refused("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked") ==
          failure(error::bad_transfer_encoding));
    CHECK(refused("Transfer-Encoding: gzip", "1.0") == failure(error::unknown_transfer_encoding));
    CHECK(refused("Content-Length: 5\r\nTransfer-Encoding: chunked", "1.0") ==
          failure(error::length_and_transfer_encoding));
    CHECK(refused("A b: c") == failure(error::bad_header_name));
    CHECK(refused(" : c") == failure(error::folded_header));
    CHECK(refused("A \r\n : c") == failure(error::bad_header_name));
    CHECK(refused("A: b\n\rC: d") == failure(error::bad_line_ending));
    CHECK(refused("A: b\r\r\n") == failure(error::bad_line_ending));
    CHECK(refused("Content-Length: 1\r\n 0") == failure(error::bad_content_length));
    CHECK(refused(" A: b") == failure(error::folded_header));
    CHECK(refused("\t\r\nA: b") == failure(error::folded_header));
    CHECK(refused("A: b\rC: d") == failure(error::bad_line_ending));
}

TEST_CASE("response parser: the coding of a body that is not sent is of no account",
          "[http][response_parser]") {
    const std::string fields = "Transfer-Encoding: gzip, chunked\r\n\r\n";
    CHECK(whole("HTTP/1.1 200 OK\r\n" + fields, http::method::head) ==
          "200 OK none keep-alive\nend\n");
    CHECK(whole("HTTP/1.1 304 Not Modified\r\n" + fields) ==
          "304 Not Modified none keep-alive\nend\n");
    CHECK(whole("HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n") ==
          failure(error::bad_content_length));
}

TEST_CASE("response parser: lines of chunk sizes that are padded are read",
          "[http][response_parser]") {
    for (const std::string padding : {" ", " \t ", ";", " ; ", ";a ", ";a=b ;"}) {
        CAPTURE(padding);
        CHECK(whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5" + padding +
                    "\r\nhello\r\n0" + padding + "\r\n\r\n") ==
              "200 OK chunked keep-alive\nbody hello\nend\n");
    }
    for (const std::string bad : {" 5", " a", ";=", ";;", ";a=", ";a=\"", "\v"}) {
        CAPTURE(bad);
        CHECK(whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5" + bad +
                    "\r\nhello\r\n0\r\n\r\n")
                  .ends_with(failure(error::bad_chunk)));
    }
}

// RFC 9112, 5.2: a server that still folds is old, and yet to be understood.
TEST_CASE("response parser: a folded field is given as one line", "[http][response_parser]") {
    const auto values = [](std::string_view fields) {
        const std::string bytes = "HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n\r\nok";
        CHECK(whole(bytes + "HTTP/1.1", http::method::get) ==
              "200 OK length keep-alive\nbody ok\nend\nleft HTTP/1.1\n");
        reader once;
        once.feed(bytes);
        std::string all;
        for (const http::header field : once.head().headers()) {
            all += std::string(field.name) + "=" + std::string(field.value) + "|";
        }
        return all;
    };
    const std::string length = "Content-Length: 2\r\n";
    CHECK(values(length + "A: b\r\n c\r\n\td\r\nE: f") == "Content-Length=2|A=b   c  \td|E=f|");
    CHECK(values(length + "A:\r\n  b") == "Content-Length=2|A=b|");
    CHECK(values(length + "A: b\r\n ") == "Content-Length=2|A=b|");
    CHECK(values(length + "A: b\r\n \r\n\t\r\n c") == "Content-Length=2|A=b     \t   c|");
    CHECK(values("Content-Length:\r\n 2\r\n \r\nA: b") == "Content-Length=2|A=b|");
    CHECK(values(length + "A: b\r\n Transfer-Encoding: chunked") ==
          "Content-Length=2|A=b   Transfer-Encoding: chunked|");
}

TEST_CASE("response parser: what old servers get wrong is read, and ends the connection",
          "[http][response_parser]") {
    const std::string line = "HTTP/1.1 200 OK\r\n";
    const std::string chunked = line + "Transfer-Encoding: chunked\r\n\r\n";
    struct sample {
        std::string bytes;
        std::string heard;
        bool in_head = true;  // That it ends is known from the head on.
    };
    for (const auto& [bytes, heard, in_head] : {
             sample{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                    "200 OK chunked\nbody ok\nend\n"},
             sample{
                 "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "2\r\nok\r\n0\r\n\r\n",
                 "200 OK chunked\nbody ok\nend\n"},
             sample{line + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
                    "200 OK length\nbody ok\nend\n"},
             sample{line + "Content-Length: 2\r\nA: b\r\ncontent-length: 02\r\n\r\nok",
                    "200 OK length\nbody ok\nend\n"},
             sample{line + "Content-Length : 2\r\n\r\nok", "200 OK length\nbody ok\nend\n"},
             sample{line + "X \t: a\r\nContent-Length: 2\r\n\r\nok",
                    "200 OK length\nbody ok\nend\n"},
             sample{line + "Transfer-Encoding\t: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                    "200 OK chunked\nbody ok\nend\n"},
             sample{"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "200 OK length\nbody ok\nend\n"},
             sample{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok",
                    "200 OK length\nbody ok\nend\n"},
             sample{"HTTP/1.1 200\nX: a\n b\r\n c\nContent-Length: 2\n\r\nok",
                    "200  length\nbody ok\nend\n"},
             // What was sloppy before the final head counts as well.
             sample{"HTTP/1.1 103 E\n\n" + line + "Content-Length: 2\r\n\r\nok",
                    "103 E none\n200 OK length\nbody ok\nend\n"},
             sample{chunked + "2\nok\n0\n\n", "200 OK chunked keep-alive\nbody ok\nend\n", false},
             sample{chunked + "2\r\nok\n0\r\n\r\n", "200 OK chunked keep-alive\nbody ok\nend\n",
                    false},
             sample{chunked + "2;a=b \nok\r\n0\r\nX: y\n\r\n",
                    "200 OK chunked keep-alive\nbody ok\nend\n~X=y\n", false},
             sample{chunked + "2\r\nok\r\n0\r\n\n", "200 OK chunked keep-alive\nbody ok\nend\n",
                    false},
         }) {
        CAPTURE(bytes);
        CHECK(whole(bytes) == heard);
        reader once;
        once.feed(bytes);
        CHECK_FALSE(once.head().keep_alive());
        CHECK(in_head == (heard.find("keep-alive") == std::string::npos));
    }
    for (const char* bad :
         {"2\rok\r\n0\r\n\r\n", "\n2\nok\n0\n\n", "2\nok\n\n0\n\n", "2\n\nok\n0\n\n",
          "2;a=\nok\n0\n\n", "2;a=\"b\n\"\nok\n0\n\n", "2\nok\n0\nX\n\n", "2\nok\n0\n X: y\n\n"}) {
        CAPTURE(bad);
        CHECK(whole(chunked + bad).ends_with(failure(error::bad_chunk)));
    }
    reader name;
    name.feed(line + "X \t: a\r\n\r\n");
    CHECK(name.head().headers().get("X") == "a");
}

TEST_CASE("response parser: a folded trailer is given as one line", "[http][response_parser]") {
    const auto trailers = [](std::string_view lines) {
        return whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" +
                     std::string(lines) + "\r\n\r\n");
    };
    const std::string begun = "200 OK chunked keep-alive\n";
    CHECK(trailers("A: b\r\n c\r\nD: e") == begun + "end\n~A=b c\n~D=e\n");
    CHECK(trailers("A: b\r\n\tc\r\n  d") == begun + "end\n~A=b c  d\n");
    CHECK(trailers("A:\r\n b\r\n ") == begun + "end\n~A=b\n");
    CHECK(trailers("A: b\r\n Content-Length: 5") == begun + "end\n~A=b Content-Length: 5\n");
    // What has no place there is left out with all of its lines.
    CHECK(trailers("Content-Length: 5\r\n A: b\r\nC: d") == begun + "end\n~C=d\n");
    CHECK(trailers(" A: b") == begun + failure(error::bad_chunk));
    CHECK(trailers("A: b\r\n c\x01") == begun + failure(error::bad_chunk));
}

TEST_CASE("response parser: zeros before the size of a chunk do not count",
          "[http][response_parser]") {
    const std::string zeros(100, '0');
    CHECK(whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + zeros + "5\r\nhello\r\n" +
                zeros + "\r\n\r\n") == "200 OK chunked keep-alive\nbody hello\nend\n");
}

TEST_CASE("response parser: an end in the middle is an error", "[http][response_parser]") {
    for (const char* part :
         {"", "H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1234",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
          "HTTP/1.1 100 Continue\r\n\r\n"}) {
        CAPTURE(part);
        CHECK(whole(part, http::method::get, true).ends_with(failure(error::connection_lost)));
    }
    reader idle;
    idle.feed("HTTP/1.1 204 No Content\r\n\r\n");
    CHECK(idle.parser().end_of_input().kind == h1::event_kind::need_input);
}

TEST_CASE("response parser: limits hold, and an error stays", "[http][response_parser]") {
    http::limits small;
    small.head_bytes_max = 60;
    small.headers_max = 2;
    small.streamed_body_bytes_max = 4;
    const auto read = [&small](std::string_view bytes) {
        reader limited(http::method::get, small);
        limited.feed(bytes);
        return limited.text();
    };
    CHECK(read("HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\nE: f\r\n\r\n") ==
          failure(error::too_many_headers));
    CHECK(read("HTTP/1.1 200 OK\r\nA: " + std::string(60, 'b')) == failure(error::head_too_large));
    CHECK(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") == failure(error::body_too_large));
    CHECK(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello")
              .ends_with(failure(error::body_too_large)));
    // Also where the connection's end is the body's.
    const std::string_view open = "HTTP/1.1 200 OK\r\n\r\n";
    for (const std::size_t cut : std::initializer_list<std::size_t>{0, 2, 4, 5}) {
        reader limited(http::method::get, small);
        const std::string_view body = "hello";
        limited.feed(open);
        limited.feed(body.substr(0, cut));
        limited.feed(body.substr(cut));
        CHECK(limited.text() == "200 OK until-close\nbody hell\n" + failure(error::body_too_large));
    }
    reader exact(http::method::get, small);
    exact.feed(std::string(open) + "hell");
    exact.end();
    CHECK(exact.text() == "200 OK until-close\nbody hell\nend\n");
    reader broken;
    broken.feed("nonsense\r\n");
    const std::string before = broken.text();
    broken.parser().begin(http::method::get);
    broken.feed("HTTP/1.1 204 No Content\r\n\r\n");
    CHECK(broken.text() == before);
}
