#include <string>

#include <catch2/catch.hpp>

#include <heph/http/form.hpp>

namespace http = heph::http;

namespace {

std::string fields(std::string_view text) {
    const auto form = http::form::parse(text);
    REQUIRE(form.has_value());
    std::string out;
    for (const auto& [name, value] : *form) { out += "[" + name + "|" + value + "]"; }
    return out;
}

}  // namespace

TEST_CASE("form: fields are decoded and keep their order", "[http][form]") {
    CHECK(fields("a=1&b=2&a=3") == "[a|1][b|2][a|3]");
    CHECK(fields("a+b=c+d") == "[a b|c d]");
    CHECK(fields("%61=%C3%A4%26") == "[a|\xc3\xa4&]");
    CHECK(fields("a=b=c") == "[a|b=c]");
    CHECK(fields("a&b=&=c") == "[a|][b|][|c]");
    CHECK(fields("&&a=1&&") == "[a|1]");
    CHECK(fields("") == "");
    CHECK(fields("a=%") == "[a|%]");
    CHECK(fields("a=%4&b=%zz") == "[a|%4][b|%zz]");
    CHECK(fields("a=%00b") == std::string("[a|\0b]", 6));
}

TEST_CASE("form: values are found by name", "[http][form]") {
    const auto form = http::form::parse("a=1&b=2&a=3");
    REQUIRE(form);
    CHECK(form->size() == 3);
    CHECK(form->get("a") == "1");
    CHECK_FALSE(form->get("A").has_value());
    CHECK(form->get_all("a") == std::vector<std::string_view>{"1", "3"});
    CHECK(form->get_all("c").empty());
    CHECK(form->contains("b"));
}

TEST_CASE("form: what is written reads back as itself", "[http][form]") {
    http::form form;
    std::string bytes;
    for (int byte = 0; byte < 256; ++byte) { bytes.push_back(static_cast<char>(byte)); }
    form.append("a b", "1&2=3+4").append("", "").append(bytes, bytes);
    CHECK(form.to_string().starts_with("a+b=1%262%3D3%2B4&=&"));
    const auto again = http::form::parse(form.to_string());
    REQUIRE(again);
    REQUIRE(again->size() == 3);
    CHECK(again->get("a b") == "1&2=3+4");
    CHECK(again->get(bytes) == bytes);
}

TEST_CASE("form: too many fields are refused before they are kept", "[http][form]") {
    CHECK(http::form::parse("a&b&c", 3).has_value());
    const auto refused = http::form::parse("a&b&c&d", 3);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == http::error::too_many_fields);
    CHECK(http::status_of(refused.error()) == http::status::content_too_large);
    CHECK_FALSE(http::should_close(refused.error()));
}
