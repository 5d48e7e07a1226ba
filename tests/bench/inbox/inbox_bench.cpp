// Times the channel against a bare bounded queue after Dmitry Vyukov, which is how fast it could
// be, against what one writes with a mutex, and against libraries, when they were found.
//
// In each repeat all take turns, so that what moves the machine moves them all. A cell between
// threads is measured again when cache lines moved at another speed after it than before it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <heph/inbox/channel.hpp>

#include "queues.hpp"
#include "traffic.hpp"

namespace {

using namespace heph::bench;

struct contender {
    const char* name;
    double (*measure)(std::size_t capacity);
    std::vector<double> times = {};

    [[nodiscard]] double median() const { return times[times.size() / 2]; }
};

struct settings {
    int repeats = 5;
    std::vector<std::size_t> capacities{8, 64, 1024};
};

/// Measures everyone by turns.
void measure_all(std::vector<contender>& all, std::size_t capacity, int repeats) {
    for (contender& one : all) { one.times.clear(); }
    for (int repeat = 0; repeat < repeats; ++repeat) {
        for (contender& one : all) { one.times.push_back(one.measure(capacity)); }
    }
    for (contender& one : all) { std::sort(one.times.begin(), one.times.end()); }
}

/// Measures one cell of the table and prints it. The second contender is what all are compared to.
void compare(const char* traffic, std::size_t bytes, std::size_t capacity, bool threads,
             std::vector<contender> all, int repeats) {
    double before = 0;
    double after = 0;
    for (int tries = 0; tries < 3; ++tries) {
        before = threads ? bounce() : 0;
        measure_all(all, capacity, repeats);
        after = threads ? bounce() : 0;
        if (std::max(before, after) <= 1.5 * std::min(before, after)) { break; }
    }
    for (const contender& one : all) {
        std::printf("%-10s %6zu %9zu  %-18s %8.1f %8.1f %8.2f", traffic, bytes, capacity, one.name,
                    one.times.front(), one.median(), one.median() / all[1].median());
        if (threads && &one == all.data()) {
            std::printf("   cache line: %.0f, then %.0f", before, after);
        }
        std::printf("\n");
    }
    (void)std::fflush(stdout);
}

/// Makes a contender of each queue; `measure` gives the function that times one.
template <typename M, template <typename> typename... Queues, typename Measure>
std::vector<contender> contenders(queue_list<Queues...>, Measure measure) {
    return { contender{Queues<M>::name, measure.template operator()<Queues<M>>()}... };
}

template <std::size_t Bytes>
void compare_all(const settings& chosen) {
    using M = message<Bytes>;
    static_assert(sizeof(M) == Bytes);
    const auto on_one = []<typename Queue>() { return &on_one_thread<Queue, M>; };
    const auto from_one = []<typename Queue>() { return &between_threads<Queue, M, 1>; };
    const auto from_two = []<typename Queue>() { return &between_threads<Queue, M, 2>; };
    const auto sleeping = []<typename Queue>() { return &blocking<Queue, M>; };
    for (const std::size_t capacity : chosen.capacities) {
        compare("one thread", Bytes, capacity, false, contenders<M>(all_queues(), on_one),
                chosen.repeats);
    }
    for (const std::size_t capacity : chosen.capacities) {
        compare("1 -> 1", Bytes, capacity, true, contenders<M>(all_queues(), from_one),
                chosen.repeats);
        compare("2 -> 1", Bytes, capacity, true, contenders<M>(all_queues(), from_two),
                chosen.repeats);
    }
    for (const std::size_t capacity : chosen.capacities) {
        compare("sleeping", Bytes, capacity, true, contenders<M>(blocking_queues(), sleeping),
                chosen.repeats);
    }
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--repeats") == 0 && i + 1 < argc) {
            chosen.repeats = std::max(1, std::atoi(argv[++i]));
        } else if (std::strcmp(argv[i], "--capacity") == 0 && i + 1 < argc) {
            // A power of two, for the sake of the bare queue.
            chosen.capacities = {std::size_t{1}
                                 << static_cast<unsigned>(std::atoi(argv[++i]) % 21)};
        } else {
            std::puts("Options: --repeats N (5), --capacity LOG2 (only this one, 0 to 20)");
            return std::strcmp(argv[i], "--help") == 0 ? 0 : 2;
        }
    }
    std::printf(
        "Nanoseconds per message, %d repeats in which all take turns. The ratio is of medians, to\n"
        "the bare queue; where threads sleep, to the mutex. Cache line: its way from core to "
        "core,\n"
        "before the cell and after it.\n\n",
        chosen.repeats);
    std::printf("An idle channel of capacity 8 for 8-byte messages takes %zu bytes.\n\n",
                heph::inbox::detail::channel_state<message<8>>::bytes(8));
    std::printf("%-10s %6s %9s  %-18s %8s %8s %8s\n", "traffic", "bytes", "capacity", "", "min",
                "median", "ratio");
    compare_all<8>(chosen);
    compare_all<64>(chosen);
}
