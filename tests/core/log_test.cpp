#include <heph/core/log.hpp>

#include <atomic>
#include <cstdint>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <catch2/catch.hpp>
#include <heph/core/failure.hpp>
#include <heph/core/supervisor.hpp>

#include "core/probes.hpp"

namespace {

std::atomic<int> counted = 0;

void count(heph::log_level, std::string_view) noexcept { ++counted; }

struct kept_record {
    heph::log_level level;
    std::string message;
    std::string actor;
    std::uint64_t id;
};
std::vector<kept_record> kept;

void keep(const heph::log_record& record) noexcept {
    kept.push_back({record.level(), std::string(record.message()),
                    std::string(record.actor().name()), record.actor().id()});
}

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

TEST_CASE("log: a handler of records gets the actor's name and id apart from the message",
          "[core][log]") {
    const heph::log_handler before = heph::set_log_handler(&keep);
    kept.clear();
    const heph::logger log("counter", 31);
    log.debug("a");
    log.info("b");
    log.warning("c");
    log.error("d");
    log.critical("e");
    heph::log(heph::log_level::info, "about nobody");
    heph::log(heph::log_level::error, "by name", heph::log_actor("other"));
    heph::set_log_handler(before);
    REQUIRE(kept.size() == 7);
    constexpr heph::log_level levels[] = {heph::log_level::debug, heph::log_level::info,
                                          heph::log_level::warning, heph::log_level::error,
                                          heph::log_level::critical};
    for (std::size_t i = 0; i < std::size(levels); ++i) {
        CHECK(kept[i].level == levels[i]);
        CHECK(kept[i].message == std::string(1, static_cast<char>('a' + i)));
        CHECK(kept[i].actor == "counter");
        CHECK(kept[i].id == 31);
    }
    CHECK(kept[5].actor.empty());
    CHECK(kept[5].id == 0);
    CHECK(kept[6].actor == "other");
}

TEST_CASE("log: a handler takes every level", "[core][log]") {
    const heph::log_handler before = heph::set_log_handler(&count);
    CHECK(heph::log_enabled(heph::log_level::debug));
    CHECK(heph::log_enabled(heph::log_level::critical));
    heph::set_log_handler(before);
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
    heph::log(heph::log_level::error, "failed", heph::log_actor("counter", 31));
    heph::log(heph::log_level::error, "by name", heph::log_actor("counter"));
    heph::stop_supervisor::decide(
        heph::failure(std::string_view("broken"), "counter", heph::failure_stage::running, 31));
    CHECK(heph::log_enabled(heph::log_level::info));
    CHECK_FALSE(heph::log_enabled(heph::log_level::debug));
    heph::log(heph::log_level::debug, "not written");
    logger->flush();
    heph::set_log_handler(before);
    spdlog::drop("heph");
    CHECK(text->str() ==
          "warning: a {} that is no format\ncritical: last\n"
          "error: failed actor=counter id=1f\nerror: by name actor=counter\n"
          "warning: actor counter failed: broken; stopping it id=1f\n");
    // The logger outlives the test in the library; so does what it writes to.
    static const auto outliving = text;
}
