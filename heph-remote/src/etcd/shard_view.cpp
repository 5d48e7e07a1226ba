#include "etcd/shard_view.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "etcd/shard_placement.hpp"

namespace heph::remote::etcd {

namespace {

constexpr std::string_view hosts_folder = "hosts/";
constexpr std::string_view owners_folder = "owners/";
// Names that hosted once are forgotten from there on.
constexpr std::size_t hosts_kept_max = 1024;

std::optional<std::uint32_t> number_in(std::string_view text, std::size_t count) noexcept {
    std::uint32_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [read, error] = std::from_chars(text.data(), end, number);
    // One spelling only, so that a shard has one key.
    const bool is_good = error == std::errc() && read == end && number < count &&
                         (text.size() == 1 || text.front() != '0');
    return is_good ? std::optional(number) : std::nullopt;
}

}  // namespace

shard_view::shard_view(std::string folder, std::uint32_t count)
    : folder_(std::move(folder)), owners_(count) {}

bool shard_view::see_owner(std::uint32_t shard, std::int64_t revision, const key_value* key) {
    holder& known = owners_[shard];
    if (revision <= known.known) { return false; }
    holder now;
    now.known = revision;
    if (key != nullptr) {
        now.node = key->value;
        now.lease = key->lease;
        now.fence = key->create_revision;
    }
    const bool is_changed = now.node != known.node || now.fence != known.fence;
    known = std::move(now);
    return is_changed;
}

bool shard_view::see_host(std::string_view name, std::int64_t revision, const key_value* key) {
    auto found = hosts_.find(name);
    if (found == hosts_.end()) {
        // An answer from before the last list, which did not have it, comes late.
        if (key == nullptr || revision <= listed_) { return false; }
        found = hosts_.emplace(std::string(name), host()).first;
        found->second.hash = hash_of(name);
    }
    host& known = found->second;
    if (revision <= known.known) { return false; }
    known.known = revision;
    // A key without a lease would outlive its node.
    const std::int64_t lease = key != nullptr ? key->lease : 0;
    return std::exchange(known.lease, lease) != lease;
}

void shard_view::take(const watch_event& event, std::int64_t revision, changes& into) {
    const std::string_view key = event.what.key;
    if (!key.starts_with(folder_)) { return; }
    const std::string_view rest = key.substr(folder_.size());
    const auto* const there = event.removed ? nullptr : &event.what;
    if (rest.starts_with(hosts_folder)) {
        const auto name = rest.substr(hosts_folder.size());
        if (see_host(name, revision, there)) { into.hosts = true; }
    } else if (rest.starts_with(owners_folder)) {
        const auto shard = number_in(rest.substr(owners_folder.size()), owners_.size());
        if (shard && see_owner(*shard, revision, there)) { into.owners.push_back(*shard); }
    }
}

void shard_view::forget_absent(const watch_batch& all, changes& into) {
    std::vector<bool> is_listed(owners_.size());
    std::vector<std::string_view> listed_hosts;
    for (const auto& each : all.events) {
        if (!each.what.key.starts_with(folder_)) { continue; }
        const auto rest = std::string_view(each.what.key).substr(folder_.size());
        if (rest.starts_with(hosts_folder)) {
            listed_hosts.push_back(rest.substr(hosts_folder.size()));
        } else if (rest.starts_with(owners_folder)) {
            const auto shard = number_in(rest.substr(owners_folder.size()), owners_.size());
            if (shard) { is_listed[*shard] = true; }
        }
    }
    for (std::uint32_t shard = 0; shard < owners_.size(); ++shard) {
        if (!is_listed[shard] && see_owner(shard, all.revision, nullptr)) {
            into.owners.push_back(shard);
        }
    }
    std::ranges::sort(listed_hosts);
    for (auto& [name, each] : hosts_) {
        if (!std::ranges::binary_search(listed_hosts, std::string_view(name)) &&
            see_host(name, all.revision, nullptr)) {
            into.hosts = true;
        }
    }
}

shard_view::changes shard_view::apply(const watch_batch& batch) {
    changes made;
    if (batch.reset) {
        if (batch.replaced || batch.revision < revision_) {
            made.replaced = true;
            std::ranges::fill(owners_, holder());
            hosts_.clear();
            listed_ = -1;
        }
        forget_absent(batch, made);
    }
    revision_ = batch.reset ? batch.revision : std::max(revision_, batch.revision);
    for (const auto& each : batch.events) {
        // What is listed is what there is at the listing's revision, however old it is.
        take(each, batch.reset ? batch.revision : each.what.mod_revision, made);
    }
    if (batch.reset) { listed_ = batch.revision; }
    if (hosts_.size() > hosts_kept_max) {
        // The watch is beyond what could still tell of them.
        std::erase_if(hosts_, [&](const auto& each) {
            return each.second.lease == 0 && each.second.known <= revision_;
        });
    }
    return made;
}

const std::string* shard_view::place_of(std::uint32_t shard) const {
    const std::string* best = nullptr;
    std::uint64_t most = 0;
    for (const auto& [name, each] : hosts_) {
        if (each.lease == 0) { continue; }
        const auto weight = weight_of(shard, each.hash);
        // Of equal ones the first by name counts.
        if (best == nullptr || weight > most) {
            best = &name;
            most = weight;
        }
    }
    return best;
}

std::int64_t shard_view::lease_of_host(std::string_view name) const {
    const auto found = hosts_.find(name);
    return found == hosts_.end() ? 0 : found->second.lease;
}

std::vector<std::string> shard_view::hosts() const {
    std::vector<std::string> names;
    for (const auto& [name, each] : hosts_) {
        if (each.lease != 0) { names.push_back(name); }
    }
    return names;
}

}  // namespace heph::remote::etcd
