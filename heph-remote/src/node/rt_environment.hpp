#pragma once

// A node on a worker of heph-rt.

#include <memory>
#include <utility>
#include <variant>

#include <heph/rt/net/tcp.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/worker.hpp>

#include "environment.hpp"

namespace heph::remote::detail {

/// Listens at a socket of either kind. The file of a Unix socket goes with it.
///
/// Without `accept`, it needs no worker.
class bound_socket {
public:
    using either_kind = std::variant<rt::net::tcp_listener, rt::net::unix_listener>;

    /// Binds and listens; takes over the file of a Unix socket at which nobody listens.
    [[nodiscard]] static std::expected<bound_socket, std::error_code> bind(
        const node_address& local);

    [[nodiscard]] std::expected<node_address, std::error_code> local() const;
    [[nodiscard]] either_kind& socket() noexcept { return listener_; }

private:
    explicit bound_socket(either_kind listener) noexcept : listener_(std::move(listener)) {}

    either_kind listener_;
};

/// Makes the environment of a node that a worker runs. It is used on that worker's thread, but
/// `now` and `timer_at` on any worker's, of any runtime.
[[nodiscard]] std::shared_ptr<environment> on_worker(rt::worker worker);

}  // namespace heph::remote::detail
