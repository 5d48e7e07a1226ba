#pragma once

#include <cstddef>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/http/limits.hpp>
#include <heph/http/router.hpp>
#include <heph/http/security.hpp>
#include <heph/rt/net/endpoint.hpp>
#include <heph/rt/net/successor.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/worker.hpp>

namespace heph::http {

namespace detail {
struct server_state;
}

/// How to serve.
struct server_options {
    /// `ADDRESS:PORT`; port 0 takes any free one. Or a Unix socket: `unix:/run/app.sock`, or
    /// `unix:@NAME` for one of the abstract name space. A socket's file at which nobody listens any
    /// more is replaced.
    std::string address = "127.0.0.1:8080";
    std::size_t threads = 1;  ///< Workers of `serve`'s runtime.
    http::limits limits;      ///< What a peer may cost.
    /// Secures the connections (https); null for plain ones. See `<heph/http/tls.hpp>`.
    std::shared_ptr<const server_security> tls = {};
    /// Permissions of a Unix socket's file, such as 0660: who may write to it may connect. By
    /// default what the process's umask leaves.
    std::optional<unsigned> socket_mode = {};
};

/// Serves a router's handlers on the workers of a runtime.
///
///     auto server = heph::http::server::open(std::move(router), options, 2);
///     runtime.run_on_workers([server](heph::rt::worker& worker) { server->start(worker); });
///
/// Each worker has its own listener on the shared port, and runs a connection by itself from its
/// first byte to its last. An orderly stop of the runtime closes the listeners and idle connections
/// at once; requests under way are answered, with `Connection: close`, within the stop's grace.
/// What a handler throws is logged and answered with 500, without details; `router::render_errors`
/// says how errors look.
///
/// *Thread safety*: `start` is safe. Copies share one server.
class server {
public:
    /// Binds one listener for each of `workers` workers. Connections wait until `start`.
    /// *Errors*: `rt::errc::bad_address`, and what binding gives: `address_in_use`, also for a Unix
    /// socket at which somebody listens, `permission_denied`, `filename_too_long`, ….
    [[nodiscard]] static std::expected<server, std::error_code> open(router routes,
                                                                     const server_options& options,
                                                                     std::size_t workers = 1);

    /// Serves on listeners that are there already: those of the service manager, or of a
    /// predecessor (`rt::systemd::inherited_sockets`). `options.address` does not count.
    /// *Errors*: `invalid_argument` for no listener; the system's, when one has to be shared by
    /// several workers and cannot.
    [[nodiscard]] static std::expected<server, std::error_code> over(
        router routes, std::vector<rt::net::tcp_listener> listeners, const server_options& options,
        std::size_t workers = 1);

    /// Serves on Unix sockets that are there already, as `over` does.
    [[nodiscard]] static std::expected<server, std::error_code> over_unix(
        router routes, std::vector<rt::net::unix_listener> listeners, const server_options& options,
        std::size_t workers = 1);

    /// Names the listeners for a successor (`rt::net::successor`). They are open until the server's
    /// workers stop.
    [[nodiscard]] std::vector<rt::net::handed_over> hand_over(const std::string& name) const;

    /// Serves on a worker; called once on each. *Requires*: called on that worker's thread, its
    /// index is less than the number of workers given to `open`.
    void start(rt::worker& worker) const;

    /// Gives the address that clients connect to, with the port that was taken; 0.0.0.0:0 for a
    /// Unix socket.
    [[nodiscard]] const rt::net::endpoint& local_endpoint() const noexcept;
    /// Gives it as `server_options::address` has it, with the port that was taken.
    [[nodiscard]] const std::string& local_address() const noexcept;

private:
    explicit server(std::shared_ptr<detail::server_state> state) noexcept
        : state_(std::move(state)) {}

    std::shared_ptr<detail::server_state> state_;
};

/// Makes a runtime, serves on it until SIGINT, SIGTERM or SIGQUIT, and gives the exit code for
/// `main`. Errors are printed.
int serve(router routes, const server_options& options = {});

}  // namespace heph::http
