#pragma once

// How a channel's messages lie in memory: a choice between small and apart.

#include <cstddef>

#include <heph/inbox/detail/environment.hpp>

/// The layouts of a channel, its second template parameter.
namespace heph::inbox::layout {

/// Puts messages side by side, each next to its own state: 16 bytes for a message of 8 bytes, and
/// 192 bytes for a channel of capacity 8 altogether. The default.
struct compact {
    using environment = detail::standard_environment;
    static constexpr std::size_t cell_alignment = 1;
};

/// Gives each message cache lines of its own, so that two threads never write to the same line
/// unless they work at the same message. It costs at least 64 bytes a message, 576 bytes for a
/// channel of capacity 8.
///
/// Worth while for messages that are about as large as a cache line: in the benchmark one of 64
/// bytes takes a tenth less time than with `compact` from capacity 64 on. One of 8 bytes takes
/// longer at each capacity, several times as long at 1,024, where four messages to a line are what
/// makes it fast. Measure it.
struct padded {
    using environment = detail::standard_environment;
    static constexpr std::size_t cell_alignment = 64;
};

}  // namespace heph::inbox::layout
