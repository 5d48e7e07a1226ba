#pragma once

// How connections are secured: what TLS is to this library, which does not need it.
//
// The component `heph::http-tls` implements these (`<heph/http/tls.hpp>`); a program without https
// links to no TLS library.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include <heph/http/error.hpp>
#include <heph/http/secure_session.hpp>
#include <heph/inbox/future.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/net/chunk.hpp>
#include <heph/rt/net/tcp.hpp>

namespace heph::http {

/// A secured connection. All polls are steps that go on where the last one was; one task polls.
///
/// *Thread safety*: unsafe: it belongs to one worker. *Cancellation*: destroying it closes the
/// connection without announcing the end.
class secure_channel {
public:
    using done = std::expected<void, std::error_code>;

    secure_channel() = default;
    secure_channel(const secure_channel&) = delete;
    secure_channel& operator=(const secure_channel&) = delete;
    virtual ~secure_channel() = default;

    /// Gives the connection below.
    [[nodiscard]] virtual rt::net::tcp_stream& transport() noexcept = 0;
    /// Waits until both sides have proved what they must.
    /// *Errors*: `error::plain_on_tls_port` when the peer sent readable text, and nothing was sent.
    virtual polled<done> poll_handshake(const waker& waker) = 0;
    /// Gives the next bytes; an empty chunk is the announced end.
    virtual polled<std::expected<rt::net::chunk, std::error_code>> poll_next(
        const waker& waker) = 0;
    /// Sends what of `bytes` lies behind the first `taken`, and counts it there.
    virtual polled<done> poll_send(const rt::buffer& bytes, std::size_t& taken,
                                   const waker& waker) = 0;
    /// Announces the end of what is sent.
    virtual polled<done> poll_shutdown(const waker& waker) = 0;
    /// Gives what the handshake has settled; nothing where that is not known.
    [[nodiscard]] virtual std::optional<secure_session> session() const { return {}; }

    /// Tells whether a file of so many bytes can be sent by `poll_send_file`: where the kernel
    /// encrypts it. *Requires*: nothing is being sent.
    [[nodiscard]] virtual bool takes_file(std::uint64_t bytes) noexcept {
        (void)bytes;
        return false;
    }
    /// Sends what there is of `count` bytes of a file, and gives how many; goes on with what is
    /// under way. *Requires*: `takes_file`. *Lifetime*: the file is there until this gave something
    /// or `drop_file` was called.
    virtual polled<std::expected<std::uint64_t, std::error_code>> poll_send_file(
        const rt::fs::file& file, std::uint64_t offset, std::uint64_t count, const waker& waker) {
        (void)file, (void)offset, (void)count, (void)waker;
        return std::expected<std::uint64_t, std::error_code>(
            std::unexpect, std::make_error_code(std::errc::operation_not_supported));
    }
    /// Gives up the file that is being sent.
    virtual void drop_file() noexcept {}
};

/// Secures the connections that a server accepts. *Thread safety*: safe.
class server_security {
public:
    server_security() = default;
    server_security(const server_security&) = delete;
    server_security& operator=(const server_security&) = delete;
    virtual ~server_security() = default;

    [[nodiscard]] virtual std::expected<std::unique_ptr<secure_channel>, std::error_code> accept(
        rt::net::tcp_stream stream) const = 0;
};

/// Secures the connections of a client. *Thread safety*: safe.
class client_security {
public:
    client_security() = default;
    client_security(const client_security&) = delete;
    client_security& operator=(const client_security&) = delete;
    virtual ~client_security() = default;

    /// Secures a connection to a host, which has to prove that it is that host.
    [[nodiscard]] virtual std::expected<std::unique_ptr<secure_channel>, std::error_code> connect(
        rt::net::tcp_stream stream, const std::string& host) const = 0;

    /// Does as `connect`, over a connection that is secured already: through a proxy that is spoken
    /// to in TLS. *Errors*: `error::unsupported_scheme` where this is not implemented.
    [[nodiscard]] virtual std::expected<std::unique_ptr<secure_channel>, std::error_code>
    connect_through(std::unique_ptr<secure_channel> outer, const std::string& host) const {
        (void)outer;
        (void)host;
        return std::unexpected(make_error_code(error::unsupported_scheme));
    }
};

}  // namespace heph::http
