#pragma once

// What `GET /metrics` tells.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/http/response.hpp>
#include <heph/http/status.hpp>
#include <heph/remote/node.hpp>

#include "store.hpp"

namespace notes {

/// Names what is asked of the service, in the metrics.
enum class request_kind : std::uint8_t { get, put, remove, list };

/// Counts the answers to requests, by what was asked and by the first digit of the status.
///
/// *Thread safety*: safe.
class request_counters {
public:
    void count(request_kind kind, heph::http::status answered) noexcept;

    /// Gives how many answers had a status of `hundreds`: 2 for 200 to 299. *Requires*: 1 to 5.
    [[nodiscard]] std::uint64_t answers(request_kind kind, std::size_t hundreds) const noexcept;

private:
    std::array<std::array<std::atomic<std::uint64_t>, 5>, 4> counts_{};
};

/// Waits for the answer to a request, counts it, and gives it. An exception counts as 500.
heph::task<heph::http::response> counted(std::shared_ptr<request_counters> counters,
                                         request_kind kind,
                                         heph::task<heph::http::response> answering);

/// Writes the metrics, with the node of each shard in `places`, if there are any, in Prometheus'
/// text format, version 0.0.4.
[[nodiscard]] std::string metrics_text(const request_counters& requests, const store_health& store,
                                       const std::vector<heph::remote::peer_status>& peers,
                                       const std::vector<std::string>& places = {});

}  // namespace notes
