#pragma once

// How much memory this process uses.

#include <cstdint>
#include <cstdio>

#include <malloc.h>
#include <unistd.h>

namespace heph::bench {

/// Bytes in use.
struct memory_use {
    double counted = 0;   ///< Handed out by malloc, with its own headers and padding.
    double resident = 0;  ///< Pages of the process that are in memory.

    friend memory_use operator-(memory_use a, memory_use b) noexcept {
        return {a.counted - b.counted, a.resident - b.resident};
    }
    friend memory_use operator/(memory_use a, std::uint64_t count) noexcept {
        return {a.counted / static_cast<double>(count), a.resident / static_cast<double>(count)};
    }
};

[[nodiscard]] inline memory_use memory_now() {
    const struct mallinfo2 heap = ::mallinfo2();
    memory_use now;
    now.counted = static_cast<double>(heap.uordblks + heap.hblkhd);
    if (std::FILE* file = std::fopen("/proc/self/statm", "re")) {
        unsigned long long size = 0;
        unsigned long long resident = 0;
        if (std::fscanf(file, "%llu %llu", &size, &resident) == 2) {
            now.resident = static_cast<double>(resident) * static_cast<double>(::getpagesize());
        }
        (void)std::fclose(file);
    }
    return now;
}

}  // namespace heph::bench
