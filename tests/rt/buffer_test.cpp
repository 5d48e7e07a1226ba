#include <catch2/catch.hpp>

#include <string>
#include <utility>

#include <heph/rt/buffer.hpp>

using heph::rt::buffer;

TEST_CASE("buffer: append grows and keeps the bytes", "[rt][buffer]") {
    buffer bytes;
    std::string expected;
    for (int i = 0; i < 1000; ++i) {
        const std::string piece = std::to_string(i);
        bytes.append(piece);
        expected += piece;
    }
    CHECK(bytes.view() == expected);
    CHECK(bytes.capacity() >= bytes.size());
}

TEST_CASE("buffer: commit makes written spare room part of the bytes", "[rt][buffer]") {
    auto bytes = buffer::with_capacity(8);
    REQUIRE(bytes.spare() == 8);
    bytes.spare_bytes()[0] = std::byte{'x'};
    bytes.commit(1);
    CHECK(bytes.view() == "x");
    CHECK(bytes.spare() == 7);
}

TEST_CASE("buffer: consume removes from the front", "[rt][buffer]") {
    auto bytes = buffer::copy_of("hello world");
    bytes.consume(6);
    CHECK(bytes.view() == "world");
    bytes.consume(5);
    CHECK(bytes.empty());
    CHECK(bytes.capacity() >= 11);
}

TEST_CASE("buffer: a moved-from buffer is empty and usable", "[rt][buffer]") {
    auto first = buffer::copy_of("abc");
    buffer second = std::move(first);
    CHECK(second.view() == "abc");
    CHECK(first.empty());  // NOLINT(bugprone-use-after-move): what the test is about.
    CHECK(first.capacity() == 0);
    first.append("again");
    CHECK(first.view() == "again");
}
