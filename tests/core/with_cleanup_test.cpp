#include <heph/core/with_cleanup.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::task;
using heph::with_cleanup;
using heph::test::poll_loop;
using heph::test::probe;

namespace {

using events = std::vector<std::string>;

// Says "gone" when it goes, so that the order of ends is seen.
class marker {
public:
    marker(events* to, std::string what) : to_(to), what_(std::move(what)) {}
    marker(marker&& other) noexcept
        : to_(std::exchange(other.to_, nullptr)), what_(std::move(other.what_)) {}
    marker& operator=(marker&&) = delete;
    ~marker() {
        if (to_ != nullptr) { to_->push_back(what_); }
    }

private:
    events* to_;
    std::string what_;
};

task<int> body(events* to, bool fails, int yields = 2) {
    const marker local(to, "body gone");
    to->push_back("body begins");
    for (int i = 0; i < yields; ++i) { co_await heph::yield(); }
    if (fails) { throw std::runtime_error("the body failed"); }
    to->push_back("body ends");
    co_return 7;
}

task<> cleanup(events* to, bool fails = false, int yields = 2) {
    const marker local(to, "cleanup gone");
    to->push_back("cleanup begins");
    for (int i = 0; i < yields; ++i) { co_await heph::yield(); }
    if (fails) { throw std::runtime_error("the cleanup failed"); }
    to->push_back("cleanup ends");
}

}  // namespace

TEST_CASE(
    "with_cleanup: the cleanup runs after the body, which is gone by then, and the value is "
    "given",
    "[core][cleanup]") {
    events seen;
    CHECK(heph::block_on(with_cleanup(body(&seen, false), cleanup(&seen))) == 7);
    CHECK(seen == events{"body begins", "body ends", "body gone", "cleanup begins", "cleanup ends",
                         "cleanup gone"});
    seen.clear();
    heph::block_on(with_cleanup(heph::yield(), cleanup(&seen)));
    CHECK(seen == events{"cleanup begins", "cleanup ends", "cleanup gone"});
}

TEST_CASE("with_cleanup: an exception of the body is thrown after the cleanup", "[core][cleanup]") {
    events seen;
    CHECK_THROWS_WITH(heph::block_on(with_cleanup(body(&seen, true), cleanup(&seen))),
                      "the body failed");
    CHECK(seen ==
          events{"body begins", "body gone", "cleanup begins", "cleanup ends", "cleanup gone"});
}

TEST_CASE("with_cleanup: the first of two exceptions is thrown, the other one is logged",
          "[core][cleanup]") {
    const heph::test::captured_log log;
    events seen;
    CHECK_THROWS_WITH(heph::block_on(with_cleanup(body(&seen, false), cleanup(&seen, true))),
                      "the cleanup failed");
    CHECK(log.lines().empty());
    CHECK_THROWS_WITH(heph::block_on(with_cleanup(body(&seen, true), cleanup(&seen, true))),
                      "the body failed");
    REQUIRE(log.lines().size() == 1);
    CHECK(log.lines()[0].second ==
          "a cleanup failed, too: the cleanup failed (exception std::runtime_error)");
}

TEST_CASE("with_cleanup: works within a task, and in a combinator", "[core][cleanup]") {
    events seen;
    const auto outer = [](events* to) -> task<int> {
        auto value = co_await with_cleanup(body(to, false), cleanup(to));
        co_return value + 1;
    };
    CHECK(heph::block_on(outer(&seen)) == 8);
}

TEST_CASE("with_cleanup: dropped anywhere, what is left of the cleanup runs elsewhere, once",
          "[core][cleanup]") {
    for (std::size_t polls = 0; polls < 10; ++polls) {
        events seen;
        poll_loop elsewhere;
        {
            poll_loop loop;
            loop.spawn(with_cleanup(body(&seen, false), cleanup(&seen), [&](task<> rest) {
                seen.push_back("handed over");
                elsewhere.spawn(std::move(rest));
            }));
            loop.run(polls);
        }
        elsewhere.run();
        CHECK(elsewhere.unfinished() == 0);
        INFO(polls);
        // Begun or not, the cleanup is complete if and only if the body was begun.
        const auto count = [&](const char* what) {
            return std::count(seen.begin(), seen.end(), what);
        };
        CHECK(count("cleanup begins") == (polls == 0 ? 0 : 1));
        CHECK(count("cleanup ends") == (polls == 0 ? 0 : 1));
        CHECK(count("body gone") == count("body begins"));
        CHECK(count("handed over") == (polls >= 1 && polls < 5 ? 1 : 0));
    }
}

TEST_CASE("with_cleanup: dropped without another place, the cleanup is destroyed where it is",
          "[core][cleanup]") {
    for (std::size_t polls = 0; polls < 6; ++polls) {
        events seen;
        {
            poll_loop loop;
            loop.spawn(with_cleanup(body(&seen, false), cleanup(&seen)));
            loop.run(polls);
        }
        const auto ends = std::count(seen.begin(), seen.end(), "cleanup ends");
        const auto gone = std::count(seen.begin(), seen.end(), "cleanup gone");
        const auto begins = std::count(seen.begin(), seen.end(), "cleanup begins");
        CHECK(gone == begins);
        CHECK(ends == (polls >= 5 ? 1 : 0));
    }
}

TEST_CASE("with_cleanup: a place that throws loses the cleanup, and says so", "[core][cleanup]") {
    const heph::test::captured_log log;
    events seen;
    {
        poll_loop loop;
        loop.spawn(with_cleanup(body(&seen, false), cleanup(&seen),
                                [](task<>) { throw std::runtime_error("no room"); }));
        loop.run(1);
    }
    CHECK(seen == events{"body begins", "body gone"});
    REQUIRE(log.lines().size() == 1);
}
