// Heads as attackers, scanners and odd clients send them.

#include <cstdint>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "http/hostile_feed.hpp"
#include "http/samples.hpp"

namespace http = heph::http;
using heph::http::error;
using heph::http::test::check_refused;
using heph::http::test::fields;
using heph::http::test::heard;
using heph::http::test::heard_singly;
using heph::http::test::heard_whole;
using heph::http::test::line;
using heph::http::test::refusal;

TEST_CASE("hostile heads: request lines that are not HTTP/1 are refused", "[http][hostile]") {
    using enum error;
    check_refused({
        line("", bad_request_line),
        line(" ", bad_request_line),
        line("GET", bad_request_line),
        line("GET ", bad_request_line),
        line("GET /", bad_request_line),
        line("GET / ", bad_request_line),
        line("GET / HTTP", bad_request_line),
        line("GET / HTTP/", bad_request_line),
        line("GET / HTTP/1", bad_request_line),
        line("GET / HTTP/1.", bad_request_line),
        line("GET / HTTP/.1", bad_request_line),
        line("GET / HTTP/1.1x", bad_request_line),
        line("GET / HTTP/1.1 x", bad_request_line),
        line("GET / HTTP/1.1\t", bad_request_line),
        line("GET / HTTP/1.1 HTTP/1.1", bad_request_line),
        line("GET / HTTP/01.1", bad_request_line),
        line("GET / HTTP/1.01", bad_request_line),
        line("GET / HTTP/+1.1", bad_request_line),
        line("GET / HTTP/1.-1", bad_request_line),
        line("GET / HTTP/1 .1", bad_request_line),
        line("GET / HTTP /1.1", bad_request_line),
        line("GET / HTTP/a.b", bad_request_line),
        line("GET / HTTP/\xb9.1", bad_request_line),
        line("GET / Http/1.1", bad_request_line),
        line("GET / HTTPS/1.1", bad_request_line),
        line("GET / IHTTP/1.0", bad_request_line),
        line("GET / RTSP/1.0", bad_request_line),
        line("GET / HTTP-1.1", bad_request_line),
        line("GET\xa0/ HTTP/1.1", bad_request_line),
        line("\xef\xbb\xbfGET / HTTP/1.1", bad_request_line),
        line("\"GET\" / HTTP/1.1", bad_request_line),
        line("GET: / HTTP/1.1", bad_request_line),
        line("GET,POST / HTTP/1.1", bad_request_line),
        line("GET yourself over to /2.0", bad_request_line),
        line("SSH-2.0-client_1.0", bad_request_line),
        line("EHLO there", bad_request_line),
        line("GET /\f HTTP/1.1", bad_line_ending),
        line("GET /\v HTTP/1.1", bad_line_ending),
        line("GET /\x7f HTTP/1.1", bad_line_ending),
        line(std::string_view("GET /\0 HTTP/1.1", 15), bad_line_ending),
        line(std::string_view("GET\0 / HTTP/1.1", 15), bad_line_ending),
        line("GET / HTTP/1.1\r", bad_line_ending),
        line("GET /\rHTTP/1.1", bad_line_ending),
        line("GET / HTTP/0.0", unsupported_version),
        line("GET / HTTP/1.1\n", bad_line_ending),
        line("GET / HTTP/9.9", unsupported_version),
        line("PRI * HTTP/1.1", unknown_method),
        line("GETX / HTTP/1.1", unknown_method),
        line("MKCOLA / HTTP/1.1", unknown_method),
        line("Get / HTTP/1.1", unknown_method),
        line("M-SEARCH * HTTP/1.1", unknown_method),
        line("SOURCE / HTTP/1.1", unknown_method),
        line("ANNOUNCE / HTTP/1.0", unknown_method),
        line("_ / HTTP/1.1", unknown_method),
        line(std::string(1000, 'A') + " / HTTP/1.1", unknown_method),
    });
}

TEST_CASE("hostile heads: a method or a target without end is cut off", "[http][hostile]") {
    CHECK(heard_singly(std::string(9000, 'A')) == refusal(error::target_too_long));
    CHECK(heard_whole(std::string(9000, 'A')) == refusal(error::target_too_long));
    CHECK(heard_whole("GET /" + std::string(9000, '?')) == refusal(error::target_too_long));
    CHECK(heard_whole("GET / HTTP/1.1\r\n" + std::string(20'000, 'a')) ==
          refusal(error::head_too_large));
    CHECK(heard_whole("GET / HTTP/1.1\r\n" + std::string(20'000, ':')) ==
          refusal(error::head_too_large));
    const std::string long_path(8000, 'a');
    CHECK(heard_whole("GET /" + long_path + " HTTP/1.1\r\nHost: a\r\n\r\n") ==
          "GET /" + long_path + " HTTP/1.1 keep-alive\n Host=a\nend\n");
}

TEST_CASE("hostile heads: targets that no client may send are refused", "[http][hostile]") {
    using enum error;
    check_refused({
        line("GET # HTTP/1.1", bad_target),
        line("GET /?a#b HTTP/1.1", bad_target),
        line("GET ?a HTTP/1.1", bad_target),
        line("GET index.html HTTP/1.1", bad_target),
        line("GET \\ HTTP/1.1", bad_target),
        line("GET /a\\b HTTP/1.1", bad_target),
        line("GET /..\\..\\a HTTP/1.1", bad_target),
        line("GET /a\"b HTTP/1.1", bad_target),
        line("GET /<script> HTTP/1.1", bad_target),
        line("GET /?<script> HTTP/1.1", bad_target),
        line("GET /`a` HTTP/1.1", bad_target),
        line("GET /\xc0\xaf HTTP/1.1", bad_target),
        line("GET /?\xff HTTP/1.1", bad_target),
        line("GET /% HTTP/1.1", bad_percent_encoding),
        line("GET /%1 HTTP/1.1", bad_percent_encoding),
        line("GET /%g0 HTTP/1.1", bad_percent_encoding),
        line("GET /%u0041 HTTP/1.1", bad_percent_encoding),
        line("GET /%% HTTP/1.1", bad_percent_encoding),
        line("GET /%?41 HTTP/1.1", bad_percent_encoding),
        line("GET /a%00.html HTTP/1.1", bad_percent_encoding),
        line("GET /.. HTTP/1.1", bad_target),
        line("GET /../../etc/passwd HTTP/1.1", bad_target),
        line("GET /%2e%2E/%2e%2e/etc/passwd HTTP/1.1", bad_target),
        line("GET //../a HTTP/1.1", bad_target),
        line("GET http:// HTTP/1.1", bad_host),
        line("GET http:/a HTTP/1.1", bad_target),
        line("GET http:a HTTP/1.1", bad_target),
        line("GET //: HTTP/1.1x", bad_request_line),
        line("GET http://?a HTTP/1.1", bad_host),
        line("GET http://:80/ HTTP/1.1", bad_host),
        line("GET http://a:b@c/ HTTP/1.1", bad_host),
        line("GET http://a%12:b!&*$@c:1234/ HTTP/1.1", bad_host),
        line("GET http://a:99999/ HTTP/1.1", bad_host),
        line("GET http://a:-1/ HTTP/1.1", bad_host),
        line("GET http://[::1/ HTTP/1.1", bad_host),
        line("GET http://[::1]a/ HTTP/1.1", bad_host),
        line("GET http://a\\b/ HTTP/1.1", bad_host),
        line("GET http://a/../b HTTP/1.1", bad_target),
        line("GET http://a/%zz HTTP/1.1", bad_percent_encoding),
        line("GET javascript:alert(1) HTTP/1.1", bad_target),
        line("GET file:///etc/passwd HTTP/1.1", bad_target),
        line("GET gopher://a/ HTTP/1.1", bad_target),
        line("GET ://a/ HTTP/1.1", bad_target),
        line("OPTIONS ** HTTP/1.1", bad_target),
        line("OPTIONS *? HTTP/1.1", bad_target),
        line("HEAD * HTTP/1.1", bad_target),
        line("POST a:443 HTTP/1.1", bad_target),
        line("CONNECT * HTTP/1.1", bad_target),
        line("CONNECT a: HTTP/1.1", bad_target),
        line("CONNECT :443 HTTP/1.1", bad_target),
        line("CONNECT http://a:443 HTTP/1.1", bad_target),
        line("CONNECT a:443/ HTTP/1.1", bad_target),
        line("CONNECT u@a:443 HTTP/1.1", bad_target),
        line("CONNECT a:443:1 HTTP/1.1", bad_target),
        line("CONNECT a:65536 HTTP/1.1", bad_target),
        line("CONNECT [::1] HTTP/1.1", bad_target),
    });
}

TEST_CASE("hostile heads: header lines that two parsers could read differently are refused",
          "[http][hostile]") {
    using enum error;
    check_refused({
        {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", folded_header},
        {"GET / HTTP/1.1\r\n\r\n", missing_host},
        {"GET / HTTP/1.1\n\n", bad_line_ending},
        {"GET / HTTP/1.1\nHost: a\n\n", bad_line_ending},
        {"GET / HTTP/1.1\rHost: a\r\r", bad_line_ending},
        {"GET / HTTP/1.1\r\nHost: a\n\r\n", bad_line_ending},
        {"GET / HTTP/1.1\r\nHost: a\r\n\n", bad_line_ending},
        {"GET / HTTP/1.1\r\nHost: a\r\n\rX", bad_line_ending},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", bad_line_ending},
        {"\r\n\r\n\r\n", bad_request_line},
        {"\r\r\n", bad_line_ending},
        {"\n", bad_line_ending},
        {"\r\n\n", bad_line_ending},
        {"\r\n GET / HTTP/1.1\r\nHost: a\r\n\r\n", bad_request_line},
        fields("X: a\r\n \r\nY: b", folded_header),
        fields("\t", folded_header),
        fields(" : b", folded_header),
        fields(" Content-Length: 38", folded_header),
        fields("X: b\r\n\tContent-Length: 38", folded_header),
        fields("Transfer-Encoding:\r\n chunked", folded_header),
        fields("Transfer-Encoding:\n chunked", bad_line_ending),
        fields("X\r\n : b", bad_header_name),
        fields("X", bad_header_name),
        fields("X y", bad_header_name),
        fields("X y: b", bad_header_name),
        fields("Transfer Encoding: chunked", bad_header_name),
        fields(":", bad_header_name),
        fields(": b", bad_header_name),
        fields(":Content-Length: 5", bad_header_name),
        fields("X@: b", bad_header_name),
        fields("(X): b", bad_header_name),
        fields("\"X\": b", bad_header_name),
        fields("X/Y: b", bad_header_name),
        fields("X;Y: b", bad_header_name),
        fields("X,Y: b", bad_header_name),
        fields("X=Y: b", bad_header_name),
        fields("{X}: b", bad_header_name),
        fields("X\\: b", bad_header_name),
        fields("GET /evil HTTP/1.1: b", bad_header_name),
        fields("X : b", space_before_colon),
        fields("X \t : b", space_before_colon),
        fields("Transfer-Encoding : chunked", space_before_colon),
        fields("Content-Length : 5", space_before_colon),
        fields("Content\rLength: 3", bad_line_ending),
        fields("X: a\rContent-Length: 5", bad_line_ending),
        fields("X: a\nContent-Length: 5", bad_line_ending),
        fields("X:\rTransfer-Encoding: chunked", bad_line_ending),
        fields("X:\nTransfer-Encoding: chunked", bad_line_ending),
        fields("Connection: keep\ralive", bad_line_ending),
        fields("X\x01Y: b", bad_line_ending),
        fields("X: \f", bad_line_ending),
        fields("X: \b", bad_line_ending),
        fields(std::string_view("X\0: b", 5), bad_line_ending),
        fields(std::string_view("X:\0", 3), bad_line_ending),
    });
}

TEST_CASE("hostile heads: hosts that name no one are refused", "[http][hostile]") {
    for (const char* host : {"",
                             " ",
                             "a, a",
                             "a a",
                             "a/",
                             "/a",
                             "a?b",
                             "a#b",
                             "a\\b",
                             "http://a",
                             "u:p@a",
                             "a:80:80",
                             "a:80a",
                             "a:-80",
                             "a:+80",
                             "a: 80",
                             "a :80",
                             "a:65536",
                             "a:4294967376",
                             "a:18446744073709551696",
                             ":",
                             ":80",
                             "[",
                             "]",
                             "[]",
                             "[]:80",
                             "[::1",
                             "::1",
                             "::1]",
                             "[::1]]",
                             "[::1]80",
                             "[::1]:x",
                             "[[::1]]",
                             "[:::1]",
                             "[1::2::3]",
                             "[12345::]",
                             "[1:2:3:4:5:6:7:8:9]",
                             "[1.2.3.4]",
                             "[fe80::1%eth0]",
                             "[fe80::1%25eth0]",
                             "[v.a]",
                             "[v1.]",
                             "[vg.a]",
                             "[v1a]",
                             "a[::1]",
                             "a%",
                             "a%4",
                             "a%00",
                             "\"a\"",
                             "<a>",
                             "a|b",
                             "a^b",
                             "a`b",
                             "{a}",
                             "\xc3\xa4.example",
                             "a\xa0"}) {
        CAPTURE(host);
        const std::string value(host);
        // Some of these would be a list of two fields where the path is cut off first.
        CHECK(heard("GET / HTTP/1.1\r\nHost:" + value + "\r\n\r\n") == refusal(error::bad_host));
        // An empty one is a good value, which counts for nothing beside a whole URL.
        if (value.find_first_not_of(' ') == std::string::npos) { continue; }
        CHECK(heard("GET http://a/ HTTP/1.1\r\nHost: " + value + "\r\n\r\n") ==
              refusal(error::bad_host));
        CHECK(heard("OPTIONS * HTTP/1.1\r\nHost: " + value + "\r\n\r\n") ==
              refusal(error::bad_host));
    }
    CHECK(heard("GET http://a/ HTTP/1.1\r\nHost: \r\n\r\n") ==
          "GET http://a/ HTTP/1.1 keep-alive\n Host=\nend\n");
    for (const char* host : {"a",
                             "A.B",
                             "a.",
                             "a.b.:80",
                             "localhost:",
                             "a:0",
                             "a:65535",
                             "a:00080",
                             "127.0.0.1",
                             "1.2.3.4:5",
                             "[::]",
                             "[::1]:",
                             "[2001:DB8::1]:443",
                             "[::ffff:1.2.3.4]",
                             "[v1.a:b]",
                             "[vF0.x]:1",
                             "a_b",
                             "a~b",
                             "0.0.0.0=5000",
                             "a!$&'()*+,;=b",
                             "a,b",
                             "%61",
                             "a%C3%A4"}) {
        CAPTURE(host);
        const std::string value(host);
        CHECK(heard("GET / HTTP/1.1\r\nHost: " + value + "\r\n\r\n") ==
              "GET / HTTP/1.1 keep-alive\n Host=" + value + "\nend\n");
        CHECK(heard("GET http://" + value + "/ HTTP/1.1\r\nHost: b\r\n\r\n") ==
              "GET http://" + value + "/ HTTP/1.1 keep-alive\n Host=b\nend\n");
    }
    CHECK(heard("GET / HTTP/1.1\r\nhOST: a\r\nHost : a\r\n\r\n") ==
          refusal(error::space_before_colon));
    CHECK(heard("GET / HTTP/1.1\r\nhOST: a\r\nHoSt: b\r\n\r\n") == refusal(error::repeated_host));
    CHECK(heard("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n") == refusal(error::repeated_host));
    CHECK(heard("GET / HTTP/1.1\r\nX-Host: a\r\nHosts: a\r\n\r\n") == refusal(error::missing_host));
}

TEST_CASE("hostile heads: what is odd and yet legal is taken", "[http][hostile]") {
    const auto taken = [](std::string_view lines) {
        return heard("GET / HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n\r\n");
    };
    const std::string begin = "GET / HTTP/1.1 keep-alive\n Host=a\n ";
    CHECK(taken("!#$%&'*+-.^_`|~09: v") == begin + "!#$%&'*+-.^_`|~09=v\nend\n");
    CHECK(taken("X:v") == begin + "X=v\nend\n");
    CHECK(taken("X: \t v \t ") == begin + "X=v\nend\n");
    CHECK(taken("X: : :") == begin + "X=: :\nend\n");
    CHECK(taken("X:::") == begin + "X=::\nend\n");
    CHECK(taken("X: a\r\nX: b\r\nx: a") == begin + "X=a\n X=b\n x=a\nend\n");
    CHECK(taken("X: \xff\x80") == begin + "X=\xff\x80\nend\n");
    CHECK(taken("Cookie: a=\"b;c\"; d=<>\\{}") == begin + "Cookie=a=\"b;c\"; d=<>\\{}\nend\n");
    CHECK(taken("Upgrade: websocket\r\nConnection: Upgrade") ==
          begin + "Upgrade=websocket\n Connection=Upgrade\nend\n");
    CHECK(taken("Connection: ,, ,") == begin + "Connection=,, ,\nend\n");
    CHECK(taken("Connection: closed") == begin + "Connection=closed\nend\n");
    CHECK(taken("Connection: not-close") == begin + "Connection=not-close\nend\n");
    const std::string closing = "GET / HTTP/1.1\n Host=a\n ";
    CHECK(taken("Connection: close") == closing + "Connection=close\nend\n");
    CHECK(taken("Connection: keep-alive,\tCLOSE\t,x") ==
          closing + "Connection=keep-alive,\tCLOSE\t,x\nend\n");
    CHECK(taken("Connection: close, token, upgrade, token, keep-alive") ==
          closing + "Connection=close, token, upgrade, token, keep-alive\nend\n");
    CHECK(heard("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n") ==
          "GET / HTTP/1.0\n Connection=keep-alive, close\nend\n");
    for (const char* target : {"/",
                               "//",
                               "///a//",
                               "/?",
                               "/??",
                               "/a?b?c",
                               "/a?b=/../c",
                               "/a;b=c,d",
                               "/:@!$&'()*+,;=-._~",
                               "/%0d%0a",
                               "/%2f",
                               "/%5c",
                               "/%C0%AF",
                               "/%fF",
                               "/...",
                               "/a..b",
                               "/..a",
                               "/[a]",
                               "/a|b^c{d}",
                               "/?q=\"a\"|b\\c`d{e}[f]^",
                               "/?%",
                               "/?%zz",
                               "/?%00",
                               "/http://a",
                               "/*",
                               "http://b",
                               "http://b?c",
                               "HTTP://b/",
                               "https://b:443/c?d",
                               "http://b/?http://c/"}) {
        CAPTURE(target);
        CHECK(heard("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n") ==
              "GET " + std::string(target) + " HTTP/1.1 keep-alive\n Host=a\nend\n");
    }
    for (const char* target : {"*", "/", "http://b", "http://b/"}) {
        CAPTURE(target);
        CHECK(heard("OPTIONS " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n") ==
              "OPTIONS " + std::string(target) + " HTTP/1.1 keep-alive\n Host=a\nend\n");
    }
    for (const char* target : {"a:1", "a_b.c:443", "[::1]:65535", "1.2.3.4:80"}) {
        CAPTURE(target);
        CHECK(heard("CONNECT " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n") ==
              "CONNECT " + std::string(target) + " HTTP/1.1 keep-alive\n Host=a\nend\n");
    }
}

TEST_CASE("hostile heads: empty lines around requests leave the connection idle",
          "[http][hostile]") {
    // Clients of old send one behind the body of a POST; it is no beginning of a request.
    const std::string post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    const std::string taken =
        "POST / HTTP/1.1 keep-alive length=2\n Host=a\n Content-Length=2\n"
        "body hi\nend\n";
    CHECK(heard(post + "\r\n") == taken);
    CHECK(heard(post + "\r\n\r\n" + post) == taken + taken);
    CHECK(heard(post + "\r\n" + post + "\r\n\r\n" + post + "\r\n") == taken + taken + taken);
    CHECK(heard(post + "\r\n\r\n\r\n" + post) == taken + refusal(error::bad_request_line));
    CHECK(heard(post + "\r") == taken);
    CHECK(heard(post + "\r" + post) == taken + refusal(error::bad_line_ending));
    CHECK(heard(post + "\n" + post) == taken + refusal(error::bad_line_ending));
    CHECK(heard("\r\n\x16\x03\x01") == refusal(error::bad_line_ending));
    CHECK(heard("\x16\x03\x01") == refusal(error::tls_on_plain_port));

    // They count against no limit of the head, wherever they are cut off.
    http::limits exact;
    const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    exact.head_bytes_max = get.size();
    CHECK(heard("\r\n\r\n" + get, exact) == "GET / HTTP/1.1 keep-alive\n Host=a\nend\n");
    exact.head_bytes_max = get.size() - 1;
    CHECK(heard("\r\n\r\n" + get, exact) == refusal(error::head_too_large));
}

TEST_CASE("hostile heads: limits that are meant to be none are none", "[http][hostile]") {
    http::limits none;
    none.request_line_bytes_max = SIZE_MAX;
    none.head_bytes_max = SIZE_MAX;
    none.headers_max = SIZE_MAX;
    none.chunk_extension_bytes_max = SIZE_MAX;
    none.trailer_bytes_max = SIZE_MAX;
    std::string lines = "X-Long: " + std::string(100'000, 'x') + "\r\n";
    for (int i = 0; i < 1000; ++i) { lines += "A: b\r\n"; }
    const std::string bytes = "POST /" + std::string(100'000, 'y') +
                              " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + lines +
                              "\r\n1;x\r\na\r\n0\r\nB: c\r\n\r\n";
    const std::string text = heard_whole(bytes, none);
    CHECK(text.ends_with("\n A=b\nbody a\nend\n~B=c\n"));
    CHECK(heard_singly(bytes, none) == text);
}

TEST_CASE("hostile heads: an end of the input is never the end of a request", "[http][hostile]") {
    for (const auto& sample : http::test::good_samples()) {
        const std::string whole = heard_whole(sample.bytes);
        const auto count_ends = [](std::string_view text) {
            std::size_t count = 0;
            for (std::size_t at = 0; (at = text.find("end\n", at)) != std::string_view::npos;
                 ++at) {
                ++count;
            }
            return count;
        };
        std::size_t ends = 0;
        for (std::size_t size = 0; size < sample.bytes.size(); ++size) {
            CAPTURE(sample.what, size);
            const std::string text = heard_whole(std::string_view(sample.bytes).substr(0, size));
            CHECK(text.find("error") == std::string::npos);
            // Requests only ever become complete, one at a time.
            const std::size_t now = count_ends(text);
            CHECK((now == ends || now == ends + 1));
            ends = now;
        }
        CAPTURE(sample.what);
        const std::size_t all = count_ends(whole);
        CHECK((all == ends || all == ends + 1));
    }
}
