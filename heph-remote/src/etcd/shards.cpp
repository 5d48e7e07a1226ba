#include <heph/remote/etcd/shards.hpp>

#include <algorithm>
#include <deque>
#include <exception>
#include <map>

#include <heph/core/either.hpp>
#include <heph/core/log.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "etcd/asking_again.hpp"
#include "etcd/change_signal.hpp"
#include "etcd/shard_keeper.hpp"
#include "etcd/shard_placement.hpp"
#include "etcd/shard_run.hpp"

namespace heph::remote::etcd {

namespace detail {

/// Carries out what a `shard_keeper` says. It runs two tasks, one for each request that is under
/// way, and one for each shard
///     follow    watches the set's keys
///     work      tells the keeper of the lease, and of time
class shards_core {
public:
    using core_pointer = std::shared_ptr<shards_core>;
    using run_pointer = std::shared_ptr<shard_run>;

    shards_core(cluster of, shard_settings settings, std::chrono::milliseconds stop_time,
                shards::start_function start)
        : of_(std::move(of)),
          settings_(std::move(settings)),
          stop_time_(stop_time),
          start_(std::move(start)),
          folder_(of_.prefix() + "shards/" + settings_.name() + '/'),
          keeper_(of_.self().name(), shard_view(folder_, settings_.count()), stop_time) {}

    static task<> follow(core_pointer core);
    static task<> work(core_pointer core);
    static task<> leave(core_pointer core);
    static task<> wait_for_change(core_pointer core, std::uint64_t seen) {
        co_await core->changed_.beyond(seen);
    }

    [[nodiscard]] std::uint64_t changes() const noexcept { return changed_.count(); }
    [[nodiscard]] const cluster& of() const noexcept { return of_; }
    [[nodiscard]] const shard_settings& settings() const noexcept { return settings_; }
    [[nodiscard]] const shard_view& view() const noexcept { return keeper_.view(); }
    [[nodiscard]] std::vector<std::uint32_t> hosted() const;

private:
    static constexpr std::size_t requests_max = 8;

    static task<> work_by(core_pointer core, lease by);
    /// Tells the keeper the time, or that the lease is lost.
    void sync();
    void perform(const core_pointer& core);
    void start_run(const core_pointer& core, const shard_action& action);
    void send_requests(const core_pointer& core);
    static task<> request(core_pointer core, shard_action action);
    static task<> enter(core_pointer core, std::int64_t lease);
    static task<> withdraw(core_pointer core, std::int64_t lease);
    static task<> acquire(core_pointer core, shard_action action);
    static task<> release(core_pointer core, shard_action action);
    static task<> run(core_pointer core, run_pointer one, run_pointer previous);
    static task<shard_event::kind> run_guarded(core_pointer core, run_pointer one);
    void tell(shard_event::kind what, const shard_run& of);
    void complain(const std::string& about);

    cluster of_;
    shard_settings settings_;
    std::chrono::milliseconds stop_time_;
    shards::start_function start_;
    std::string folder_;
    shard_keeper keeper_;
    std::optional<lease> by_;
    std::map<std::uint32_t, run_pointer> runs_;  // The last one of each shard, until it has ended.
    std::deque<shard_action> waiting_;           // Requests.
    std::size_t requests_ = 0;                   // That are under way.
    std::string complaint_;                      // The last one, not to be repeated.
    change_signal changed_;
};

std::vector<std::uint32_t> shards_core::hosted() const {
    std::vector<std::uint32_t> numbers;
    for (const auto& [number, one] : runs_) {
        if (one->is_owned()) { numbers.push_back(number); }
    }
    return numbers;
}

void shards_core::complain(const std::string& about) {
    if (about == complaint_) { return; }
    complaint_ = about;
    heph::log(log_level::warning, "shards '" + settings_.name() + "': " + about);
}

void shards_core::tell(shard_event::kind what, const shard_run& of) {
    if (!settings_.on_event()) { return; }
    shard_event event;
    event.what = what;
    event.number = of.number;
    event.fence = of.fence;
    try {
        settings_.on_event()(event);
    } catch (const std::exception& thrown) {
        heph::log(log_level::error, of.name + ": on_event threw: " + thrown.what());
    } catch (...) {
        heph::log(log_level::error, of.name + ": on_event threw an unknown exception");
    }
}

void shards_core::sync() {
    if (!by_) { return; }
    if (by_->is_held()) { return keeper_.tick(rt::clock::now(), by_->held_until()); }
    by_.reset();
    keeper_.lost();
}

void shards_core::perform(const core_pointer& core) {
    changed_.notify();
    for (auto todo = keeper_.take_actions(); !todo.empty(); todo = keeper_.take_actions()) {
        for (const auto& action : todo) {
            using enum shard_action::kind;
            if (action.what == start) {
                start_run(core, action);
            } else if (action.what == stop || action.what == drop) {
                const auto found = runs_.find(action.shard);
                if (found == runs_.end() || found->second->run != action.run) { continue; }
                if (action.what == drop) {
                    found->second->drop();
                } else {
                    found->second->ask_to_stop(rt::clock::now() + stop_time_);
                }
            } else {
                waiting_.push_back(action);
            }
        }
    }
    send_requests(core);
}

void shards_core::start_run(const core_pointer& core, const shard_action& action) {
    rt::worker worker = of_.coordinator().worker();
    auto name = "shard/" + settings_.name() + '/' + std::to_string(action.shard);
    auto one = std::make_shared<shard_run>(action, std::move(name), view().owner_key(action.shard),
                                           of_.self(), worker, *by_);
    auto previous = std::exchange(runs_[action.shard], one);
    worker.spawn_future(run(core, std::move(one), std::move(previous)));
}

void shards_core::send_requests(const core_pointer& core) {
    rt::worker worker = of_.coordinator().worker();
    while (requests_ < requests_max && !waiting_.empty()) {
        ++requests_;
        worker.spawn_future(request(core, waiting_.front()));
        waiting_.pop_front();
    }
}

task<> shards_core::request(core_pointer core, shard_action action) {
    // What is asked by a lease that is lost would be in vain.
    if (core->keeper_.lease() == action.lease) {
        switch (action.what) {
            case shard_action::kind::enter: co_await enter(core, action.lease); break;
            case shard_action::kind::withdraw: co_await withdraw(core, action.lease); break;
            case shard_action::kind::acquire: co_await acquire(core, action); break;
            default: co_await release(core, action);
        }
    }
    --core->requests_;
    core->perform(core);
}

task<> shards_core::enter(core_pointer core, std::int64_t lease) {
    const auto count = std::to_string(core->settings_.count());
    const auto count_key = core->view().count_key();
    // The first host says how many there are.
    transaction counting;
    counting.if_absent(count_key).then_put(count_key, count).else_get(count_key);
    auto counted = co_await core->of_.coordinator().commit(std::move(counting));
    std::string complaint;
    if (!counted) {
        complaint = counted.error().message();
    } else if (!counted->succeeded && !counted->found.empty() &&
               counted->found.front().value != count) {
        complaint = "there are " + counted->found.front().value + " of them, not " + count +
                    ": this node hosts none";
    } else {
        transaction entering;
        entering.if_value(count_key, count);
        entering.then_put(core->view().host_key(core->of_.self().name()), {}, lease);
        auto entered = co_await core->of_.coordinator().commit(std::move(entering));
        if (entered && entered->succeeded) {
            core->complaint_.clear();
            core->sync();
            core->keeper_.entered(lease, entered->revision);
            co_return;
        }
        if (!entered) { complaint = entered.error().message(); }
    }
    if (!complaint.empty()) { core->complain(complaint); }
    core->sync();
    core->keeper_.enter_failed(lease);
}

task<> shards_core::withdraw(core_pointer core, std::int64_t lease) {
    const auto key = core->view().host_key(core->of_.self().name());
    transaction withdrawing;
    withdrawing.if_lease(key, lease).then_remove(key);
    auto done = co_await core->of_.coordinator().commit(std::move(withdrawing));
    core->sync();
    if (done) {
        core->keeper_.withdrawn(lease, done->revision);
    } else {
        core->keeper_.withdraw_failed(lease);
    }
}

task<> shards_core::acquire(core_pointer core, shard_action action) {
    const auto key = core->view().owner_key(action.shard);
    const std::string& self = core->of_.self().name();
    transaction taking;
    taking.if_absent(key).then_put(key, self, action.lease).else_get(key);
    auto done = co_await core->of_.coordinator().commit(std::move(taking));
    core->sync();
    if (!done || (!done->succeeded && done->found.empty())) {
        if (!done && !passes(done.error())) { core->complain(done.error().message()); }
        core->keeper_.acquire_failed(action.lease, action.shard);
        co_return;
    }
    key_value there;
    if (done->succeeded) {
        there.key = key;
        there.value = self;
        there.lease = action.lease;
        there.create_revision = done->revision;
    } else {
        there = std::move(done->found.front());
    }
    core->keeper_.acquire_answered(action.lease, action.shard, done->revision, &there);
}

task<> shards_core::release(core_pointer core, shard_action action) {
    const auto key = core->view().owner_key(action.shard);
    transaction giving;
    giving.if_create_revision(key, action.fence).then_remove(key).else_get(key);
    auto done = co_await core->of_.coordinator().commit(std::move(giving));
    core->sync();
    if (!done) {
        core->keeper_.release_failed(action.fence, action.shard);
        co_return;
    }
    const auto* const there =
        done->succeeded || done->found.empty() ? nullptr : &done->found.front();
    core->keeper_.release_answered(action.fence, action.shard, done->revision, there);
}

task<shard_event::kind> shards_core::run_guarded(core_pointer core, run_pointer one) {
    using enum shard_event::kind;
    try {
        task<> body = core->start_(shard(one));
        shard_run::fence_future fence(*one);
        auto first = co_await either(fence, body, shard_run::wait_until_stopping(one));
        if (first.index() == 0) { co_return dropped; }
        // An actor that had nothing left to do ends within the turn that asks it to.
        if (first.index() == 1) { co_return one->stop_until() ? stopped : failed; }
        // The fence may be what woke both.
        if (!one->stop_until()) { co_return dropped; }
        rt::timer late(*one->stop_until());
        first = co_await either(fence, body, late);
        if (first.index() == 1) { co_return stopped; }
        if (first.index() == 2) {
            heph::log(log_level::warning,
                      one->name + ": did not stop in time; it is dropped where it is");
        }
        co_return dropped;
    } catch (const std::exception& thrown) {
        heph::log(log_level::error, one->name + ": " + thrown.what());
    } catch (...) { heph::log(log_level::error, one->name + ": failed by an unknown exception"); }
    co_return failed;
}

task<> shards_core::run(core_pointer core, run_pointer one, run_pointer previous) {
    if (previous) { co_await shard_run::wait_until_ended(std::move(previous)); }
    auto how = shard_event::kind::dropped;
    if (one->is_owned()) {
        core->tell(shard_event::kind::started, *one);
        how = co_await run_guarded(core, one);
        core->tell(how, *one);
    }
    one->end();
    const auto found = core->runs_.find(one->number);
    if (found != core->runs_.end() && found->second == one) { core->runs_.erase(found); }
    core->sync();
    core->keeper_.ended(one->number, one->run);
    core->perform(core);
}

task<> shards_core::work_by(core_pointer core, lease by) {
    // An orderly stop ends the shards before the lease.
    const auto outliving = by.outlive();
    core->by_ = by;
    core->keeper_.begin(by.id(), rt::clock::now(), by.held_until());
    core->perform(core);
    bool is_stopping = false;
    while (core->by_) {
        if (rt::stop_requested() && !std::exchange(is_stopping, true)) {
            core->keeper_.leave();
            core->perform(core);
        }
        // What is still held then ends with the lease.
        if (is_stopping && core->runs_.empty()) { break; }
        rt::timer waiting(core->keeper_.next());
        if (is_stopping) {
            (void)co_await either(waiting, core->changed_.next(), by.lost());
        } else {
            (void)co_await either(waiting, core->changed_.next(), by.lost(), rt::stopping());
        }
        core->sync();
        if (core->keeper_.has_actions()) { core->perform(core); }
    }
    core->by_.reset();
    core->keeper_.lost();
    core->perform(core);
}

task<> shards_core::work(core_pointer core) {
    while (!rt::stop_requested()) {
        auto held = core->of_.current();
        if (held) {
            co_await work_by(core, std::move(*held));
        } else {
            (void)co_await either(core->of_.changed(), rt::stopping());
        }
    }
}

task<> shards_core::follow(core_pointer core) {
    auto changes = core->of_.coordinator().watch_prefix(core->folder_);
    while (!rt::stop_requested()) {
        auto next = changes.next();
        auto first = co_await either(next, rt::stopping());
        if (first.index() != 0) { co_return; }
        auto& batch = std::get<0>(first);
        core->sync();
        if (batch) {
            core->keeper_.watched(*batch);
            core->perform(core);
        } else {
            core->complain(batch.error().message());
            (void)co_await either(rt::timer(std::chrono::seconds(1)), rt::stopping());
        }
    }
}

task<> shards_core::leave(core_pointer core) {
    core->sync();
    core->keeper_.leave();
    core->perform(core);
    while (!core->keeper_.is_idle() || !core->runs_.empty()) { co_await core->changed_.next(); }
}

}  // namespace detail

using detail::shard_run;
using detail::shards_core;

shard::shard(std::shared_ptr<shard_run> run) noexcept : run_(std::move(run)) {}
std::uint32_t shard::number() const noexcept { return run_->number; }
std::int64_t shard::fence() const noexcept { return run_->fence; }
const std::string& shard::key() const noexcept { return run_->key; }
bool shard::is_owned() const noexcept { return run_->is_owned(); }
task<> shard::stopping() const { return shard_run::wait_until_stopping(run_); }
const std::string& shard::actor_name() const noexcept { return run_->name; }
const node& shard::node() const noexcept { return run_->where; }
const rt::worker& shard::worker() const noexcept { return run_->worker; }

shards::shards(std::shared_ptr<shards_core> core) noexcept : core_(std::move(core)) {}

std::expected<shards, rt::error> shards::make(cluster of, shard_settings settings,
                                              start_function start) {
    const auto refuse = [](const char* why) {
        return std::unexpected(rt::error(errc::bad_settings, why));
    };
    const auto is_good = [](char each) {
        return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
               (each >= '0' && each <= '9') || each == '.' || each == '-' || each == '_';
    };
    const std::string& name = settings.name();
    if (name.empty() || name.size() > 64 || !std::ranges::all_of(name, is_good)) {
        return refuse("shards are named by 1 to 64 letters, digits, dots, dashes and underscores");
    }
    if (settings.count() == 0 || settings.count() > 65'536) {
        return refuse("there are 1 to 65,536 shards in a set");
    }
    const std::chrono::milliseconds ttl = of.ttl();
    const auto stop_time = settings.stop_time().value_or(ttl / 4);
    if (stop_time.count() <= 0 || stop_time > ttl / 2) {
        return refuse("the time to stop a shard is half of the cluster's time to live at most");
    }
    const bool hosts = start != nullptr;
    if (hosts && !of.take_set(name)) {
        return refuse("this node hosts, or hosted, shards of this name already");
    }
    rt::worker worker = of.coordinator().worker();
    auto core = std::make_shared<shards_core>(std::move(of), std::move(settings), stop_time,
                                              std::move(start));
    worker.spawn_future(shards_core::follow(core));
    if (hosts) { worker.spawn_future(shards_core::work(core)); }
    return shards(std::move(core));
}

std::expected<shards, rt::error> shards::host(cluster of, shard_settings settings,
                                              start_function start) {
    if (!start) {
        return std::unexpected(rt::error(errc::bad_settings, "a host needs a function to start"));
    }
    return make(std::move(of), std::move(settings), std::move(start));
}
std::expected<shards, rt::error> shards::observe(cluster of, shard_settings settings) {
    return make(std::move(of), std::move(settings), nullptr);
}

std::uint32_t shards::shard_of(std::string_view key) const {
    const auto& by = core_->settings().hash();
    return static_cast<std::uint32_t>((by ? by(key) : hash_of(key)) % count());
}
std::optional<shard_owner> shards::owner_of(std::uint32_t number) const {
    const auto& known = core_->view().owner_of(number);
    if (known.node.empty()) { return std::nullopt; }
    shard_owner owner;
    owner.node = known.node;
    owner.fence = known.fence;
    return owner;
}

std::vector<std::uint32_t> shards::hosted() const { return core_->hosted(); }
std::vector<std::string> shards::hosts() const { return core_->view().hosts(); }
task<> shards::changed() const { return shards_core::wait_for_change(core_, core_->changes()); }
task<> shards::leave() const { return shards_core::leave(core_); }
std::uint32_t shards::count() const noexcept { return core_->settings().count(); }
std::string shards::actor_name(std::uint32_t number) const {
    return "shard/" + core_->settings().name() + '/' + std::to_string(number);
}
const node& shards::node() const noexcept { return core_->of().self(); }

}  // namespace heph::remote::etcd
