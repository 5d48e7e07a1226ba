#pragma once

// The two ends of each way to send: what receives, in a process of its own, and what measures.
//
// The receiving end prints where it is, on one line, and runs until it is killed. It counts the
// bytes of the messages that came one way, and tells the count when it is asked: so that what was
// sent is known to have been received. A request is answered with its own body.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace bench {

struct load {
    std::size_t body_bytes = 16;
    std::uint64_t one_way = 1'000'000;  ///< Messages; 0 measures requests.
    std::uint64_t requests = 0;
};

using seconds = std::chrono::duration<double>;
using steady = std::chrono::steady_clock;

[[noreturn]] inline void fail(const char* what) {
    std::fprintf(stderr, "remote_bench: %s\n", what);
    std::exit(1);
}

inline void announce(const std::string& where) {
    std::printf("%s\n", where.c_str());
    std::fflush(stdout);
}

/// Prints what was measured: messages a second, or the percentiles of the requests' times.
inline void report_rate(const load& what, steady::duration took) {
    std::printf("%.0f\n", static_cast<double>(what.one_way) / seconds(took).count());
}
inline void report_times(std::vector<steady::duration> times) {
    std::sort(times.begin(), times.end());
    const auto at = [&](double part) {
        const auto index = static_cast<std::size_t>(part * static_cast<double>(times.size() - 1));
        return std::chrono::duration<double, std::micro>(times[index]).count();
    };
    std::printf("%.1f %.1f\n", at(0.5), at(0.99));
}

/// Reads a load from three arguments: BODY_BYTES, one-way or requests, COUNT.
inline load load_of(char** arguments) {
    load what;
    what.body_bytes = std::strtoul(arguments[0], nullptr, 10);
    const std::uint64_t count = std::strtoull(arguments[2], nullptr, 10);
    const bool one_way = std::string(arguments[1]) == "one-way";
    what.one_way = one_way ? count : 0;
    what.requests = one_way ? 0 : count;
    return what;
}

/// Says how nodes of heph-remote are linked.
enum class security { tls, plain_text };

int serve_heph(security how);
int measure_heph(const std::string& where, const load& what, security how);
int serve_tcp();
int measure_tcp(const std::string& where, const load& what);
int serve_zmq();
int measure_zmq(const std::string& where, const load& what);

}  // namespace bench
