// Seeded bugs: the explorer finds each of them, and says in which schedule. The algorithms are the
// real ones; what is broken is the environment that they stand on.

#include <cstddef>
#include <memory>
#include <string>

#include <catch2/catch.hpp>

#include <heph/inbox/oneshot.hpp>

#include "inbox/explore.hpp"

using namespace heph::inbox;
using namespace heph::inbox::test;
using explored::check;
using explored::program;

namespace {

// A wake is lost: the sender that is about to wait does not fence the receiver.
struct no_heavy_fence : explored::sound {
    static constexpr bool heavy_fence_works = false;
};

// Likewise where the kernel has no such fence, and both sides have their own.
struct no_full_fence : explored::sound {
    static constexpr bool kernel_has_heavy_fence = false;
    static constexpr bool full_fence_works = false;
};

// A publish may come before what it publishes, and a receive before it has looked.
struct no_release : explored::sound {
    static constexpr bool releases = false;
};
struct no_acquire : explored::sound {
    static constexpr bool acquires = false;
};

// Who goes looks again who is there, instead of using what its own step found: two then both think
// that they are the last, and destroy the same.
struct looks_again : explored::sound {
    static constexpr bool reads_back = true;
};

// A sender that waits for room, and a receiver.
template <typename Variant>
void waiting_sender(program& made) {
    auto all = std::make_shared<world<Variant>>(1, 1);
    made.thread([=] {
        for (int i = 0; i < 2; ++i) { all->send(all->run[0], 0, i); }
        all->tx[0].reset();
    });
    made.thread([=] { all->receive_all(all->run[1]); });
}

template <typename Variant>
void one_message(program& made) {
    auto all = std::make_shared<world<Variant>>(2, 1);
    made.thread([=] { (void)all->tx[0]->try_emplace(0); });
    made.thread([=] {
        if (auto got = all->rx->try_recv()) { all->receive(*got); }
    });
}

template <typename Variant>
void receiver_and_manager_go(program& made) {
    auto all = std::make_shared<world<Variant>>(2, 1, true);
    check(all->tx[0]->try_emplace(0).has_value(), "refused");
    made.thread([=] { all->rx.reset(); });
    made.thread([=] { all->boss.reset(); });
}

template <typename Variant>
void oneshot_is_sent_and_dropped(program& made) {
    using environment = explored::environment<Variant>;
    auto ends =
        std::make_shared<std::pair<std::optional<oneshot_sender<tracked, environment>>,
                                   std::optional<oneshot_receiver<tracked, environment>>>>();
    auto [tx, rx] = oneshot<tracked, environment>();
    ends->first.emplace(std::move(tx));
    ends->second.emplace(std::move(rx));
    made.thread([=] { (void)std::move(*ends->first).try_send(tracked(1)); });
    made.thread([=] { ends->second.reset(); });
}

explored::outcome explore_broken(const std::function<void(program&)>& make) {
    explored::options chosen;
    chosen.is_broken = true;
    auto found = explored::explore(chosen, make);
    std::printf("found after %zu schedules: %s\n", found.schedules, found.failure.c_str());
    return found;
}

// The same program must be good where nothing is broken, or it would show nothing.
void check_sound(const std::function<void(program&)>& make) {
    const auto found = explored::explore({}, make);
    INFO(found.trace);
    CHECK(found.failure.empty());
    CHECK(found.complete);
}

// Says the schedule, which fails again in the same way.
void check_replay(const explored::outcome& found, const std::function<void(program&)>& make) {
    CHECK_FALSE(found.choices.empty());
    CHECK(found.trace.find("thread 1: ") != std::string::npos);
    explored::options again;
    again.is_broken = true;
    again.replay = found.choices;
    const auto replayed = explored::explore(again, make);
    CHECK(replayed.schedules == 1);
    CHECK(replayed.failure == found.failure);
    CHECK(replayed.trace == found.trace);
}

constexpr const char* lost_wake = "every thread waits, and none can go on: a wake was lost";

}  // namespace

TEST_CASE("explore: finds a lost wake when the heavy fence is left out", "[inbox][explore]") {
    check_sound(waiting_sender<explored::sound>);
    const auto found = explore_broken(waiting_sender<no_heavy_fence>);
    CHECK(found.failure == lost_wake);
    CHECK(found.trace.find("too early") != std::string::npos);
    check_replay(found, waiting_sender<no_heavy_fence>);
}

TEST_CASE("explore: finds a lost wake when the full fences are left out", "[inbox][explore]") {
    const auto found = explore_broken(waiting_sender<no_full_fence>);
    CHECK(found.failure == lost_wake);
    check_replay(found, waiting_sender<no_full_fence>);
}

TEST_CASE("explore: finds a publish that may be reordered", "[inbox][explore]") {
    check_sound(one_message<explored::sound>);
    const auto published = explore_broken(one_message<no_release>);
    CHECK(published.failure.starts_with("a race: "));
    check_replay(published, one_message<no_release>);
    CHECK(explore_broken(one_message<no_acquire>).failure.starts_with("a race: "));
}

TEST_CASE("explore: finds messages that are destroyed twice when both sides go",
          "[inbox][explore]") {
    check_sound(receiver_and_manager_go<explored::sound>);
    const auto found = explore_broken(receiver_and_manager_go<looks_again>);
    CHECK(found.failure == "a message was destroyed twice");
    check_replay(found, receiver_and_manager_go<looks_again>);

    check_sound(oneshot_is_sent_and_dropped<explored::sound>);
    const auto value = explore_broken(oneshot_is_sent_and_dropped<looks_again>);
    CHECK_FALSE(value.failure.empty());
    check_replay(value, oneshot_is_sent_and_dropped<looks_again>);
}
