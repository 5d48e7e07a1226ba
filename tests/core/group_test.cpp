#include <heph/core/actor_group.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/task.hpp>
#include <heph/inbox/channel.hpp>

#include "support/poll_loop.hpp"

using heph::actor_group;
using heph::actor_ref;
using heph::send_failure;
using heph::waker;

namespace {

template <typename M>
class members {
public:
    explicit members(std::size_t count, std::size_t capacity = 4) {
        for (std::size_t i = 0; i != count; ++i) {
            auto [tx, rx] = heph::inbox::channel<M>(capacity);
            group.add(actor_ref<M>(std::move(tx)));
            inboxes.emplace_back(std::move(rx));
        }
    }

    [[nodiscard]] const actor_ref<M>& ref(std::size_t at) const {
        return *std::next(group.begin(), static_cast<std::ptrdiff_t>(at));
    }
    void finish(std::size_t at) { inboxes[at].reset(); }
    // Takes what each one has.
    [[nodiscard]] std::vector<std::vector<M>> take() {
        std::vector<std::vector<M>> all;
        for (auto& inbox : inboxes) {
            auto& taken = all.emplace_back();
            while (inbox) {
                auto next = inbox->try_recv();
                if (!next) { break; }
                taken.push_back(std::move(*next));
            }
        }
        return all;
    }

    actor_group<M> group;
    std::vector<std::optional<heph::inbox::receiver<M>>> inboxes;
};

using lists = std::vector<std::vector<int>>;

struct counted {
    explicit counted(int& copies) noexcept : copies_(&copies) {}
    counted(const counted& other) noexcept : copies_(other.copies_) { ++*copies_; }
    counted(counted&&) noexcept = default;
    counted& operator=(counted&&) noexcept = default;

private:
    int* copies_;
};

}  // namespace

TEST_CASE("group: members come and go, and are counted", "[core][group]") {
    members<int> all(3);
    CHECK(all.group.size() == 3);
    const actor_ref<int> second = all.ref(1);
    CHECK(all.group.contains(second));
    CHECK_FALSE(all.group.add_unique(second));
    all.group.add(second);
    CHECK(all.group.size() == 4);
    CHECK(all.group.remove(second) == 2);
    CHECK(all.group.size() == 2);
    CHECK_FALSE(all.group.contains(second));
    CHECK(all.group.remove(second) == 0);
    CHECK(all.group.add_unique(second));
    all.group.clear();
    CHECK(all.group.empty());
}

TEST_CASE("group: a member may be removed by its own reference in the group, or a mapped one",
          "[core][group]") {
    members<int> all(2);
    const auto mapped = all.ref(1).map_fn<std::string>([](const std::string&) { return 1; });
    CHECK(all.group.remove(all.ref(0)) == 1);
    CHECK(all.group.remove(mapped) == 1);
    CHECK(all.group.empty());
}

TEST_CASE("group: finished members are passed over, and can be removed", "[core][group]") {
    members<int> all(3);
    all.finish(1);
    for (int i = 0; i < 4; ++i) { REQUIRE(all.group.try_send_to_one(i)); }
    CHECK(all.take() == lists({{0, 2}, {}, {1, 3}}));
    CHECK(all.group.remove_disconnected() == 1);
    CHECK(all.group.size() == 2);
    CHECK(all.group.remove_disconnected() == 0);
    std::size_t connected = 0;
    for (const actor_ref<int>& each : all.group) { connected += each.is_connected() ? 1U : 0U; }
    CHECK(connected == 2);
}

TEST_CASE("group: messages to one go round, and on to who has room", "[core][group]") {
    members<int> all(3, 1);
    for (int i = 0; i < 3; ++i) { REQUIRE(all.group.try_send_to_one(i)); }
    auto full = all.group.try_send_to_one(3);
    REQUIRE_FALSE(full);
    CHECK(full.error().reason() == send_failure::full);
    CHECK(full.error().value() == 3);
    CHECK(all.inboxes[1]->try_recv() == 1);
    REQUIRE(all.group.try_send_to_one(4));
    CHECK(all.take() == lists({{0}, {4}, {2}}));
}

TEST_CASE("group: it stays the turn of the same member when others are removed", "[core][group]") {
    members<int> all(4);
    REQUIRE(all.group.try_send_to_one(0));
    REQUIRE(all.group.try_send_to_one(1));
    all.group.remove(all.ref(0));
    REQUIRE(all.group.try_send_to_one(2));
    REQUIRE(all.group.try_send_to_one(3));
    CHECK(all.take() == lists({{0}, {1}, {2}, {3}}));
}

TEST_CASE("group: without members, or with finished ones only, nobody gets a message",
          "[core][group]") {
    members<std::unique_ptr<int>> all(1);
    all.finish(0);
    auto gone = all.group.try_send_to_one(std::make_unique<int>(5));
    REQUIRE_FALSE(gone);
    CHECK(gone.error().reason() == send_failure::disconnected);
    CHECK(*gone.error().value() == 5);
    actor_group<int> none;
    CHECK(none.try_send_to_one(1, heph::at_random).error().reason() == send_failure::disconnected);
    CHECK(none.try_send_to_one(1, heph::by_key(2)).error().reason() == send_failure::disconnected);
    CHECK_FALSE(none.pick().has_value());
    CHECK(none.try_send_to_all(1).all_sent());
    auto sending = none.send_to_one(1);
    CHECK(sending.poll(waker()).value().error().reason() == send_failure::disconnected);
    auto to_all = none.send_to_all(1);
    CHECK(to_all.poll(waker()).value().sent() == 0);
    auto joining = none.join_all();
    CHECK(joining.poll(waker()).is_ready());
}

TEST_CASE("group: random choices reach everyone, and a seed repeats them", "[core][group]") {
    const auto choices = [](std::uint64_t seed) {
        members<int> all(4, 256);
        all.group.seed(seed);
        for (int i = 0; i < 200; ++i) { (void)all.group.try_send_to_one(i, heph::at_random); }
        return all.take();
    };
    const lists first = choices(7);
    for (const auto& got : first) { CHECK(got.size() > 20); }
    CHECK(choices(7) == first);
    CHECK(choices(8) != first);
    members<int> unseeded(2);
    CHECK(unseeded.group.try_send_to_one(1, heph::at_random));
}

TEST_CASE("group: a key goes to the same member, and only the keys of one that goes move",
          "[core][group]") {
    members<int> all(5, 1024);
    const auto owners = [&] {
        std::map<int, heph::inbox::channel_id> by;
        for (int key = 0; key < 500; ++key) {
            by.emplace(key, all.group.pick(heph::by_key(key))->id());
        }
        return by;
    };
    const auto before = owners();
    std::map<heph::inbox::channel_id, int> share;
    for (const auto& [key, owner] : before) { ++share[owner]; }
    CHECK(share.size() == 5);
    for (const auto& [owner, keys] : share) { CHECK(keys > 50); }
    const auto gone = all.ref(2).id();
    SECTION("one that is finished") { all.finish(2); }
    SECTION("one that is removed") { all.group.remove(all.ref(2)); }
    for (const auto& [key, owner] : owners()) {
        CHECK(owner != gone);
        if (before.at(key) != gone) { CHECK(owner == before.at(key)); }
    }
}

TEST_CASE("group: the keys of a full member wait for it", "[core][group]") {
    members<int> all(3, 1);
    const heph::by_key key(std::string("user"));
    REQUIRE(all.group.try_send_to_one(1, key));
    auto full = all.group.try_send_to_one(2, key);
    REQUIRE_FALSE(full);
    CHECK(full.error().reason() == send_failure::full);
    auto sending = all.group.send_to_one(3, key);
    CHECK_FALSE(sending.poll(waker()).is_ready());
    lists first = all.take();
    CHECK(sending.poll(waker()).value().has_value());
    lists second = all.take();
    for (std::size_t i = 0; i != 3; ++i) { CHECK(first[i].size() == second[i].size()); }
}

TEST_CASE("group: a send to one waits when all are full, and changes to another member",
          "[core][group]") {
    members<std::unique_ptr<int>> all(2, 1);
    for (int i = 0; i < 2; ++i) { REQUIRE(all.group.try_send_to_one(std::make_unique<int>(i))); }
    auto sending = all.group.send_to_one(std::make_unique<int>(2));
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<decltype(sending)>);
    CHECK_FALSE(sending.poll(waker()).is_ready());
    // It waits for the first one, which ends; the group changes meanwhile.
    all.finish(0);
    all.group.remove_disconnected();
    CHECK_FALSE(sending.poll(waker()).is_ready());
    CHECK(**all.inboxes[1]->try_recv() == 1);
    CHECK(sending.poll(waker()).value().has_value());
    CHECK(**all.inboxes[1]->try_recv() == 2);
}

TEST_CASE("group: a waiting send to one fails when all members end, and can be dropped",
          "[core][group]") {
    members<int> all(2, 1);
    for (int i = 0; i < 2; ++i) { REQUIRE(all.group.try_send_to_one(i)); }
    {
        auto dropped = all.group.send_to_one(2);
        CHECK_FALSE(dropped.poll(waker()).is_ready());
    }
    auto sending = all.group.send_to_one(3);
    CHECK_FALSE(sending.poll(waker()).is_ready());
    all.finish(0);
    all.finish(1);
    auto failed = sending.poll(waker());
    REQUIRE(failed.is_ready());
    CHECK(failed.value().error().reason() == send_failure::disconnected);
    CHECK(failed.value().error().value() == 3);
}

TEST_CASE("group: a message to 1000 members is copied 999 times", "[core][group]") {
    int copies = 0;
    members<counted> all(1000, 2);
    CHECK(all.group.try_send_to_all(counted(copies)).sent() == 1000);
    CHECK(copies == 999);
    copies = 0;
    auto sending = all.group.send_to_all(counted(copies));
    CHECK(sending.poll(waker()).value().sent() == 1000);
    CHECK(copies == 999);
}

TEST_CASE("group: a message to all is copied no more often when members are full",
          "[core][group]") {
    int copies = 0;
    members<counted> all(4, 1);
    int filler = 0;
    REQUIRE(all.ref(1).try_send(counted(filler)));
    auto report = all.group.try_send_to_all(counted(copies));
    CHECK(report.sent() == 3);
    CHECK(copies <= 3);
}

TEST_CASE("group: the report says who did not get a message, and why", "[core][group]") {
    members<int> all(4, 1);
    REQUIRE(all.ref(0).try_send(9));
    all.finish(2);
    const auto report = all.group.try_send_to_all(5);
    CHECK_FALSE(report);
    CHECK(report.sent() == 2);
    REQUIRE(report.failures().size() == 2);
    CHECK(report.failures()[0].member() == all.ref(0));
    CHECK(report.failures()[0].reason() == send_failure::full);
    CHECK(report.failures()[1].member() == all.ref(2));
    CHECK(report.failures()[1].reason() == send_failure::disconnected);
    CHECK(report.failures()[1].message() == to_string(send_failure::disconnected));
    CHECK(all.take() == lists({{9}, {5}, {}, {5}}));
}

TEST_CASE("group: an exception of one member's mapping keeps the others from nothing",
          "[core][group]") {
    members<int> all(1);
    const auto throws = all.ref(0).map_fn<int>([](int) -> int { throw std::runtime_error("odd"); });
    actor_group<int> group;
    group.add(throws);
    group.add(all.ref(0));
    group.add(throws);
    const auto report = group.try_send_to_all(3);
    CHECK(report.sent() == 1);
    REQUIRE(report.failures().size() == 2);
    CHECK(report.failures()[0].member() == throws);
    REQUIRE(report.failures()[0].exception() != nullptr);
    CHECK_THROWS_WITH(std::rethrow_exception(report.failures()[1].exception()), "odd");
    auto sending = group.send_to_all(4);
    auto sent = sending.poll(waker());
    REQUIRE(sent.is_ready());
    CHECK(sent.value().sent() == 1);
    CHECK(sent.value().failures().size() == 2);
    CHECK(all.take() == lists({{3, 4}}));
    CHECK_THROWS_WITH(group.try_send_to_one(5), "odd");
    // It had its turn.
    CHECK(group.try_send_to_one(6));
    CHECK(all.take() == lists({{6}}));
}

TEST_CASE("group: one member whose mapping refuses a message ends the search for one",
          "[core][group]") {
    actor_group<int> group;
    group.add(actor_ref<int>::to_function([](const int&) { return false; }));
    group.add(actor_ref<int>::to_nothing());
    auto refused = group.try_send_to_one(1);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason() == send_failure::refused);
    CHECK(refused.error().value() == 1);
}

TEST_CASE("group: a send to all waits for each full member by itself", "[core][group]") {
    members<int> all(3, 1);
    REQUIRE(all.ref(0).try_send(1));
    REQUIRE(all.ref(2).try_send(1));
    auto sending = all.group.send_to_all(2);
    CHECK_FALSE(sending.poll(waker()).is_ready());
    CHECK(all.inboxes[1]->try_recv() == 2);
    // Members of then, whatever the group is now.
    all.group.clear();
    CHECK(all.inboxes[2]->try_recv() == 1);
    CHECK_FALSE(sending.poll(waker()).is_ready());
    CHECK(all.inboxes[2]->try_recv() == 2);
    all.finish(0);
    auto sent = sending.poll(waker());
    REQUIRE(sent.is_ready());
    CHECK(sent.value().sent() == 2);
    REQUIRE(sent.value().failures().size() == 1);
    CHECK(sent.value().failures()[0].reason() == send_failure::disconnected);
}

TEST_CASE("group: a send to all that is dropped half-way gives up the places it waits for",
          "[core][group]") {
    members<std::shared_ptr<int>> all(2, 1);
    auto value = std::make_shared<int>(1);
    REQUIRE(all.ref(0).try_send(nullptr));
    {
        auto sending = all.group.send_to_all(value);
        CHECK_FALSE(sending.poll(waker()).is_ready());
        CHECK(value.use_count() > 1);
    }
    CHECK(all.take()[1].size() == 1);
    CHECK(value.use_count() == 1);
    CHECK(all.ref(0).try_send(nullptr));
}

TEST_CASE("group: join_all is ready when every member is finished", "[core][group]") {
    members<int> all(2);
    auto joining = all.group.join_all();
    CHECK_FALSE(joining.poll(waker()).is_ready());
    all.finish(1);
    CHECK_FALSE(joining.poll(waker()).is_ready());
    all.group.clear();
    all.finish(0);
    CHECK(joining.poll(waker()).is_ready());
}

TEST_CASE("group: a member that was picked can be called", "[core][group][rpc]") {
    using get_total = heph::rpc<void, int>;
    members<get_total> all(2);
    auto one = all.group.pick();
    REQUIRE(one.has_value());
    auto calling = one->rpc();
    CHECK_FALSE(calling.poll(waker()).is_ready());
    CHECK(all.inboxes[0]->try_recv()->respond(3));
    CHECK(calling.poll(waker()).value() == 3);
    CHECK(*all.group.pick() == all.ref(1));
}

TEST_CASE("group: senders wake when members make room", "[core][group]") {
    members<int> all(2, 1);
    heph::test::poll_loop loop;
    const auto sends = [](actor_group<int>* to, int* sent) -> heph::task<> {
        for (int i = 0; i < 20; ++i) {
            auto done = co_await to->send_to_one(i);
            if (done) { ++*sent; }
        }
    };
    const auto drains = [](heph::inbox::receiver<int>* from, int* got) -> heph::task<> {
        while (auto next = co_await from->recv()) { ++*got; }
    };
    int sent = 0;
    int got = 0;
    loop.spawn(sends(&all.group, &sent));
    for (auto& inbox : all.inboxes) { loop.spawn(drains(&*inbox, &got)); }
    loop.run();
    CHECK(sent == 20);
    CHECK(got == 20);
}

TEST_CASE("group: a function may clear the group that it is sent to from", "[group][regression]") {
    actor_group<int> group;
    std::string seen;
    const std::string name = "a name that is kept by the function itself";
    group.add(actor_ref<int>::to_function([&group, &seen, name](int) {
        group.clear();
        seen += name;
    }));
    group.add(actor_ref<int>::to_function([&](int) { seen += "another one"; }));
    SECTION("to all") { CHECK(group.try_send_to_all(1).sent() == 1); }
    SECTION("to one") { CHECK(group.try_send_to_one(1)); }
    CHECK(seen == name);
    CHECK(group.empty());
}

TEST_CASE("group: members that come while a message goes to all do not get it",
          "[group][regression]") {
    actor_group<int> group;
    int seen = 0;
    for (int i = 0; i < 2; ++i) {
        group.add(actor_ref<int>::to_function([&](int) {
            ++seen;
            for (int more = 0; more < 50; ++more) { group.add(actor_ref<int>::to_nothing()); }
        }));
    }
    CHECK(group.try_send_to_all(1).sent() == 2);
    CHECK(seen == 2);
    CHECK(group.size() == 102);
}

TEST_CASE("group: a function that removes itself does not keep the next one from its message",
          "[group][regression]") {
    actor_group<int> group;
    std::string seen;
    std::optional<actor_ref<int>> first;
    first.emplace(actor_ref<int>::to_function([&](int) {
        seen += "1";
        group.remove(*first);
    }));
    group.add(*first);
    group.add(actor_ref<int>::to_function([&](int) { seen += "2"; }));
    group.add(actor_ref<int>::to_function([&](int) { seen += "3"; }));
    CHECK(group.try_send_to_all(1).sent() == 3);
    CHECK(seen == "123");
    CHECK(group.size() == 2);
}

TEST_CASE("group: a key that is a pointer to characters goes by its text", "[group][regression]") {
    const std::string first = "user-42";
    const std::string second = "user-42";
    for (std::uint64_t member = 0; member < 8; ++member) {
        const std::uint64_t wanted = heph::by_key(std::string("user-42")).weight(member);
        CHECK(heph::by_key(first.c_str()).weight(member) == wanted);
        CHECK(heph::by_key(second.c_str()).weight(member) == wanted);
        CHECK(heph::by_key("user-42").weight(member) == wanted);
    }
}
