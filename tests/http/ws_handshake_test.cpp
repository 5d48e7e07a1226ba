#include <optional>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include <heph/http/request.hpp>
#include <heph/http/ws/handshake.hpp>

#include "base64.hpp"
#include "route_request.hpp"
#include "sha1.hpp"

namespace http = heph::http;
namespace ws = heph::http::ws;
using http::test::parse_head;
using namespace std::string_literals;

namespace {

constexpr std::string_view upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
constexpr std::string_view key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
constexpr std::string_view version_13 = "Sec-WebSocket-Version: 13\r\n";

/// What is made of a request with these header lines: the key, or the number of the error.
std::string outcome(std::string_view fields, std::string_view method = "GET") {
    http::request asked;
    REQUIRE(parse_head(asked, method, "/chat", fields).kind == http::h1::event_kind::head);
    const auto read = ws::read_handshake(asked.head());
    if (read) { return std::string(*read); }
    switch (read.error()) {
        case ws::handshake_error::not_asked_for: return "not asked for";
        case ws::handshake_error::wrong_version: return "wrong version";
        case ws::handshake_error::bad_key: return "bad key";
        case ws::handshake_error::has_body: return "has body";
        default: return "other";
    }
}

std::string join(std::string_view a, std::string_view b, std::string_view c = {},
                 std::string_view d = {}) {
    std::string all(a);
    return all.append(b).append(c).append(d);
}

bool same_origin(std::string_view fields) {
    http::request asked;
    REQUIRE(parse_head(asked, "GET", "/", fields).kind == http::h1::event_kind::head);
    return ws::is_same_origin(asked.head());
}

/// What a server answers to an offer; empty when it declines.
std::string agreed(std::string_view offer, ws::deflate_options ours = {}) {
    http::headers fields;
    fields.append("Sec-WebSocket-Extensions", offer);
    const auto found = ws::agree_on_deflate(fields, ours);
    return found ? found->field : std::string();
}

/// What a client makes of an answer: `good`, `none`, or `refused`.
std::string read_answer(std::string_view answer, ws::deflate_options ours = {}) {
    http::headers fields;
    if (!answer.empty()) { fields.append("Sec-WebSocket-Extensions", answer); }
    const auto found = ws::read_deflate_answer(fields, ours);
    if (!found) { return "refused"; }
    return *found ? "good" : "none";
}

}  // namespace

TEST_CASE("ws handshake: the accept key is that of RFC 6455, 1.3", "[http][ws]") {
    CHECK(ws::accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_CASE("sha1: it gives the digests of FIPS 180 for every length of the padding", "[http][ws]") {
    const auto hex = [](std::string_view bytes) {
        std::string text;
        for (const char c : bytes) {
            constexpr std::string_view digits = "0123456789abcdef";
            text += digits[static_cast<unsigned char>(c) >> 4U];
            text += digits[static_cast<unsigned char>(c) & 15U];
        }
        return text;
    };
    using http::detail::sha1;
    CHECK(hex(sha1("")) == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    CHECK(hex(sha1("abc")) == "a9993e364706816aba3e25717850c26c9cd0d89d");
    CHECK(hex(sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
          "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    CHECK(hex(sha1(std::string(1'000'000, 'a'))) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    CHECK(hex(sha1(std::string(55, 'a'))) == "c1c8bbdc22796e28c0e15163d20899b65621d65a");
    CHECK(hex(sha1(std::string(64, 'a'))) == "0098ba824b5c16427bd7a1122a5a442a25ec644d");
}

TEST_CASE("base64: what is written is read, and nothing else is", "[http][ws]") {
    using http::detail::decode_base64;
    using http::detail::encode_base64;
    CHECK(encode_base64("") == "");
    CHECK(encode_base64("f") == "Zg==");
    CHECK(encode_base64("fo") == "Zm8=");
    CHECK(encode_base64("foo") == "Zm9v");
    CHECK(encode_base64("foobar") == "Zm9vYmFy");
    CHECK(encode_base64("\xff\xfe\xfd"s) == "//79");
    for (std::size_t size = 0; size < 20; ++size) {
        const std::string bytes(size, '\xa5');
        CHECK(decode_base64(encode_base64(bytes)) == bytes);
    }
    for (const std::string_view bad : {"Z", "Zg=", "Zg", "Z===", "Zm9v=", "Zg==Zg==", "Zm9-"}) {
        CHECK_FALSE(decode_base64(bad));
    }
}

TEST_CASE("ws handshake: what RFC 6455, 4.2.1, asks for is asked for", "[http][ws]") {
    const std::string good = "dGhlIHNhbXBsZSBub25jZQ==";
    CHECK(outcome(join(upgrade, key, version_13)) == good);
    CHECK(outcome(join("Connection: keep-alive, upgrade\r\nUpgrade: h2c, WebSocket\r\n", key,
                       version_13)) == good);
    CHECK(outcome(join(upgrade, key, version_13), "POST") == "not asked for");
    CHECK(outcome(join(key, version_13)) == "not asked for");
    CHECK(outcome(join("Upgrade: websocket\r\n", key, version_13)) == "not asked for");
    CHECK(outcome(join("Connection: upgrade\r\n", key, version_13)) == "not asked for");
    CHECK(outcome(join("Connection: upgrade\r\nUpgrade: websockets\r\n", key, version_13)) ==
          "not asked for");
    CHECK(outcome(join(upgrade, key)) == "wrong version");
    CHECK(outcome(join(upgrade, key, "Sec-WebSocket-Version: 8\r\n")) == "wrong version");
    CHECK(outcome(join(upgrade, key, "Sec-WebSocket-Version: 13, 8\r\n")) == "wrong version");
    CHECK(outcome(join(upgrade, key, version_13, version_13)) == "wrong version");
    CHECK(outcome(join(upgrade, version_13)) == "bad key");
    CHECK(outcome(join(upgrade, key, key, version_13)) == "bad key");
    CHECK(outcome(join(upgrade, "Sec-WebSocket-Key: c2hvcnQ=\r\n", version_13)) == "bad key");
    CHECK(outcome(join(upgrade, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n", version_13)) ==
          "bad key");
    CHECK(outcome(join(upgrade, key, version_13, "Content-Length: 1\r\n")) == "has body");
    CHECK(outcome(join(upgrade, key, version_13, "Transfer-Encoding: chunked\r\n")) == "has body");
    CHECK(outcome(join(upgrade, key, version_13, "Content-Length: 0\r\n")) == good);
}

TEST_CASE("ws handshake: a page of the same host and port is of the same origin", "[http][ws]") {
    // The requests are for the host `a`.
    CHECK(same_origin(""));
    CHECK(same_origin("Origin: http://a\r\n"));
    CHECK(same_origin("Origin: https://A\r\n"));
    CHECK(same_origin("Origin: http://a:80\r\n"));
    CHECK_FALSE(same_origin("Origin: https://a:80\r\n"));
    CHECK_FALSE(same_origin("Origin: http://a:8080\r\n"));
    CHECK_FALSE(same_origin("Origin: http://b\r\n"));
    CHECK_FALSE(same_origin("Origin: http://a.b\r\n"));
    CHECK_FALSE(same_origin("Origin: null\r\n"));
    CHECK_FALSE(same_origin("Origin: a\r\n"));
    CHECK_FALSE(same_origin("Origin: \r\n"));
    CHECK_FALSE(same_origin("Origin: http://a\r\nOrigin: http://a\r\n"));
}

TEST_CASE("ws handshake: our best subprotocol that is offered is taken", "[http][ws]") {
    http::headers offered;
    offered.append("Sec-WebSocket-Protocol", "soap, wamp");
    offered.append("sec-websocket-protocol", "mqtt");
    CHECK(ws::choose_subprotocol(offered, {"mqtt", "wamp"}) == "mqtt");
    CHECK(ws::choose_subprotocol(offered, {"amqp", "wamp"}) == "wamp");
    CHECK_FALSE(ws::choose_subprotocol(offered, {"amqp", "WAMP"}));  // Case counts.
    CHECK_FALSE(ws::choose_subprotocol(offered, {}));
    CHECK_FALSE(ws::choose_subprotocol({}, {"mqtt"}));
}

TEST_CASE("ws handshake: an offer of compression is met, or declined", "[http][ws]") {
    const std::string name = "permessage-deflate";
    CHECK(agreed(name) == name);
    CHECK(agreed("x-other, " + name + "; client_max_window_bits") == name);
    CHECK(agreed(name + "; server_no_context_takeover") == name + "; server_no_context_takeover");
    CHECK(agreed(name + ";client_no_context_takeover") == name + "; client_no_context_takeover");
    CHECK(agreed(name + "; server_max_window_bits=10") == name + "; server_max_window_bits=10");
    CHECK(agreed(name + "; server_max_window_bits=\"10\"") == name + "; server_max_window_bits=10");
    CHECK(agreed(name + "; client_max_window_bits=11") == name + "; client_max_window_bits=11");
    ws::deflate_options small;
    small.server_no_context_takeover = true;
    small.client_max_window_bits = 9;
    small.server_max_window_bits = 12;
    CHECK(agreed(name, small) == name + "; server_no_context_takeover; server_max_window_bits=12");
    CHECK(agreed(name + "; client_max_window_bits", small) ==
          name +
              "; server_no_context_takeover; server_max_window_bits=12; "
              "client_max_window_bits=9");
    // The second offer will do when the first one will not.
    CHECK(agreed(name + "; server_max_window_bits=8, " + name) == name);
    for (const std::string_view bad :
         {"; unknown", "; server_max_window_bits", "; server_max_window_bits=7",
          "; server_max_window_bits=16", "; server_max_window_bits=08",
          "; client_max_window_bits=1e1", "; server_no_context_takeover=1",
          "; client_no_context_takeover; client_no_context_takeover", "; =", ";"}) {
        CAPTURE(bad);
        CHECK(agreed(name + std::string(bad)).empty());
    }
    CHECK(agreed("").empty());
    CHECK(agreed("permessage-bzip2").empty());
}

TEST_CASE("ws handshake: an answer about compression keeps to the offer", "[http][ws]") {
    const std::string name = "permessage-deflate";
    CHECK(read_answer("") == "none");
    CHECK(read_answer(name) == "good");
    CHECK(read_answer(name + "; client_max_window_bits=9; server_max_window_bits=9") == "good");
    CHECK(read_answer(name + "; client_max_window_bits=8") == "refused");
    // It was taken without its number, which only an offer may leave out.
    CHECK(read_answer(name + "; client_max_window_bits") == "refused");
    http::ws::deflate_options small;
    small.client_max_window_bits = 10;
    CHECK(read_answer(name + "; client_max_window_bits=10", small) == "good");
    // The server may ask for less than was offered, and not for more.
    CHECK(read_answer(name + "; client_max_window_bits=11", small) == "refused");
    CHECK(read_answer(name + "; unknown") == "refused");
    CHECK(read_answer(name + ", " + name) == "refused");
    CHECK(read_answer("x-other") == "refused");
    CHECK(read_answer(name + ", x-other") == "refused");
    ws::deflate_options asked;
    asked.server_no_context_takeover = true;
    asked.server_max_window_bits = 10;
    CHECK(read_answer(name, asked) == "refused");
    CHECK(read_answer(name + "; server_no_context_takeover; server_max_window_bits=10", asked) ==
          "good");
    CHECK(read_answer(name + "; server_no_context_takeover; server_max_window_bits=11", asked) ==
          "refused");
    CHECK(ws::deflate_offer(asked) == name +
                                          "; server_no_context_takeover; "
                                          "server_max_window_bits=10; client_max_window_bits");
}

TEST_CASE("ws handshake: an offered window of 15 bits is answered, and not passed over",
          "[http][ws]") {
    // Clients that named it took an answer without it for no agreement.
    const std::string name = "permessage-deflate";
    const std::string bits = "; server_max_window_bits=15";
    CHECK(agreed(name + bits) == name + bits);
    CHECK(agreed(name + "; client_max_window_bits" + bits) == name + bits);
    http::ws::deflate_options small;
    small.server_max_window_bits = 12;
    CHECK(agreed(name + bits, small) == name + "; server_max_window_bits=12");
}
