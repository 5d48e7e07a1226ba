#pragma once

// Sockets of Boost.Asio as what carries a node's connections.
//
// They are used as the kernel's readiness is: an operation is a try that does not block, and a wait
// for when to try again. A wait owns no bytes, so that dropping it loses none, and an idle
// connection holds no buffer.

#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <heph/core/asio.hpp>

#include "asio/asio_alarm.hpp"
#include "node/environment.hpp"
#include "node/rt_environment.hpp"

namespace heph::remote::detail {

using asio_protocol = boost::asio::generic::stream_protocol;
using asio_socket = asio_protocol::socket;
using asio_acceptor = boost::asio::basic_socket_acceptor<asio_protocol>;

/// *Thread safety*: the strand's.
class asio_stream final : public stream {
public:
    /// Takes over a connected socket, whose executor is the strand.
    explicit asio_stream(asio_socket socket);

    polled<chunk_result> poll_next(const waker& waker) override;
    std::expected<std::size_t, std::error_code> try_send(
        std::span<const std::byte> bytes) noexcept override;
    task<std::error_code> send_all(rt::buffer bytes) override;
    void shutdown(rt::net::shutdown_how how) noexcept override;
    std::string peer() const override;
    std::string source() const override;

private:
    [[nodiscard]] std::optional<::ucred> credentials() const;

    using wait_future =
        decltype(std::declval<asio_socket&>().async_wait(asio_socket::wait_read, as_future));

    static constexpr std::size_t chunk_bytes = 64 * 1024;

    asio_socket socket_;
    rt::buffer spare_;                       // What a try that found nothing would have filled.
    std::optional<wait_future> until_read_;  // Goes before the socket.
    bool has_ended_ = false;
    int chunks_in_a_row_ = 0;  // Without a wait between them.
};

/// *Thread safety*: the strand's.
class asio_listener final : public listener {
public:
    /// Listens at a socket that is bound already. *Errors*: the system's.
    [[nodiscard]] static listen_result make(const asio_strand& strand, bound_socket bound);
    asio_listener(asio_acceptor acceptor, const asio_protocol& accepts, bound_socket bound) noexcept
        : bound_(std::move(bound)), protocol_(accepts), acceptor_(std::move(acceptor)) {}

    std::expected<node_address, std::error_code> local() const override { return bound_.local(); }
    task<stream_result> accept() override;

private:
    bound_socket bound_;
    const asio_protocol protocol_;  // Of what is accepted.
    asio_acceptor acceptor_;
    int accepted_in_a_row_ = 0;  // Without a wait between them.
};

/// Connects. *Cancellation*: the attempt is given up.
[[nodiscard]] task<stream_result> asio_connect(asio_strand strand, node_address to);

}  // namespace heph::remote::detail
