#pragma once

#include <cstddef>
#include <filesystem>
#include <iterator>

namespace heph::test {

/// Counts the process's open descriptors, its own look at them included.
inline std::size_t open_descriptors() {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

}  // namespace heph::test
