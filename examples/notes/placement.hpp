#pragma once

// Which node keeps which note.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace notes {

/// Spreads ids over the configured nodes by rendezvous hashing: the node with the highest score for
/// an id keeps it.
///
/// The nodes are those of the configuration, whether they are up or not: when a note's node is
/// away, the note is away, rather than in two places. All nodes must be configured with the same
/// names; their order does not matter. Adding a node moves only the notes that it gets.
class placement {
public:
    /// *Requires*: at least one name; names are distinct.
    explicit placement(std::vector<std::string> names);

    /// Gives the name of the node that keeps `id`. *Lifetime*: the placement's.
    [[nodiscard]] const std::string& owner(std::string_view id) const noexcept;

    /// Gives all names, sorted.
    [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }

private:
    std::vector<std::string> names_;
};

/// Hashes an id. Part of where notes are on disk, where they are spread over shards.
[[nodiscard]] std::uint64_t hash_of_id(std::string_view id) noexcept;

}  // namespace notes
