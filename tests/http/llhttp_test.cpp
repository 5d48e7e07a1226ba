// Compares what the parsers take for fields with what llhttp does.

#include <llhttp.h>

#include <array>
#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/h1/request_parser.hpp>
#include <heph/http/h1/response_parser.hpp>

#include "http/samples.hpp"

namespace http = heph::http;
namespace h1 = heph::http::h1;

namespace {

struct found_fields {
    bool complete = false;
    std::vector<std::pair<std::string, std::string>> fields;

    bool operator==(const found_fields&) const = default;
};

std::string_view without_blanks(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) { return {}; }
    return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

// It takes no tab behind a length, though white space there is legal (RFC 9110, 5.5).
std::string without_tabs_at_line_ends(std::string text) {
    for (std::size_t at = text.find('\t'); at != std::string::npos; at = text.find('\t', at)) {
        const std::size_t behind = text.find_first_not_of(" \t", at);
        if (behind == std::string::npos) { break; }
        if (text[behind] == '\r') { text.replace(at, behind - at, behind - at, ' '); }
        at = behind;
    }
    return text;
}

found_fields read_by_llhttp(llhttp_type_t type, std::string_view head) {
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_header_field = [](llhttp_t* parser, const char* at, std::size_t size) {
        static_cast<found_fields*>(parser->data)->fields.emplace_back(std::string(at, size), "");
        return 0;
    };
    settings.on_header_value = [](llhttp_t* parser, const char* at, std::size_t size) {
        auto& fields = static_cast<found_fields*>(parser->data)->fields;
        if (fields.empty()) { return static_cast<int>(HPE_USER); }
        fields.back().second = without_blanks({at, size});
        return 0;
    };
    settings.on_headers_complete = [](llhttp_t* parser) {
        static_cast<found_fields*>(parser->data)->complete = true;
        return static_cast<int>(HPE_PAUSED);
    };
    llhttp_t parser;
    llhttp_init(&parser, type, &settings);
    parser.lenient_flags = LENIENT_CHUNKED_LENGTH | LENIENT_TRANSFER_ENCODING | LENIENT_VERSION;
    found_fields found;
    parser.data = &found;
    const std::string text = without_tabs_at_line_ends(std::string(head));
    (void)llhttp_execute(&parser, text.data(), text.size());
    return found;
}

template <typename Parser, typename Head>
found_fields read_by_ours(Parser& parser, Head& head, std::string_view& input) {
    found_fields found;
    const h1::event event = parser.next(input, head);
    found.complete = event.kind == h1::event_kind::head;
    for (const http::header each : head.headers()) {
        found.fields.emplace_back(each.name, each.value);
    }
    return found;
}

// It gives lines that go on in the next one bit by bit, and refuses LF alone and blanks before a
// colon, which are taken in responses.
bool is_strict(std::string_view bytes) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        const char before = at == 0 ? ' ' : bytes[at - 1];
        const bool blank = bytes[at] == ' ' || bytes[at] == '\t';
        if (bytes[at] == '\n' && before != '\r') { return false; }
        if (bytes[at] == ':' && (before == ' ' || before == '\t')) { return false; }
        if (blank && before == '\n') { return false; }
    }
    return true;
}

// Gives whether it was taken.
bool compare_request(const std::string& bytes) {
    const http::limits limits;
    h1::request_parser parser(limits);
    http::request_head head;
    std::string_view left = bytes;
    const found_fields ours = read_by_ours(parser, head, left);
    if (!ours.complete) { return false; }
    CAPTURE(bytes);
    CHECK(read_by_llhttp(HTTP_REQUEST, bytes.substr(0, bytes.size() - left.size())) == ours);
    return true;
}

bool compare_response(const std::string& bytes) {
    const http::limits limits;
    h1::response_parser parser(limits);
    parser.begin(http::method::get);
    http::response_head head;
    std::string_view left = bytes;
    const found_fields ours = read_by_ours(parser, head, left);
    if (!ours.complete || !is_strict(bytes)) { return false; }
    CAPTURE(bytes);
    CHECK(read_by_llhttp(HTTP_RESPONSE, bytes.substr(0, bytes.size() - left.size())) == ours);
    return true;
}

// Changes some of its bytes to such as mean something in a head.
std::string changed(std::string text, std::mt19937& random) {
    constexpr std::string_view bytes("\r\n\t :;,/?.%*0159aA\"\\\0\x7f\x80\xff", 24);
    for (auto left = 1 + random() % 3; left != 0; --left) {
        const std::size_t at = random() % text.size();
        const char byte = bytes[random() % bytes.size()];
        switch (random() % 3) {
            case 0: text[at] = byte; break;
            case 1: text.insert(at, 1, byte); break;
            default: text.erase(at, 1);
        }
        if (text.empty()) { text = "\r"; }
    }
    return text;
}

}  // namespace

TEST_CASE("llhttp: takes each request that is taken, with the same fields", "[http][llhttp]") {
    std::vector<std::string> samples;
    for (const auto& each : http::test::good_samples()) { samples.push_back(each.bytes); }
    for (const auto& each : http::test::bad_samples()) {
        if (each.bytes.size() < 512) { samples.push_back(each.bytes); }
    }
    std::mt19937 random(7);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same each time.
    int taken = 0;
    for (const std::string& each : samples) {
        taken += compare_request(each) ? 1 : 0;
        for (int i = 0; i < 40; ++i) { taken += compare_request(changed(each, random)) ? 1 : 0; }
    }
    CHECK(taken > 500);
}

TEST_CASE("llhttp: takes each response that is taken, with the same fields", "[http][llhttp]") {
    const std::array<std::string, 6> samples{
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 404 Not Found\r\nServer: x\r\nContent-Length:0\r\nDate: today \r\n\r\n",
        "HTTP/1.0 200\r\nA:\r\nB: \t c\t\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close, x\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n",
    };
    std::mt19937 random(7);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same each time.
    int taken = 0;
    for (const std::string& each : samples) {
        taken += compare_response(each) ? 1 : 0;
        for (int i = 0; i < 800; ++i) { taken += compare_response(changed(each, random)) ? 1 : 0; }
    }
    CHECK(taken > 500);
}
