#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/content_decoder.hpp>

#include "brotli_writer.hpp"
#include "compressed.hpp"

namespace http = heph::http;
namespace h1 = heph::http::h1;
using http::error;
using http::test::brotli;
using http::test::compress;
using http::test::gzip;

namespace {

http::headers encoded_as(std::string_view codings) {
    http::headers fields;
    fields.append("content-encoding", codings);
    return fields;
}

/// Feeds a decoder and keeps what it gives.
class reader {
public:
    explicit reader(const http::headers& fields, http::decoding_limits limits = {})
        : decoder_(fields, limits) {}

    void feed(std::string_view bytes) {
        for (;;) {
            const h1::event event = decoder_.next(bytes);
            if (event.kind == h1::event_kind::need_input) {
                CHECK(bytes.empty());
                return;
            }
            if (event.kind == h1::event_kind::error) { return note(event); }
            REQUIRE(event.kind == h1::event_kind::body);
            REQUIRE(!event.data.empty());
            largest = std::max(largest, event.data.size());
            text += event.data;
        }
    }
    void end() { note(decoder_.end_of_input()); }

    /// What was given, or what is wrong.
    [[nodiscard]] std::string outcome() const { return ended ? text : failure; }
    [[nodiscard]] http::content_decoder& decoder() noexcept { return decoder_; }

    std::string text;
    std::string failure = "no end";
    std::size_t largest = 0;
    bool ended = false;

private:
    void note(const h1::event& event) {
        ended = event.kind == h1::event_kind::end;
        if (event.kind == h1::event_kind::error) { failure = message(event.failure); }
    }

    http::content_decoder decoder_;
};

std::string decode(std::string_view codings, std::string_view bytes,
                   http::decoding_limits limits = {}) {
    reader read(encoded_as(codings), limits);
    read.feed(bytes);
    read.end();
    return read.outcome();
}

std::string text_of(error value) { return std::string(message(value)); }

/// Text that compresses somewhat, like text does.
std::string some_text(std::size_t size) {
    std::minstd_rand random(size == 0 ? 1 : static_cast<unsigned>(size));
    std::string text;
    while (text.size() < size) {
        text += "line " + std::to_string(random() % 1000) + (random() % 7 == 0 ? "\n" : ", ");
    }
    text.resize(size);
    return text;
}

}  // namespace

TEST_CASE("content decoder: each coding, and each list of two, gives the content back",
          "[http][content_decoder]") {
    const std::string text = some_text(100'000);
    const std::string wrapped = compress(text, http::test::zlib_wrapped);
    const std::string bare = compress(text, http::test::unwrapped);
    CHECK(decode("gzip", gzip(text)) == text);
    CHECK(decode("x-GZip", gzip(text)) == text);
    CHECK(decode("deflate", wrapped) == text);
    CHECK(decode("deflate", bare) == text);
    CHECK(decode("br", brotli(text)) == text);
    CHECK(decode("BR", brotli(text, 10, 11)) == text);
    CHECK(decode("gzip, br", brotli(gzip(text))) == text);
    CHECK(decode("br, gzip", gzip(brotli(text))) == text);
    CHECK(decode("identity", text) == text);
    CHECK(decode("", text) == text);
    CHECK(decode(" , identity, gzip ,", gzip(text)) == text);
    CHECK(decode("deflate, gzip", gzip(wrapped)) == text);
    CHECK(decode("gzip,deflate", compress(gzip(text), http::test::unwrapped)) == text);
    CHECK(decode("gzip, gzip", gzip(gzip(text))) == text);
}

TEST_CASE("content decoder: codings count from all lines, and none are none",
          "[http][content_decoder]") {
    http::headers fields;
    fields.append("Content-Encoding", "deflate");
    fields.append("Content-Type", "text/plain");
    fields.append("CONTENT-ENCODING", "gzip");
    reader read(fields);
    CHECK_FALSE(read.decoder().is_identity());
    read.feed(gzip(compress("hello", http::test::zlib_wrapped)));
    read.end();
    CHECK(read.outcome() == "hello");

    reader plain{http::headers()};
    CHECK(plain.decoder().is_identity());
    plain.feed("as it is");
    plain.end();
    CHECK(plain.outcome() == "as it is");
}

TEST_CASE("content decoder: how the bytes are cut changes nothing", "[http][content_decoder]") {
    const std::string text = some_text(300);
    const std::vector<std::pair<std::string, std::string>> cases{
        {"gzip", gzip(text) + gzip("") + gzip(text)},
        {"deflate", compress(text, http::test::zlib_wrapped)},
        {"deflate", compress(text, http::test::unwrapped)},
        {"deflate", compress("", http::test::unwrapped)},
        {"gzip, deflate", compress(gzip(text), http::test::zlib_wrapped)},
        {"br", brotli(text)},
        {"br", brotli("")},
        {"br", brotli(text) + "x"},
        {"gzip", gzip(text) + "x"},
        {"gzip", gzip(text).replace(100, 3, "abc")},
    };
    for (const auto& [codings, bytes] : cases) {
        const std::string whole = decode(codings, bytes);
        for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
            reader read(encoded_as(codings));
            read.feed(std::string_view(bytes).substr(0, cut));
            read.feed(std::string_view(bytes).substr(cut));
            read.end();
            REQUIRE(read.outcome() == whole);
        }
        reader bytewise(encoded_as(codings));
        for (const char c : bytes) { bytewise.feed({&c, 1}); }
        bytewise.end();
        CHECK(bytewise.outcome() == whole);
    }
}

TEST_CASE("content decoder: members of gzip follow one another, and bring their own headers",
          "[http][content_decoder]") {
    std::string name = "a name";
    std::string comment = "a comment";
    std::string extra = "extra";
    gz_header header{};
    header.name = reinterpret_cast<Bytef*>(name.data());
    header.comment = reinterpret_cast<Bytef*>(comment.data());
    header.extra = reinterpret_cast<Bytef*>(extra.data());
    header.extra_len = static_cast<uInt>(extra.size());
    header.hcrc = 1;
    const std::string dressed = compress("two ", http::test::gzip_wrapped, &header);
    CHECK(decode("gzip", gzip("one ") + dressed + gzip("") + gzip("three")) == "one two three");
}

TEST_CASE("content decoder: an empty body is empty content, but no content is some bytes",
          "[http][content_decoder]") {
    for (const char* codings : {"gzip", "deflate", "br", "gzip, deflate", "identity"}) {
        CHECK(decode(codings, "").empty());
    }
    CHECK(decode("gzip", gzip("")).empty());
    // The outer coding is there, and within it nothing.
    CHECK(decode("gzip, deflate", compress("", http::test::zlib_wrapped)) ==
          text_of(error::bad_content_encoding));
}

TEST_CASE("content decoder: data that is cut off is an error wherever that is",
          "[http][content_decoder]") {
    const std::string text = some_text(200);
    for (const auto how :
         {http::test::gzip_wrapped, http::test::zlib_wrapped, http::test::unwrapped}) {
        const std::string all = compress(text, how);
        for (std::size_t size = 1; size < all.size(); ++size) {
            REQUIRE(decode(how == http::test::gzip_wrapped ? "gzip" : "deflate",
                           std::string_view(all).substr(0, size)) ==
                    text_of(error::bad_content_encoding));
        }
    }
    const std::string all = brotli(text);
    for (std::size_t size = 1; size < all.size(); ++size) {
        REQUIRE(decode("br", std::string_view(all).substr(0, size)) ==
                text_of(error::bad_content_encoding));
    }
}

TEST_CASE("content decoder: a wrong checksum, length, or byte is an error",
          "[http][content_decoder]") {
    const std::string text = some_text(2000);
    const std::string good = gzip(text);
    const auto broken_at = [&good](std::size_t at) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 1);  // The others of the last byte mean nothing.
        return decode("gzip", bad);
    };
    // Bytes 4 to 9 are a date and where it comes from: nobody checks them.
    for (std::size_t at : {0U, 1U, 2U}) { CHECK(broken_at(at) != text); }
    for (std::size_t at = 10; at < good.size(); ++at) {
        REQUIRE(broken_at(at) == text_of(error::bad_content_encoding));
    }
    std::string wrapped = compress(text, http::test::zlib_wrapped);
    wrapped.back() = static_cast<char>(wrapped.back() ^ 1);
    CHECK(decode("deflate", wrapped) == text_of(error::bad_content_encoding));
}

TEST_CASE("content decoder: what is no compressed data, or more than it, is an error",
          "[http][content_decoder]") {
    const std::string bad = text_of(error::bad_content_encoding);
    CHECK(decode("gzip", "plain text") == bad);
    CHECK(decode("gzip", "\x1f") == bad);
    CHECK(decode("gzip", compress("zlib", http::test::zlib_wrapped)) == bad);
    CHECK(decode("deflate", gzip("gzip")) == bad);
    CHECK(decode("deflate", "\xff\xff\xff") == bad);
    CHECK(decode("gzip", gzip("x") + "garbage") == bad);
    CHECK(decode("gzip", gzip("x") + std::string(1, '\0')) == bad);
    CHECK(decode("deflate", compress("x", http::test::zlib_wrapped) + "y") == bad);
    CHECK(decode("deflate", compress("x", http::test::unwrapped) + "y") == bad);
    // A dictionary is nothing that HTTP could agree on.
    CHECK(decode("deflate", compress("some text", http::test::zlib_wrapped, nullptr, "text")) ==
          bad);
    CHECK(decode("gzip, gzip", gzip("once")) == bad);
    CHECK(decode("br", gzip("x")) == bad);
    CHECK(decode("br", "\x11 a window that RFC 7932 does not define") == bad);
    CHECK(decode("br", brotli("x") + "y") == bad);
}

TEST_CASE("content decoder: what comes before a mistake is given, and the mistake each time",
          "[http][content_decoder]") {
    reader read(encoded_as("gzip"));
    read.feed(gzip("good") + "bad");
    CHECK(read.text == "good");
    CHECK(read.failure == text_of(error::bad_content_encoding));
    CHECK_FALSE(read.decoder().is_good());
    read.failure.clear();
    read.feed(gzip("more"));
    CHECK(read.text == "good");
    CHECK(read.failure == text_of(error::bad_content_encoding));
    read.end();
    CHECK_FALSE(read.ended);
}

TEST_CASE("content decoder: a coding that is not known is told before anything is decoded",
          "[http][content_decoder]") {
    const std::string unknown = text_of(error::unknown_content_encoding);
    for (const char* codings : {"brotli", "gzip;q=1", "gzip deflate", "aws-chunked, gzip",
                                "\"gzip\"", "zstd", "gzip, gzip, gzip"}) {
        reader read(encoded_as(codings));
        CHECK_FALSE(read.decoder().is_good());
        CHECK_FALSE(read.decoder().is_identity());
        read.feed(gzip("text"));
        CHECK(read.text.empty());
        CHECK(read.failure == unknown);
    }
    http::decoding_limits limits;
    limits.codings_max = 3;
    CHECK(decode("gzip, gzip, gzip", gzip(gzip(gzip("deep"))), limits) == "deep");
    limits.codings_max = 0;
    CHECK(decode("gzip", gzip("deep"), limits) == unknown);
    CHECK(decode("identity", "text", limits) == "text");
}

TEST_CASE("content decoder: content that is too large for its bytes is a bomb",
          "[http][content_decoder]") {
    const std::string bomb = gzip(std::string(32 * 1024 * 1024, '\0'));
    http::decoding_limits limits;
    SECTION("it goes off behind what is free") {
        reader read(encoded_as("gzip"), limits);
        read.feed(bomb);
        CHECK(read.failure == text_of(error::decompression_bomb));
        CHECK(read.text.size() <= std::max(limits.ratio_free_bytes, 200 * bomb.size()));
        CHECK(read.largest <= 16 * 1024);
    }
    SECTION("within another coding as well, though that one stays small") {
        const std::string twice = gzip(bomb);
        reader read(encoded_as("gzip, gzip"), limits);
        read.feed(twice);
        CHECK(read.failure == text_of(error::decompression_bomb));
        CHECK(read.text.size() <= std::max(limits.ratio_free_bytes, 200 * twice.size()));
    }
    SECTION("what is free is free, and a higher ratio lets it pass") {
        CHECK(decode("gzip", gzip(std::string(1024 * 1024, '\0'))).size() == 1024 * 1024);
        limits.ratio_max = 1100;
        CHECK(decode("gzip", bomb, limits).size() == 32 * 1024 * 1024);
    }
    SECTION("a ratio of nothing is one") {
        limits.ratio_max = 0;
        limits.ratio_free_bytes = 0;
        CHECK(decode("gzip", gzip(some_text(1000)), limits) == text_of(error::decompression_bomb));
        CHECK(decode("gzip", gzip("x"), limits) == "x");
    }
}

TEST_CASE("content decoder: Brotli is limited as the others are, and in its window",
          "[http][content_decoder]") {
    const std::string bomb = brotli(std::string(32 * 1024 * 1024, '\0'), 24);
    REQUIRE(bomb.size() < 1000);
    reader read(encoded_as("br"));
    read.feed(bomb);
    CHECK(read.failure == text_of(error::decompression_bomb));
    CHECK(read.text.size() <= http::decoding_limits().ratio_free_bytes);
    CHECK(read.largest <= 16 * 1024);
    http::decoding_limits limits;
    const std::string text = some_text(50'000);
    limits.bytes_max = text.size() - 1;
    CHECK(decode("br", brotli(text), limits) == text_of(error::body_too_large));
    limits.bytes_max = text.size();
    CHECK(decode("br", brotli(text), limits) == text);
    // The first byte says how large a window is wanted (RFC 7932, 9.1).
    for (const auto& [first, bits] : {std::pair{0x21, 10},
                                      {0x31, 11},
                                      {0x71, 15},
                                      {0x70, 16},
                                      {0x01, 17},
                                      {0x83, 18},
                                      {0x8b, 22},
                                      {0x8f, 24}}) {
        CAPTURE(first);
        const std::string byte(1, static_cast<char>(first));
        limits.window_bytes_max = std::size_t{1} << static_cast<unsigned>(bits);
        reader fits(encoded_as("br"), limits);
        fits.feed(byte);
        CHECK(fits.decoder().is_good());
        --limits.window_bytes_max;
        reader refused(encoded_as("br"), limits);
        refused.feed(byte);
        CHECK(refused.failure == text_of(error::decompression_bomb));
    }
}

TEST_CASE("content decoder: content has a limit of its own", "[http][content_decoder]") {
    const std::string text = some_text(50'000);
    http::decoding_limits limits;
    limits.bytes_max = text.size();
    CHECK(decode("gzip", gzip(text), limits) == text);
    CHECK(decode("identity", text, limits) == text);
    limits.bytes_max = text.size() - 1;
    CHECK(decode("gzip", gzip(text), limits) == text_of(error::body_too_large));
    CHECK(decode("identity", text, limits) == text_of(error::body_too_large));
    // What lies between two codings counts for itself.
    CHECK(decode("gzip, gzip", gzip(gzip(text)), limits) == text_of(error::body_too_large));
}

TEST_CASE("content decoder: it can be moved while it decodes", "[http][content_decoder]") {
    const std::string text = some_text(100'000);
    const std::string all = gzip(text);
    http::content_decoder first(encoded_as("gzip"));
    std::string_view input(all);
    std::string got(first.next(input).data);
    http::content_decoder second(std::move(first));
    for (;;) {
        const h1::event event = second.next(input);
        if (event.kind != h1::event_kind::body) { break; }
        got += event.data;
    }
    CHECK(second.end_of_input().kind == h1::event_kind::end);
    CHECK(got == text);
}

TEST_CASE("brotli writer: all of a piece can be read before the next one comes",
          "[http][content_decoder]") {
    // Of 6 bits a byte, so that blocks fill up before the piece ends.
    std::mt19937 random(1);
    for (const std::size_t size : {std::size_t{1}, std::size_t{1000}, std::size_t{200'000}}) {
        for (const int quality : {0, 4}) {
            CAPTURE(size, quality);
            std::string piece(size, '\0');
            for (char& c : piece) { c = static_cast<char>('0' + random() % 64); }
            http::detail::brotli_writer writer(quality);
            reader reads(encoded_as("br"));
            for (int round = 1; round <= 2; ++round) {
                std::string made;
                writer.add(piece, made);
                reads.feed(made);
                CHECK(reads.text.size() == piece.size() * static_cast<std::size_t>(round));
            }
            CHECK(reads.text == piece + piece);
        }
    }
}
