#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace heph::remote::protocol {

/// Turns away, for a while, those whose handshakes fail again and again.
///
/// Each source may fail `failures_max` times at once; one more is forgiven every `forgiven_each`.
/// It remembers `sources_max` sources at most: beyond that it forgets the one that failed longest
/// ago. One success forgives a source everything.
///
/// *Thread safety*: unsafe.
class failure_limiter {
public:
    using clock = std::chrono::steady_clock;
    static constexpr std::size_t sources_max = 1024;

    failure_limiter(std::uint32_t failures_max, clock::duration forgiven_each) noexcept
        : failures_max_(failures_max), forgiven_each_(forgiven_each) {}

    void failed(std::string_view source, clock::time_point now) {
        if (failures_max_ == 0) { return; }
        auto at = sources_.find(source);
        if (at == sources_.end()) {
            if (sources_.size() >= sources_max) {
                sources_.erase(std::ranges::min_element(
                    sources_, {}, [](const auto& each) { return each.second.free_at; }));
            }
            at = sources_.try_emplace(std::string(source), entry{now}).first;
        }
        at->second.free_at = std::max(at->second.free_at, now) + forgiven_each_;
    }
    void succeeded(std::string_view source) {
        const auto at = sources_.find(source);
        if (at != sources_.end()) { sources_.erase(at); }
    }
    /// Tells whether a source may try again now.
    [[nodiscard]] bool admits(std::string_view source, clock::time_point now) const {
        const auto at = sources_.find(source);
        return at == sources_.end() || at->second.free_at <= now + burst();
    }
    [[nodiscard]] std::size_t sources() const noexcept { return sources_.size(); }

private:
    struct entry {
        // When all failures are forgiven, if no more are added.
        clock::time_point free_at;
    };
    [[nodiscard]] clock::duration burst() const noexcept {
        return forgiven_each_ * (failures_max_ - (failures_max_ > 0 ? 1 : 0));
    }

    std::uint32_t failures_max_;
    clock::duration forgiven_each_;
    std::map<std::string, entry, std::less<>> sources_;
};

}  // namespace heph::remote::protocol
