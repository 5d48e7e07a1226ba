// The bytes of every kind of value, as committed.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/remote/codec/codec.hpp>
#include <heph/remote/remote_ref.hpp>

#include "remote/golden.hpp"

namespace golden {

enum class colour : std::uint16_t { red = 1, green = 300 };

struct leaf {
    std::int32_t number = 0;
    std::string text;
    bool operator==(const leaf&) const = default;
};
HEPH_MESSAGE(leaf, "golden.leaf", 3, number, text)

struct empty {
    bool operator==(const empty&) const = default;
};
HEPH_MESSAGE(empty, "golden.empty", 1)

// As `leaf` was before it got its text.
struct older_leaf {
    std::int32_t number = 0;
    bool operator==(const older_leaf&) const = default;
};
HEPH_MESSAGE(older_leaf, "golden.leaf", 3, number)

}  // namespace golden

namespace {

using namespace heph::remote;
using heph::remote::testing::golden_lines;
using heph::remote::testing::hex_of;

std::vector<std::byte> some_bytes(std::size_t count) {
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i < count; ++i) { bytes.push_back(static_cast<std::byte>(i)); }
    return bytes;
}

// Checks one value both ways, and counts it.
class checker {
public:
    template <typename T>
    void operator()(const std::string& name, const T& value) {
        INFO(name);
        ++checked_;
        CHECK(hex_of(encode(value)) == lines_.text("value." + name));
        const auto read = decode<T>(lines_.bytes("value." + name));
        REQUIRE(read.has_value());
        CHECK(*read == value);
    }
    void is_complete() const {
        std::size_t lines = 0;
        for (const auto& [name, text] : lines_.all()) { lines += name.starts_with("value."); }
        CHECK(checked_ == lines);
    }

private:
    golden_lines lines_{1};
    std::size_t checked_ = 0;
};

}  // namespace

TEST_CASE("golden: every kind of value has the bytes that are committed, both ways",
          "[remote][golden]") {
    checker check;
    check("false", false);
    check("true", true);
    check("integer 0", 0);
    check("integer 127", 127);
    check("integer 128", 128);
    check("integer 255", 255);
    check("integer 256", 256);
    check("integer 65536", 65536);
    check("integer 2^32", std::uint64_t{1} << 32);
    check("integer 2^64-1", ~std::uint64_t{0});
    check("integer -1", -1);
    check("integer -32", -32);
    check("integer -33", -33);
    check("integer -129", -129);
    check("integer -32769", -32769);
    check("integer -2^63", std::numeric_limits<std::int64_t>::min());
    check("float", 1.5F);
    check("double", -2.25);
    check("enumeration", golden::colour::green);
    check("string empty", std::string());
    check("string 31", std::string(31, 'a'));
    check("string 32", std::string(32, 'a'));
    check("string 256", std::string(256, 'a'));
    check("bytes 3", some_bytes(3));
    check("bytes 256", some_bytes(256));
    check("list empty", std::vector<int>());
    check("list 3", std::vector<int>{1, -1, 1000});
    check("list 16", std::vector<int>(16, 7));
    check("optional none", std::optional<std::string>());
    check("optional some", std::optional<std::string>("x"));
    check("map", std::map<std::string, int>{{"a", 1}, {"b", 2}});
    check("variant", std::variant<golden::leaf, std::string>(golden::leaf{-5, "leaf"}));
    check("variant string", std::variant<golden::leaf, std::string>("text"));
    check("nothing", std::monostate());
    check("struct", golden::leaf{70'000, "struct"});
    check("struct empty", golden::empty());
    check.is_complete();
}

TEST_CASE("golden: a struct of a program that has one member fewer is read, both ways",
          "[remote][golden]") {
    const golden_lines lines(1);
    const auto older = decode<golden::older_leaf>(lines.bytes("value.struct"));
    REQUIRE(older.has_value());
    CHECK(older->number == 70'000);
    const auto newer = decode<golden::leaf>(encode(golden::older_leaf{4}));
    REQUIRE(newer.has_value());
    CHECK(*newer == golden::leaf{4, ""});
}

TEST_CASE("golden: types have the names that are committed", "[remote][golden]") {
    const golden_lines lines(1);
    const auto named = [&](const std::string& of, const std::string& name) {
        INFO(of);
        CHECK(hex_of(std::as_bytes(std::span(name))) == lines.text("name." + of));
    };
    named("bool", type_name<bool>());
    named("integer", type_name<std::int16_t>());
    named("enumeration", type_name<golden::colour>());
    named("float", type_name<double>());
    named("string", type_name<std::string>());
    named("bytes", type_name<std::vector<std::byte>>());
    named("nothing", type_name<void>());
    named("list", type_name<std::vector<int>>());
    named("optional", type_name<std::optional<std::string>>());
    named("map", type_name<std::map<std::string, golden::leaf>>());
    named("variant", type_name<std::variant<golden::leaf, int>>());
    named("struct", type_name<golden::leaf>());
}

TEST_CASE("golden: a reference has the bytes that are committed, both ways", "[remote][golden]") {
    const golden_lines lines(2);
    const detail::reference_form form{"a", "192.0.2.1:9001", "counter", {1, 2}, 7, {"add@1"}};
    CHECK(hex_of(encode(form)) == lines.text("reference"));
    const auto read = decode<detail::reference_form>(lines.bytes("reference"));
    REQUIRE(read.has_value());
    CHECK(read->node == "a");
    CHECK(read->number == 7);
    CHECK(read->types == std::vector<std::string>{"add@1"});
}
