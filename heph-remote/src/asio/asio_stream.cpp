#include "asio/asio_stream.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <string>
#include <variant>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

namespace heph::remote::detail {

namespace {

using error_code = boost::system::error_code;

bool has_to_wait(const error_code& why) {
    return why == boost::asio::error::would_block || why == boost::asio::error::try_again;
}

bool is_tcp(const asio_protocol::endpoint& at) {
    return at.protocol().family() == AF_INET || at.protocol().family() == AF_INET6;
}

// Nodes write whole batches, which are not to wait for more.
void set_up(asio_socket& socket) {
    error_code ignored;  // What does not work here is found out by the first read.
    socket.non_blocking(true, ignored);
    (void)::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
    const auto peer = socket.remote_endpoint(ignored);
    if (!ignored && is_tcp(peer)) {
        socket.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
    }
}

boost::asio::ip::tcp::endpoint tcp_endpoint(const asio_protocol::endpoint& of) {
    boost::asio::ip::tcp::endpoint made;
    std::memcpy(made.data(), of.data(), std::min(of.size(), made.capacity()));
    made.resize(of.size());
    return made;
}

asio_protocol::endpoint endpoint_of(const node_address& where) {
    if (const auto* at = std::get_if<rt::net::endpoint>(&where.where())) {
        const std::string text = at->to_string();
        const std::size_t colon = text.rfind(':');
        const std::string_view host = text.starts_with('[')
                                          ? std::string_view(text).substr(1, colon - 2)
                                          : std::string_view(text).substr(0, colon);
        return boost::asio::ip::tcp::endpoint(boost::asio::ip::make_address(host), at->port());
    }
    const auto& at = std::get<rt::net::unix_address>(where.where());
    return boost::asio::local::stream_protocol::endpoint(at.is_abstract() ? '\0' + at.name()
                                                                          : at.name());
}

}  // namespace

asio_stream::asio_stream(asio_socket socket) : socket_(std::move(socket)) { set_up(socket_); }

polled<stream::chunk_result> asio_stream::poll_next(const waker& waker) {
    for (;;) {
        if (has_ended_) { return polled<chunk_result>(std::in_place, rt::net::chunk()); }
        if (until_read_) {
            const auto waited = until_read_->poll(waker);
            if (!waited.is_ready()) { return pending; }
            until_read_.reset();
            if (!waited.value()) {
                return polled<chunk_result>(std::in_place, std::unexpect, waited.value().error());
            }
        }
        if (spare_.capacity() == 0) { spare_ = rt::buffer::with_capacity(chunk_bytes); }
        error_code failed;
        const std::size_t count =
            socket_.read_some(boost::asio::buffer(spare_.data(), spare_.capacity()), failed);
        if (count != 0) {
            spare_.commit(count);
            return polled<chunk_result>(std::in_place,
                                        rt::net::chunk(std::exchange(spare_, rt::buffer())));
        }
        if (failed == boost::asio::error::eof) {
            has_ended_ = true;
            continue;
        }
        if (!has_to_wait(failed)) {
            return polled<chunk_result>(std::in_place, std::unexpect, failed);
        }
        spare_ = rt::buffer();
        until_read_.emplace(socket_.async_wait(asio_socket::wait_read, as_future));
    }
}

task<std::error_code> asio_stream::send_all(rt::buffer bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
        error_code failed;
        sent += socket_.write_some(boost::asio::buffer(bytes.data() + sent, bytes.size() - sent),
                                   failed);
        if (!failed) { continue; }
        if (!has_to_wait(failed)) { co_return std::error_code(failed); }
        const auto waited = co_await socket_.async_wait(asio_socket::wait_write, as_future);
        if (!waited) { co_return std::error_code(waited.error()); }
    }
    co_return std::error_code();
}

void asio_stream::shutdown(rt::net::shutdown_how how) noexcept {
    error_code ignored;  // It is the peer's end, or this one's, already.
    switch (how) {
        case rt::net::shutdown_how::receive:
            socket_.shutdown(asio_socket::shutdown_receive, ignored);
            break;
        case rt::net::shutdown_how::send:
            socket_.shutdown(asio_socket::shutdown_send, ignored);
            break;
        case rt::net::shutdown_how::both:
            socket_.shutdown(asio_socket::shutdown_both, ignored);
            break;
    }
}

std::string asio_stream::peer() const {
    error_code failed;
    const auto at = socket_.remote_endpoint(failed);
    if (!failed && is_tcp(at)) {
        std::ostringstream text;
        text << tcp_endpoint(at);
        return text.str();
    }
    ::ucred who{};
    ::socklen_t size = sizeof(who);
    const bool known = !failed && ::getsockopt(const_cast<asio_socket&>(socket_).native_handle(),
                                               SOL_SOCKET, SO_PEERCRED, &who, &size) == 0;
    return known ? "unix:process " + std::to_string(who.pid) : std::string("an unknown address");
}

listen_result asio_listener::make(const asio_strand& strand, bound_socket bound) {
    const int descriptor = std::visit([](auto& each) { return each.descriptor(); }, bound.socket());
    const bool is_unix = std::holds_alternative<rt::net::unix_listener>(bound.socket());
    ::sockaddr_storage at{};
    ::socklen_t size = sizeof(at);
    if (::getsockname(descriptor, reinterpret_cast<::sockaddr*>(&at), &size) != 0) {
        return std::unexpected(std::error_code(errno, std::system_category()));
    }
    auto own = rt::duplicate(descriptor);
    if (!own) { return std::unexpected(own.error()); }
    const int protocol = is_unix ? 0 : IPPROTO_TCP;
    asio_acceptor acceptor(strand);
    error_code failed;
    acceptor.assign(asio_protocol(at.ss_family, protocol), own->get(), failed);
    if (failed) { return std::unexpected(std::error_code(failed)); }
    (void)own->release();
    acceptor.non_blocking(true, failed);
    if (failed) { return std::unexpected(std::error_code(failed)); }
    return std::make_unique<asio_listener>(std::move(acceptor), std::move(bound));
}

task<stream_result> asio_listener::accept() {
    for (;;) {
        error_code failed;
        asio_socket accepted(acceptor_.get_executor());
        acceptor_.accept(accepted, failed);
        if (!failed) {
            co_return stream_result(std::make_unique<asio_stream>(std::move(accepted)));
        }
        // Who came was gone before it was asked for.
        if (failed == boost::asio::error::connection_aborted) { continue; }
        if (!has_to_wait(failed)) { co_return stream_result(std::unexpect, failed); }
        const auto waited = co_await acceptor_.async_wait(asio_acceptor::wait_read, as_future);
        if (!waited) { co_return stream_result(std::unexpect, waited.error()); }
    }
}

task<stream_result> asio_connect(asio_strand strand, node_address to) {
    asio_socket socket(strand);
    const asio_protocol::endpoint at = endpoint_of(to);
    const auto connected = co_await socket.async_connect(at, as_future);
    if (!connected) { co_return stream_result(std::unexpect, connected.error()); }
    co_return stream_result(std::make_unique<asio_stream>(std::move(socket)));
}

}  // namespace heph::remote::detail
