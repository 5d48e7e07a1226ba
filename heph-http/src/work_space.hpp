#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/http/error.hpp>
#include <heph/http/h1/response_writer.hpp>
#include <heph/http/request.hpp>
#include <heph/http/status.hpp>
#include <heph/inbox/waker.hpp>

#include "connection_io.hpp"

namespace heph::http::detail {

/// What is known of the request under way, for who observes exchanges.
struct exchange_state {
    std::uint64_t body_at = 0;  // Where the answer's body begins in all that is sent.
    std::optional<http::status> status;
    std::optional<error> why;
    bool open = false;  // There is a request that nobody was told of.
    bool handled = false;
};

/// What a connection needs while it has something to do, and not while it waits for a request.
struct work_space {
    http::request request;
    h1::response_writer writer;
    std::string out;           // What is to be sent.
    std::size_t out_sent = 0;  // Bytes of `out` that were handed to the kernel.
    std::size_t head_at = 0;   // Where the current response begins in `out`.
    std::string trailers;      // What is to be sent behind a streamed body.
    // Of the request's body: bytes of it, and the time for which they were waited.
    std::uint64_t body_received = 0;
    std::uint64_t body_waited_ms = 0;
    waker watcher;  // Who waits for the client to go.
    exchange_state told;
    std::chrono::steady_clock::time_point began;  // Of the request; set only when it is observed.
    rt::net::chunk received;
    std::string_view input;  // What is left of `received`.
    send_side sending;
    bool fresh = true;  // No request has been read into it.
};

/// Keeps the work spaces of one worker's idle connections for its busy ones.
///
/// *Thread safety*: unsafe: a worker has its own.
class work_space_pool {
public:
    [[nodiscard]] std::unique_ptr<work_space> take() {
        if (kept_.empty()) { return std::make_unique<work_space>(); }
        auto taken = std::move(kept_.back());
        kept_.pop_back();
        return taken;
    }

    /// Takes back a work space that has nothing to send.
    void give_back(std::unique_ptr<work_space> unused) {
        if (kept_.size() < kept_max) { kept_.push_back(std::move(unused)); }
    }

private:
    // A head of a request may have left up to its limit in each.
    static constexpr std::size_t kept_max = 128;

    std::vector<std::unique_ptr<work_space>> kept_;
};

}  // namespace heph::http::detail
