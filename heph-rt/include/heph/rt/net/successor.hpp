#pragma once

// Restarting without refusing a connection: the listening sockets go to a new process.
//
// The old process:
//     auto next = net::successor::start({"/usr/bin/service", "--flag"}, server.hand_over("name"));
//     auto ready = co_await rt::deadline(30s, next->wait_until_ready());
//     if (ready && *ready) { worker.request_stop(); }     // else: go on serving
// The new one:
//     auto sockets = systemd::inherited_sockets();
//     ... tcp_listener::adopt(sockets->front().take()), serve ...
//     net::tell_predecessor();
//
// Both share the sockets and their queues of waiting connections, so that none is refused; each
// connection is served by the process that accepted it.

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/net/unix.hpp>

namespace heph::rt::net {

/// A socket that is handed over: its descriptor, which stays the caller's, and a name.
class handed_over {
public:
    handed_over(std::string its_name, int its_descriptor)
        : name_(std::move(its_name)), descriptor_(its_descriptor) {}
    /// Gives the name, which has no colon.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

private:
    std::string name_;
    int descriptor_;
};

/// The process that takes over. It lives on when this object goes, and leaves no zombie then.
///
/// *Thread safety*: unsafe.
class successor {
public:
    successor(successor&&) noexcept = default;
    successor& operator=(successor&& other) noexcept;
    ~successor();

    /// Starts a program with the sockets, in the way of `systemd::inherited_sockets`. Its
    /// environment is that of this process otherwise; no signal is blocked in it. Blocks until the
    /// program is loaded.
    /// *Requires*: `command` has at least the program's path.
    /// *Errors*: `no_such_file_or_directory`, `permission_denied`, …; `invalid_argument` for a name
    /// with a colon.
    [[nodiscard]] static std::expected<successor, std::error_code> start(
        const std::vector<std::string>& command, const std::vector<handed_over>& sockets);

    /// Waits until the program says that it serves (`tell_predecessor`); gives false when it ended,
    /// or closed its end, without that. *Cancellation*: loses nothing.
    [[nodiscard]] task<bool> wait_until_ready();

    /// Gives its id, which is no other process's while this object is there.
    [[nodiscard]] int process_id() const noexcept { return process_id_; }

private:
    successor(int process_id, descriptor_handle process, unix_stream line) noexcept
        : process_id_(process_id), process_(std::move(process)), line_(std::move(line)) {}

    int process_id_;
    descriptor_handle process_;  // Stands for it; not open when moved from.
    unix_stream line_;
};

/// Tells the process that handed its sockets over that this one serves; nothing happens when there
/// is none. To be called once, before or after there are threads.
void tell_predecessor() noexcept;

}  // namespace heph::rt::net
