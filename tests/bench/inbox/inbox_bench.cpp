// Times the channel against a bare bounded queue after Dmitry Vyukov, which is how fast it could
// be, against what one writes with a mutex, and against libraries, when they were found.
//
// In each repeat all take turns, each time another one first, so that what moves the machine moves
// them all. Threads stay where the traffic says (placement.hpp). How fast cache lines move between
// cores is probed before and after each repeat between threads; one where it changed meanwhile is
// thrown away and made again.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <heph/inbox/channel.hpp>

#include "queues.hpp"
#include "traffic.hpp"

namespace {

using namespace heph::bench;

double median(std::vector<double> values) {
    if (values.empty()) { return 0; }
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

struct contender {
    const char* name;
    double (*measure)(std::size_t capacity);
    std::vector<double> times = {};
    std::vector<double> ratios = {};  // To the second one, in the same repeat.
};

struct settings {
    std::size_t repeats = 5;
    std::vector<std::size_t> capacities{8, 64, 1024};
    const char* traffic = nullptr;
    std::size_t bytes = 0;
};

/// What the probes of the repeats that count said.
struct probes {
    double slowest = 0;
    double fastest = 0;
    std::size_t thrown_away = 0;
    bool agree = true;
};

/// Measures everyone by turns. Between threads, only repeats count in which the probes agree, as
/// long as there are not too many others.
probes measure_all(std::vector<contender>& all, std::size_t capacity, const settings& chosen,
                   bool threads) {
    probes seen;
    double before = threads ? bounce() : 1;
    for (std::size_t tries = 1; all[0].times.size() < chosen.repeats; ++tries) {
        std::vector<double> times(all.size());
        for (std::size_t turn = 0; turn < all.size(); ++turn) {
            const std::size_t next = (turn + tries) % all.size();
            times[next] = all[next].measure(capacity);
        }
        const double after = threads ? bounce() : 1;
        const double slow = std::max(before, after);
        const double fast = std::min(before, after);
        before = after;
        const bool agree = slow <= 1.5 * fast;
        if (!agree && tries < 4 * chosen.repeats) {
            ++seen.thrown_away;
            continue;
        }
        seen.agree = seen.agree && agree;
        seen.slowest = std::max(seen.slowest, slow);
        seen.fastest = seen.fastest == 0 ? fast : std::min(seen.fastest, fast);
        for (std::size_t i = 0; i < all.size(); ++i) {
            all[i].times.push_back(times[i]);
            all[i].ratios.push_back(times[i] / times[1]);
        }
    }
    return seen;
}

/// Measures one cell of the table and prints it. The second contender is what all are compared to.
void compare(const char* traffic, std::size_t bytes, std::size_t capacity, bool threads,
             std::vector<contender> all, const settings& chosen) {
    if (chosen.traffic != nullptr && std::strcmp(traffic, chosen.traffic) != 0) { return; }
    const probes seen = measure_all(all, capacity, chosen, threads);
    for (const contender& one : all) {
        std::printf("%-11s %6zu %9zu  %-20s %8.1f %8.1f %8.2f", traffic, bytes, capacity, one.name,
                    *std::min_element(one.times.begin(), one.times.end()), median(one.times),
                    median(one.ratios));
        if (threads && &one == all.data()) {
            std::printf("   cache line: %.0f to %.0f ns, %zu repeats thrown away%s", seen.fastest,
                        seen.slowest, seen.thrown_away,
                        seen.agree ? "" : "; IT DID NOT SETTLE, so these mean little");
        }
        std::printf("\n");
    }
    if (all.size() > 3) {  // All but the bare queue, and ours, are peers.
        const contender* best = &all[3];
        for (std::size_t i = 3; i < all.size(); ++i) {
            if (median(all[i].times) < median(best->times)) { best = &all[i]; }
        }
        std::printf(
            "%-11s %6zu %9zu  => %.2f times the bare queue; the best peer, %s, takes %.1f "
            "times as long as we do\n",
            traffic, bytes, capacity, median(all[0].ratios), best->name,
            median(best->times) / median(all[0].times));
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
    if (chosen.bytes != 0 && chosen.bytes != Bytes) { return; }
    const auto on_one = []<typename Queue>() { return &on_one_thread<Queue, M>; };
    const auto from_one = []<typename Queue>() { return &between_threads<Queue, M, 1>; };
    const auto from_two = []<typename Queue>() { return &between_threads<Queue, M, 2>; };
    const auto from_two_beside = []<typename Queue>() {
        return &between_threads<Queue, M, 2, receiver_beside_sender>;
    };
    const auto sleeping = []<typename Queue>() { return &blocking<Queue, M>; };
    for (const std::size_t capacity : chosen.capacities) {
        compare("one", Bytes, capacity, false, contenders<M>(all_queues(), on_one), chosen);
    }
    for (const std::size_t capacity : chosen.capacities) {
        compare("1->1", Bytes, capacity, true, contenders<M>(all_queues(), from_one), chosen);
    }
    for (const std::size_t capacity : chosen.capacities) {
        compare("2->1", Bytes, capacity, true, contenders<M>(all_queues(), from_two), chosen);
    }
    for (const std::size_t capacity : chosen.capacities) {
        compare("2->1 beside", Bytes, capacity, true, contenders<M>(all_queues(), from_two_beside),
                chosen);
    }
    for (const std::size_t capacity : chosen.capacities) {
        compare("sleeping", Bytes, capacity, true, contenders<M>(blocking_queues(), sleeping),
                chosen);
    }
}

template <template <typename> typename... Queues>
void print_idle_bytes(queue_list<Queues...>) {
    std::printf("Bytes before the first use, capacity 8, messages of 8 bytes, with the handles:\n");
    (std::printf("    %-20s %6zu\n", Queues<message<8>>::name, idle_bytes<Queues<message<8>>>(8)),
     ...);
    std::printf("A heph-inbox channel is one allocation of %zu bytes; padded, of %zu.\n\n",
                heph::inbox::channel_bytes<message<8>>(8),
                heph::inbox::channel_bytes<message<8>, heph::inbox::layout::padded>(8));
}

bool read_options(int argc, char** argv, settings& chosen) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const char* value = argv[i + 1];
        const auto number = static_cast<std::size_t>(std::max(0, std::atoi(value)));
        if (std::strcmp(argv[i], "--repeats") == 0) {
            chosen.repeats = std::max<std::size_t>(1, number);
        } else if (std::strcmp(argv[i], "--capacity") == 0) {
            chosen.capacities = {std::size_t{1} << (number % 21)};
        } else if (std::strcmp(argv[i], "--traffic") == 0) {
            chosen.traffic = value;
        } else if (std::strcmp(argv[i], "--bytes") == 0) {
            chosen.bytes = number;
        } else {
            return false;
        }
    }
    return argc % 2 == 1;
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    if (!read_options(argc, argv, chosen)) {
        std::puts(
            "Options: --repeats N (5), --capacity LOG2 (only this one, a power of two for the "
            "sake of the\nbare queue), --traffic one|1->1|2->1|2->1 beside|sleeping,\n--bytes "
            "8|64");
        return argc == 2 && std::strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    std::printf(
        "Nanoseconds per message, %zu repeats in which all take turns: the least, the "
        "median, and the\nmedian of the ratios to the bare queue (where threads sleep, to "
        "the mutex) in the same repeat.\nCache line: its way from core to core, as probed "
        "before and after each repeat.\nEach thread stays on a processor: with two of them, both "
        "senders of 2->1 are on one and the receiver\nis on the other; in \"2->1 beside\" a sender "
        "is on the receiver's.\n\n",
        chosen.repeats);
    print_idle_bytes(all_queues());
    std::printf("%-11s %6s %9s  %-20s %8s %8s %8s\n", "traffic", "bytes", "capacity", "", "min",
                "median", "ratio");
    compare_all<8>(chosen);
    compare_all<64>(chosen);
}
