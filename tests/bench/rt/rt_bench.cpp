// Times the runtime. Everything takes turns in each repeat.

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "bench.hpp"
#include "figures.hpp"

int main(int argc, char** argv) {
    using namespace heph::bench;
    std::size_t repeats = 5;
    std::string_view only;
    std::string_view one;
    for (int i = 1; i < argc; ++i) {
        const std::string_view option = argv[i];
        if (option == "--repeats" && i + 1 < argc) {
            repeats = static_cast<std::size_t>(std::max(1, std::atoi(argv[++i])));
        } else if (option == "--figure" && i + 1 < argc) {
            one = argv[++i];
        } else if (option == "--only" && i + 1 < argc) {
            only = argv[++i];
        } else {
            std::puts(
                "Options: --repeats N (5), --only actors|wakes|timers, --figure part-of-name");
            return option == "--help" ? 0 : 2;
        }
    }
    const auto wanted = [only](std::string_view name) { return only.empty() || only == name; };
    if (wanted("actors")) {
        auto figures = actor_figures();
        select(figures, one);
        report("Actors on one worker", figures, repeats);
    }
    if (wanted("wakes")) {
        auto figures = wake_figures();
        select(figures, one);
        report("Wakes from worker to worker", figures, repeats);
    }
    if (wanted("timers")) {
        auto figures = timer_figures();
        select(figures, one);
        report("Timers", figures, repeats);
    }
}
