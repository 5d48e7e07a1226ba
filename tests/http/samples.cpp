#include "http/samples.hpp"

#include <vector>

namespace heph::http::test {

namespace {

// A request that is good but for what `lines` adds.
std::string get(std::string_view lines) {
    return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n";
}

std::string post_chunked(std::string_view body) {
    return "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(body);
}

void add_request_lines(std::vector<bad_sample>& to) {
    using enum error;
    const auto line = [&to](const char* what, std::string_view text, error expected) {
        to.push_back({what, std::string(text) + "\r\nHost: a\r\n\r\n", expected});
    };
    line("HTTP/0.9", "GET /", bad_request_line);
    line("two blanks before the target", "GET  / HTTP/1.1", bad_request_line);
    line("two blanks before the version", "GET /  HTTP/1.1", bad_request_line);
    line("a blank behind the version", "GET / HTTP/1.1 ", bad_request_line);
    line("a blank before the method", " GET / HTTP/1.1", bad_request_line);
    line("a tab for a blank", "GET\t/\tHTTP/1.1", bad_request_line);
    line("a blank within the target", "GET /a b HTTP/1.1", bad_request_line);
    line("no target", "GET HTTP/1.1", bad_request_line);
    line("a method that is no token", "GE(T / HTTP/1.1", bad_request_line);
    line("a lower-case protocol", "GET / http/1.1", bad_request_line);
    line("another protocol", "GET / ICE/1.1", bad_request_line);
    line("a long minor version", "GET / HTTP/1.10", bad_request_line);
    line("a version without a point", "GET / HTTP/11", bad_request_line);
    line("a comma in the version", "GET / HTTP/1,1", bad_request_line);
    line("HTTP/2.0", "GET / HTTP/2.0", unsupported_version);
    line("HTTP/0.9 by name", "GET / HTTP/0.9", unsupported_version);
    line("HTTP/3.1", "GET / HTTP/3.1", unsupported_version);
    line("an unknown method", "BREW / HTTP/1.1", unknown_method);
    line("a lower-case method", "get / HTTP/1.1", unknown_method);
    line("a method of RTSP", "PLAY / HTTP/1.1", unknown_method);
    line("a fragment", "GET /a#b HTTP/1.1", bad_target);
    line("a target without a slash", "GET a HTTP/1.1", bad_target);
    line("a byte above 127 in the target", "GET /\xc3\xa4 HTTP/1.1", bad_target);
    line("broken percent-encoding", "GET /%4 HTTP/1.1", bad_percent_encoding);
    line("an encoded NUL", "GET /a%00b HTTP/1.1", bad_percent_encoding);
    line("a segment ..", "GET /a/../b HTTP/1.1", bad_target);
    line("a segment . at the end", "GET /a/. HTTP/1.1", bad_target);
    line("an encoded segment ..", "GET /a/%2E%2e/b HTTP/1.1", bad_target);
    line("a half-encoded segment ..", "GET /.%2e HTTP/1.1", bad_target);
    line("* for GET", "GET * HTTP/1.1", bad_target);
    line("a host and port for GET", "GET a:80 HTTP/1.1", bad_target);
    line("a path for CONNECT", "CONNECT / HTTP/1.1", bad_target);
    line("a host without a port for CONNECT", "CONNECT a HTTP/1.1", bad_target);
    line("another scheme", "GET ftp://a/ HTTP/1.1", bad_target);
    line("an absolute target without a host", "GET http:///x HTTP/1.1", bad_host);
    line("user information in the target", "GET http://u@a/ HTTP/1.1", bad_host);
    line("a TLS hello", std::string_view("\x16\x03\x01\x02\x00\x01\x00", 7), tls_on_plain_port);
    to.push_back({"the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", unsupported_version});
    to.push_back(
        {"three empty lines", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", bad_request_line});
    to.push_back(
        {"a bare LF before the request", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", bad_line_ending});
    to.push_back({"a long request line", "GET /" + std::string(8192, 'a'), target_too_long});
}

void add_header_lines(std::vector<bad_sample>& to) {
    using enum error;
    const auto fields = [&to](const char* what, std::string_view lines, error expected) {
        to.push_back({what, get(lines), expected});
    };
    fields("a bare LF", "A: b\n", bad_line_ending);
    fields("a bare CR in a value", "A: b\rc\r\n", bad_line_ending);
    fields("a bare CR before a line", "A: b\r\rTransfer-Encoding: chunked\r\n", bad_line_ending);
    fields("CR CR LF", "A: b\r\r\n", bad_line_ending);
    fields("a NUL in a value", std::string_view("A: b\0c\r\n", 8), bad_line_ending);
    fields("a DEL in a value", "A: b\x7f\r\n", bad_line_ending);
    fields("an escape in a value", "A: \x1b[1m\r\n", bad_line_ending);
    fields("a vertical tab in a value", "A: b\vc\r\n", bad_line_ending);
    fields("a blank before the colon", "A : b\r\n", space_before_colon);
    fields("a tab before the colon", "Content-Length\t: 5\r\n", space_before_colon);
    fields("a folded value", "A: b\r\n c\r\n", folded_header);
    fields("a value folded by a tab", "A: b\r\n\tc\r\n", folded_header);
    fields("no colon", "A\r\n", bad_header_name);
    fields("no name", ": b\r\n", bad_header_name);
    fields("a name with a blank", "A b: c\r\n", bad_header_name);
    fields("a name with a bracket", "A[0]: c\r\n", bad_header_name);
    fields("a name with a byte above 127", "\xc3\xa4: c\r\n", bad_header_name);
    fields("another expectation", "Expect: 200-ok\r\n", unknown_expectation);
    fields("two Hosts", "Host: b\r\n", repeated_host);
    fields("the same Host twice", "Host: a\r\n", repeated_host);
    const auto host = [&to](const char* what, std::string_view value, error expected) {
        to.push_back({what, "GET / HTTP/1.1\r\n" + std::string(value) + "\r\n", expected});
    };
    host("no Host", "", missing_host);
    host("an empty Host", "Host:\r\n", bad_host);
    host("a Host with a path", "Host: a/b\r\n", bad_host);
    host("a Host with a list", "Host: a, b\r\n", bad_host);
    host("a Host with two ports", "Host: a:1:2\r\n", bad_host);
    host("a Host with a port that is none", "Host: a:x\r\n", bad_host);
    host("a Host with user information", "Host: u@a\r\n", bad_host);
    host("a Host with an open bracket", "Host: [::1\r\n", bad_host);
    host("a Host with a blank", "Host: a b\r\n", bad_host);
    to.push_back(
        {"an absolute target without Host", "GET http://a/ HTTP/1.1\r\n\r\n", missing_host});
    to.push_back({"a bad Host in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", bad_host});

    std::string many;
    for (int i = 0; i < 100; ++i) { many += "A: b\r\n"; }
    fields("101 headers", many, too_many_headers);
    fields("a long header", "A: " + std::string(16 * 1024, 'b') + "\r\n", head_too_large);
}

void add_framing(std::vector<bad_sample>& to) {
    using enum error;
    const auto fields = [&to](const char* what, std::string_view lines, error expected) {
        to.push_back({what, get(lines), expected});
    };
    fields("two lengths", "Content-Length: 1\r\nContent-Length: 2\r\n", repeated_content_length);
    fields("the same length twice", "Content-Length: 1\r\nContent-Length: 1\r\n",
           repeated_content_length);
    for (const char* value : {"1, 1", "+1", "-1", "0x1", "1_0", "1 0", "1.0", "", "a", "1a",
                              "\"1\"", "18446744073709551616", "99999999999999999999999"}) {
        fields(value, "Content-Length: " + std::string(value) + "\r\n", bad_content_length);
    }
    fields("a length and chunked", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
           length_and_transfer_encoding);
    fields("chunked and a length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
           length_and_transfer_encoding);
    for (const char* value :
         {"identity", "gzip", "xchunked", "chunkedx", "chunked, gzip", "chunked, chunked",
          "\"chunked\"", "chunked;q=1", "chunked,", ", chunked",
          "\xa0"
          "chunked",
          "chunked\xa0", "gzip chunked", "chunked identity", "", "\"gzip\", chunked"}) {
        fields(value, "Transfer-Encoding: " + std::string(value) + "\r\n", bad_transfer_encoding);
    }
    fields("two Transfer-Encodings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
           bad_transfer_encoding);
    fields("identity and then chunked",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", bad_transfer_encoding);
    fields("gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n", unknown_transfer_encoding);
    to.push_back({"Transfer-Encoding in HTTP/1.0",
                  "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                  transfer_encoding_in_http_1_0});
}

void add_chunks(std::vector<bad_sample>& to) {
    using enum error;
    for (const char* body : {"0x1\r\na\r\n0\r\n\r\n",
                             "1_0\r\n",
                             "+1\r\na\r\n",
                             "-1\r\n",
                             " 1\r\na\r\n",
                             "1 \r\na\r\n",
                             "\r\n",
                             "g\r\n",
                             "1\na\r\n",
                             "1\r\na\n0\r\n\r\n",
                             "1\r\nab\r\n",
                             "1\ra\r\n",
                             "1\r\na\r0",
                             "10000000000000000\r\n",
                             "1;a\nb\r\n",
                             "1;a\x01\r\n",
                             "1;a\rb\r\n",
                             ";a\r\n",
                             "1,a\r\n",
                             "0\r\n:\r\n\r\n",
                             "0\r\n a: b\r\n\r\n",
                             "0\r\na b\r\n\r\n",
                             "0\r\na: b\n\r\n",
                             "0\r\na: b\x7f\r\n",
                             "0\r\n\n",
                             "0\n\r\n",
                             "0\r\na: b\rc\r\n\r\n"}) {
        to.push_back({body, post_chunked(body), bad_chunk});
    }
    to.push_back({"a long chunk extension", post_chunked("1;" + std::string(300, 'a') + "\r\n"),
                  chunk_extension_too_long});
    to.push_back({"many blanks behind a chunk's size", post_chunked("1" + std::string(300, ' ')),
                  chunk_extension_too_long});
    to.push_back({"long trailers", post_chunked("0\r\nA: " + std::string(5000, 'a') + "\r\n\r\n"),
                  trailers_too_large});
}

}  // namespace

std::span<const bad_sample> bad_samples() {
    static const std::vector<bad_sample> all = [] {
        std::vector<bad_sample> made;
        add_request_lines(made);
        add_header_lines(made);
        add_framing(made);
        add_chunks(made);
        return made;
    }();
    return all;
}

std::span<const good_sample> good_samples() {
    static const std::vector<good_sample> all = {
        {"the least", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
         "GET / HTTP/1.1 keep-alive\n Host=a\nend\n"},
        {"empty lines before it", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
         "GET / HTTP/1.1 keep-alive\n Host=a\nend\n"},
        {"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\nend\n"},
        {"HTTP/1.0, kept alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
         "GET / HTTP/1.0 keep-alive\n Connection=Keep-Alive\nend\n"},
        {"a later minor version", "GET / HTTP/1.7\r\nHost: a\r\n\r\n",
         "GET / HTTP/1.1 keep-alive\n Host=a\nend\n"},
        {"Connection: close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: te, Close\r\n\r\n",
         "GET / HTTP/1.1\n Host=a\n Connection=te, Close\nend\n"},
        {"two Connection lines",
         "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
         "GET / HTTP/1.1\n Host=a\n Connection=keep-alive\n Connection=close\nend\n"},
        {"white space around a value", "GET / HTTP/1.1\r\nHost:\t a \t\r\nB:\r\nC:  \r\n\r\n",
         "GET / HTTP/1.1 keep-alive\n Host=a\n B=\n C=\nend\n"},
        {"bytes above 127 and tabs in a value",
         "GET / HTTP/1.1\r\nHost: a\r\nB: \xc3\xa4\tc\r\n\r\n",
         "GET / HTTP/1.1 keep-alive\n Host=a\n B=\xc3\xa4\tc\nend\n"},
        {"an IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
         "GET / HTTP/1.1 keep-alive\n Host=[::1]:8080\nend\n"},
        {"an absolute target", "GET http://b:80/c?d HTTP/1.1\r\nHost: a\r\n\r\n",
         "GET http://b:80/c?d HTTP/1.1 keep-alive\n Host=a\nend\n"},
        {"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
         "OPTIONS * HTTP/1.1 keep-alive\n Host=a\nend\n"},
        {"CONNECT", "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n",
         "CONNECT b:443 HTTP/1.1 keep-alive\n Host=b:443\nend\n"},
        {"a method of WebDAV", "PROPFIND /%61 HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n",
         "PROPFIND /%61 HTTP/1.1 keep-alive\n Host=a\n Upgrade=x\nend\n"},
        {"an upgrade that is not taken",
         "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
         "GET / HTTP/1.1 keep-alive\n Host=a\n Connection=upgrade\n Upgrade=h2c\nend\n"},
        {"a body with a length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab\r\nc",
         "POST / HTTP/1.1 keep-alive length=5\n Host=a\n Content-Length=5\nbody ab\r\nc\nend\n"},
        {"a length of nothing", "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 0\r\n\r\n",
         "POST / HTTP/1.1 keep-alive length=0\n Host=a\n content-length=0\nend\n"},
        {"Expect",
         "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
         "PUT / HTTP/1.1 keep-alive expects-continue length=1\n Host=a\n Expect=100-Continue\n "
         "Content-Length=1\nbody x\nend\n"},
        {"Expect in HTTP/1.0",
         "PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
         "PUT / HTTP/1.0 length=1\n Expect=100-continue\n Content-Length=1\nbody x\nend\n"},
        {"a chunked body",
         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
         "3\r\nabc\r\n0A;x=\"y\"\r\n0123456789\r\n1 ;z\r\n!\r\n00\r\n\r\n",
         "POST / HTTP/1.1 keep-alive chunked\n Host=a\n Transfer-Encoding=Chunked\n"
         "body abc0123456789!\nend\n"},
        {"trailers",
         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
         "1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
         "POST / HTTP/1.1 keep-alive chunked\n Host=a\n Transfer-Encoding=chunked\nbody a\nend\n"
         "~X=y\n~Z=\nGET /2 HTTP/1.1 keep-alive\n Host=a\nend\n"},
        {"pipelining",
         "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: "
         "2\r\n\r\n"
         "hi\r\nGET /3 HTTP/1.1\r\nHost: b\r\n\r\nGET /4 HTTP/1.1\r\nHo",
         "GET /1 HTTP/1.1 keep-alive\n Host=a\nend\n"
         "POST /2 HTTP/1.1 keep-alive length=2\n Host=a\n Content-Length=2\nbody hi\nend\n"
         "GET /3 HTTP/1.1 keep-alive\n Host=b\nend\nwaits\n"},
        {"a body that is not all there",
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
         "POST / HTTP/1.1 keep-alive length=9\n Host=a\n Content-Length=9\nbody abc\nwaits\n"},
        {"a large length",
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n",
         "POST / HTTP/1.1 keep-alive length=18446744073709551615\n Host=a\n "
         "Content-Length=18446744073709551615\nwaits\n"},
        {"a line of 40 bytes and more, looked at in words",
         "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: "
         "0123456789012345678901234567890123456789\r\n\r\n",
         "GET / HTTP/1.1 keep-alive\n Host=a\n "
         "User-Agent=0123456789012345678901234567890123456789\nend\n"},
    };
    return all;
}

}  // namespace heph::http::test
