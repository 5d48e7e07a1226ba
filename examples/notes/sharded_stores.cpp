#include "sharded_stores.hpp"

#include <charconv>
#include <chrono>
#include <utility>

#include <heph/core/either.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "asking_again.hpp"
#include "placement.hpp"

namespace notes {

namespace {

using namespace std::chrono_literals;
using heph::remote::failure;
namespace etcd = heph::remote::etcd;

// For finding the store and its answer, the disk included.
constexpr auto ask_time = 5s;
// So long a request waits for a shard that moves. One whose node was lost takes longer: its lease.
constexpr auto moving_time = 1s;
constexpr auto look_again = 25ms;

bool is_elsewhere(failure why) {
    return why == failure::node_down || why == failure::no_such_actor || why == failure::actor_gone;
}

std::string moving(std::size_t number) {
    return "shard " + std::to_string(number) + " is on its way to another node";
}

std::size_t number_of(const std::string& store) {
    std::size_t number = 0;
    (void)std::from_chars(store.data(), store.data() + store.size(), number);
    return number;
}

}  // namespace

sharded_stores::sharded_stores(const etcd::shards& all) : node_(all.node()), places_(all.count()) {
    for (std::uint32_t number = 0; number < all.count(); ++number) {
        actor_names_.push_back(all.actor_name(number));
    }
    look(all);
}

heph::task<> sharded_stores::follow(std::shared_ptr<sharded_stores> self, etcd::shards all) {
    while (!heph::rt::stop_requested()) {
        auto changed = all.changed();
        self->look(all);
        (void)co_await heph::either(changed, heph::rt::stopping());
    }
}

void sharded_stores::look(const etcd::shards& all) {
    const std::lock_guard lock(mutex_);
    for (std::uint32_t number = 0; number < places_.size(); ++number) {
        const auto owner = all.owner_of(number).value_or(etcd::shard_owner());
        place& at = places_[number];
        if (at.fence == owner.fence) { continue; }
        at.node = owner.node;
        at.fence = owner.fence;
        at.store.reset();
    }
}

std::vector<std::string> sharded_stores::names() const {
    std::vector<std::string> all;
    for (std::size_t number = 0; number < actor_names_.size(); ++number) {
        all.push_back(std::to_string(number));
    }
    return all;
}

std::vector<std::string> sharded_stores::places() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> nodes;
    for (const place& each : places_) { nodes.push_back(each.node); }
    return nodes;
}

std::string sharded_stores::store_of(std::string_view id) const {
    return std::to_string(hash_of_id(id) % actor_names_.size());
}

sharded_stores::place sharded_stores::known(std::size_t number) const {
    const std::lock_guard lock(mutex_);
    return places_[number];
}

void sharded_stores::remember(std::size_t number, std::int64_t fence, const store_ref& found) {
    const std::lock_guard lock(mutex_);
    if (places_[number].fence == fence) { places_[number].store = found; }
}

// Another request may have found the new one already.
void sharded_stores::forget(std::size_t number, const store_ref& failed) {
    const std::lock_guard lock(mutex_);
    auto& store = places_[number].store;
    if (store == failed) { store.reset(); }
}

heph::task<std::expected<sharded_stores::store_ref, std::string>> sharded_stores::find(
    std::size_t number, heph::remote::deadline patience) {
    for (;;) {
        const place at = known(number);
        if (at.store) { co_return *at.store; }
        std::string why = moving(number);
        if (!at.node.empty()) {
            auto searching = node_.find<store_message>(at.node, actor_names_[number], patience);
            auto found = co_await searching;
            if (found) {
                remember(number, at.fence, *found);
                co_return std::move(*found);
            }
            why = "shard " + std::to_string(number) + ", node '" + at.node +
                  "': " + std::string(to_string(found.error()));
            if (!is_elsewhere(found.error())) { co_return std::unexpected(std::move(why)); }
        }
        if (heph::remote::deadline::clock::now() >= patience.at()) {
            co_return std::unexpected(std::move(why));
        }
        co_await heph::rt::timer(look_again);
    }
}

template <typename Call>
stores::answer<typename Call::response_type> sharded_stores::ask_by(
    std::string store, typename Call::request_type asked) {
    const std::size_t number = number_of(store);
    const heph::remote::deadline until(ask_time);
    const heph::remote::deadline patience(moving_time);
    for (;;) {
        auto finding = find(number, patience);
        auto found = co_await finding;
        if (!found) { co_return std::unexpected(std::move(found.error())); }
        auto asking = found->template rpc<Call>(until, asked);
        auto reply = co_await asking;
        if (reply) { co_return std::move(*reply); }
        forget(number, *found);
        const failure why = reply.error();
        if (!may_ask_again<Call>(why) || heph::remote::deadline::clock::now() >= patience.at()) {
            co_return std::unexpected("shard " + store + ", node '" + found->node_name() +
                                      "': " + std::string(to_string(why)));
        }
        co_await heph::rt::timer(look_again);
    }
}

stores::answer<get_reply> sharded_stores::ask(std::string store, get_note asked) {
    return ask_by<get_call>(std::move(store), std::move(asked));
}
stores::answer<change_reply> sharded_stores::ask(std::string store, put_note asked) {
    return ask_by<put_call>(std::move(store), std::move(asked));
}
stores::answer<change_reply> sharded_stores::ask(std::string store, remove_note asked) {
    return ask_by<remove_call>(std::move(store), std::move(asked));
}
stores::answer<list_reply> sharded_stores::ask(std::string store, list_ids asked) {
    return ask_by<list_call>(std::move(store), std::move(asked));
}

}  // namespace notes
