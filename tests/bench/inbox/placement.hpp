#pragma once

// Which thread runs on which processor.
//
// Left alone, the scheduler puts three threads on two processors in one of two ways, mostly in
// turns: either the receiver has a processor to itself, or it shares one with a sender, and then
// waits for that one's time slice. The second takes two to twenty times as long as the first, for
// all queues alike, so that a comparison tells little but who came when. Hence each traffic says
// where its threads run.

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <sched.h>

namespace heph::bench {

/// The processors that this process may use.
class processors {
public:
    processors() {
        if (::sched_getaffinity(0, sizeof(all_), &all_) != 0) { fail(); }
        for (int i = 0; i < CPU_SETSIZE; ++i) {
            if (CPU_ISSET(i, &all_)) { numbers_.push_back(i); }
        }
    }

    [[nodiscard]] std::size_t count() const noexcept { return numbers_.size(); }

    /// Keeps the calling thread on one of them, counted from 0, round and round.
    void stay_on(std::size_t which) const {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(numbers_[which % numbers_.size()], &one);
        if (::sched_setaffinity(0, sizeof(one), &one) != 0) { fail(); }
    }
    /// Lets it run on all of them.
    void roam() const {
        if (::sched_setaffinity(0, sizeof(all_), &all_) != 0) { fail(); }
    }

private:
    [[noreturn]] static void fail() {
        std::perror("processor affinity");
        std::exit(1);
    }

    cpu_set_t all_;
    std::vector<int> numbers_;
};

inline const processors& all_processors() {
    static const processors all;
    return all;
}

/// Keeps a thread on a processor for a while. Threads that it starts inherit its place at first.
class stay {
public:
    explicit stay(std::size_t which) { all_processors().stay_on(which); }
    stay(const stay&) = delete;
    stay& operator=(const stay&) = delete;
    ~stay() { all_processors().roam(); }
};

/// Where threads run: the receiver on processor 0, sender `i` on the one that is named. Numbers
/// beyond the machine's processors begin again at 0.
struct placement {
    std::array<std::size_t, 2> senders;
};

/// Each thread on a processor of its own, as far as there are enough; of two, the receiver has one.
[[nodiscard]] inline placement receiver_apart() {
    return all_processors().count() > 2 ? placement{{1, 2}} : placement{{1, 1}};
}
/// The second sender on the receiver's processor.
[[nodiscard]] inline placement receiver_beside_sender() { return placement{{1, 0}}; }

}  // namespace heph::bench
