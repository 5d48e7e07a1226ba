// TLS and plain text between bytes and frames, without sockets.

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/remote/protocol/handshake.hpp>
#include <heph/rt/tls/engine.hpp>

#include "node/record_layer.hpp"
#include "remote/hex.hpp"
#include "remote/nodes.hpp"

using heph::remote::detail::opening;
using heph::remote::detail::opening_of;
using heph::remote::detail::record_layer;
using heph::remote::testing::bytes_of;
using heph::remote::testing::hex_of;
namespace protocol = heph::remote::protocol;
namespace rt = heph::rt;

namespace {

record_layer with_secret(bool dials) {
    const rt::tls::psk_config how(heph::remote::testing::shared_secret());
    const auto context = rt::tls::context::make(how).value();
    auto engine = dials ? context.client() : context.server();
    return record_layer::tls(std::move(engine.value()), dials);
}

std::vector<std::byte> taken_from(record_layer& from) {
    rt::buffer out;
    from.take_output(out);
    return {out.bytes().begin(), out.bytes().end()};
}

// All that can be read now.
std::vector<std::byte> read_all(record_layer& from) {
    std::vector<std::byte> all;
    std::array<std::byte, 100> scratch;
    for (;;) {
        const auto some = from.read(scratch);
        REQUIRE(some);
        if (some->empty()) { return all; }
        all.insert(all.end(), some->begin(), some->end());
    }
}

std::vector<std::byte> first_hello() {
    auto dialing = protocol::handshake::dial({"a", {1, 2}, {}}, "b", {{}, {9, 9}, 0, 0});
    std::vector<std::byte> said;
    dialing.take_output(said);
    return said;
}

// A reject whose reason is 18.
const std::vector<std::byte> the_answer = bytes_of("00 00 00 05 03 93 12 01 02");

}  // namespace

TEST_CASE("record layer: how a connection begins is known from five bytes at the most",
          "[remote][record_layer]") {
    struct beginning {
        std::string_view bytes;
        opening is;
    };
    const auto each = GENERATE(beginning{"", opening::undecided},          //
                               beginning{"16", opening::undecided},        //
                               beginning{"16 03", opening::tls},           //
                               beginning{"16 03 01 02 00", opening::tls},  // a ClientHello
                               beginning{"15 03 03 00 02", opening::tls},  // an alert
                               beginning{"14 03", opening::tls},           //
                               beginning{"17 03", opening::tls},           //
                               beginning{"16 16", opening::neither},       //
                               beginning{"13 03", opening::neither},       //
                               beginning{"18 03", opening::neither},       //
                               beginning{"00", opening::undecided},        //
                               beginning{"00 00 08", opening::undecided},  //
                               beginning{"00 00 09", opening::neither},    // more than 2,048
                               beginning{"00 00 00 00", opening::neither},
                               beginning{"00 00 00 01", opening::undecided},
                               beginning{"00 00 01 10 01", opening::plain_text},  // a hello
                               beginning{"00 00 08 00 02", opening::plain_text},  // a welcome
                               beginning{"00 00 00 05 03", opening::plain_text},  // a reject
                               beginning{"00 00 08 01", opening::neither},
                               beginning{"00 00 01 10 10", opening::neither},  // a data frame
                               beginning{"00 01", opening::neither},           //
                               beginning{"47 45 54 20 2f", opening::neither},  // GET /
                               beginning{"ff", opening::neither});
    INFO(each.bytes);
    CHECK(opening_of(bytes_of(each.bytes)) == each.is);
}

TEST_CASE("record layer: in plain text, what is written is read, however it is cut",
          "[remote][record_layer]") {
    const auto step = GENERATE(std::size_t{1}, std::size_t{3}, std::size_t{5}, std::size_t{1000});
    record_layer dialing = record_layer::plain_text(true);
    record_layer accepting = record_layer::plain_text(false);
    REQUIRE(dialing.is_open());
    CHECK_FALSE(dialing.has_output());
    const auto said = first_hello();
    REQUIRE(dialing.write(said));
    CHECK(dialing.has_output());
    const auto sent = taken_from(dialing);
    CHECK(hex_of(sent) == hex_of(said));
    CHECK_FALSE(dialing.has_output());
    std::vector<std::byte> heard;
    for (std::size_t at = 0; at < sent.size(); at += step) {
        const auto part = std::span(sent).subspan(at, std::min(step, sent.size() - at));
        REQUIRE(accepting.feed(part));
        const auto some = read_all(accepting);
        heard.insert(heard.end(), some.begin(), some.end());
    }
    CHECK(hex_of(heard) == hex_of(said));
    CHECK_FALSE(accepting.has_output());
    CHECK_FALSE(accepting.certificate());
    CHECK_FALSE(accepting.peer_closed());
}

TEST_CASE("record layer: what begins as neither goes on to the handshake, or to TLS",
          "[remote][record_layer]") {
    const auto request = bytes_of("47 45 54 20 2f 20 48");
    record_layer plain = record_layer::plain_text(false);
    REQUIRE(plain.feed(request));
    CHECK(hex_of(read_all(plain)) == hex_of(request));
    record_layer secured = with_secret(false);
    const auto refused = secured.feed(request);
    REQUIRE(!refused);
    CHECK(refused.error() == rt::tls::errc::plain_text_peer);
    CHECK_FALSE(secured.is_mismatched());
    CHECK_FALSE(secured.is_open());
}

TEST_CASE("record layer: who accepts tells the other kind by its first bytes, and answers once",
          "[remote][record_layer]") {
    const bool is_tls = GENERATE(true, false);
    const auto step = GENERATE(std::size_t{1}, std::size_t{4}, std::size_t{1000});
    record_layer accepting = is_tls ? with_secret(false) : record_layer::plain_text(false);
    record_layer dialing = is_tls ? record_layer::plain_text(true) : with_secret(true);
    if (is_tls) { REQUIRE(dialing.write(first_hello())); }
    const auto said = taken_from(dialing);
    REQUIRE(said.size() > 5);
    std::size_t at = 0;
    while (at < said.size()) {
        const auto part = std::span(said).subspan(at, std::min(step, said.size() - at));
        at += part.size();
        if (!accepting.feed(part)) { break; }
    }
    CHECK(at < step + (is_tls ? 5 : 2));
    CHECK(accepting.is_mismatched());
    CHECK_FALSE(accepting.is_open());
    CHECK(accepting.mismatch().starts_with(is_tls ? "it speaks plain text, and this node TLS"
                                                  : "it speaks TLS, and this node plain text"));
    const auto answer = taken_from(accepting);
    CHECK(hex_of(answer) == hex_of(the_answer));
    CHECK_FALSE(accepting.has_output());
    // What comes behind it is the same error, and no further answer.
    const auto more = accepting.feed(said);
    REQUIRE(!more);
    CHECK(more.error() == std::errc::protocol_not_supported);
    CHECK_FALSE(accepting.has_output());
    // And the other end makes the same of it: by how it begins, or as the answer to its hello.
    const auto heard = dialing.feed(answer);
    CHECK(dialing.is_mismatched() == !is_tls);
    CHECK_FALSE(dialing.has_output());
    if (is_tls) {
        REQUIRE(heard);
        CHECK(hex_of(read_all(dialing)) == hex_of(the_answer));
        auto meeting = protocol::handshake::dial({"a", {1, 2}, {}}, "b", {{}, {9, 9}, 0, 0});
        meeting.on_frame(std::span(answer).subspan(4));
        REQUIRE(meeting.current() == protocol::handshake::state::failed);
        CHECK(meeting.refused_by_peer());
        CHECK(meeting.failure() == protocol::error::other_security);
    }
}

TEST_CASE("record layer: an alert of TLS tells who dialed in plain text what it met",
          "[remote][record_layer]") {
    record_layer dialing = record_layer::plain_text(true);
    const auto heard = dialing.feed(bytes_of("15 03 03 00 02 02 46"));
    REQUIRE(!heard);
    CHECK(dialing.is_mismatched());
    CHECK(dialing.mismatch().starts_with("it speaks TLS, and this node plain text"));
    CHECK_FALSE(dialing.has_output());
}

TEST_CASE("record layer: shared bytes of plain text are sent from where they are, in their place",
          "[remote][record_layer]") {
    record_layer layer = record_layer::plain_text(true);
    const auto shared = std::make_shared<const std::vector<std::byte>>(bytes_of("03 04"));
    REQUIRE(layer.write(bytes_of("01 02")));
    REQUIRE(layer.write_shared(shared, *shared));
    REQUIRE(layer.write(bytes_of("05")));
    CHECK(layer.has_output());
    auto pieces = layer.take_output();
    REQUIRE(pieces.size() == 3);
    CHECK(hex_of(std::as_const(pieces[0]).bytes()) == "01 02");
    CHECK(std::as_const(pieces[1]).data() == shared->data());
    CHECK(hex_of(std::as_const(pieces[2]).bytes()) == "05");
    CHECK_FALSE(layer.has_output());
    CHECK(shared.use_count() == 2);
    pieces.clear();
    CHECK(shared.use_count() == 1);
    REQUIRE(layer.write_shared(shared, *shared));
    REQUIRE(layer.write(bytes_of("05")));
    CHECK(hex_of(taken_from(layer)) == "03 04 05");
}

TEST_CASE("record layer: with TLS, frames flow once the handshake is done",
          "[remote][record_layer]") {
    record_layer dialing = with_secret(true);
    record_layer accepting = with_secret(false);
    for (int turn = 0; turn < 10 && (dialing.has_output() || accepting.has_output()); ++turn) {
        CHECK(accepting.feed(taken_from(dialing)));
        CHECK(dialing.feed(taken_from(accepting)));
    }
    REQUIRE(dialing.is_open());
    REQUIRE(accepting.is_open());
    const auto said = first_hello();
    REQUIRE(dialing.write(said));
    const auto sent = taken_from(dialing);
    CHECK(opening_of(std::span(sent).first(5)) == opening::tls);
    REQUIRE(accepting.feed(sent));
    CHECK(hex_of(read_all(accepting)) == hex_of(said));
    dialing.close_notify();
    const auto last = taken_from(dialing);
    REQUIRE(accepting.feed(last));
    CHECK(read_all(accepting).empty());
    CHECK(accepting.peer_closed());
}
