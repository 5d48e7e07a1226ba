#pragma once

// Being a service of systemd: telling it how one is doing, and taking sockets over from it.
//
//     auto notify = heph::rt::systemd::notifier::from_environment();
//     if (!notify) { throw std::system_error(notify.error(), "cannot reach the service manager"); }
//     (void)notify->ready();
//     worker.spawn_future(heph::rt::systemd::keep_watchdog(*notify));
//
// The protocol is that of sd_notify(3) and sd_listen_fds(3); libsystemd is not needed.

#include <chrono>
#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/rt/net/stream.hpp>

namespace heph::rt::systemd {

/// Tells the service manager about the state of this process. Without one, it does nothing.
///
/// *Errors*: each message gives the system's error, such as `resource_unavailable_try_again` when
/// the manager does not read; nothing waits.
/// *Thread safety*: safe. Copies share one socket.
class notifier {
public:
    /// Finds the manager by `NOTIFY_SOCKET`, and the watchdog by `WATCHDOG_USEC` and
    /// `WATCHDOG_PID`. *Errors*: `invalid_argument` when `NOTIFY_SOCKET` names no Unix socket;
    /// `address_family_not_supported` when it is one to the host of a virtual machine (`vsock:…`),
    /// which only the machine's first process is given; the system's.
    [[nodiscard]] static std::expected<notifier, std::error_code> from_environment();

    /// Tells whether there is a manager to be told.
    [[nodiscard]] bool is_active() const noexcept { return state_ != nullptr; }
    /// Gives how often the manager wants to hear from the watchdog; nothing when it does not.
    [[nodiscard]] std::optional<std::chrono::microseconds> watchdog_interval() const noexcept {
        return watchdog_;
    }

    /// Says that the service is up (`READY=1`), first of all or after `reloading`.
    [[nodiscard]] std::error_code ready() const { return send("READY=1"); }
    /// Says that the configuration is being loaded again (`RELOADING=1`); `ready` ends it.
    [[nodiscard]] std::error_code reloading() const;
    /// Says that the service is about to end (`STOPPING=1`).
    [[nodiscard]] std::error_code stopping() const { return send("STOPPING=1"); }
    /// Says in a line for people what the service is doing (`STATUS=`). Line breaks become blanks.
    [[nodiscard]] std::error_code status(std::string_view text) const;
    /// Says that the service is alive (`WATCHDOG=1`).
    [[nodiscard]] std::error_code alive() const { return send("WATCHDOG=1"); }
    /// Sends assignments as they are, one a line.
    [[nodiscard]] std::error_code send(std::string_view assignments) const;

private:
    struct state;
    std::shared_ptr<const state> state_;
    std::optional<std::chrono::microseconds> watchdog_;
};

/// Tells the manager at twice the rate it asks for that the service is alive, for as long as
/// `check` says so; a service without a watchdog has nothing to do. It ends with the runtime's
/// stop, of which it tells the manager.
///
/// When the check fails, or does not come back, the manager hears nothing, and restarts the
/// service. It runs on a worker, and so proves that the worker is not stuck.
[[nodiscard]] task<> keep_watchdog(notifier notify, std::function<task<bool>()> check = {});

/// A socket that this process was started with.
class inherited_socket {
public:
    inherited_socket(std::string its_name, net::socket_handle taken) noexcept
        : name_(std::move(its_name)), socket_(std::move(taken)) {}

    /// Gives its name: of systemd's `FileDescriptorName=`, or the one given to a successor.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Gives the socket up: to `tcp_listener::adopt`, for one.
    [[nodiscard]] net::socket_handle take() noexcept { return std::move(socket_); }

private:
    std::string name_;
    net::socket_handle socket_;
};

/// Takes the sockets over that systemd (`LISTEN_FDS`, `LISTEN_PID`), or a predecessor (see
/// `net::successor`), has opened for this process; none is the usual case. Variables without a
/// `LISTEN_PID` count only from a predecessor. To be called once, before there are threads, and
/// before `net::tell_predecessor`: it removes the variables, so that no child takes them for its
/// own.
/// *Errors*: `invalid_argument` when the variables make no sense.
[[nodiscard]] std::expected<std::vector<inherited_socket>, std::error_code> inherited_sockets();

}  // namespace heph::rt::systemd
