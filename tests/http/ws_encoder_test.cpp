#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/ws/decoder.hpp>
#include <heph/http/ws/encoder.hpp>

#include "ws_frames.hpp"

namespace ws = heph::http::ws;
using heph::http::test::decode;
using namespace std::string_literals;

namespace {

std::uint32_t fixed_mask() { return 0x3d21fa37; }

}  // namespace

TEST_CASE("ws encoder: frames are those of RFC 6455, 5.7", "[http][ws]") {
    std::string out;
    ws::encoder server(ws::role::server);
    server.message(out, ws::message_kind::text, "Hello");
    CHECK(out == "\x81\x05Hello"s);
    out.clear();
    ws::encoder client(ws::role::client, &fixed_mask);
    client.message(out, ws::message_kind::text, "Hello");
    CHECK(out == "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"s);
    out.clear();
    server.ping(out, "Hello");
    server.pong(out, "Hello");
    CHECK(out == "\x89\x05Hello\x8a\x05Hello"s);
    out.clear();
    server.message(out, ws::message_kind::binary, std::string(256, 'x'));
    CHECK(out.substr(0, 4) == "\x82\x7e\x01\x00"s);
    CHECK(out.size() == 4 + 256);
}

TEST_CASE("ws encoder: a long message is sent in fragments", "[http][ws]") {
    ws::encoder_options options;
    options.frame_bytes_max = 4;
    ws::encoder server(ws::role::server, options);
    std::string out;
    server.message(out, ws::message_kind::text, "0123456789");
    CHECK(out ==
          "\x01\x04"
          "0123\x00\x04"
          "4567\x80\x02"
          "89"s);
    ws::encoder long_frames(ws::role::server);
    std::string bytes;
    long_frames.message(bytes, ws::message_kind::binary, std::string(70'000, 'a'));
    CHECK(bytes.substr(0, 10) == "\x02\x7f\x00\x00\x00\x00\x00\x01\x00\x00"s);
    ws::decoder reader(ws::role::client);
    CHECK(decode(reader, bytes, 1000) == "binary:" + std::string(70'000, 'a'));
}

TEST_CASE("ws encoder: the close frame has no code that may not be sent", "[http][ws]") {
    ws::encoder server(ws::role::server);
    const auto closed = [&](ws::close_code code, std::string_view reason = {}) {
        std::string out;
        server.close(out, code, reason);
        return out;
    };
    CHECK(closed(ws::close_code::normal) == "\x88\x02\x03\xe8"s);
    CHECK(closed(ws::close_code::going_away, "bye") ==
          "\x88\x05\x03\xe9"
          "bye"s);
    CHECK(closed(ws::close_code::no_status) == "\x88\x00"s);
    CHECK(closed(ws::close_code::abnormal, "x") == "\x88\x00"s);
    // A reason that is too long is cut at the end of a character.
    const std::string reason = std::string(122, 'r') + "\xce\xba";
    CHECK(closed(ws::close_code::normal, reason) == "\x88\x7c\x03\xe8" + std::string(122, 'r'));
}

TEST_CASE("ws encoder: masks differ from frame to frame", "[http][ws]") {
    ws::encoder client(ws::role::client);
    std::string first;
    std::string second;
    client.message(first, ws::message_kind::binary, std::string(64, '\0'));
    client.message(second, ws::message_kind::binary, std::string(64, '\0'));
    CHECK(first != second);
    ws::decoder reader(ws::role::server);
    CHECK(decode(reader, first + second, 3) ==
          "binary:" + std::string(64, '\0') + " binary:" + std::string(64, '\0'));
}

TEST_CASE("ws deflate: messages come back, with and without what was before", "[http][ws]") {
    for (const bool forgets : {false, true}) {
        ws::deflate_parameters agreed;
        agreed.client_no_context_takeover = forgets;
        agreed.server_no_context_takeover = forgets;
        agreed.client_max_window_bits = 9;
        for (const ws::role sender : {ws::role::client, ws::role::server}) {
            ws::encoder writer(sender, {}, agreed);
            ws::decoder reader(sender == ws::role::client ? ws::role::server : ws::role::client, {},
                               agreed);
            std::size_t sizes[3] = {};
            for (std::size_t& size : sizes) {
                std::string payload;
                for (int i = 0; i < 400; ++i) { payload += std::to_string(i * 7919) + ","; }
                std::string out;
                writer.message(out, ws::message_kind::text, payload);
                size = out.size();
                CHECK(out.size() < payload.size());
                CHECK((static_cast<unsigned char>(out[0]) & 0x40U) != 0);
                CHECK(decode(reader, out, 11) == "text:" + payload);
            }
            const bool remembers = sizes[1] < sizes[0] / 2;
            // A window of 512 bytes holds too little of the message before.
            if (sender == ws::role::server) { CHECK(remembers == !forgets); }
        }
    }
}

TEST_CASE("ws deflate: the messages of RFC 7692, 7.2.3, are read", "[http][ws]") {
    const auto read = [](std::string_view bytes) {
        ws::decoder reader(ws::role::client, {}, ws::deflate_parameters());
        return decode(reader, bytes, 1);
    };
    const std::string hello = "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"s;
    CHECK(read(hello) == "text:Hello");
    CHECK(read("\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00"s) == "text:Hello");
    // With what was sent before.
    CHECK(read(hello + "\xc1\x05\xf2\x00\x11\x00\x00"s) == "text:Hello text:Hello");
    // A block that is not compressed, one that says it is the last, and two blocks.
    CHECK(read("\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"s) == "text:Hello");
    CHECK(read("\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s) == "text:Hello");
    CHECK(read("\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"s) == "text:Hello");
    // Behind a last block, the next message still refers to what was before.
    CHECK(read("\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s + "\xc1\x05\xf2\x00\x11\x00\x00"s) ==
          "text:Hello text:Hello");
    // What is not compressed goes between.
    CHECK(read("\x81\x02hi" + hello) == "text:hi text:Hello");
    CHECK(read("\xc1\x01\x00"s) == "text:");
}

TEST_CASE("ws deflate: broken data, bombs and misplaced bits are refused", "[http][ws]") {
    ws::limits bounds;
    bounds.message_bytes_max = 100'000;
    ws::encoder writer(ws::role::server, {}, ws::deflate_parameters());
    std::string bomb;
    writer.message(bomb, ws::message_kind::binary, std::string(10'000'000, '\0'));
    CHECK(bomb.size() < 20'000);
    const auto read = [&](std::string_view bytes) {
        ws::decoder reader(ws::role::client, bounds, ws::deflate_parameters());
        return decode(reader, bytes, 4096);
    };
    CHECK(read(bomb) == "error:1009");
    CHECK(read("\xc1\x02\xff\xff"s) == "error:1007");
    CHECK(read("\xc1\x00"s) == "error:1007");                      // Not even an empty block.
    CHECK(read("\xc1\x05\xf2\x00\x11\x00\x00"s) == "error:1007");  // Refers to nothing.
    CHECK(read("\x41\x03\xf2\x48\xcd\xc0\x04\xc9\xc9\x07\x00"s) == "error:1002");
    CHECK(read("\xc9\x00"s) == "error:1002");
    CHECK(read("\xd1\x00"s) == "error:1002");
    // Text that is not UTF-8 once it is decompressed.
    std::string text;
    writer.message(text, ws::message_kind::text, std::string(200, '\xff'));
    CHECK(read(text) == "error:1007");
}

TEST_CASE("ws deflate: a few bytes that stand for many are decompressed by the slice",
          "[http][ws]") {
    constexpr std::size_t slice = 64 * 1024;
    ws::limits bounds;
    bounds.message_bytes_max = 20 * 1024 * 1024;
    ws::encoder writer(ws::role::server, {}, ws::deflate_parameters());
    const std::string large(bounds.message_bytes_max, 'x');
    std::string sent;
    writer.message(sent, ws::message_kind::text, large);
    writer.message(sent, ws::message_kind::text, "behind it");
    for (const std::size_t step : {sent.size(), std::size_t{1000}}) {
        ws::decoder reader(ws::role::client, bounds, ws::deflate_parameters());
        std::size_t slices = 0;
        std::vector<std::string> got;
        for (std::size_t at = 0; at < sent.size(); at += step) {
            std::string_view input = std::string_view(sent).substr(at, step);
            for (;;) {
                const ws::event found = reader.next_slice(input);
                if (found.kind == ws::event_kind::need_input) { break; }
                REQUIRE(
                    (found.kind == ws::event_kind::busy || found.kind == ws::event_kind::message));
                slices += found.kind == ws::event_kind::busy ? 1 : 0;
                if (found.kind == ws::event_kind::message) {
                    got.push_back(reader.take_message().payload());
                }
            }
        }
        REQUIRE(got.size() == 2);
        CHECK(got[0] == large);
        CHECK(got[1] == "behind it");
        // A call makes a step of zlib's more than a slice at the most.
        CHECK(slices >= large.size() / slice / 2);
    }
}
