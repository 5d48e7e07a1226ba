// Which node runs which shard, without etcd: single steps, and a model in which everything that can
// go wrong does, at random.

#include <catch2/catch.hpp>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "etcd/shard_placement.hpp"
#include "remote/etcd_shard_model.hpp"

namespace heph::remote::etcd {

namespace {

/// Gives what is to be done, as words: "acquire 3".
std::vector<std::string> words(shard_keeper& keeper) {
    static constexpr std::string_view names[] = {"enter", "withdraw", "acquire", "release",
                                                 "start", "stop",     "drop"};
    std::vector<std::string> all;
    for (const auto& each : keeper.take_actions()) {
        std::string word(names[static_cast<std::size_t>(each.what)]);
        if (each.what != kind::enter && each.what != kind::withdraw) {
            word += ' ' + std::to_string(each.shard);
        }
        all.push_back(std::move(word));
    }
    return all;
}
using expected = std::vector<std::string>;

constexpr std::int64_t own_lease = 77;

/// Is node a, the only host of one shard, at revision 10.
shard_keeper single_host() {
    shard_keeper keeper("a", shard_view(std::string(folder), 1), 1s);
    keeper.watched(batch(9, {}, true));
    keeper.begin(own_lease, at(0s), at(10s));
    (void)keeper.take_actions();
    keeper.entered(own_lease, 10);
    return keeper;
}
/// … which runs that shard, by fence 11.
shard_keeper running_host() {
    auto keeper = single_host();
    const auto key = made_key("", "a", own_lease, 11);
    keeper.acquire_answered(own_lease, 0, 11, &key);
    (void)keeper.take_actions();
    return keeper;
}

}  // namespace

TEST_CASE("shards: an answer that a newer list contradicts does not make a host",
          "[etcd][shards]") {
    shard_keeper keeper("a", shard_view(std::string(folder), 2), 1s);
    keeper.begin(own_lease, at(0s), at(10s));
    CHECK(words(keeper) == expected{"enter"});
    // It entered at 10, and is gone again by the list of what there was at 20.
    keeper.watched(batch(20, {}, true));
    keeper.entered(own_lease, 10);
    CHECK(keeper.view().lease_of_host("a") == 0);
    CHECK(words(keeper) != expected{"acquire 0", "acquire 1"});
    // What is newer than the list counts.
    keeper.watched(batch(21, {put("hosts/a", "", own_lease, 21)}));
    CHECK(keeper.view().lease_of_host("a") == own_lease);
}

TEST_CASE("shards: a host enters, takes what belongs to it, and starts it when it has the key",
          "[etcd][shards]") {
    shard_keeper keeper("a", shard_view(std::string(folder), 2), 1s);
    keeper.begin(own_lease, at(0s), at(10s));
    CHECK(words(keeper) == expected{"enter"});
    // Nothing is taken before all that there is was seen.
    keeper.entered(own_lease, 10);
    CHECK(words(keeper).empty());
    keeper.watched(
        batch(10, {put("hosts/a", "", own_lease, 10), put("owners/1", "b", 5, 4)}, true));
    CHECK(words(keeper) == expected{"acquire 0"});
    CHECK(keeper.view().owner_of(1).node == "b");
    const auto key = made_key("", "a", own_lease, 11);
    keeper.acquire_answered(own_lease, 0, 11, &key);
    CHECK(words(keeper) == expected{"start 0"});
    keeper.watched(batch(11, {put("owners/0", "a", own_lease, 11)}));
    keeper.watched(batch(12, {removed("owners/1", 12)}));
    CHECK(words(keeper) == expected{"acquire 1"});
    // Somebody else was first; then that one is gone.
    const auto other = made_key("", "b", 5, 13);
    keeper.acquire_answered(own_lease, 1, 14, &other);
    CHECK(words(keeper).empty());
    keeper.watched(batch(13, {put("owners/1", "b", 5, 13)}));
    CHECK(words(keeper).empty());
    keeper.watched(batch(15, {removed("owners/1", 15)}));
    CHECK(words(keeper) == expected{"acquire 1"});
}

TEST_CASE("shards: a shard that belongs elsewhere is stopped, then released, then forgotten",
          "[etcd][shards]") {
    auto keeper = running_host();
    // Whichever name gets the shard: it is not this node any more once it is left alone to it.
    std::string newcomer;
    for (int i = 0; newcomer.empty(); ++i) {
        const auto name = "n" + std::to_string(i);
        if (weight_of(0, hash_of(name)) > weight_of(0, hash_of("a"))) { newcomer = name; }
    }
    keeper.watched(batch(12, {put("hosts/" + newcomer, "", 5, 12)}));
    CHECK(words(keeper) == expected{"stop 0"});
    CHECK(keeper.state_of(0) == state::stopping);
    // The newcomer goes again: what was asked to stop stops, and starts anew, by the same key.
    keeper.watched(batch(13, {removed("hosts/" + newcomer, 13)}));
    CHECK(words(keeper).empty());
    keeper.ended(0, 1);
    CHECK(words(keeper) == expected{"start 0"});
    keeper.watched(batch(14, {put("hosts/" + newcomer, "", 6, 14)}));
    CHECK(words(keeper) == expected{"stop 0"});
    keeper.ended(0, 1);  // The end of the run before is none of this one.
    CHECK(words(keeper).empty());
    keeper.ended(0, 2);
    CHECK(words(keeper) == expected{"release 0"});
    // It is not taken up again while the request may be under way.
    keeper.watched(batch(15, {removed("hosts/" + newcomer, 15)}));
    keeper.release_failed(11, 0);
    CHECK(words(keeper).empty());
    CHECK(keeper.state_of(0) == state::releasing);
    keeper.tick(at(1s), at(10s));
    CHECK(words(keeper) == expected{"release 0"});
    keeper.release_answered(11, 0, 16, nullptr);
    CHECK(words(keeper) == expected{"acquire 0"});
    // What the watch tells of before is known better.
    keeper.acquire_failed(own_lease, 0);
    keeper.watched(batch(11, {put("owners/0", "a", own_lease, 11)}));
    CHECK(keeper.state_of(0) == state::none);
}

TEST_CASE("shards: an actor stops before its lease can end, and goes on when it is renewed",
          "[etcd][shards]") {
    auto keeper = running_host();
    CHECK(keeper.next() == at(9s));
    keeper.tick(at(8999ms), at(10s));
    CHECK(words(keeper).empty());
    keeper.tick(at(9s), at(10s));
    CHECK(words(keeper) == expected{"stop 0"});
    CHECK(keeper.next() == at(10s));
    keeper.ended(0, 1);
    CHECK(words(keeper).empty());
    CHECK(keeper.state_of(0) == state::held);
    keeper.tick(at(9500ms), at(19s));
    CHECK(words(keeper) == expected{"start 0"});
    keeper.tick(at(18s), at(19s));
    CHECK(words(keeper) == expected{"stop 0"});
    keeper.lost();
    CHECK(words(keeper) == expected{"drop 0"});
    CHECK(keeper.state_of(0) == state::none);
    keeper.ended(0, 2);
    CHECK(words(keeper).empty());
    // A key of the own_lease before is somebody else's until it is gone.
    keeper.begin(78, at(20s), at(30s));
    CHECK(words(keeper) == expected{"enter"});
    keeper.entered(78, 20);
    CHECK(words(keeper).empty());
    keeper.watched(batch(21, {removed("owners/0", 21)}));
    CHECK(words(keeper) == expected{"acquire 0"});
    // An answer to what was asked by the own_lease before.
    keeper.acquire_failed(own_lease, 0);
    CHECK(keeper.state_of(0) == state::acquiring);
}

TEST_CASE("shards: a key that is taken away ends its actor at once", "[etcd][shards]") {
    auto keeper = running_host();
    keeper.watched(batch(12, {removed("owners/0", 12)}));
    CHECK(words(keeper) == expected{"drop 0", "acquire 0"});
    auto replaced = running_host();
    replaced.watched(batch(13, {removed("owners/0", 12), put("owners/0", "b", 5, 13)}));
    CHECK(words(replaced) == expected{"drop 0"});
    auto rolled_back = running_host();
    // The store is that of an old backup, in which the key is not.
    rolled_back.watched(batch(5, {put("hosts/a", "", own_lease, 4)}, true));
    CHECK(words(rolled_back) == expected{"drop 0", "acquire 0"});
    // Another store, which has grown beyond the one before: what it holds counts, however old.
    auto regrown = running_host();
    regrown.watched(
        batch(20, {put("hosts/a", "", own_lease, 4), put("owners/0", "b", 5, 5)}, true));
    CHECK(words(regrown) == expected{"drop 0"});
    CHECK(regrown.view().owner_of(0).node == "b");
    CHECK(regrown.view().owner_of(0).fence == 5);
    auto unhosted = running_host();
    unhosted.watched(batch(12, {removed("hosts/a", 12)}));
    CHECK(words(unhosted) == expected{"enter", "stop 0"});
}

TEST_CASE("shards: a key that was created late is taken up, or released", "[etcd][shards]") {
    auto keeper = single_host();
    CHECK(words(keeper) == expected{"acquire 0"});
    keeper.acquire_failed(own_lease, 0);
    CHECK(words(keeper).empty());
    keeper.watched(batch(11, {put("owners/0", "a", own_lease, 11)}));
    CHECK(words(keeper) == expected{"start 0"});
    auto leaving = single_host();
    (void)leaving.take_actions();
    leaving.acquire_failed(own_lease, 0);
    leaving.leave();
    CHECK(words(leaving) == expected{"withdraw"});
    leaving.withdrawn(own_lease, 11);
    CHECK(leaving.is_idle());
    leaving.watched(batch(12, {put("owners/0", "a", own_lease, 12)}));
    CHECK(words(leaving) == expected{"release 0"});
    CHECK_FALSE(leaving.is_idle());
    leaving.release_answered(12, 0, 13, nullptr);
    CHECK(leaving.is_idle());
    CHECK(words(leaving).empty());
    // So is a host's key.
    leaving.watched(batch(14, {put("hosts/a", "", own_lease, 14)}));
    CHECK(words(leaving) == expected{"withdraw"});
    leaving.withdraw_failed(own_lease);
    CHECK(words(leaving).empty());
    leaving.tick(at(1s), at(10s));
    CHECK(words(leaving) == expected{"withdraw"});
    leaving.withdrawn(own_lease, 15);
    CHECK(leaving.is_idle());
}

TEST_CASE("shards: an actor that ends by itself starts again after a pause", "[etcd][shards]") {
    auto keeper = running_host();
    keeper.ended(0, 1);
    CHECK(words(keeper).empty());
    CHECK(keeper.next() == at(shard_keeper::restart));
    keeper.tick(at(shard_keeper::restart), at(10s));
    CHECK(words(keeper) == expected{"start 0"});
    keeper.ended(0, 2);
    // It is not waited for when it belongs elsewhere.
    keeper.leave();
    CHECK(words(keeper) == expected{"withdraw", "release 0"});
}

TEST_CASE("shards: a store that lost what only an answer had told makes that void",
          "[etcd][shards]") {
    // The watch is at 9, the key was created at 11, and the backup is of 10.
    auto keeper = running_host();
    auto restored = batch(10, {put("hosts/a", "", own_lease, 10)}, true);
    restored.replaced = true;
    keeper.watched(restored);
    CHECK(words(keeper) == expected{"drop 0", "acquire 0"});
    // Revisions count from there: 11 is another change now.
    keeper.watched(batch(11, {put("owners/0", "b", 5, 11)}));
    CHECK(keeper.view().owner_of(0).node == "b");
    const auto key = made_key("", "b", 5, 11);
    keeper.acquire_answered(own_lease, 0, 12, &key);
    CHECK(words(keeper).empty());
}

TEST_CASE("shards: of those that belong elsewhere few move at once, and the others run on",
          "[etcd][shards]") {
    constexpr std::uint32_t count = 64;
    shard_keeper keeper("a", shard_view(std::string(folder), count), 1s);
    keeper.watched(batch(9, {}, true));
    keeper.begin(own_lease, at(0s), at(10s));
    keeper.entered(own_lease, 10);
    (void)keeper.take_actions();
    std::int64_t revision = 10;
    for (std::uint32_t i = 0; i < count; ++i) {
        const auto key = made_key("", "a", own_lease, ++revision);
        keeper.acquire_answered(own_lease, i, revision, &key);
    }
    CHECK(keeper.take_actions().size() == count);
    ++revision;
    keeper.watched(batch(revision, {put("hosts/b", "", 5, revision)}));
    std::size_t moved = 0;
    std::size_t most = 0;
    std::deque<shard_action> stopping;
    for (bool is_new = true; is_new || !stopping.empty(); is_new = false) {
        for (const auto& each : keeper.take_actions()) {
            REQUIRE(each.what == kind::stop);
            stopping.push_back(each);
        }
        most = std::max(most, stopping.size());
        if (stopping.empty()) { break; }
        const auto one = stopping.front();
        stopping.pop_front();
        keeper.ended(one.shard, one.run);
        CHECK(words(keeper) == expected{"release " + std::to_string(one.shard)});
        keeper.release_answered(one.fence, one.shard, ++revision, nullptr);
        ++moved;
    }
    CHECK(most == shard_keeper::moves_max);
    CHECK(moved > count / 4);
    for (std::uint32_t i = 0; i < count; ++i) {
        const bool is_here = *keeper.view().place_of(i) == "a";
        CHECK((keeper.state_of(i) == state::running) == is_here);
    }
    // Who leaves stops all that is left.
    keeper.leave();
    CHECK(words(keeper).size() == 1 + count - moved);
}

TEST_CASE("shards: what does not belong into the folder changes nothing", "[etcd][shards]") {
    auto keeper = running_host();
    keeper.watched(batch(12, {put("owners/1", "b", 5, 12), put("owners/00", "b", 5, 12),
                              put("owners/-1", "b", 5, 12), put("owners/", "b", 5, 12),
                              put("owners/99999999999", "b", 5, 12), put("else", "b", 5, 12),
                              put("hosts/forever", "", 0, 12)}));
    keeper.watched(batch(13, {{false, made_key("/other/owners/0", "b", 5, 13)}}));
    CHECK(words(keeper).empty());
    CHECK(keeper.view().owner_of(0).node == "a");
    CHECK(keeper.view().hosts() == expected{"a"});
    // Names of nodes that come and go take no memory for good.
    for (int i = 0; i < 3000; ++i) {
        const auto name = "hosts/" + std::to_string(i);
        keeper.watched(batch(20 + 2 * i, {put(name, "", 5, 20 + 2 * i)}));
        keeper.watched(batch(21 + 2 * i, {removed(name, 21 + 2 * i)}));
    }
    CHECK(keeper.view().hosts() == expected{"a"});
}

TEST_CASE("shards: a host that joins takes shards only to itself, about its share",
          "[etcd][shards]") {
    constexpr std::uint32_t count = 1024;
    for (const int hosts : {1, 2, 3, 7, 20}) {
        shard_view view{std::string(folder), count};
        std::vector<watch_event> all;
        for (int i = 0; i < hosts; ++i) {
            all.push_back(put("hosts/node-" + std::to_string(i), "", i + 1, 5));
        }
        (void)view.apply(batch(5, std::move(all), true));
        std::vector<std::string> before;
        std::map<std::string, double> shares;
        for (std::uint32_t i = 0; i < count; ++i) {
            before.push_back(*view.place_of(i));
            ++shares[before.back()];
        }
        const double mean = count / static_cast<double>(hosts);
        for (const auto& [name, share] : shares) { CHECK(std::abs(share - mean) < 0.5 * mean); }
        CHECK(shares.size() == static_cast<std::size_t>(hosts));
        (void)view.apply(batch(6, {put("hosts/newcomer", "", 99, 6)}));
        double moved = 0;
        for (std::uint32_t i = 0; i < count; ++i) {
            const auto& now = *view.place_of(i);
            if (now == before[i]) { continue; }
            CHECK(now == "newcomer");
            ++moved;
        }
        const double share = count / static_cast<double>(hosts + 1);
        CHECK(std::abs(moved - share) < 0.5 * share);
        // And when it goes, all is as it was before.
        (void)view.apply(batch(7, {removed("hosts/newcomer", 7)}));
        for (std::uint32_t i = 0; i < count; ++i) { CHECK(*view.place_of(i) == before[i]); }
    }
}

TEST_CASE("shards: no shard has two owners, and each has one in the end, whatever goes wrong",
          "[etcd][shards]") {
    std::size_t starts = 0;
    for (unsigned seed = 1; seed <= 30; ++seed) {
        CAPTURE(seed);
        world all(seed);
        for (const char* name : {"a", "b", "c", "d"}) { all.add(name); }
        all.loss = 0.01 * (seed % 20);
        all.ends_alone = 0.05;
        all.meddling = seed % 3 == 0;
        all.run_for(60s, true);
        // The network is whole again. What is down stays down.
        all.loss = 0;
        bool is_any_up = false;
        for (const auto& each : all.nodes) {
            each->cut_until = {};
            each->pause_until({});
            is_any_up = is_any_up || each->is_up();
        }
        if (!is_any_up) { all.nodes[0]->boot(); }
        all.ends_alone = 0;
        all.run_for(20s, false);
        if (!all.meddling) { CHECK(all.overlaps == 0); }
        CHECK(all.fences_back == 0);
        require_settled(all);
        starts += all.starts;
    }
    // It was not that nothing happened.
    CHECK(starts > 30U * 10U * shard_count);
}

TEST_CASE("shards: who leaves gives its shards to the others soon, and keeps nothing",
          "[etcd][shards]") {
    world all(7);
    for (const char* name : {"a", "b", "c"}) { all.add(name); }
    all.run_for(10s, false);
    require_settled(all);
    CHECK(all.starts >= shard_count);
    const auto before = all.starts;
    model_node& leaving = *all.nodes[1];
    const auto had = leaving.acting();
    REQUIRE(had > 0);
    leaving.leave();
    // Well before its lease ends, which it would if it had just gone.
    all.run_for(stop_time + 1500ms, false);
    CHECK(leaving.keeper().is_idle());
    CHECK(leaving.acting() == 0);
    require_settled(all);
    CHECK(all.starts - before == had);  // No other one moved.
    CHECK(all.overlaps == 0);
}

}  // namespace heph::remote::etcd
