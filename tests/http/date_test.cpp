#include <chrono>
#include <string>

#include <catch2/catch.hpp>

#include <heph/http/date.hpp>

namespace http = heph::http;
using namespace std::chrono_literals;

namespace {

constexpr std::chrono::sys_seconds example =
    std::chrono::sys_days(std::chrono::year(1994) / std::chrono::November / 6) + 8h + 49min + 37s;
constexpr std::chrono::sys_seconds in_2026 =
    std::chrono::sys_days(std::chrono::year(2026) / std::chrono::November / 25) + 12h;

int year_of(const char* text) {
    const auto time = http::parse_date(text, in_2026);
    if (!time) { return 0; }
    return static_cast<int>(
        std::chrono::year_month_day(std::chrono::floor<std::chrono::days>(*time)).year());
}

}  // namespace

TEST_CASE("date: the three forms of RFC 9110 give the same time", "[http][date]") {
    CHECK(http::parse_date("Sun, 06 Nov 1994 08:49:37 GMT", in_2026) == example);
    CHECK(http::parse_date("Sunday, 06-Nov-94 08:49:37 GMT", in_2026) == example);
    CHECK(http::parse_date("Sun Nov  6 08:49:37 1994", in_2026) == example);
    CHECK(http::parse_date("Sun Nov 16 08:49:37 1994", in_2026) == example + 240h);
    CHECK(http::parse_date("Sun, 06 Nov 1994 08:49:37 GMT") == example);
}

TEST_CASE("date: what is written reads back as itself", "[http][date]") {
    for (const auto time :
         {std::chrono::sys_seconds(0s), example, in_2026, std::chrono::sys_seconds(-1s),
          std::chrono::sys_seconds(std::chrono::sys_days(std::chrono::year(2024) / 2 / 29))}) {
        const auto text = http::format_date(time);
        CHECK(http::parse_date(std::string(text.data(), text.size()), in_2026) == time);
    }
}

TEST_CASE("date: a year of two digits is at most fifty years ahead", "[http][date]") {
    CHECK(year_of("Sunday, 06-Nov-94 08:49:37 GMT") == 1994);
    CHECK(year_of("Sunday, 06-Nov-26 08:49:37 GMT") == 2026);
    CHECK(year_of("Sunday, 06-Nov-70 08:49:37 GMT") == 2070);
    CHECK(year_of("Sunday, 06-Nov-76 08:49:37 GMT") == 2076);  // Just under fifty years.
    CHECK(year_of("Sunday, 31-Dec-76 08:49:37 GMT") == 1976);  // Just over.
    CHECK(year_of("Sunday, 06-Nov-77 08:49:37 GMT") == 1977);
    CHECK(year_of("Sunday, 06-Nov-00 08:49:37 GMT") == 2000);
}

TEST_CASE("date: what is no date is refused", "[http][date]") {
    for (const char* text : {"",
                             "Sun",
                             "Sun,",
                             "Sun, 06 Nov 1994 08:49:37",
                             "Sun, 06 Nov 1994 08:49:37 GMT ",
                             "Sun, 06 Nov 1994 08:49:37 UTC",
                             "sun, 06 nov 1994 08:49:37 GMT",
                             "Sun, 6 Nov 1994 08:49:37 GMT",
                             "Sun, 31 Feb 1994 08:49:37 GMT",
                             "Sun, 00 Nov 1994 08:49:37 GMT",
                             "Sun, 06 Nov 1994 24:49:37 GMT",
                             "Sun, 06 Nov 1994 08:60:37 GMT",
                             "Sun, 06 Nov 1994 08:49:61 GMT",
                             "Sun, 06 Nov 1994 -8:49:37 GMT",
                             "Sun, 06 Nov 1994 08.49.37 GMT",
                             "Xyz, 06 Nov 1994 08:49:37 GMT",
                             "Sun, 06 Xyz 1994 08:49:37 GMT",
                             "Sunday, 06-Nov-1994 08:49:37 GMT",
                             "Someday, 06-Nov-94 08:49:37 GMT",
                             "Sun Nov 6 08:49:37 1994",
                             "Sun Nov  6 08:49:37 94",
                             "1994-11-06T08:49:37Z",
                             "784111777"}) {
        CAPTURE(text);
        CHECK_FALSE(http::parse_date(text, in_2026).has_value());
    }
    CHECK(http::parse_date("Sun, 06 Nov 1994 08:49:60 GMT", in_2026) == example + 23s);
}
