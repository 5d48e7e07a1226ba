// Shards over three nodes and a real etcd, which is stopped, killed and frozen.

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <heph/remote/etcd/shards.hpp>

#include "remote/etcd_server.hpp"

namespace heph::remote::testing {

namespace {

constexpr std::uint32_t shard_count = 12;

/// Knows what runs where.
struct registry {
    std::vector<int> running = std::vector<int>(shard_count);
    std::vector<int> starts = std::vector<int>(shard_count);
    std::vector<std::int64_t> fences = std::vector<std::int64_t>(shard_count);
    int overlaps = 0;
    int fences_back = 0;

    [[nodiscard]] int total() const { return std::accumulate(running.begin(), running.end(), 0); }
    [[nodiscard]] int all_starts() const {
        return std::accumulate(starts.begin(), starts.end(), 0);
    }
};

class presence {
public:
    presence(std::shared_ptr<registry> in, const etcd::shard& of) : in_(std::move(in)), of_(of) {
        if (++in_->running[of_.number()] > 1) { ++in_->overlaps; }
        ++in_->starts[of_.number()];
        if (of_.fence() < in_->fences[of_.number()]) { ++in_->fences_back; }
        in_->fences[of_.number()] = of_.fence();
    }
    presence(const presence&) = delete;
    presence& operator=(const presence&) = delete;
    ~presence() { --in_->running[of_.number()]; }

private:
    std::shared_ptr<registry> in_;
    etcd::shard of_;
};

task<> run_counter(etcd::shard self, std::shared_ptr<registry> in) {
    const presence here(std::move(in), self);
    co_await etcd::host_actor(self, no_supervisor(), actor_fn(counter),
                              std::make_shared<counter_state>());
}

etcd::shards::start_function counters(std::shared_ptr<registry> in) {
    return [in = std::move(in)](etcd::shard self) { return run_counter(std::move(self), in); };
}

etcd::shard_settings set_of(std::uint32_t count = shard_count) {
    etcd::shard_settings made("counters");
    made.count(count);
    return made;
}

/// Is a node that is a member, and hosts shards.
struct host {
    host(rt::worker worker, const etcd::client& client, std::string name,
         std::shared_ptr<registry> in, std::chrono::seconds ttl = 120s)
        : self(testing::start(worker, listening(std::move(name)))),
          in_cluster(join(self, client, ttl)),
          in_set(etcd::shards::host(in_cluster, set_of(), counters(std::move(in))).value()) {}

    static etcd::cluster join(const node& self, const etcd::client& client,
                              std::chrono::seconds ttl = 120s) {
        etcd::cluster_settings settings;
        settings.ttl(ttl);
        return etcd::cluster::join(self, client, settings).value();
    }

    node self;
    etcd::cluster in_cluster;
    etcd::shards in_set;
};

/// Waits until each shard runs, spread over that many hosts.
task<bool> settled(std::shared_ptr<registry> in, std::vector<etcd::shards> hosts) {
    return eventually([in, hosts] {
        std::size_t hosted = 0;
        for (const auto& each : hosts) {
            const auto own = each.hosted();
            if (own.empty() || each.hosts().size() != hosts.size()) { return false; }
            hosted += own.size();
        }
        return hosted == shard_count && in->total() == static_cast<int>(shard_count);
    });
}

/// Adds one to a key's counter, wherever that is, from some node. False when it does not work.
task<bool> add_one(etcd::shards from, std::string key) {
    auto found = co_await from.find<counter_message>(key, deadline(plenty));
    if (!found) { co_return false; }
    const add one(1);
    const auto sent = co_await found->send(one);
    const auto total = co_await found->rpc<get_total>(deadline(plenty));
    co_return sent&& total && *total > 0;
}

}  // namespace

TEST_CASE("etcd shards: each runs at one node, found from all, and moves when nodes come and go",
          "[etcd][etcd-server][shards]") {
    run_with_coming_etcd([](rt::worker worker, etcd_server& server, etcd::client client) -> task<> {
        auto in = std::make_shared<registry>();
        host a(worker, client, "a", in);
        std::vector<etcd::shards> sets;
        sets.push_back(a.in_set);
        const bool alone = co_await settled(in, sets);
        REQUIRE(alone);
        CHECK(in->all_starts() == static_cast<int>(shard_count));
        host b(worker, client, "b", in);
        host c(worker, client, "c", in);
        sets.push_back(b.in_set);
        sets.push_back(c.in_set);
        const bool three = co_await settled(in, sets);
        REQUIRE(three);
        // Who only looks sees the same.
        auto guest = testing::start(worker, listening("guest"));
        auto in_guest = host::join(guest, client);
        auto looking = etcd::shards::observe(in_guest, set_of());
        REQUIRE(looking);
        for (int i = 0; i < 20; ++i) {
            const auto key = "key" + std::to_string(i);
            const bool by_c = co_await add_one(c.in_set, key);
            CHECK(by_c);
            const bool by_guest = co_await add_one(*looking, key);
            CHECK(by_guest);
            CHECK(looking->locate(key)->node == a.in_set.locate(key)->node);
            CHECK(looking->locate(key)->fence == a.in_set.locate(key)->fence);
        }
        CHECK(looking->hosted().empty());
        // A restart of etcd disturbs none.
        const auto undisturbed = in->all_starts();
        co_await server.kill();
        co_await server.start();
        const bool is_back = co_await etcd_server::ready(client);
        CHECK(is_back);
        const bool meanwhile = co_await add_one(b.in_set, "key1");
        CHECK(meanwhile);
        CHECK(in->all_starts() == undisturbed);
        // Who leaves has nothing left when it is done, and only its own move.
        const auto had = static_cast<int>(b.in_set.hosted().size());
        const auto before = in->all_starts();
        co_await b.in_set.leave();
        CHECK(b.in_set.hosted().empty());
        sets.erase(sets.begin() + 1);
        const bool two = co_await settled(in, sets);
        CHECK(two);
        CHECK(in->all_starts() == before + had);
        const bool still = co_await add_one(b.in_set, "key1");
        CHECK(still);
        // One that leaves the cluster goes as well.
        co_await c.in_cluster.leave();
        sets.pop_back();
        const bool one = co_await settled(in, sets);
        CHECK(one);
        CHECK(in->overlaps == 0);
        CHECK(in->fences_back == 0);
    });
}

TEST_CASE("etcd shards: all stop when etcd is gone for too long, and begin again when it is back",
          "[etcd][etcd-server][shards]") {
    run_with_coming_etcd([](rt::worker worker, etcd_server& server, etcd::client client) -> task<> {
        auto in = std::make_shared<registry>();
        host a(worker, client, "a", in, 3s);
        host b(worker, client, "b", in, 3s);
        host c(worker, client, "c", in, 3s);
        std::vector<etcd::shards> sets;
        sets.push_back(a.in_set);
        sets.push_back(b.in_set);
        sets.push_back(c.in_set);
        const bool begun = co_await settled(in, sets);
        REQUIRE(begun);
        server.freeze();
        const bool all_stopped = co_await eventually([&] { return in->total() == 0; });
        CHECK(all_stopped);
        const bool all_lost = co_await eventually([&] {
            return !a.in_cluster.current() && !b.in_cluster.current() && !c.in_cluster.current();
        });
        CHECK(all_lost);
        server.thaw();
        const bool back = co_await settled(in, sets);
        CHECK(back);
        const bool answers = co_await add_one(c.in_set, "a key");
        CHECK(answers);
        // All data is lost: it is as if etcd was new.
        const auto before = in->starts;
        co_await server.kill();
        server.forget_all();
        co_await server.start();
        const bool anew = co_await eventually(
            [&] { return std::ranges::equal(in->starts, before, std::ranges::greater()); });
        CHECK(anew);
        const bool spread = co_await settled(in, sets);
        CHECK(spread);
        CHECK(in->overlaps == 0);
    });
}

TEST_CASE("etcd shards: a key that is taken away, and a shard that fails, begin again",
          "[etcd][etcd-server][shards]") {
    run_with_coming_etcd([](rt::worker worker, etcd_server&, etcd::client client) -> task<> {
        auto in = std::make_shared<registry>();
        host a(worker, client, "a", in);
        std::vector<etcd::shards> sets;
        sets.push_back(a.in_set);
        const bool begun = co_await settled(in, sets);
        REQUIRE(begun);
        const auto fence = a.in_set.owner_of(3)->fence;
        const auto removed = co_await client.remove("/heph/shards/counters/owners/3");
        REQUIRE(removed);
        const bool taken_again =
            co_await eventually([&] { return in->running[3] == 1 && in->fences[3] > fence; });
        CHECK(taken_again);
        auto found = co_await a.in_set.find<counter_message>(std::uint32_t{5});
        REQUIRE(found);
        const finish now;
        const auto told = co_await found->send(now);
        CHECK(told);
        const bool restarted = co_await eventually([&] { return in->starts[5] == 2; });
        CHECK(restarted);
        // Another count is another set.
        const log_lines lines;
        auto b = testing::start(worker, listening("b"));
        auto in_b = host::join(b, client);
        auto other = etcd::shards::host(in_b, set_of(8), counters(in));
        REQUIRE(other);
        const bool said =
            co_await eventually([] { return log_lines::with("there are 12 of them, not 8") == 1; });
        CHECK(said);
        CHECK(other->hosts() == std::vector<std::string>{"a"});
        CHECK(other->hosted().empty());
        co_await other->leave();
        CHECK(in->overlaps == 0);
    });
}

namespace {

task<> run_forever(etcd::shard self, std::shared_ptr<registry> in) {
    const presence here(std::move(in), self);
    while (true) { co_await rt::timer(1h); }
}
task<> throw_at_once(etcd::shard) {
    throw std::runtime_error("no disk");
    co_return;
}

}  // namespace

TEST_CASE("etcd shards: one that does not stop is dropped, one that throws is started again",
          "[etcd][etcd-server][shards]") {
    run_with_coming_etcd([](rt::worker worker, etcd_server&, etcd::client client) -> task<> {
        auto in = std::make_shared<registry>();
        auto a = testing::start(worker, listening("a"));
        auto in_a = host::join(a, client);
        auto dropped = std::make_shared<int>(0);
        auto failed = std::make_shared<int>(0);
        auto stubborn =
            etcd::shards::host(in_a,
                               etcd::shard_settings("stubborn")
                                   .count(2)
                                   .stop_time(100ms)
                                   .on_event([dropped](const etcd::shard_event& event) {
                                       if (event.what == etcd::shard_event::kind::dropped) {
                                           ++*dropped;
                                       }
                                   }),
                               [in](etcd::shard self) { return run_forever(std::move(self), in); });
        auto throwing = etcd::shards::host(
            in_a, etcd::shard_settings("throwing").count(1).on_event([failed](const auto& event) {
                if (event.what == etcd::shard_event::kind::failed) { ++*failed; }
            }),
            throw_at_once);
        REQUIRE(stubborn);
        REQUIRE(throwing);
        const log_lines lines;
        const bool begun = co_await eventually([&] { return in->total() == 2 && *failed >= 2; });
        CHECK(begun);
        CHECK(log_lines::with("no disk") >= 1);
        co_await stubborn->leave();
        CHECK(in->total() == 0);
        CHECK(*dropped == 2);
        CHECK(log_lines::with("did not stop in time") == 2);
        const auto refuses = [&](const etcd::shard_settings& settings) {
            const auto refused = etcd::shards::observe(in_a, settings);
            return !refused && refused.error().code() == etcd::errc::bad_settings;
        };
        CHECK(refuses(etcd::shard_settings("")));
        CHECK(refuses(etcd::shard_settings("a/b")));
        CHECK(refuses(etcd::shard_settings(std::string(65, 'a'))));
        CHECK(refuses(etcd::shard_settings("a").count(0)));
        CHECK(refuses(etcd::shard_settings("a").count(65'537)));
        CHECK(refuses(etcd::shard_settings("a").stop_time(60'001ms)));
        CHECK(refuses(etcd::shard_settings("a").stop_time(0ms)));
        CHECK_FALSE(etcd::shards::host(in_a, etcd::shard_settings("a"), nullptr));
    });
}

TEST_CASE("etcd shards: an orderly stop is told as one, a set is hosted once, events may throw",
          "[etcd][etcd-server][shards]") {
    run_with_coming_etcd([](rt::worker worker, etcd_server&, etcd::client client) -> task<> {
        auto in = std::make_shared<registry>();
        auto a = testing::start(worker, listening("a"));
        auto in_a = host::join(a, client);
        using kind = etcd::shard_event::kind;
        auto told = std::make_shared<std::vector<kind>>();
        const log_lines lines;
        const auto settings =
            etcd::shard_settings("orderly").count(1).on_event([told](const auto& event) {
                told->push_back(event.what);
                throw std::runtime_error("nobody listens");
            });
        auto orderly = etcd::shards::host(in_a, settings, counters(in));
        REQUIRE(orderly);
        const auto is_refused = [&] {
            const auto again = etcd::shards::host(in_a, settings, counters(in));
            return !again && again.error().code() == etcd::errc::bad_settings;
        };
        CHECK(is_refused());
        const bool counts = co_await add_one(*orderly, "a key");
        CHECK(counts);
        CHECK(in->running[0] == 1);
        co_await orderly->leave();
        CHECK(in->running[0] == 0);
        CHECK(*told == std::vector<kind>{kind::started, kind::stopped});
        CHECK(log_lines::with("on_event threw: nobody listens") == 2);
        CHECK(is_refused());
        CHECK(etcd::shards::observe(in_a, settings));
        CHECK(in->all_starts() == 1);
    });
}

}  // namespace heph::remote::testing
