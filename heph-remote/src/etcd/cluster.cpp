#include <heph/remote/etcd/cluster.hpp>

#include <map>
#include <set>
#include <string_view>

#include <heph/core/either.hpp>
#include <heph/core/log.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "etcd/asking_again.hpp"
#include "etcd/change_signal.hpp"
#include "etcd/process_lock.hpp"
#include "etcd/process_mark.hpp"
#include "etcd/reach.hpp"

namespace heph::remote::etcd {

namespace detail {

/// Says what is known of a member of this node's name.
enum class predecessor : std::uint8_t {
    lives,      ///< Or may do so: its lease decides.
    displaced,  ///< It was at this node's address, and is no member any more.
    ended,      ///< Its process is not there any more.
};

/// Keys, by the lease of the member
///     members/NAME    where it is reached
///     runs/NAME       which process it is (`process_mark`), where that is known
///
/// Runs two tasks
///     stay      gets a lease, enters the node's key by it, and begins again whenever it is lost
///     follow    watches the members' keys, and tells the node whom to dial
class cluster_core {
public:
    using core_pointer = std::shared_ptr<cluster_core>;

    cluster_core(node self, client with, cluster_settings settings, std::string address,
                 std::optional<process_lock> lock)
        : self_(std::move(self)),
          with_(std::move(with)),
          settings_(std::move(settings)),
          address_(std::move(address)),
          folder_(settings_.prefix() + "members/"),
          key_(folder_ + self_.name()),
          run_key_(settings_.prefix() + "runs/" + self_.name()),
          mark_(process_mark::own()),
          lock_(std::move(lock)) {}

    static task<> stay(core_pointer core);
    static task<> follow(core_pointer core);
    static task<lease> wait_until_joined(core_pointer core);
    static task<> wait_for_change(core_pointer core, std::uint64_t seen) {
        co_await core->changed_.beyond(seen);
    }
    static task<> leave(core_pointer core);
    bool take_set(std::string_view name) { return sets_.emplace(name).second; }

    [[nodiscard]] std::uint64_t changes() const noexcept { return changed_.count(); }
    [[nodiscard]] std::optional<lease> current() const {
        return held_ && held_->is_held() ? held_ : std::nullopt;
    }
    [[nodiscard]] std::vector<member> members() const;
    [[nodiscard]] const client& with() const noexcept { return with_; }
    [[nodiscard]] const std::string& prefix() const noexcept { return settings_.prefix(); }
    [[nodiscard]] const node& self() const noexcept { return self_; }
    [[nodiscard]] std::chrono::seconds ttl() const noexcept { return settings_.ttl(); }

private:
    [[nodiscard]] bool is_over() const noexcept { return leaving_ || rt::stop_requested(); }
    static task<> pause(core_pointer core, std::chrono::milliseconds time);
    /// Takes the key, for as long as that takes. False when the lease was lost meanwhile. One
    /// attempt gives the revision at which it was taken, or 0 while another one has it.
    static task<bool> enter(core_pointer core, lease by);
    static task<answer<std::int64_t>> try_to_enter(core_pointer core, lease by);
    [[nodiscard]] transaction entering(const lease& by) const;
    [[nodiscard]] predecessor judge(const key_value& there,
                                    const std::vector<key_value>& found) const;
    void apply(const watch_batch& batch);
    void dial(const key_value& what);
    void complain(const rt::error& about);

    node self_;
    client with_;
    cluster_settings settings_;
    std::string address_;
    std::string folder_;
    std::string key_;
    std::string run_key_;
    std::optional<process_mark> mark_;
    std::optional<process_lock> lock_;  // Named by the mark once this process has it.
    std::map<std::string, key_value, std::less<>> members_;  // By name.
    std::optional<lease> held_;                              // By which the key was entered,
    std::int64_t entered_ = 0;                               // and at which revision.
    std::string complaint_;                                  // The last one, not to be repeated.
    std::set<std::string, std::less<>> sets_;                // Of shards that were ever hosted.
    change_signal changed_;
    bool leaving_ = false;
    bool told_taken_ = false;
    bool told_unreachable_ = false;
    bool has_left_ = false;
};

std::vector<member> cluster_core::members() const {
    std::vector<member> all;
    all.reserve(members_.size());
    for (const auto& [name, each] : members_) {
        all.emplace_back(name, each.value, each.create_revision);
    }
    return all;
}

void cluster_core::complain(const rt::error& about) {
    if (about.message() == complaint_) { return; }
    complaint_ = about.message();
    heph::log(log_level::warning,
              "node " + self_.name() + ": " + complaint_ + "; asking again until it works");
}

task<> cluster_core::pause(core_pointer core, std::chrono::milliseconds time) {
    const auto until = rt::clock::now() + time;
    while (!core->is_over() && rt::clock::now() < until) {
        (void)co_await either(rt::timer(until), core->changed_.next(), rt::stopping());
    }
}

transaction cluster_core::entering(const lease& by) const {
    transaction made;
    made.if_absent(key_).then_put(key_, address_, by.id());
    if (mark_) { made.then_put(run_key_, mark_->to_string(), by.id()); }
    made.else_get(key_).else_get(run_key_);
    return made;
}

// What becomes of the member that has the name. Its process is not there any more: what depends on
// its lease is nobody's, and the lease, which no other process ever had, is ended. At this node's
// own address nobody else can listen, if that is one of this machine only, and no name; but it is
// not known whether what listened there has ended as well, so its lease is left to its time.
predecessor cluster_core::judge(const key_value& there, const std::vector<key_value>& found) const {
    const bool is_same_address =
        there.value == address_ && !address_.empty() && !is_by_name(address_);
    for (const auto& each : found) {
        if (each.key != run_key_ || each.lease != there.lease) { continue; }
        const auto run = process_mark::parse(each.value);
        if (!run || run == mark_) { continue; }
        if (run->has_ended() || (mark_ && run->is_followed_by(*mark_))) {
            return predecessor::ended;
        }
        if (run->is_near() || leads_home(address_)) { return predecessor::lives; }
    }
    return is_same_address ? predecessor::displaced : predecessor::lives;
}

task<answer<std::int64_t>> cluster_core::try_to_enter(core_pointer core, lease by) {
    if (core->lock_ && core->mark_ && core->lock_->take()) {
        core->mark_->set_lock(core->lock_->name());
    }
    auto done = co_await core->with_.commit(core->entering(by));
    if (!done) { co_return std::unexpected(std::move(done).error()); }
    if (done->succeeded) { co_return done->revision; }
    if (done->found.empty() || done->found.front().key != core->key_) { co_return 0; }
    const key_value there = done->found.front();
    if (there.lease == by.id()) { co_return there.mod_revision; }
    const predecessor before = core->judge(there, done->found);
    if (before == predecessor::lives) {
        if (!std::exchange(core->told_taken_, true)) {
            heph::log(log_level::warning, "node " + core->self_.name() +
                                              ": the cluster has a node of this name at '" +
                                              there.value + "'; waiting until that is gone");
        }
        co_return 0;
    }
    if (before == predecessor::ended && there.lease != 0) {
        auto ended = co_await core->with_.revoke(there.lease);
        if (!ended) { co_return std::unexpected(std::move(ended).error()); }
        heph::log(log_level::info,
                  "node " + core->self_.name() + ": follows an earlier run, which has ended");
    } else {
        transaction leaving;
        leaving.if_mod_revision(core->key_, there.mod_revision).then_remove(core->key_);
        auto left = co_await core->with_.commit(std::move(leaving));
        if (!left) { co_return std::unexpected(std::move(left).error()); }
    }
    // The key is made anew, so that its fence grows. Of two who follow, one comes first.
    auto followed = co_await core->with_.commit(core->entering(by));
    if (!followed) { co_return std::unexpected(std::move(followed).error()); }
    co_return followed->succeeded ? followed->revision : 0;
}

task<bool> cluster_core::enter(core_pointer core, lease by) {
    core->told_taken_ = false;
    while (by.is_held() && !core->is_over()) {
        auto entered = co_await try_to_enter(core, by);
        if (entered && *entered != 0) {
            core->entered_ = *entered;
            co_return by.is_held();
        }
        if (!entered) { core->complain(entered.error()); }
        co_await pause(core, pause_between);
    }
    co_return false;
}

task<> cluster_core::stay(core_pointer core) {
    while (!core->is_over()) {
        auto granted = co_await lease::hold(core->with_, core->settings_.ttl());
        if (!granted) {
            core->complain(granted.error());
            co_await pause(core, pause_between);
            continue;
        }
        const bool entered = co_await enter(core, *granted);
        if (!entered) { continue; }
        core->complaint_.clear();
        core->held_ = *granted;
        core->changed_.notify();
        while (granted->is_held() && core->held_ && !core->leaving_) {
            (void)co_await either(granted->lost(), core->changed_.next());
        }
        const bool is_displaced = !core->held_;
        core->held_.reset();
        core->changed_.notify();
        co_await granted->give_back();
        // Two nodes that say that they are the same one do not take turns without end.
        if (is_displaced) { co_await pause(core, std::chrono::seconds(1)); }
    }
    core->has_left_ = true;
    core->changed_.notify();
}

void cluster_core::dial(const key_value& what) {
    const std::string_view name = std::string_view(what.key).substr(folder_.size());
    if (name == self_.name() || what.value.empty()) { return; }
    const auto added = self_.add_peer(name, what.value);
    if (!added) {
        heph::log(log_level::warning, "node " + self_.name() + ": the cluster's member '" +
                                          std::string(name.substr(0, 255)) +
                                          "' cannot be dialed: " + added.error().message());
    }
}

void cluster_core::apply(const watch_batch& batch) {
    auto before = members_;
    if (batch.reset) { members_.clear(); }
    for (const auto& each : batch.events) {
        // What lies elsewhere was not asked for.
        if (!each.what.key.starts_with(folder_)) { continue; }
        std::string name = each.what.key.substr(folder_.size());
        if (each.removed) {
            members_.erase(name);
        } else {
            members_.insert_or_assign(std::move(name), each.what);
        }
    }
    for (const auto& [name, was] : before) {
        if (!members_.contains(name) && name != self_.name()) { self_.forget_peer(name); }
    }
    for (const auto& [name, now] : members_) {
        if (leads_home(address_) && !leads_home(now.value) && !now.value.empty() &&
            !std::exchange(told_unreachable_, true)) {
            heph::log(log_level::warning,
                      "node " + self_.name() + ": is a member as reached at " + address_ +
                          ", which leads nowhere from another machine, and " + name + " is at " +
                          now.value + ": if that is one, it cannot dial this node");
        }
        const auto found = before.find(name);
        if (found == before.end() || found->second.value != now.value) { dial(now); }
    }
    // Who took the key out, or has it by another lease, ended this membership.
    if (held_) {
        const auto own = members_.find(self_.name());
        if ((batch.replaced || batch.revision >= entered_) &&
            (own == members_.end() || own->second.lease != held_->id())) {
            heph::log(log_level::warning,
                      "node " + self_.name() + ": its key in etcd is gone; joining again");
            held_.reset();
        }
    }
    changed_.notify();
}

task<> cluster_core::follow(core_pointer core) {
    auto changes = core->with_.watch_prefix(core->folder_);
    while (!core->is_over()) {
        auto next = changes.next();
        auto first = co_await either(next, core->changed_.next(), rt::stopping());
        if (first.index() != 0) { continue; }
        auto& batch = std::get<0>(first);
        if (batch) {
            core->apply(*batch);
        } else {
            core->complain(batch.error());
            co_await pause(core, std::chrono::seconds(1));
        }
    }
}

task<lease> cluster_core::wait_until_joined(core_pointer core) {
    while (true) {
        auto held = core->current();
        if (held) { co_return std::move(*held); }
        co_await core->changed_.next();
    }
}

task<> cluster_core::leave(core_pointer core) {
    core->leaving_ = true;
    core->changed_.notify();
    while (!core->has_left_) { co_await core->changed_.next(); }
}

}  // namespace detail

using detail::cluster_core;

cluster::cluster(std::shared_ptr<cluster_core> core) noexcept : core_(std::move(core)) {}

std::expected<cluster, rt::error> cluster::join(node self, client with, cluster_settings settings) {
    auto address = settings.address().empty() ? self.reached_at() : settings.address();
    const std::string& wanted = address.empty() ? self.address() : address;
    const auto parsed = remote::detail::node_address::parse(wanted);
    if (!wanted.empty() && (!parsed || parsed->is_any() || !parsed->is_dialable())) {
        return std::unexpected(rt::error(
            errc::bad_settings, "the node is to be reached at " + wanted +
                                    ", which others cannot dial: say by options::advertise, or by "
                                    "cluster_settings::address, at which of its addresses it is"));
    }
    if (const auto wrong = detail::complaint_about(address, with.where().endpoints());
        !wrong.empty()) {
        heph::log(log_level::warning, "node " + self.name() + ": " + wrong);
    }
    if (settings.ttl() < std::chrono::seconds(1)) {
        return std::unexpected(
            rt::error(errc::bad_settings, "a member's time to live is a second at least"));
    }
    std::optional<detail::process_lock> lock;
    if (!settings.lock_file().empty()) {
        auto opened = detail::process_lock::open(settings.lock_file());
        if (!opened) { return std::unexpected(std::move(opened).error()); }
        lock = std::move(*opened);
    }
    rt::worker worker = with.worker();
    auto core = std::make_shared<cluster_core>(
        std::move(self), std::move(with), std::move(settings), std::move(address), std::move(lock));
    worker.spawn_future(cluster_core::stay(core));
    worker.spawn_future(cluster_core::follow(core));
    return cluster(std::move(core));
}

task<lease> cluster::joined() const { return cluster_core::wait_until_joined(core_); }
std::optional<lease> cluster::current() const { return core_->current(); }
std::vector<member> cluster::members() const { return core_->members(); }
task<> cluster::changed() const { return cluster_core::wait_for_change(core_, core_->changes()); }
task<> cluster::leave() const { return cluster_core::leave(core_); }
const client& cluster::coordinator() const noexcept { return core_->with(); }
const node& cluster::self() const noexcept { return core_->self(); }
std::chrono::seconds cluster::ttl() const noexcept { return core_->ttl(); }
const std::string& cluster::prefix() const noexcept { return core_->prefix(); }
bool cluster::take_set(std::string_view name) const { return core_->take_set(name); }

}  // namespace heph::remote::etcd
