#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <string_view>
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

TEST_CASE("buffer: shared bytes are kept, not copied, until it lets go of them", "[rt][buffer]") {
    auto text = std::make_shared<const std::string>("the bytes of many readers");
    const std::weak_ptr<const std::string> seen = text;
    auto first = buffer::of_shared(text, *text);
    auto part = buffer::of_shared(text, std::string_view(*text).substr(4, 5));
    CHECK(first.is_shared());
    CHECK(first.data() == reinterpret_cast<const std::byte*>(text->data()));
    CHECK(part.view() == "bytes");
    text.reset();
    buffer moved = std::move(first);
    CHECK_FALSE(first.is_shared());  // NOLINT: what a move leaves is told here.
    CHECK(moved.view() == "the bytes of many readers");
    moved.clear();
    CHECK_FALSE(moved.is_shared());
    CHECK(moved.capacity() == 0);
    CHECK_FALSE(seen.expired());
    part = buffer();
    CHECK(seen.expired());
}

TEST_CASE("buffer: nothing is written to shared bytes", "[rt][buffer]") {
    auto text = std::make_shared<std::string>("0123456789");
    auto bytes = buffer::of_shared(text, *text);
    CHECK(bytes.spare() == 0);
    bytes.truncate(8);
    CHECK(bytes.spare() == 0);
    bytes.consume(2);
    CHECK(bytes.view() == "234567");
    bytes.reserve(4);
    CHECK(bytes.spare() == 0);
    bytes.append("ab");
    CHECK(bytes.view() == "234567ab");
    CHECK_FALSE(bytes.is_shared());
    CHECK(*text == "0123456789");
    CHECK(text.use_count() == 1);
}

TEST_CASE("buffer: static bytes need no owner", "[rt][buffer]") {
    auto bytes = buffer::of_static("as long as the program");
    CHECK(bytes.is_shared());
    CHECK(bytes.view() == "as long as the program");
    bytes.append("!");
    CHECK(bytes.view() == "as long as the program!");
    CHECK(buffer::of_static("").empty());
    CHECK_FALSE(buffer::of_static("").is_shared());
}
