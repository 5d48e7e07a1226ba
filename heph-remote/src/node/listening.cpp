#include "listening.hpp"

#include <algorithm>
#include <string>
#include <system_error>
#include <thread>
#include <variant>

#include <heph/core/log.hpp>

#include "transport.hpp"

namespace heph::remote::detail {

namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr milliseconds pause_first = 10ms;
constexpr milliseconds pause_most = 200ms;

}  // namespace

listen_result listen_when_free(const std::shared_ptr<environment>& around,
                               const std::shared_ptr<memory_core>& network, const node_address& at,
                               milliseconds patience, std::string_view node) {
    if (std::holds_alternative<memory_name>(at.where())) { return listen_by(around, network, at); }
    const auto until = std::chrono::steady_clock::now() + patience;
    milliseconds pause{0};
    for (;;) {
        auto bound = listen_by(around, network, at);
        if (bound || bound.error() != std::errc::address_in_use) { return bound; }
        const auto left = until - std::chrono::steady_clock::now();
        if (left <= 0ms) { return bound; }
        if (pause == 0ms) {
            heph::log(log_level::warning,
                      "node " + std::string(node) + ": " + at.to_string() +
                          " is in use; trying again for " + std::to_string(patience.count()) +
                          " ms, as a program that was killed keeps its address for a moment");
        }
        pause = pause == 0ms ? pause_first : std::min(pause * 2, pause_most);
        std::this_thread::sleep_for(std::min<std::chrono::steady_clock::duration>(pause, left));
    }
}

}  // namespace heph::remote::detail
