#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/range.hpp>

namespace http = heph::http;

namespace {

/// Writes what a `Range` comes to, for one of 100 bytes unless given.
std::string ranges(std::string_view value, std::uint64_t size = 100, std::size_t max = 16) {
    const auto parts = http::parse_ranges(value, size, max);
    if (!parts) { return parts.error() == http::range_error::ignored ? "ignored" : "416"; }
    std::string text;
    for (const http::byte_range& part : *parts) {
        if (!text.empty()) { text += ' '; }
        text += std::to_string(part.first) + "-" + std::to_string(part.last);
    }
    return text;
}

}  // namespace

TEST_CASE("range: first and last bytes are taken within the representation", "[http][range]") {
    CHECK(ranges("bytes=0-9") == "0-9");
    CHECK(ranges("bytes=0-0") == "0-0");
    CHECK(ranges("bytes=99-99") == "99-99");
    CHECK(ranges("bytes=90-") == "90-99");
    CHECK(ranges("bytes=90-1000") == "90-99");
    CHECK(ranges("bytes=-10") == "90-99");
    CHECK(ranges("bytes=-1000") == "0-99");
    CHECK(ranges("BYTES=0-9") == "0-9");
    CHECK(ranges("bytes=0-18446744073709551616") == "0-99");
    CHECK(ranges("bytes=-99999999999999999999999") == "0-99");
}

TEST_CASE("range: several stay in the order asked for", "[http][range]") {
    CHECK(ranges("bytes=50-59,0-9") == "50-59 0-9");
    CHECK(ranges("bytes=0-9 , 20-29\t,,-5") == "0-9 20-29 95-99");
    CHECK(ranges("bytes=0-9,200-300") == "0-9");  // What is beyond the end is left out.
}

TEST_CASE("range: those that overlap or touch are put in order and joined", "[http][range]") {
    CHECK(ranges("bytes=50-59,0-9,5-20") == "0-20 50-59");
    CHECK(ranges("bytes=10-19,0-9") == "0-19");
    CHECK(ranges("bytes=0-,0-,0-,0-,0-") == "0-99");
    CHECK(ranges("bytes=0-50,-60") == "0-99");
    CHECK(ranges("bytes=0-99,10-20") == "0-99");
}

TEST_CASE("range: all beyond the end is not satisfiable", "[http][range]") {
    CHECK(ranges("bytes=100-") == "416");
    CHECK(ranges("bytes=100-200,300-") == "416");
    CHECK(ranges("bytes=-0") == "416");
    CHECK(ranges("bytes=99999999999999999999-") == "416");
    CHECK(ranges("bytes=0-", 0) == "416");
    CHECK(ranges("bytes=-0", 0) == "416");
}

TEST_CASE("range: the last bytes of what is empty are all of it", "[http][range]") {
    // These were answered with 416, which is for what begins beyond the end (RFC 9110, 15.5.17).
    CHECK(ranges("bytes=-5", 0) == "ignored");
    CHECK(ranges("bytes=0-,-1", 0) == "ignored");
}

TEST_CASE("range: another unit, nonsense and too many are ignored", "[http][range]") {
    for (const char* value :
         {"", "bytes", "bytes=", "bytes=,", "lines=0-9", "bytes 0-9", "bytes=a-b", "bytes=9-0",
          "bytes=-", "bytes=1", "bytes=0-9,x", "bytes=--5", "bytes=0 - 9", "bytes=+1-2",
          "bytes=0x1-2", "bytes=1-2-3", "bytes=1.5-2", "bytes= "}) {
        CAPTURE(value);
        CHECK(ranges(value) == "ignored");
    }
    CHECK(ranges("bytes=0-1,4-5,8-9", 100, 3) == "0-1 4-5 8-9");
    CHECK(ranges("bytes=0-1,4-5,8-9", 100, 2) == "ignored");
    // Those beyond the end count, too: they took work.
    CHECK(ranges("bytes=0-1,200-,300-", 100, 2) == "ignored");
}

TEST_CASE("range: Content-Range says which part of how much", "[http][range]") {
    CHECK(http::content_range(http::byte_range{0, 9}, 100) == "bytes 0-9/100");
    CHECK(http::unsatisfied_range(100) == "bytes */100");
}
