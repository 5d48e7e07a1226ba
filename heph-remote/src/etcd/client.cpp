#include <heph/remote/etcd/client.hpp>

#include <algorithm>
#include <concepts>
#include <cstdint>

#include "etcd/client_core.hpp"
#include "etcd/gateway.hpp"
#include "etcd/watch_run.hpp"

namespace heph::remote::etcd {

using detail::client_core;
using enum client_core::effect;

client::client(rt::worker worker, settings where)
    : core_(std::make_shared<client_core>(worker, std::move(where))) {}

const settings& client::where() const noexcept { return core_->where(); }
const rt::worker& client::worker() const noexcept { return core_->worker(); }

namespace {

/// Asks, and reads the answer.
template <typename T>
task<answer<T>> ask(std::shared_ptr<client_core> core, const char* path, std::string body,
                    client_core::effect what, answer<T> (*read)(std::string_view body)) {
    auto answered = co_await client_core::ask(core, path, std::move(body), what);
    if (!answered) { co_return std::unexpected(std::move(answered).error()); }
    auto done = read(*answered);
    if constexpr (requires { done->revision; }) {
        if (done) { core->saw(done->revision); }
    } else if constexpr (std::same_as<T, std::int64_t>) {  // That of a put.
        if (done) { core->saw(*done); }
    }
    co_return done;
}

answer<std::optional<key_value>> read_one(std::string_view body) {
    auto range = gateway::read_range(body);
    if (!range) { return std::unexpected(std::move(range).error()); }
    if (range->found.empty()) { return std::optional<key_value>(); }
    return std::optional(std::move(range->found.front()));
}

answer<bool> read_any_removed(std::string_view body) {
    const auto count = gateway::read_removed(body);
    if (!count) { return std::unexpected(count.error()); }
    return *count > 0;
}

answer<void> read_nothing(std::string_view body) {
    const auto revision = gateway::read_put(body);
    if (!revision) { return std::unexpected(revision.error()); }
    return {};
}

answer<std::chrono::seconds> read_alive(std::string_view body) {
    const auto seconds = gateway::read_keep_alive(body);
    if (!seconds) { return std::unexpected(seconds.error()); }
    return std::chrono::seconds(*seconds);
}

}  // namespace

task<answer<std::optional<key_value>>> client::get(std::string key) const {
    return ask(core_, "kv/range", gateway::range_body(gateway::key_range::one(key), 0, 0), reads,
               read_one);
}

task<answer<range_result>> client::list(std::string prefix, std::size_t keys_max) const {
    return detail::list_range(core_, gateway::key_range::prefix(prefix), keys_max);
}

task<answer<std::int64_t>> client::put(std::string key, std::string value,
                                       std::int64_t lease) const {
    return ask(core_, "kv/put", gateway::put_body(key, value, lease), changes, gateway::read_put);
}

task<answer<bool>> client::remove(std::string key) const {
    return ask(core_, "kv/deleterange", gateway::remove_body(gateway::key_range::one(key)), changes,
               read_any_removed);
}

task<answer<transaction_result>> client::commit(transaction all) const {
    return ask(core_, "kv/txn", all.body(), changes, gateway::read_transaction);
}

task<answer<void>> client::compact(std::int64_t revision) const {
    return ask(core_, "kv/compaction", gateway::compact_body(revision), changes, read_nothing);
}

task<answer<lease_grant>> client::grant(std::chrono::seconds ttl) const {
    return ask(core_, "lease/grant", gateway::grant_body(ttl.count()), changes,
               gateway::read_grant);
}

task<answer<std::chrono::seconds>> client::keep_alive(std::int64_t lease) const {
    // Doing it twice does no harm.
    return ask(core_, "lease/keepalive", gateway::lease_body(lease), reads, read_alive);
}

task<answer<void>> client::revoke(std::int64_t lease) const {
    auto revoked =
        co_await ask(core_, "lease/revoke", gateway::lease_body(lease), reads, read_nothing);
    if (!revoked && revoked.error().code() == errc::lease_not_found) { co_return answer<void>(); }
    co_return revoked;
}

watcher client::watch(std::string key) const {
    return watcher(std::make_unique<detail::watch_run>(core_, gateway::key_range::one(key)));
}

watcher client::watch_prefix(std::string prefix) const {
    return watcher(std::make_unique<detail::watch_run>(core_, gateway::key_range::prefix(prefix)));
}

watcher::watcher(std::unique_ptr<detail::watch_run> run) noexcept : run_(std::move(run)) {}
watcher::watcher(watcher&&) noexcept = default;
watcher& watcher::operator=(watcher&&) noexcept = default;
watcher::~watcher() = default;

task<answer<watch_batch>> watcher::next() { return run_->next(); }

}  // namespace heph::remote::etcd
