// What a decoder makes of frames. The numbers are the sections of the Autobahn test suite that ask
// the same.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/ws/decoder.hpp>
#include <heph/http/ws/encoder.hpp>
#include <heph/http/ws/utf8_validator.hpp>

#include "ws_frames.hpp"

namespace ws = heph::http::ws;
using heph::http::test::decode;
using namespace std::string_literals;

namespace {

std::uint32_t fixed_mask() { return 0x78563412; }

/// Writes frames in a row, from one side or the other.
class frames {
public:
    explicit frames(ws::role sender) : writer_(sender, &fixed_mask) {}

    frames& add(ws::opcode kind, std::string_view payload, bool final = true) {
        writer_.frame(bytes_, kind, payload, final);
        return *this;
    }
    frames& text(std::string_view payload, bool final = true) {
        return add(ws::opcode::text, payload, final);
    }
    frames& binary(std::string_view payload, bool final = true) {
        return add(ws::opcode::binary, payload, final);
    }
    frames& more(std::string_view payload, bool final = true) {
        return add(ws::opcode::continuation, payload, final);
    }
    frames& ping(std::string_view payload) { return add(ws::opcode::ping, payload); }
    frames& pong(std::string_view payload) { return add(ws::opcode::pong, payload); }
    frames& close(std::string_view payload) { return add(ws::opcode::close, payload); }

    std::string bytes_;

private:
    ws::encoder writer_;
};

using script = std::function<void(frames&)>;

/// What a receiver of either role tells of these frames, however they are cut; all have to agree.
std::string told_of(const script& write, const ws::limits& bounds = {}) {
    std::string first;
    for (const ws::role sender : {ws::role::client, ws::role::server}) {
        const ws::role receiver = sender == ws::role::client ? ws::role::server : ws::role::client;
        frames sent(sender);
        write(sent);
        for (const std::size_t step : {sent.bytes_.size() + 1, std::size_t{1}, std::size_t{7}}) {
            ws::decoder reader(receiver, bounds);
            const std::string told = decode(reader, sent.bytes_, step);
            if (first.empty()) { first = told; }
            CHECK(told == first);
        }
    }
    return first;
}

/// What a server tells of bytes that were written by hand.
std::string told_of_bytes(std::string_view bytes, ws::role receiver = ws::role::server) {
    ws::decoder reader(receiver);
    return decode(reader, bytes, 1);
}

}  // namespace

TEST_CASE("ws decoder: messages of every length come as they were sent (1)", "[http][ws]") {
    for (const std::size_t size : {0U, 1U, 125U, 126U, 127U, 128U, 65535U, 65536U, 100'000U}) {
        const std::string payload(size, '*');
        CHECK(told_of([&](frames& to) { to.text(payload); }) == "text:" + payload);
        CHECK(told_of([&](frames& to) { to.binary(payload); }) == "binary:" + payload);
    }
}

TEST_CASE("ws decoder: pings and pongs carry up to 125 bytes of anything (2)", "[http][ws]") {
    const std::string longest(125, '\xfe');
    CHECK(told_of([](frames& to) { to.ping("").ping("a"); }) == "ping: ping:a");
    CHECK(told_of([&](frames& to) { to.ping(longest); }) == "ping:" + longest);
    CHECK(told_of([](frames& to) { to.pong("").pong("x").ping("y"); }) == "pong: pong:x ping:y");
    CHECK(told_of([&](frames& to) { to.ping(longest + "x"); }) == "error:1002");
}

TEST_CASE("ws decoder: a reserved bit is refused where nothing gave it a meaning (3)",
          "[http][ws]") {
    for (unsigned bits = 1; bits < 8; ++bits) {
        for (const unsigned opcode : {0x81U, 0x82U, 0x88U, 0x89U, 0x8aU}) {
            std::string frame;
            frame += static_cast<char>(opcode | bits << 4U);
            frame += "\x80\x01\x02\x03\x04"s;
            CHECK(told_of_bytes(frame) == "error:1002");
        }
    }
    CHECK(told_of([](frames& to) { to.text("good"); }) == "text:good");
}

TEST_CASE("ws decoder: reserved opcodes are refused (4)", "[http][ws]") {
    for (const unsigned opcode : {3U, 4U, 5U, 6U, 7U, 11U, 12U, 13U, 14U, 15U}) {
        CHECK(told_of([&](frames& to) {
                  to.text("first").add(static_cast<ws::opcode>(opcode), "").ping("never");
              }) == "text:first error:1002");
    }
}

TEST_CASE("ws decoder: fragments are put together, with control frames between (5)", "[http][ws]") {
    struct {
        script write;
        std::string_view told;
    } const cases[] = {
        // 5.1, 5.2
        {[](frames& to) { to.add(ws::opcode::ping, "a", false).more("b"); }, "error:1002"},
        {[](frames& to) { to.add(ws::opcode::pong, "a", false).more("b"); }, "error:1002"},
        {[](frames& to) { to.add(ws::opcode::close, "", false); }, "error:1002"},
        // 5.3 to 5.5
        {[](frames& to) { to.text("one ", false).more("two"); }, "text:one two"},
        {[](frames& to) { to.binary("1", false).more("2", false).more("3"); }, "binary:123"},
        // 5.6 to 5.8
        {[](frames& to) { to.text("one ", false).ping("now").more("two"); },
         "ping:now text:one two"},
        {[](frames& to) { to.text("a", false).pong("p").more("b", false).ping("q").more("c"); },
         "pong:p ping:q text:abc"},
        // 5.9 to 5.14
        {[](frames& to) { to.more("nothing").text("x"); }, "error:1002"},
        {[](frames& to) { to.more("nothing", false).text("x"); }, "error:1002"},
        {[](frames& to) { to.text("x").more("nothing"); }, "text:x error:1002"},
        // 5.15
        {[](frames& to) { to.text("a", false).more("b").more("c", false).text("d"); },
         "text:ab error:1002"},
        // 5.16 to 5.18
        {[](frames& to) { to.text("a", false).text("b"); }, "error:1002"},
        {[](frames& to) { to.text("a", false).binary("b", false); }, "error:1002"},
        // 5.19, 5.20
        {[](frames& to) {
             to.text("a", false).more("b", false).ping("1").more("c", false).more("d", false);
             to.ping("2").more("e").text("next");
         },
         "ping:1 ping:2 text:abcde text:next"},
        {[](frames& to) { to.text("", false).more("", false).more(""); }, "text:"},
        {[](frames& to) { to.text("a", false).close("\x03\xe8"); }, "close:1000:"},
    };
    for (const auto& each : cases) {
        CAPTURE(each.told);
        CHECK(told_of(each.write) == each.told);
    }
}

TEST_CASE("ws decoder: text is UTF-8, across fragments as well (6)", "[http][ws]") {
    const std::string kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
    CHECK(told_of([&](frames& to) { to.text(kosme); }) == "text:" + kosme);
    for (std::size_t cut = 0; cut <= kosme.size(); ++cut) {
        CHECK(told_of([&](frames& to) {
                  to.text(kosme.substr(0, cut), false).ping("").more(kosme.substr(cut));
              }) == "ping: text:" + kosme);
    }
    // Half a character at the end of the message, not of a fragment (6.6).
    CHECK(told_of([&](frames& to) { to.text(kosme.substr(0, 1)); }) == "error:1007");
    CHECK(told_of([&](frames& to) { to.text("a", false).more("\xce"); }) == "error:1007");
    CHECK(told_of([&](frames& to) { to.binary("\xce\xff"); }) == "binary:\xce\xff");
}

TEST_CASE("ws decoder: text that cannot become UTF-8 is refused before its end (6.4)",
          "[http][ws]") {
    frames sent(ws::role::client);
    sent.text("\xf4\x90", false);  // Beyond the last plane already; the message goes on.
    ws::decoder reader(ws::role::server);
    CHECK(decode(reader, sent.bytes_, 1) == "error:1007");
    // Within one long frame, as its bytes come in.
    frames whole(ws::role::client);
    whole.text("ab\xff" + std::string(1000, 'c'));
    ws::decoder second(ws::role::server);
    CHECK(decode(second, whole.bytes_.substr(0, 8 + 3), 1) == "error:1007");
}

TEST_CASE("ws decoder: what is UTF-8, and what is not (6.5 to 6.23)", "[http][ws]") {
    const std::vector<std::string> good = {
        "",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbd",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "\xf0\x9f\x98\x80 12345678 \xc3\xa4",
        "\0"s,
    };
    const std::vector<std::string> bad = {
        "\x80",              // A tail alone.
        "\xbf",              //
        "\xc0\xaf",          // Overlong.
        "\xc1\xbf",          //
        "\xe0\x80\xaf",      //
        "\xe0\x9f\xbf",      //
        "\xf0\x80\x80\xaf",  //
        "\xf0\x8f\xbf\xbf",  //
        "\xf8\x88\x80\x80\x80",
        "\xfc\x84\x80\x80\x80\x80",
        "\xed\xa0\x80",              // Surrogates.
        "\xed\xbf\xbf",              //
        "\xed\xa0\x80\xed\xb0\x80",  //
        "\xf4\x90\x80\x80",          // Too far.
        "\xf7\xbf\xbf\xbf",          //
        "\xfe",
        "\xff",
        "\xc3",          // Cut short.
        "\xe2\x82",      //
        "\xf0\x9f\x98",  //
        "\xc3(",         // Cut short by something else.
        "\xe2\x82(",
        "12345678\xff",
    };
    for (const std::string& text : good) {
        CAPTURE(text);
        CHECK(told_of([&](frames& to) { to.text(text); }) == "text:" + text);
    }
    for (const std::string& text : bad) {
        CAPTURE(text);
        CHECK(told_of([&](frames& to) { to.text(text); }) == "error:1007");
    }
}

TEST_CASE("ws decoder: a close frame has no payload, or a code that may be sent (7)",
          "[http][ws]") {
    const auto with = [](unsigned code, std::string_view reason = {}) {
        std::string payload;
        payload += static_cast<char>(code >> 8U);
        payload += static_cast<char>(code & 0xffU);
        payload += reason;
        return told_of([&](frames& to) { to.close(payload); });
    };
    CHECK(told_of([](frames& to) { to.close("").text("x").ping("y"); }) == "close:1005:");
    CHECK(told_of([](frames& to) { to.close("\x03"); }) == "error:1002");
    CHECK(with(1000, "bye") == "close:1000:bye");
    const std::string longest(123, 'r');
    CHECK(with(1000, longest) == "close:1000:" + longest);
    CHECK(with(1000, longest + "r") == "error:1002");
    CHECK(with(1000, "\xce\xba\xff") == "error:1007");
    CHECK(with(1000, "\xce") == "error:1007");
    for (const unsigned code : {1000U, 1001U, 1002U, 1003U, 1007U, 1008U, 1009U, 1010U, 1011U,
                                1012U, 1013U, 1014U, 3000U, 3999U, 4000U, 4999U}) {
        CHECK(with(code) == "close:" + std::to_string(code) + ":");
    }
    for (const unsigned code :
         {0U, 999U, 1004U, 1005U, 1006U, 1015U, 1016U, 1100U, 2000U, 2999U, 5000U, 65535U}) {
        CHECK(with(code) == "error:1002");
    }
}

TEST_CASE("ws decoder: a length has the bytes it needs, and no more", "[http][ws]") {
    CHECK(told_of_bytes("\x81\x7e\x00\x7d"s, ws::role::client) == "error:1002");
    CHECK(told_of_bytes("\x81\x7e\x00\x00"s, ws::role::client) == "error:1002");
    CHECK(told_of_bytes("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"s, ws::role::client) ==
          "error:1002");
    CHECK(told_of_bytes("\x82\x7f\x80\x00\x00\x00\x00\x01\x00\x00"s, ws::role::client) ==
          "error:1002");
    CHECK(told_of_bytes("\x89\x7e\x00\x7e"s, ws::role::client) == "error:1002");
}

TEST_CASE("ws decoder: a client masks, and a server does not", "[http][ws]") {
    frames from_client(ws::role::client);
    from_client.text("a");
    frames from_server(ws::role::server);
    from_server.text("a");
    ws::decoder client(ws::role::client);
    CHECK(decode(client, from_client.bytes_, 1) == "error:1002");
    ws::decoder server(ws::role::server);
    CHECK(decode(server, from_server.bytes_, 1) == "error:1002");
    // RFC 6455, 5.7.
    CHECK(told_of_bytes("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"s) == "text:Hello");
    CHECK(told_of_bytes("\x81\x05Hello"s, ws::role::client) == "text:Hello");
}

TEST_CASE("ws decoder: what is beyond a limit is refused by its header (9)", "[http][ws]") {
    ws::limits bounds;
    bounds.frame_bytes_max = 1000;
    bounds.message_bytes_max = 1500;
    const std::string thousand(1000, 'a');
    const std::string rest(500, 'b');
    CHECK(told_of([&](frames& to) { to.binary(thousand); }, bounds) == "binary:" + thousand);
    CHECK(told_of([&](frames& to) { to.binary(thousand, false).more(rest); }, bounds) ==
          "binary:" + thousand + rest);
    CHECK(told_of([&](frames& to) { to.binary(thousand + "a"); }, bounds) == "error:1009");
    CHECK(told_of([&](frames& to) { to.binary(thousand, false).more(rest + "b"); }, bounds) ==
          "error:1009");
    // Nothing but the header has come.
    ws::decoder reader(ws::role::client, bounds);
    CHECK(decode(reader, "\x82\x7f\x00\x00\x00\x01\x00\x00\x00\x00"s, 1) == "error:1009");
    // Many small frames come to the same.
    CHECK(told_of(
              [&](frames& to) {
                  to.binary("", false);
                  for (int i = 0; i < 16; ++i) { to.more(std::string(100, 'c'), false); }
              },
              bounds) == "error:1009");
}

TEST_CASE("ws decoder: it stays with its error, and reads nothing behind a close", "[http][ws]") {
    ws::decoder reader(ws::role::client);
    const std::string bytes =
        "\x83\x00\x81\x01"
        "a"s;
    std::string_view input = bytes;
    CHECK(reader.next(input).kind == ws::event_kind::error);
    CHECK(reader.is_done());
    const auto again = reader.next(input);
    CHECK(again.kind == ws::event_kind::error);
    CHECK(again.code == ws::close_code::protocol_error);
    CHECK_FALSE(again.data.empty());
    CHECK(told_of([](frames& to) { to.close("\x03\xe8").text("late"); }) == "close:1000:");
}
