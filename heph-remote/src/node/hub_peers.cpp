// Whom a node knows, and how it comes to know them: by name, from a hello, or by a reference.

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "hub.hpp"

namespace heph::remote::detail {

namespace {

// Where references led to one node, at most.
constexpr std::size_t learned_addresses_max = 4;

}  // namespace

peer_pointer hub::peer_named(std::string_view name) {
    const auto known = peers_.find(name);
    if (known != peers_.end()) { return known->second; }
    if (peers_.size() >= settings_.links().peers_max && !drop_sought(false)) { return nullptr; }
    auto made =
        std::make_shared<peer>(std::string(name), settings_.links().own, settings_.links().session);
    made->fresh = random_id();
    made->not_up_since = now();
    peers_.emplace(made->name, made);
    port_->set_peer(made->name, false);
    times_changed_.set();  // It is forgotten if it does not come up.
    return made;
}

void hub::dial(std::string_view name, const node_address& where) {
    const peer_pointer with = peer_named(name);
    if (!with) {
        return log_within(log_, log_level::error,
                          "node " + self_.name + ": no more peers are taken than " +
                              std::to_string(peers_.size()));
    }
    with->is_learned = false;
    with->learned_at.clear();
    port_->set_wanted(name, true);
    dial_at(with, where);
}

void hub::dial_at(const peer_pointer& with, const node_address& where) {
    // An attempt is given up. A link that works stays: the address counts once it is down.
    if (with->dialing && !with->dialing->is_linked() && with->address != where) {
        with->dialing->close(std::string());
    }
    with->address = where;
    with->changed.set();
    spawn_for(with, &peer::has_dialer, &dial_again);
}

// Nobody asked for this peer by name: it is given up like one that dialed. Whoever may send here
// can make up names and addresses, so there are few of them at once.
void hub::learn(std::string_view name, const node_address& where) {
    const link_settings& settings = settings_.links();
    const auto learned = std::ranges::count_if(peers_, [](const auto& each) {
        const peer& with = *each.second;
        return with.is_learned && !with.is_up();
    });
    const bool has_place =
        static_cast<std::size_t>(learned) < settings.learned_peers_max || drop_sought(true);
    const peer_pointer with = has_place ? peer_named(name) : nullptr;
    if (!with) {
        return log_within(log_, log_level::warning,
                          "node " + self_.name + ": does not dial " + std::string(name) + " at " +
                              where.to_string() + ", to which a reference leads: there are " +
                              std::to_string(learned) + " such nodes, and " +
                              std::to_string(peers_.size()) + " in all");
    }
    with->is_learned = true;
    with->learned_at.assign(1, where);
    dial_at(with, where);
}

// The node may have moved since the reference was made that led to where it is looked for.
void hub::seek_at(const peer_pointer& with, const node_address& where) {
    auto& places = with->learned_at;
    if (std::ranges::find(places, where) != places.end()) { return; }
    if (places.size() >= learned_addresses_max) { places.erase(places.begin()); }
    with->is_learned = true;
    places.push_back(where);
    with->not_up_since = now();  // It gets the time of a new one.
    dial_at(with, where);
}

// Somebody else's word is no reason to connect to any program of this machine: to Unix sockets only
// where nodes use them.
bool hub::may_be_led_to(const node_address& where) const {
    if (!settings_.links().dial_references || !where.is_dialable()) { return false; }
    if (!where.is_unix()) { return true; }
    const auto own = node_address::parse(port_->address());
    return (own && own->is_unix()) || std::ranges::any_of(peers_, [](const auto& each) {
               const peer& with = *each.second;
               return !with.is_learned && with.address && with.address->is_unix();
           });
}

// Makes place: forgets a node that is not there and that nobody asked for by name. Another one to
// which a reference leads takes the place of such a one only, and leaves it some time.
bool hub::drop_sought(bool for_learned) {
    peer_pointer oldest;
    for (const auto& [name, with] : peers_) {
        const bool may_go = !for_learned || (with->is_learned && now() - with->not_up_since >=
                                                                     settings_.links().patience);
        if (!with->is_sought() || !may_go) { continue; }
        if (!oldest || with->not_up_since < oldest->not_up_since) { oldest = with; }
    }
    if (!oldest) { return false; }
    drop_peer(oldest);
    return true;
}

void hub::drop_peer(const peer_pointer& with) {
    with->is_dropped = true;
    with->changed.set();
    if (with->dialing) { with->dialing->close(std::string()); }
    fail_blocked(*with, failure::node_down);
    port_->remove_peer(with->name);
    peers_.erase(with->name);
}

void hub::forget(std::string_view name) {
    const auto found = peers_.find(name);
    if (found == peers_.end()) { return; }
    found->second->is_learned = true;
    found->second->changed.set();
    port_->set_wanted(name, false);
}

}  // namespace heph::remote::detail
