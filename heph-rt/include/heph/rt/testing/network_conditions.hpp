#pragma once

// How a simulated network behaves, and what goes wrong in it.

#include <chrono>

namespace heph::rt::testing {

/// How what one simulated host sends reaches another one. Between a host and itself nothing is
/// late for long, and nothing is lost.
struct link_conditions {
    /// How long a piece takes: something between the two, by the seed. Datagrams overtake each
    /// other; the bytes of a stream do not.
    std::chrono::microseconds latency_min{200};
    std::chrono::microseconds latency_max{2'000};
    /// The part of the pieces that is lost, 0 to 1. A stream sends them again, later and later.
    double loss = 0;
    /// The part of the datagrams that comes twice.
    double duplication = 0;
};

/// What goes wrong by the seed, each as the part of the occasions at which it does: 0 to 1.
struct fault_rates {
    double refused_connects = 0;  ///< `connection_refused`, though somebody listens.
    double resets = 0;            ///< `connection_reset` at both ends, as one sends.
    double accept_errors = 0;     ///< `too_many_files_open`; the connection waits on.
    double short_receives = 0;    ///< A stream gives a part of the bytes that are there.
    double short_sends = 0;       ///< A stream takes a part of the bytes that it has room for.
};

}  // namespace heph::rt::testing
