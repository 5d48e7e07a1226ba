// What waits for room in an actor's inbox.

#include <catch2/catch.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "remote/nodes.hpp"

namespace remote = heph::remote;
using namespace heph::remote::testing;
namespace rt = heph::rt;

namespace {

// Counts the messages that there are.
struct census {
    census() noexcept { ++living; }
    census(const census&) noexcept { ++living; }
    census(census&&) noexcept { ++living; }
    census& operator=(const census&) noexcept = default;
    census& operator=(census&&) noexcept = default;
    ~census() { --living; }
    static inline std::atomic<int> living = 0;
};

struct weighty {
    weighty() = default;
    explicit weighty(int which) : number(which) {}
    int number = 0;
    census counted;
};
HEPH_MESSAGE(weighty, "test.weighty", 1, number)

// The same to its sender, but it does not fit there.
struct too_weighty {
    too_weighty() = default;
    explicit too_weighty(std::string its_number) : number(std::move(its_number)) {}
    std::string number;
};
HEPH_MESSAGE(too_weighty, "test.weighty", 1, number)

struct gate {
    bool open = false;
    std::vector<int> numbers;
};

heph::task<> weigh(heph::rt::local_context<weighty> ctx, std::shared_ptr<gate> behind) {
    while (!behind->open) { co_await heph::rt::timer(2ms); }
    while (auto message = co_await ctx.receive()) { behind->numbers.push_back(message->number); }
}

}  // namespace

TEST_CASE("delivery: what waits for room in an inbox is not decoded before its turn",
          "[remote][node][delivery]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto counts = std::make_shared<counter_state>();
        const remote::node a = start(worker, listening("a"));
        const remote::node b = start(worker, quick_options("b").peer("a", a.address()));
        a.publish("counter", spawn_counter(worker, counts));
        const auto behind = std::make_shared<gate>();
        heph::actor_options small;
        small.inbox_size = 2;
        a.publish("scales", worker.spawn(std::move(small), heph::no_supervisor(),
                                         heph::actor_fn(weigh), behind));
        auto found = co_await b.find<weighty>("a", "scales", plenty);
        REQUIRE(found);
        auto wrong = co_await b.find<too_weighty>("a", "scales", plenty);
        REQUIRE(wrong);
        auto beside = co_await b.find<counter_message>("a", "counter", plenty);
        REQUIRE(beside);
        const log_lines logged;
        std::vector<int> sent_numbers;
        for (int i = 0; i < 200; ++i) {
            const weighty message(i);
            const auto sent = co_await found->send(message);
            REQUIRE(sent);
            sent_numbers.push_back(i);
            if (i != 100) { continue; }
            const too_weighty bad("one hundred");
            const auto taken_over = co_await wrong->send(bad);
            REQUIRE(taken_over);
        }
        // It is answered after all of them have arrived.
        const auto total = co_await beside->rpc<get_total>(plenty);
        CHECK(total == 0);
        // Those in the inbox, and the one that is next.
        CHECK(census::living <= 2 + 1);

        behind->open = true;
        const bool all = co_await eventually([&] { return behind->numbers.size() == 200; });
        CHECK(all);
        CHECK(behind->numbers == sent_numbers);
        const bool told =
            co_await eventually([] { return log_lines::with("scales was not delivered") == 1; });
        CHECK(told);
    });
    CHECK(census::living == 0);
}
