#include <heph/core/log.hpp>

#include <atomic>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <catch2/catch.hpp>

#include "core/probes.hpp"

namespace {

std::atomic<int> counted = 0;

void count(heph::log_level, std::string_view) noexcept { ++counted; }

}  // namespace

TEST_CASE("log: goes to the handler that is set, and to the one before when that is put back",
          "[core][log]") {
    const heph::test::captured_log log;
    heph::log(heph::log_level::info, "one");
    {
        const heph::log_handler before = heph::set_log_handler(&count);
        counted = 0;
        heph::log(heph::log_level::error, "two");
        CHECK(counted == 1);
        CHECK(heph::set_log_handler(before) == &count);
    }
    heph::log(heph::log_level::debug, "three");
    REQUIRE(log.lines().size() == 2);
    CHECK(log.lines()[0].second == "one");
    CHECK(log.lines()[1].first == heph::log_level::debug);
}

TEST_CASE("log: threads may log and change the handler at once", "[core][log]") {
    const heph::log_handler before = heph::set_log_handler(&count);
    counted = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 2; ++i) {
            threads.emplace_back([] {
                for (int line = 0; line < 1000; ++line) {
                    heph::log(heph::log_level::info, "line");
                    heph::set_log_handler(&count);
                }
            });
        }
    }
    CHECK(counted == 2000);
    heph::set_log_handler(before);
}

// The one test that logs without a handler: the program's logger is chosen at the first line.
TEST_CASE("log: without a handler, lines go to the program's logger of that name", "[core][log]") {
    auto text = std::make_shared<std::ostringstream>();
    const auto logger = std::make_shared<spdlog::logger>(
        "heph", std::make_shared<spdlog::sinks::ostream_sink_mt>(*text));
    logger->set_pattern("%l: %v");
    spdlog::register_logger(logger);
    const heph::log_handler before = heph::set_log_handler(nullptr);
    heph::log(heph::log_level::warning, "a {} that is no format");
    heph::log(heph::log_level::critical, "last");
    logger->flush();
    heph::set_log_handler(before);
    spdlog::drop("heph");
    CHECK(text->str() == "warning: a {} that is no format\ncritical: last\n");
    // The logger outlives the test in the library; so does what it writes to.
    static const auto kept = text;
}
