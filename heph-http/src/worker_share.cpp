#include "worker_share.hpp"

#include <string>

#include <heph/rt/detail/timer_node.hpp>

namespace heph::http::detail {

bool worker_share::admits_line() noexcept {
    if (!log_limit_.admits(rt::detail::worker_now_ms())) { return false; }
    if (const auto left_out = log_limit_.take_left_out(); left_out != 0) {
        try {
            heph::log(log_level::warning, "http: " + std::to_string(left_out) +
                                              " lines like these were left out of the log");
        } catch (...) { heph::log(log_level::warning, "http: lines were left out of the log"); }
    }
    return true;
}

}  // namespace heph::http::detail
