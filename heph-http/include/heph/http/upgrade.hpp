#pragma once

#include <expected>
#include <functional>
#include <string_view>
#include <system_error>

#include <heph/core/task.hpp>

namespace heph::http {

/// A connection that no longer speaks HTTP (RFC 9110, 7.8): bytes both ways.
///
/// One `read` and one `write` may be waited for at the same time, by one task.
/// *Thread safety*: unsafe: used on its connection's worker.
class upgraded_stream {
public:
    /// Waits for the next bytes, without a limit in time; none is the end, given each time from
    /// then on. What the peer sent directly behind the request, or the answer, comes first.
    /// *Errors*: the system's. *Cancellation*: loses nothing. *Lifetime*: valid until the next
    /// call.
    virtual task<std::expected<std::string_view, std::error_code>> read() = 0;

    /// Sends all of `bytes`. Completes when the kernel has taken them: a slow peer slows the sender
    /// down. *Errors*: the system's; `timed_out` when the peer takes nothing for long.
    /// *Cancellation*: a part may have been sent. *Lifetime*: `bytes` stay valid until it
    /// completes.
    virtual task<std::expected<void, std::error_code>> write(std::string_view bytes) = 0;

protected:
    ~upgraded_stream() = default;
};

/// Uses a connection from the switch of protocols to its end. When it returns, the connection is
/// closed, what it wrote is sent before.
///
/// A coroutine lambda with captures is safe here: the response owns it while it runs.
using upgrade_handler = std::move_only_function<task<void>(upgraded_stream& stream)>;

}  // namespace heph::http
