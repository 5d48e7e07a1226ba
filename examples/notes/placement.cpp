#include "placement.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace notes {

namespace {

// FNV-1a, then the finisher of splitmix64, without which names that differ in their last byte would
// score alike. Part of where notes are on disk: a change here moves them.
std::uint64_t score(std::string_view name, std::string_view id) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325;
    const auto mix = [&hash](unsigned char byte) { hash = (hash ^ byte) * 0x100000001b3; };
    for (const char c : name) { mix(static_cast<unsigned char>(c)); }
    mix(0);
    for (const char c : id) { mix(static_cast<unsigned char>(c)); }
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
    return hash ^ (hash >> 31);
}

}  // namespace

placement::placement(std::vector<std::string> names) : names_(std::move(names)) {
    std::ranges::sort(names_);
}

const std::string& placement::owner(std::string_view id) const noexcept {
    const std::string* best = &names_.front();
    std::uint64_t best_score = score(*best, id);
    for (const std::string& name : names_) {
        const std::uint64_t its_score = score(name, id);
        if (its_score > best_score) {
            best = &name;
            best_score = its_score;
        }
    }
    return *best;
}

std::uint64_t hash_of_id(std::string_view id) noexcept { return score({}, id); }

}  // namespace notes
