// What may go to another thread. What may not is tested in tests/core/refused.

#include <heph/core/sendable.hpp>

#include <array>
#include <atomic>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

namespace {

struct plain {
    int number = 0;
};
struct window {};
struct metrics {};
struct says_no {
    static constexpr bool is_sendable = false;
};
struct locks {
    static constexpr bool is_shareable = true;
};

heph::task<> counts(heph::context<int> ctx, std::atomic<int>* count) {
    while (auto next = co_await ctx.receive()) { *count += *next; }
}

}  // namespace

template <>
inline constexpr bool heph::enable_sendable<window> = false;
template <>
inline constexpr bool heph::enable_shareable<metrics> = true;

TEST_CASE("sendable: values are, unless they say no", "[core][sendable]") {
    STATIC_REQUIRE(heph::sendable<int>);
    STATIC_REQUIRE(heph::sendable<std::string>);
    STATIC_REQUIRE(heph::sendable<std::string_view>);
    STATIC_REQUIRE(heph::sendable<plain>);
    STATIC_REQUIRE(heph::sendable<std::unique_ptr<plain>>);
    STATIC_REQUIRE(heph::sendable<heph::actor_ref<int>>);
    STATIC_REQUIRE(heph::sendable<void (*)(int)>);
    STATIC_REQUIRE_FALSE(heph::sendable<window>);
    STATIC_REQUIRE_FALSE(heph::sendable<const window>);
    STATIC_REQUIRE_FALSE(heph::sendable<says_no>);
}

TEST_CASE("sendable: a pointer is when several threads may use what it leads to",
          "[core][sendable]") {
    STATIC_REQUIRE_FALSE(heph::sendable<int*>);
    STATIC_REQUIRE_FALSE(heph::sendable<int&>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::reference_wrapper<plain>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::shared_ptr<plain>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::weak_ptr<plain>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::span<int>>);
    STATIC_REQUIRE(heph::sendable<const int*>);
    STATIC_REQUIRE(heph::sendable<const char*>);
    STATIC_REQUIRE(heph::sendable<std::atomic<int>*>);
    STATIC_REQUIRE(heph::sendable<std::mutex&>);
    STATIC_REQUIRE(heph::sendable<metrics*>);
    STATIC_REQUIRE(heph::sendable<std::shared_ptr<locks>>);
    STATIC_REQUIRE(heph::sendable<std::shared_ptr<const plain>>);
    STATIC_REQUIRE(heph::sendable<std::span<const int>>);
    STATIC_REQUIRE_FALSE(heph::sendable<const window*>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::shared_ptr<const window>>);
}

TEST_CASE("sendable: looks into what holds others", "[core][sendable]") {
    STATIC_REQUIRE(heph::sendable<std::vector<std::map<int, std::string>>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::vector<window>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::map<int, int*>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::tuple<int, std::optional<window>>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::variant<int, std::pair<int, window>>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::unique_ptr<window>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::array<window, 2>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::expected<void, window>>);
    STATIC_REQUIRE(heph::sendable<std::expected<void, plain>>);
}

TEST_CASE("shareable: constants, what locks, and what says so", "[core][sendable]") {
    STATIC_REQUIRE(heph::shareable<std::atomic<int>>);
    STATIC_REQUIRE(heph::shareable<metrics>);
    STATIC_REQUIRE(heph::shareable<const plain>);
    STATIC_REQUIRE_FALSE(heph::shareable<plain>);
    STATIC_REQUIRE_FALSE(heph::shareable<const window>);
}

TEST_CASE("make_shared_actor: makes what may run on any thread", "[core][sendable]") {
    std::atomic<int> count = 0;
    auto [running, ref] =
        heph::make_shared_actor(heph::no_supervisor(), heph::actor_fn(counts), heph::no_runtime(),
                                heph::actor_options(), &count);
    REQUIRE(ref.try_send(1));
    CHECK_FALSE(running.poll(heph::waker()).is_ready());
    auto [other, other_ref] = heph::actor_builder().make_shared(
        heph::no_supervisor(), heph::actor_fn(counts), heph::no_runtime(), &count);
    REQUIRE(other_ref.try_send(1));
    CHECK_FALSE(other.poll(heph::waker()).is_ready());
    CHECK(count == 2);
}
