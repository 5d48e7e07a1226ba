#include "worker_share.hpp"

#include <chrono>
#include <string>

#include <heph/rt/detail/timer_node.hpp>

namespace heph::http::detail {

bool worker_share::admits_line(log_level level) noexcept {
    log_limit& lines = level == log_level::error ? error_lines_ : client_lines_;
    const std::chrono::milliseconds now(rt::detail::worker_now_ms());
    if (!lines.admits(steady_time(now))) { return false; }
    if (const auto left_out = lines.take_left_out(); left_out != 0) {
        try {
            heph::log(level, "http: " + std::to_string(left_out) +
                                 " lines like these were left out of the log");
        } catch (...) { heph::log(level, "http: lines were left out of the log"); }
    }
    return true;
}

}  // namespace heph::http::detail
