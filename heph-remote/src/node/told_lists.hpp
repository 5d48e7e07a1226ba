#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

namespace heph::remote::detail {

/// The numbers of actors, in order. A number stands for one publication of this run of the node.
using actor_numbers = std::vector<std::uint64_t>;
using actor_numbers_pointer = std::shared_ptr<const actor_numbers>;

/// Remembers the lists that a directory told lately, by their digests: so who knows one of them can
/// be told what is other since. Those that were told longest ago are forgotten first.
///
/// *Thread safety*: unsafe.
class told_lists {
public:
    /// So many are remembered, of so many actors in all.
    static constexpr std::size_t lists_max = 64;
    static constexpr std::size_t numbers_max = 256 * 1024;

    void add(std::uint64_t digest, actor_numbers_pointer list) {
        std::erase_if(lists_, [&](const auto& each) {
            const bool is_it = each.first == digest;
            if (is_it) { numbers_ -= each.second->size(); }
            return is_it;
        });
        if (list->size() > numbers_max) { return; }
        const std::size_t size = list->size();
        lists_.emplace_back(digest, std::move(list));
        numbers_ += size;
        while (lists_.size() > lists_max || numbers_ > numbers_max) {
            numbers_ -= lists_.front().second->size();
            lists_.pop_front();
        }
    }
    /// Gives the list of a digest; null when it is not remembered.
    [[nodiscard]] actor_numbers_pointer find(std::uint64_t digest) const noexcept {
        for (const auto& [known, list] : lists_) {
            if (known == digest) { return list; }
        }
        return nullptr;
    }

private:
    std::deque<std::pair<std::uint64_t, actor_numbers_pointer>> lists_;
    std::size_t numbers_ = 0;
};

}  // namespace heph::remote::detail
