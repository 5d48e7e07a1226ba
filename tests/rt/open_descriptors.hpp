#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <string>
#include <system_error>
#include <thread>

namespace heph::test {

/// Counts the process's open descriptors, its own look at them included.
inline std::size_t open_descriptors() {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

/// Names what the process's open descriptors are, for a test that finds too many.
inline std::string name_descriptors() {
    std::string names;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        names += each.path().filename().string() + " is " +
                 std::filesystem::read_symlink(each.path(), gone).string() + '\n';
    }
    return names;
}

/// Waits for what ends by itself: children without a parent that cares, and the closing of what
/// their reaper watches. Gives whether it did within a minute.
template <typename Condition>
bool comes_true(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!condition()) {
        if (std::chrono::steady_clock::now() >= until) { return false; }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
}

}  // namespace heph::test
