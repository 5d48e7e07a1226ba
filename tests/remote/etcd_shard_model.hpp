#pragma once

// A model of shards: an etcd and some nodes, joined by a network that delays, loses and parts. Time
// is the model's own, and what happens follows from a seed.

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "etcd/lease_clock.hpp"
#include "etcd/shard_keeper.hpp"

namespace heph::remote::etcd {

namespace {

using namespace std::chrono_literals;
using state = shard_keeper::state;
using kind = shard_action::kind;
using time_point = shard_keeper::time_point;
using duration = shard_keeper::duration;

constexpr std::string_view folder = "/s/";

time_point at(duration after) { return time_point(1000h + after); }

key_value made_key(std::string key, std::string value, std::int64_t lease, std::int64_t revision) {
    key_value made;
    made.key = std::move(key);
    made.value = std::move(value);
    made.lease = lease;
    made.create_revision = revision;
    made.mod_revision = revision;
    return made;
}

watch_event put(std::string key, std::string value, std::int64_t lease, std::int64_t revision) {
    return {false,
            made_key(std::string(folder) + std::move(key), std::move(value), lease, revision)};
}
watch_event removed(std::string key, std::int64_t revision) {
    return {true, made_key(std::string(folder) + std::move(key), {}, 0, revision)};
}
watch_batch batch(std::int64_t revision, std::vector<watch_event> events, bool reset = false) {
    watch_batch made;
    made.reset = reset;
    made.revision = revision;
    made.events = std::move(events);
    return made;
}

constexpr std::uint32_t shard_count = 12;
constexpr std::chrono::seconds ttl{3};
constexpr duration stop_time = 700ms;
constexpr duration request_timeout = 1s;
constexpr duration step = 50ms;

class world;

/// Is etcd: keys, leases that expire, and all changes there were.
class model_etcd {
public:
    std::int64_t grant(time_point now) {
        leases_[++last_lease_] = now + ttl;
        return last_lease_;
    }
    bool keep_alive(std::int64_t id, time_point now) {
        const auto found = leases_.find(id);
        if (found == leases_.end()) { return false; }
        found->second = now + ttl;
        return true;
    }
    void revoke(std::int64_t id) {
        if (leases_.erase(id) == 0) { return; }
        std::vector<std::string> of_it;
        for (const auto& [key, each] : keys) {
            if (each.lease == id) { of_it.push_back(key); }
        }
        for (const auto& key : of_it) { remove(key); }
    }
    void expire(time_point now) {
        std::vector<std::int64_t> over;
        for (const auto& [id, until] : leases_) {
            if (until <= now) { over.push_back(id); }
        }
        for (const auto id : over) { revoke(id); }
    }
    /// Gives every lease its whole time anew.
    void restart(time_point now) {
        for (auto& [id, until] : leases_) { until = now + ttl; }
    }
    bool put(const std::string& key, const std::string& value, std::int64_t lease) {
        if (!leases_.contains(lease)) { return false; }
        auto made = made_key(key, value, lease, ++revision);
        const auto found = keys.find(key);
        if (found != keys.end()) { made.create_revision = found->second.create_revision; }
        keys[key] = made;
        log.emplace_back(false, made);
        return true;
    }
    void remove(std::string key) {
        if (keys.erase(key) == 0) { return; }
        log.emplace_back(true, made_key(key, {}, 0, ++revision));
    }

    std::int64_t revision = 1;
    std::map<std::string, key_value> keys;
    std::vector<watch_event> log;

private:
    std::map<std::int64_t, time_point> leases_;
    std::int64_t last_lease_ = 1000;
};

/// Is a node: what shards.cpp and lease.cpp do around their state machines.
class model_node {
public:
    model_node(world& of, std::string name) : of_(of), name_(std::move(name)) { boot(); }

    void boot();
    void kill();
    void pause_until(time_point when) { paused_until_ = when; }
    void leave() { keeper_->leave(); }

    void run();  // One step of time.
    void act_now(std::uint64_t life, const std::function<void()>& what);
    [[nodiscard]] bool is_paused() const;
    [[nodiscard]] bool is_acting(std::uint32_t shard) const;
    [[nodiscard]] std::size_t acting() const;
    [[nodiscard]] bool is_up() const { return keeper_.has_value(); }
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] const shard_keeper& keeper() const { return *keeper_; }
    [[nodiscard]] std::uint64_t life() const { return life_; }

    time_point cut_until{};

private:
    friend class world;
    struct actor {
        std::uint64_t run = 0;
        std::int64_t fence = 0;
        time_point ends = time_point::max();
    };
    using answer = std::function<void()>;

    /// Does something at etcd, and what it gives then here; or `failed` instead, after the
    /// time-out.
    void ask(std::function<answer()> at_etcd, answer failed);
    void sync();
    void perform(const shard_action& action);
    void perform_all();
    void keep_lease();
    void follow();
    void see(watch_batch all);

    world& of_;
    std::string name_;
    std::optional<shard_keeper> keeper_;
    std::optional<lease_clock> clock_;
    std::int64_t lease_ = 0;
    bool is_asking_ = false;
    std::map<std::uint32_t, actor> actors_;
    std::uint64_t life_ = 0;
    std::optional<std::size_t> followed_;  // How much of the log was sent.
    bool is_listing_ = false;
    time_point told_last_{};
    time_point paused_until_{};
    std::deque<answer> held_up_;
};

class world {
public:
    explicit world(unsigned seed) : random(seed) {}

    void add(const std::string& name) {
        nodes.push_back(std::make_unique<model_node>(*this, name));
    }
    void later(time_point when, std::function<void()> what) {
        events_.push({when, ++order_, std::move(what)});
    }
    void run_for(duration time, bool with_trouble);
    void check();

    [[nodiscard]] bool chance(double of) {
        return std::uniform_real_distribution<double>(0, 1)(random) < of;
    }
    [[nodiscard]] duration delay(duration up_to) {
        return duration(std::uniform_int_distribution<duration::rep>(0, up_to.count())(random));
    }

    time_point now = at(0s);
    std::mt19937 random;
    model_etcd etcd;
    std::vector<std::unique_ptr<model_node>> nodes;
    std::map<std::uint32_t, std::int64_t> fences;
    double loss = 0;
    double ends_alone = 0;  // How many actors do, each time they start.
    bool meddling = false;  // Somebody removes keys and revokes leases, which nobody is safe from.
    std::size_t starts = 0;
    std::size_t overlaps = 0;
    std::size_t fences_back = 0;

private:
    struct event {
        time_point when;
        std::uint64_t order;
        std::function<void()> what;
        bool operator<(const event& other) const {
            return std::tie(when, order) > std::tie(other.when, other.order);
        }
    };
    void make_trouble();

    std::priority_queue<event> events_;
    std::uint64_t order_ = 0;
};

void model_node::boot() {
    ++life_;
    keeper_.emplace(name_, shard_view(std::string(folder), shard_count), stop_time);
    followed_.reset();
    is_listing_ = false;
    is_asking_ = false;
    paused_until_ = {};
}

void model_node::kill() {
    ++life_;
    keeper_.reset();
    clock_.reset();
    lease_ = 0;
    actors_.clear();
    held_up_.clear();
}

bool model_node::is_paused() const { return of_.now < paused_until_; }

bool model_node::is_acting(std::uint32_t shard) const {
    // While it is held up nothing of it runs; once its lease is over nothing is polled.
    return keeper_ && !is_paused() && actors_.contains(shard) && clock_ && clock_->is_held(of_.now);
}

std::size_t model_node::acting() const {
    std::size_t all = 0;
    for (std::uint32_t i = 0; i < shard_count; ++i) { all += is_acting(i) ? 1U : 0U; }
    return all;
}

void model_node::act_now(std::uint64_t life, const std::function<void()>& what) {
    if (life != life_) { return; }
    if (is_paused()) { return held_up_.push_back(what); }
    sync();
    what();
    perform_all();
}

void model_node::ask(std::function<answer()> at_etcd, answer failed) {
    world& all = of_;
    const auto life = life_;
    const auto done = std::make_shared<bool>(false);
    const auto finish = [this, life, done](const answer& how) {
        act_now(life, [done, how] {
            if (!std::exchange(*done, true)) { how(); }
        });
    };
    all.later(all.now + request_timeout, [finish, failed] { finish(failed); });
    if (all.now < cut_until || all.chance(all.loss)) { return; }
    // Some arrive when nobody waits for the answer any more.
    const auto arrives = all.now + all.delay(all.chance(all.loss) ? 5s : 200ms);
    all.later(arrives, [this, &all, at_etcd = std::move(at_etcd), finish] {
        const auto how = at_etcd();
        if (all.now < cut_until || all.chance(all.loss)) { return; }
        all.later(all.now + all.delay(200ms), [finish, how] { finish(how); });
    });
}

void model_node::sync() {
    if (!keeper_) { return; }
    if (lease_ != 0 && !clock_->is_held(of_.now)) {
        keeper_->lost();
        lease_ = 0;
        perform_all();
    }
    if (lease_ != 0) { keeper_->tick(of_.now, clock_->until()); }
}

void model_node::keep_lease() {
    if (is_asking_) { return; }
    const auto sent = of_.now;
    if (lease_ == 0) {
        is_asking_ = true;
        return ask(
            [this, sent]() -> answer {
                const auto id = of_.etcd.grant(of_.now);
                return [this, id, sent] {
                    is_asking_ = false;
                    clock_.emplace(sent, ttl);
                    if (!clock_->is_held(of_.now)) { return; }
                    lease_ = id;
                    keeper_->begin(id, of_.now, clock_->until());
                };
            },
            [this] { is_asking_ = false; });
    }
    if (of_.now < clock_->next()) { return; }
    is_asking_ = true;
    const auto id = lease_;
    ask(
        [this, id, sent]() -> answer {
            const bool is_there = of_.etcd.keep_alive(id, of_.now);
            return [this, id, sent, is_there] {
                is_asking_ = false;
                if (id != lease_) { return; }
                if (is_there) {
                    clock_->alive(sent, ttl, of_.now);
                } else {
                    clock_->refused();
                }
                sync();
            };
        },
        [this, id] {
            is_asking_ = false;
            if (id == lease_) { clock_->failed(of_.now); }
        });
}

void model_node::see(watch_batch all) {
    const auto life = life_;
    // In order, however long each takes.
    told_last_ = std::max(told_last_, of_.now + of_.delay(200ms));
    of_.later(told_last_, [this, life, all = std::move(all)] {
        act_now(life, [this, all] { keeper_->watched(all); });
    });
}

void model_node::follow() {
    if (of_.now < cut_until) { return; }
    model_etcd& etcd = of_.etcd;
    if (!followed_ || of_.chance(of_.loss / 10)) {
        watch_batch all;
        all.reset = true;
        all.revision = etcd.revision;
        for (const auto& [key, each] : etcd.keys) { all.events.emplace_back(false, each); }
        followed_ = etcd.log.size();
        return see(std::move(all));
    }
    if (*followed_ == etcd.log.size()) { return; }
    watch_batch some;
    some.events.assign(etcd.log.begin() + static_cast<std::ptrdiff_t>(*followed_), etcd.log.end());
    some.revision = some.events.back().what.mod_revision;
    followed_ = etcd.log.size();
    see(std::move(some));
}

void model_node::run() {
    if (!keeper_ || is_paused()) { return; }
    for (auto& each : std::exchange(held_up_, {})) { act_now(life_, each); }
    sync();
    keep_lease();
    follow();
    std::vector<std::pair<std::uint32_t, std::uint64_t>> over;
    for (const auto& [shard, each] : actors_) {
        if (each.ends <= of_.now) { over.emplace_back(shard, each.run); }
    }
    for (const auto& [shard, run] : over) {
        actors_.erase(shard);
        keeper_->ended(shard, run);
    }
    perform_all();
}

void model_node::perform_all() {
    if (!keeper_) { return; }
    for (auto todo = keeper_->take_actions(); !todo.empty(); todo = keeper_->take_actions()) {
        for (const auto& each : todo) { perform(each); }
    }
}

void model_node::perform(const shard_action& action) {
    model_etcd& etcd = of_.etcd;
    const auto [what, shard, lease, fence, run] = action;
    const auto key = keeper_->view().owner_key(shard);
    const auto host = keeper_->view().host_key(name_);
    const auto found = [&etcd](const std::string& which) {
        const auto at_key = etcd.keys.find(which);
        return at_key == etcd.keys.end() ? std::nullopt : std::optional(at_key->second);
    };
    switch (what) {
        case kind::enter:
            return ask(
                [this, &etcd, host, lease]() -> answer {
                    const bool done = etcd.put(host, "", lease);
                    return [this, lease, done, revision = etcd.revision] {
                        done ? keeper_->entered(lease, revision) : keeper_->enter_failed(lease);
                    };
                },
                [this, lease] { keeper_->enter_failed(lease); });
        case kind::withdraw:
            return ask(
                [this, &etcd, host, lease, found]() -> answer {
                    const auto there = found(host);
                    if (there && there->lease == lease) { etcd.remove(host); }
                    return [this, lease, revision = etcd.revision] {
                        keeper_->withdrawn(lease, revision);
                    };
                },
                [this, lease] { keeper_->withdraw_failed(lease); });
        case kind::acquire:
            return ask(
                [this, &etcd, key, lease, shard, found]() -> answer {
                    if (!found(key) && !etcd.put(key, name_, lease)) {
                        return [this, lease, shard] { keeper_->acquire_failed(lease, shard); };
                    }
                    return [this, lease, shard, there = *found(key), revision = etcd.revision] {
                        keeper_->acquire_answered(lease, shard, revision, &there);
                    };
                },
                [this, lease, shard] { keeper_->acquire_failed(lease, shard); });
        case kind::release:
            return ask(
                [this, &etcd, key, fence, shard, found]() -> answer {
                    auto there = found(key);
                    if (there && there->create_revision == fence) { etcd.remove(key); }
                    there = found(key);
                    return [this, fence, shard, there, revision = etcd.revision] {
                        keeper_->release_answered(fence, shard, revision,
                                                  there ? &*there : nullptr);
                    };
                },
                [this, fence, shard] { keeper_->release_failed(fence, shard); });
        case kind::start: {
            auto& last = of_.fences[shard];
            if (fence < last) { ++of_.fences_back; }
            last = std::max(last, fence);
            ++of_.starts;
            actor made;
            made.run = run;
            made.fence = fence;
            if (of_.chance(of_.ends_alone)) { made.ends = of_.now + of_.delay(5s); }
            actors_[shard] = made;
            return of_.check();
        }
        case kind::stop: {
            const auto running = actors_.find(shard);
            if (running == actors_.end()) { return; }
            running->second.ends = std::min(running->second.ends, of_.now + of_.delay(stop_time));
            return;
        }
        case kind::drop: actors_.erase(shard); return;
    }
}

void world::check() {
    for (std::uint32_t shard = 0; shard < shard_count; ++shard) {
        const auto owners =
            std::ranges::count_if(nodes, [&](const auto& each) { return each->is_acting(shard); });
        if (owners > 1) { ++overlaps; }
    }
}

void world::make_trouble() {
    if (!chance(0.08)) { return; }
    model_node& one = *nodes[random() % nodes.size()];
    switch (random() % (meddling ? 6U : 4U)) {
        case 0: one.cut_until = now + delay(8s); break;
        case 1: one.pause_until(now + delay(6s)); break;
        case 2:
            if (one.is_up()) { one.kill(); }
            break;
        case 3: etcd.restart(now); break;
        case 4:
            if (one.is_up()) { etcd.revoke(one.keeper().lease()); }
            break;
        default:
            if (!etcd.keys.empty()) { etcd.remove(etcd.keys.begin()->first); }
    }
    for (const auto& each : nodes) {
        if (!each->is_up() && chance(0.3)) { each->boot(); }
    }
}

void world::run_for(duration time, bool with_trouble) {
    const auto until = now + time;
    while (now < until) {
        const auto turn = now + step;
        while (!events_.empty() && events_.top().when <= turn) {
            auto next = events_.top();
            events_.pop();
            now = std::max(now, next.when);
            next.what();
            check();
        }
        now = turn;
        etcd.expire(now);
        if (with_trouble) { make_trouble(); }
        for (const auto& each : nodes) { each->run(); }
        check();
    }
}

void require_settled(world& all) {
    std::size_t hosts = 0;
    for (const auto& each : all.nodes) {
        hosts += each->is_up() && each->keeper().view().lease_of_host(each->name()) != 0 ? 1U : 0U;
    }
    REQUIRE(hosts > 0);
    for (std::uint32_t shard = 0; shard < shard_count; ++shard) {
        for (const auto& each : all.nodes) {
            if (!each->is_up()) { continue; }
            const auto* const place = each->keeper().view().place_of(shard);
            REQUIRE(place != nullptr);
            CHECK(each->keeper().view().owner_of(shard).node == *place);
            CHECK(each->is_acting(shard) == (*place == each->name()));
        }
    }
}

}  // namespace

}  // namespace heph::remote::etcd
