#include <heph/core/match.hpp>

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include <catch2/catch.hpp>

using heph::match;

TEST_CASE("match: calls the function for what the variant holds", "[core][match]") {
    std::variant<int, std::string, double> held = "text";
    const auto describe = [](const auto& variant) {
        return match(
            variant, [](int number) { return "int " + std::to_string(number); },
            [](const std::string& text) { return "string " + text; },
            [](const auto&) { return std::string("something else"); });
    };
    CHECK(describe(held) == "string text");
    held = 4;
    CHECK(describe(held) == "int 4");
    held = 1.5;
    CHECK(describe(held) == "something else");
}

TEST_CASE("match: lets the function change what is held, and gives references on",
          "[core][match]") {
    std::variant<int, std::string> held = 4;
    int& number = match(
        held, [](int& it) -> int& { return ++it; },
        [](std::string&) -> int& { throw std::string("wrong alternative"); });
    number = 9;
    CHECK(std::get<int>(held) == 9);
}

TEST_CASE("match: moves out of a variant that is given up", "[core][match]") {
    std::variant<int, std::unique_ptr<int>> held = std::make_unique<int>(6);
    const auto taken = match(
        std::move(held), [](int) { return std::unique_ptr<int>(); },
        [](std::unique_ptr<int>&& it) { return std::move(it); });
    REQUIRE(taken);
    CHECK(*taken == 6);
}

TEST_CASE("match: takes functions with captures that can only be moved", "[core][match]") {
    const std::variant<int, bool> held = true;
    const int got = match(
        held, [](int) { return 0; }, [kept = std::make_unique<int>(5)](bool) { return *kept; });
    CHECK(got == 5);
}
