#include <heph/remote/etcd/names.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include <heph/core/either.hpp>
#include <heph/rt/timer.hpp>

#include "etcd/asking_again.hpp"

namespace heph::remote::etcd {

namespace {

rt::error lost_lease() { return {errc::lease_not_found, "etcd: the lease is held no more"}; }

/// Gives 16 digits, so that no candidate's key begins with another's.
std::string candidate_key(const std::string& name, std::int64_t lease) {
    std::string digits(16, '0');
    char buffer[16];
    const auto number = static_cast<std::uint64_t>(lease);
    const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, number, 16);
    std::copy_backward(buffer, end, digits.data() + digits.size());
    return name + '/' + digits;
}

/// Tells whether a key is that of a candidate, rather than one of an election whose name begins
/// with this one's.
bool is_candidate(std::string_view key, const std::string& name) noexcept {
    if (key.size() != name.size() + 1 + 16) { return false; }
    return std::ranges::all_of(key.substr(name.size() + 1), [](char each) {
        return (each >= '0' && each <= '9') || (each >= 'a' && each <= 'f');
    });
}

task<answer<range_result>> list_candidates(client with, std::string name) {
    auto all = co_await with.list(name + '/');
    if (!all) { co_return std::unexpected(std::move(all).error()); }
    std::erase_if(all->found, [&](const key_value& each) { return !is_candidate(each.key, name); });
    co_return std::move(*all);
}

claim claimed(std::string key, std::int64_t lease, std::int64_t fence) {
    claim made;
    made.key = std::move(key);
    made.lease = lease;
    made.fence = fence;
    return made;
}

/// Waits until a key that was made by the change of that revision is gone.
task<answer<void>> wait_until_gone(client with, key_value which) {
    auto changes = with.watch(which.key);
    while (true) {
        auto batch = co_await changes.next();
        if (!batch) { co_return std::unexpected(std::move(batch).error()); }
        bool is_there = !batch->reset;
        for (const auto& each : batch->events) {
            is_there = !each.removed && each.what.create_revision == which.create_revision;
        }
        if (!is_there) { co_return answer<void>(); }
    }
}

/// Gives the candidate who came last before this one; nothing when this one is the first.
std::optional<key_value> before(const range_result& all, std::int64_t fence) {
    std::optional<key_value> found;
    for (const auto& each : all.found) {
        if (each.create_revision < fence &&
            (!found || each.create_revision > found->create_revision)) {
            found = each;
        }
    }
    return found;
}

task<answer<claim>> wait_for_turn(client with, lease by, std::string name, claim own) {
    while (true) {
        auto all = co_await list_candidates(with, name);
        if (!all) {
            if (!detail::passes(all.error())) { co_return std::unexpected(std::move(all).error()); }
            co_await rt::timer(detail::pause_between);
            continue;
        }
        const bool stands = std::ranges::any_of(
            all->found, [&](const key_value& each) { return each.create_revision == own.fence; });
        if (!stands || !by.is_held()) { co_return std::unexpected(lost_lease()); }
        auto previous = before(*all, own.fence);
        if (!previous) { co_return own; }
        auto gone = co_await wait_until_gone(with, std::move(*previous));
        if (!gone) { co_return std::unexpected(std::move(gone).error()); }
    }
}

/// Takes a candidate back who gives up for an error. Who stood on would be the leader one day, and
/// not know it.
task<> stand_down(client with, lease by, std::string name) {
    while (by.is_held()) {
        auto resigned = co_await resign(with, by, name);
        if (resigned || !detail::passes(resigned.error())) { co_return; }
        co_await rt::timer(detail::pause_between);
    }
}

}  // namespace

task<answer<claim>> claim_name(client with, lease by, std::string key, std::string value) {
    while (by.is_held()) {
        transaction taking;
        taking.if_absent(key).then_put(key, value, by.id()).else_get(key);
        auto done = co_await with.commit(std::move(taking));
        if (!done) {
            if (!detail::passes(done.error())) {
                co_return std::unexpected(std::move(done).error());
            }
            co_await rt::timer(detail::pause_between);
            continue;
        }
        if (done->succeeded) { co_return claimed(std::move(key), by.id(), done->revision); }
        if (done->found.empty()) { continue; }
        const key_value& holder = done->found.front();
        // It may be ours, by a request whose answer did not come.
        if (holder.lease == by.id() && holder.value == value) {
            co_return claimed(std::move(key), by.id(), holder.create_revision);
        }
        co_return std::unexpected(
            rt::error(errc::taken, "etcd: " + key + " is taken by " + holder.value));
    }
    co_return std::unexpected(lost_lease());
}

task<answer<bool>> release_name(client with, claim held) {
    transaction giving;
    giving.if_create_revision(held.key, held.fence).then_remove(held.key);
    auto done = co_await with.commit(std::move(giving));
    if (!done) { co_return std::unexpected(std::move(done).error()); }
    co_return done->succeeded;
}

task<answer<claim>> campaign(client with, lease by, std::string name, std::string value) {
    auto key = candidate_key(name, by.id());
    auto standing = co_await claim_name(with, by, std::move(key), std::move(value));
    if (!standing) {
        co_await stand_down(std::move(with), std::move(by), std::move(name));
        co_return std::unexpected(std::move(standing).error());
    }
    auto turn = wait_for_turn(with, by, name, std::move(*standing));
    auto first = co_await either(by.lost(), turn);
    if (first.index() == 0) { co_return std::unexpected(lost_lease()); }
    auto& outcome = std::get<1>(first);
    if (!outcome) { co_await stand_down(std::move(with), std::move(by), std::move(name)); }
    co_return std::move(outcome);
}

task<answer<void>> resign(client with, lease by, std::string name) {
    auto key = candidate_key(name, by.id());
    auto removed = co_await with.remove(std::move(key));
    if (!removed) { co_return std::unexpected(std::move(removed).error()); }
    co_return answer<void>();
}

task<answer<std::optional<key_value>>> leader_of(client with, std::string name) {
    auto all = co_await list_candidates(std::move(with), std::move(name));
    if (!all) { co_return std::unexpected(std::move(all).error()); }
    const auto first = std::ranges::min_element(all->found, {}, &key_value::create_revision);
    std::optional<key_value> leader;
    if (first != all->found.end()) { leader = std::move(*first); }
    co_return leader;
}

}  // namespace heph::remote::etcd
