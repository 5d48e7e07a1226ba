#pragma once

// Who is in a group that follows nodes, without I/O.
//
// States of a node, as seen by the group
//     unlisted  --listed()-->                               listed    (its actors are members)
//     listed    --listed(), changed(): something else-->    listed
//     listed    --lost(): stopped, restarted, session lost--> unlisted (they are not any more)
//     any       --gone(): it is no peer any more-->         (forgotten)
// and, apart from that, by what the node's link says
//     up        its members get messages
//     away      the link is down, and its session waits for it: they stay, marked, and get what
//               goes to all, or by their keys; the others come before them
//     away, and not wanted (a node that the cluster took out): they are no members until it is up
//
// Invariants
//     1. A view has each name of a node once, of the run of it that was listed last.
//     2. The destination of a member is the same object from view to view, as long as it is the
//        same publication: what is known of the room on the way to it goes on.

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/group_route.hpp>
#include <heph/remote/detail/group_view.hpp>

#include "directory.hpp"
#include "peer_view.hpp"

namespace heph::remote::detail {

class group_state {
public:
    [[nodiscard]] const group_view_pointer& view() const noexcept { return view_; }

    // Each tells whether the view is another one now.
    bool peer(const std::string& node, peer_view now) {
        nodes_[node].link = now;
        return look();
    }
    bool gone(std::string_view node) {
        const auto at = nodes_.find(node);
        if (at == nodes_.end()) { return false; }
        nodes_.erase(at);
        return look();
    }
    bool lost(std::string_view node) {
        const auto at = nodes_.find(node);
        if (at == nodes_.end()) { return false; }
        at->second.members.clear();
        return look();
    }
    /// `directory` is where the list came from: the same run of the node.
    bool listed(const destination& directory, const std::vector<listed_actor>& actors) {
        const auto at = nodes_.find(directory.node);
        if (at == nodes_.end()) { return false; }
        members_of_node members;
        for (const listed_actor& each : actors) {
            members.insert_or_assign(each.name, entry_of(at->second.members, directory, each));
        }
        at->second.members = std::move(members);
        return look();
    }
    /// Likewise, where the list is the one before but for those that came, and the numbers of those
    /// that went.
    bool changed(const destination& directory, const std::vector<listed_actor>& came,
                 const std::vector<std::uint64_t>& gone) {
        const auto at = nodes_.find(directory.node);
        if (at == nodes_.end()) { return false; }
        members_of_node& members = at->second.members;
        const std::set<std::uint64_t> numbers(gone.begin(), gone.end());
        std::erase_if(members, [&](const auto& each) {
            return each.second.to->incarnation == directory.incarnation &&
                   numbers.contains(each.second.to->number);
        });
        for (const listed_actor& each : came) {
            members.insert_or_assign(each.name, entry_of(members, directory, each));
        }
        return look();
    }

    /// FNV-1a of both names, with their bits spread: the same at every node.
    [[nodiscard]] static std::uint64_t hash_of(std::string_view node, std::string_view name) {
        std::uint64_t hash = 0xcbf29ce484222325U;
        const auto add = [&hash](std::string_view text) {
            for (const char each : text) {
                hash = (hash ^ static_cast<unsigned char>(each)) * 0x100000001b3U;
            }
        };
        add(node);
        add("\n");  // Names have none.
        add(name);
        return heph::detail::mix_bits(hash);
    }

private:
    using members_of_node = std::map<std::string, group_entry>;
    struct known_node {
        peer_view link;
        members_of_node members;
    };

    // What is there already under the same number stays as it is.
    static group_entry entry_of(const members_of_node& before, const destination& directory,
                                const listed_actor& actor) {
        const auto known = before.find(actor.name);
        if (known != before.end() && known->second.to->number == actor.number &&
            known->second.to->incarnation == directory.incarnation) {
            return known->second;
        }
        group_entry made;
        made.to =
            std::make_shared<const destination>(directory.node, directory.address, actor.name,
                                                directory.incarnation, actor.number, actor.types);
        made.hash = hash_of(directory.node, actor.name);
        return made;
    }

    bool look() {
        group_view now;
        for (const auto& [name, each] : nodes_) {
            if (!each.link.is_linked && !each.link.is_wanted) { continue; }
            for (const auto& [actor, member] : each.members) {
                now.push_back(member);
                now.back().is_away = !each.link.is_linked;
            }
        }
        if (now == *view_) { return false; }
        view_ = std::make_shared<const group_view>(std::move(now));
        return true;
    }

    std::map<std::string, known_node, std::less<>> nodes_;
    group_view_pointer view_ = std::make_shared<const group_view>();
};

}  // namespace heph::remote::detail
