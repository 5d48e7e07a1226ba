#pragma once

// What a remote group is made of, whatever its members take.

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/remote/deadline.hpp>
#include <heph/remote/detail/port.hpp>

namespace heph::remote::detail {

struct group_entry {
    destination_pointer to;  ///< The same one as long as it is a member.
    bool is_away = false;    ///< Its node's link is down, and its session not lost yet.
    std::uint64_t hash = 0;  ///< Of the names of its node and its own.

    bool operator==(const group_entry&) const = default;
};

/// Compares by node, then by name.
[[nodiscard]] inline auto place_of(const destination& to) noexcept {
    return std::tie(to.node, to.name);
}

/// Is a group as it was at one time: by node, then by name, none twice.
using group_view = std::vector<group_entry>;
using group_view_pointer = std::shared_ptr<const group_view>;

class group_core;
using group_pointer = std::shared_ptr<group_core>;

/// Begins to follow what is published under a name, or under all that begin with it, until the last
/// copy of what it gives is gone. *Thread safety*: safe, as is all that takes the group.
[[nodiscard]] group_pointer follow_group(std::shared_ptr<port> at, std::string name,
                                         bool is_prefix);
[[nodiscard]] group_view_pointer view_of(const group_core& group);
/// Waits until something holds of the group, which is asked whenever the view is another one.
/// *Errors*: `timed_out`, `stopped`.
[[nodiscard]] task<std::expected<void, failure>> until_it_holds(group_pointer group,
                                                                std::function<bool()> condition,
                                                                deadline until);

/// Gives bits that differ from program to program, and from call to call; in a simulation, the
/// seed's.
[[nodiscard]] std::uint64_t any_bits();

}  // namespace heph::remote::detail
