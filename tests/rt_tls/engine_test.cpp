#include <heph/rt/tls/engine.hpp>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <random>

#include "rt_tls/pipe.hpp"

using namespace heph_tests;
using tls::errc;

namespace {

struct connected {
    tls::context context = make_context();
    tls::engine client = make_client(context);
    tls::engine server = make_server(context);

    connected() {
        const auto errors = shuttle(client, server);
        REQUIRE_FALSE(errors.client);
        REQUIRE_FALSE(errors.server);
        REQUIRE(client.handshake_done());
        REQUIRE(server.handshake_done());
    }
};

std::string random_text(std::size_t size, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::string text(size, '\0');
    std::ranges::generate(text, [&] { return static_cast<char>(random() & 0xff); });
    return text;
}

}  // namespace

TEST_CASE("tls: the handshake and a message pass whatever the pieces they come in", "[rt][tls]") {
    const auto context = make_context();
    for (std::size_t piece = 1; piece <= 600; ++piece) {
        auto client = make_client(context);
        auto server = make_server(context);
        const auto errors = shuttle(client, server, piece);
        REQUIRE_FALSE(errors.client);
        REQUIRE_FALSE(errors.server);
        REQUIRE(client.handshake_done());
        REQUIRE(server.handshake_done());

        REQUIRE(client.write(bytes_of("to the server")).has_value());
        REQUIRE(server.write(bytes_of("to the client")).has_value());
        (void)shuttle(client, server, piece);
        REQUIRE(read_all(server) == "to the server");
        REQUIRE(read_all(client) == "to the client");
    }
}

TEST_CASE("tls: data in the same piece as the last handshake message is not lost", "[rt][tls]") {
    const auto context = make_context();
    auto client = make_client(context);
    auto server = make_server(context);
    REQUIRE_FALSE(feed_text(server, take_text(client)));
    REQUIRE_FALSE(feed_text(client, take_text(server)));
    REQUIRE(client.handshake_done());
    REQUIRE_FALSE(server.handshake_done());
    REQUIRE(client.write(bytes_of("early bird")).has_value());
    REQUIRE_FALSE(feed_text(server, take_text(client)));
    REQUIRE(server.handshake_done());
    REQUIRE(read_all(server) == "early bird");
}

TEST_CASE("tls: any secret of 16 bytes and more works", "[rt][tls]") {
    for (const std::size_t size : {16U, 17U, 48U, 64U, 65U, 1000U, 4096U}) {
        const auto context = make_context(random_text(size, 7));
        auto client = make_client(context);
        auto server = make_server(context);
        (void)shuttle(client, server);
        CHECK(client.handshake_done());
        CHECK(server.handshake_done());
    }
}

TEST_CASE("tls: another secret is refused on both sides", "[rt][tls]") {
    auto client = make_client(make_context("a secret of more than sixteen bytes"));
    auto server = make_server(make_context("a secret of more than sixteen bytez"));
    const auto errors = shuttle(client, server);
    CHECK(errors.server == errc::wrong_secret);
    CHECK(errors.client == errc::wrong_secret);
    CHECK_FALSE(client.handshake_done());
    CHECK_FALSE(server.handshake_done());
    CHECK(server.failed());
    CHECK_FALSE(server.detail().empty());
    CHECK(server.write(bytes_of("x")).error() == errc::wrong_secret);
}

TEST_CASE("tls: another identity is refused on both sides", "[rt][tls]") {
    auto client = make_client(make_context(good_secret, "old"));
    auto server = make_server(make_context(good_secret, "new"));
    const auto errors = shuttle(client, server);
    CHECK(errors.server == errc::no_common_secret);
    CHECK(errors.client == errc::no_common_secret);
    CHECK_FALSE(client.handshake_done());
    CHECK_FALSE(server.handshake_done());
}

TEST_CASE("tls: an identity of no or too many bytes makes no context", "[rt][tls]") {
    for (const std::string& identity : {std::string(), std::string(129, 'x')}) {
        auto made = tls::context::make(tls::psk_config(make_secret(good_secret), identity));
        REQUIRE_FALSE(made.has_value());
        CHECK(made.error() == errc::bad_identity);
    }
    CHECK(tls::context::make(tls::psk_config(make_secret(good_secret), std::string(128, 'x'))));
}

TEST_CASE("tls: plain text is told from other bytes, whatever the pieces", "[rt][tls]") {
    const auto context = make_context();
    const std::string request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    for (const std::size_t piece : {std::size_t{1}, request.size()}) {
        auto server = make_server(context);
        CHECK(feed_text(server, request, piece) == errc::plain_text_peer);
        auto client = make_client(context);
        CHECK(feed_text(client, "HTTP/1.1 400 Bad Request\r\n", piece) == errc::plain_text_peer);
        auto other = make_server(context);
        CHECK(feed_text(other, std::string("\x00\xff\x80\x01", 4), piece) == errc::not_tls);
        auto almost = make_server(context);
        CHECK(feed_text(almost, "\x16\x41\x41\x41", piece) == errc::not_tls);
    }
}

TEST_CASE("tls: random bytes after a record's header end the handshake", "[rt][tls]") {
    const auto context = make_context();
    for (std::uint32_t seed = 0; seed < 200; ++seed) {
        auto server = make_server(context);
        // A record of 64 random bytes, then the header of another, so that none is incomplete.
        std::string garbage("\x16\x03\x01\x00\x40", 5);
        garbage += random_text(64, seed);
        garbage += std::string("\x17\x03\x03\x00\x01x", 6);
        const auto error = feed_text(server, garbage, 1 + seed % 80);
        CHECK_FALSE(server.handshake_done());
        // A message that claims up to 128 KiB may still wait for its rest.
        if (error) { CHECK(error.category() == tls::error_category()); }
    }
}

TEST_CASE("tls: a handshake message that never ends is cut at a bound", "[rt][tls]") {
    auto server = make_server(make_context());
    // A ClientHello that claims 100,000 bytes, in records of 1,000.
    std::string record("\x16\x03\x01\x03\xe8", 5);
    record += std::string("\x01\x01\x86\xa0", 4) + std::string(996, 'x');
    std::error_code error = feed_text(server, record);
    for (int i = 0; i < 100 && !error; ++i) {
        error = feed_text(server, std::string("\x16\x03\x01\x03\xe8", 5) + std::string(1000, 'x'));
    }
    CHECK(error == errc::handshake_too_large);
}

TEST_CASE("tls: every bit flipped in the first flight keeps the server closed", "[rt][tls]") {
    const auto context = make_context();
    auto client = make_client(context);
    const std::string flight = take_text(client);
    REQUIRE(flight.size() > 100);
    for (std::size_t bit = 0; bit < flight.size() * 8; ++bit) {
        std::string changed = flight;
        changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
        auto server = make_server(context);
        const auto error = feed_text(server, changed);
        REQUIRE_FALSE(server.handshake_done());
        // Either refused, or a claimed length keeps it waiting, or a record version that
        // RFC 8446 says to ignore: then the answer goes on as usual, and is no proof of anything.
        if (!error && server.has_output()) { REQUIRE(bit / 8 < 3); }
    }
}

TEST_CASE("tls: a first flight that ends early is waited for, then reported", "[rt][tls]") {
    const auto context = make_context();
    auto client = make_client(context);
    const std::string flight = take_text(client);
    for (std::size_t size = 0; size < flight.size(); ++size) {
        auto server = make_server(context);
        REQUIRE_FALSE(feed_text(server, flight.substr(0, size)));
        REQUIRE_FALSE(server.has_output());
        auto ended = server.feed_end();
        REQUIRE_FALSE(ended.has_value());
        REQUIRE(ended.error() == errc::truncated);
    }
}

TEST_CASE("tls: a replayed first flight opens nothing", "[rt][tls]") {
    const auto context = make_context();
    auto client = make_client(context);
    auto server = make_server(context);
    const std::string first = take_text(client);
    REQUIRE_FALSE(feed_text(server, first));
    REQUIRE_FALSE(feed_text(client, take_text(server)));
    REQUIRE(client.write(bytes_of("pay 100")).has_value());
    const std::string second = take_text(client);
    REQUIRE_FALSE(feed_text(server, second));
    REQUIRE(read_all(server) == "pay 100");

    auto victim = make_server(context);
    REQUIRE_FALSE(feed_text(victim, first));  // It cannot know yet.
    const auto error = feed_text(victim, second);
    CHECK(error.category() == tls::error_category());
    CHECK(victim.failed());
    CHECK_FALSE(victim.handshake_done());
}

TEST_CASE("tls: a reflected flight is refused by the one who sent it", "[rt][tls]") {
    auto client = make_client(make_context());
    const auto error = feed_text(client, take_text(client));
    CHECK(error == errc::handshake_failed);
    CHECK_FALSE(client.handshake_done());
}

TEST_CASE("tls: megabytes pass in both directions, and only as fast as they are read",
          "[rt][tls]") {
    connected both;
    const std::string data = random_text(3 * 1024 * 1024 + 17, 42);
    REQUIRE(both.client.write(bytes_of(data)).has_value());
    const std::string wire = take_text(both.client);
    REQUIRE(wire.size() > data.size());
    CHECK(wire.find(data.substr(0, 32)) == std::string::npos);

    std::string received;
    std::size_t refused = 0;
    std::string_view left = wire;
    while (!left.empty()) {
        const std::string_view piece = left.substr(0, 50'000);
        auto fed = both.server.feed(bytes_of(piece));
        if (!fed) {
            REQUIRE(fed.error() == errc::unread_input);
            REQUIRE_FALSE(both.server.failed());
            ++refused;
            received += read_all(both.server, 10'000);
            continue;
        }
        left.remove_prefix(piece.size());
    }
    received += read_all(both.server);
    CHECK(refused >= 3 * 1024 * 1024 / (256 * 1024));
    CHECK(received == data);
}

TEST_CASE(
    "tls: bytes that are lent are read whatever the pieces, and given back with the last of them",
    "[rt][tls]") {
    connected both;
    std::mt19937 random(43);
    const std::string data = random_text(1024 * 1024 + 17, 44);
    REQUIRE(both.client.write(bytes_of(data)).has_value());
    const std::string wire = take_text(both.client);
    std::string received;
    std::string_view left = wire;
    while (!left.empty()) {
        std::string piece(left.substr(0, 1 + random() % 40'000));
        left.remove_prefix(piece.size());
        // Now and then it is kept, behind or before what is lent.
        const bool is_lent = random() % 4 != 0;
        REQUIRE((is_lent ? both.server.feed_in_place(bytes_of(piece))
                         : both.server.feed(bytes_of(piece))));
        if (is_lent && random() % 4 == 0) { REQUIRE(both.server.feed(bytes_of({}))); }
        received += read_all(both.server, 1 + random() % 20'000);
        std::ranges::fill(piece, '!');
    }
    CHECK(received == data);
}

TEST_CASE("tls: a changed, repeated, missing or swapped record is refused", "[rt][tls]") {
    const auto records_of = [](connected& both) {
        REQUIRE(both.client.write(bytes_of("first")).has_value());
        std::string first = take_text(both.client);
        REQUIRE(both.client.write(bytes_of("second")).has_value());
        return std::pair(std::move(first), take_text(both.client));
    };
    std::string buffer(100, '\0');
    const auto out = std::as_writable_bytes(std::span(buffer));

    SECTION("changed: what came before it is still given") {
        connected both;
        auto [first, second] = records_of(both);
        second.back() = static_cast<char>(second.back() ^ 1);
        REQUIRE_FALSE(feed_text(both.server, first + second));
        REQUIRE(both.server.read(out) == 5U);
        CHECK(both.server.read(out).error() == errc::bad_record);
        CHECK(both.server.feed(bytes_of("x")).error() == errc::bad_record);
        CHECK(both.server.has_output());  // The alert that tells the peer.
    }
    SECTION("repeated") {
        connected both;
        const auto [first, second] = records_of(both);
        REQUIRE_FALSE(feed_text(both.server, first + first));
        REQUIRE(both.server.read(out) == 5U);
        CHECK(both.server.read(out).error() == errc::bad_record);
    }
    SECTION("missing") {
        connected both;
        const auto [first, second] = records_of(both);
        REQUIRE_FALSE(feed_text(both.server, second));
        CHECK(both.server.read(out).error() == errc::bad_record);
    }
    SECTION("swapped") {
        connected both;
        const auto [first, second] = records_of(both);
        REQUIRE_FALSE(feed_text(both.server, second + first));
        CHECK(both.server.read(out).error() == errc::bad_record);
    }
    SECTION("the peer's own record sent back") {
        connected both;
        REQUIRE(both.server.write(bytes_of("mirror")).has_value());
        REQUIRE_FALSE(feed_text(both.server, take_text(both.server)));
        CHECK(both.server.read(out).error() == errc::bad_record);
    }
}

TEST_CASE("tls: an announced end is told from a cut connection", "[rt][tls]") {
    SECTION("announced") {
        connected both;
        REQUIRE(both.client.write(bytes_of("last words")).has_value());
        both.client.close_notify();
        CHECK(both.client.write(bytes_of("more")).error() == errc::closed);
        REQUIRE_FALSE(feed_text(both.server, take_text(both.client)));
        CHECK_FALSE(both.server.peer_closed());
        CHECK(read_all(both.server) == "last words");
        CHECK(both.server.peer_closed());
        CHECK(both.server.feed_end().has_value());
        // The other direction is still open.
        REQUIRE(both.server.write(bytes_of("good bye")).has_value());
        both.server.close_notify();
        REQUIRE_FALSE(feed_text(both.client, take_text(both.server)));
        CHECK(read_all(both.client) == "good bye");
        CHECK(both.client.feed_end().has_value());
    }
    SECTION("cut") {
        connected both;
        REQUIRE(both.client.write(bytes_of("last words")).has_value());
        REQUIRE_FALSE(feed_text(both.server, take_text(both.client)));
        CHECK(read_all(both.server) == "last words");
        CHECK(both.server.feed_end().error() == errc::truncated);
    }
}

TEST_CASE("tls: nothing is written or read before the handshake is done", "[rt][tls]") {
    const auto context = make_context();
    auto client = make_client(context);
    CHECK(client.write(bytes_of("x")).error() == errc::handshake_pending);
    std::string out(10, '\0');
    CHECK(client.read(std::as_writable_bytes(std::span(out))) == 0U);
    client.close_notify();
    CHECK_FALSE(client.failed());
}

TEST_CASE("tls: an engine outlives the context it was made by, and may be moved", "[rt][tls]") {
    auto client = make_client(make_context());
    auto server = make_server(make_context());
    auto moved = std::move(client);
    (void)shuttle(moved, server);
    CHECK(moved.handshake_done());
    CHECK(server.handshake_done());
}

TEST_CASE("tls: output is appended to a buffer that is used again", "[rt][tls]") {
    connected both;
    REQUIRE(both.client.write(bytes_of("one")).has_value());
    auto buffer = both.client.take_output();
    const std::size_t first = buffer.size();
    REQUIRE(both.client.write(bytes_of("two")).has_value());
    CHECK(both.client.output_size() == first);
    both.client.take_output(buffer);
    CHECK(buffer.size() == 2 * first);
    CHECK_FALSE(both.client.has_output());
    REQUIRE(both.server.feed(buffer.bytes()).has_value());
    CHECK(read_all(both.server) == "onetwo");
}
