#pragma once

#include <cstddef>
#include <string_view>

#include <heph/core/log.hpp>
#include <heph/core/log_limit.hpp>
#include <heph/http/limits.hpp>
#include <heph/http/router.hpp>
#include <heph/http/security.hpp>

#include "address_counts.hpp"
#include "idle_list.hpp"
#include "random.hpp"
#include "work_space.hpp"

namespace heph::http::detail {

/// What the connections of one worker share; used on its thread only.
class worker_share {
public:
    worker_share(const router& served, const http::limits& bounds,
                 const server_security* secures = nullptr, bool unix_sockets = false)
        : routes(&served),
          limits(&bounds),
          extensions(served.extensions().names().empty() ? nullptr : &served.extensions()),
          security(secures),
          observed(served.has_observers()),
          over_unix(unix_sockets),
          addresses(std::uint64_t{random_mask()} << 32U | random_mask()),
          client_lines_(bounds.log_lines_per_minute_max),
          error_lines_(bounds.log_lines_per_minute_max) {}
    worker_share(const worker_share&) = delete;
    worker_share& operator=(const worker_share&) = delete;

    /// Writes a line about a client or a request, unless there were too many: bad clients do not
    /// count for errors of our side. `make_line` gives it, and is called only when it is written.
    template <typename MakeLine>
    void log(log_level level, MakeLine make_line) noexcept {
        if (!admits_line(level)) { return; }
        try {
            heph::log(level, make_line());
        } catch (...) { heph::log(level, "http: out of memory for a line of the log"); }
    }

    const router* routes;
    const http::limits* limits;
    const extension_methods* extensions;  // Null where none is routed.
    const server_security* security;      // Null for plain connections.
    bool observed;                        // Somebody is to be told of all exchanges.
    bool over_unix;                       // The connections are over a Unix socket.
    work_space_pool work_spaces;
    idle_list idle;    // Those that wait for their next request.
    idle_list silent;  // Those that wait for their first one.
    std::size_t connections = 0;
    std::size_t making_room = 0;  // Those of the connections that end for others.
    /// So many connections may keep a work space for what is on its way.
    static constexpr std::size_t quiet_max = 128;
    std::size_t quiet = 0;
    std::size_t refusals = 0;
    std::size_t answering = 0;  // Requests whose handlers wait.
    address_counts addresses;   // Of the connections, not of the refusals.

private:
    bool admits_line(log_level level) noexcept;

    log_limit client_lines_;
    log_limit error_lines_;
};

}  // namespace heph::http::detail
