#include "asio/asio_stream.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <sstream>
#include <string>
#include <variant>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace heph::remote::detail {

namespace {

using error_code = boost::system::error_code;

bool has_to_wait(const error_code& why) {
    return why == boost::asio::error::would_block || why == boost::asio::error::try_again;
}

bool is_tcp(const asio_protocol::endpoint& at) {
    return at.protocol().family() == AF_INET || at.protocol().family() == AF_INET6;
}

// So many tries may succeed one after the other before others get their turn: whoever sends without
// an end does not keep the strand.
constexpr int tries_in_a_row = 16;

class [[nodiscard]] turn_of_others {
public:
    using value_type = void;
    turn_of_others() noexcept = default;
    polled<void> poll(const waker& waker) {
        if (std::exchange(had_it_, true)) { return ready; }
        waker.wake();
        return pending;
    }

private:
    bool had_it_ = false;
};

// Takes over a descriptor, or closes it.
error_code take_over(int descriptor, const asio_protocol& protocol, asio_socket& by) {
    error_code failed;
    by.assign(protocol, descriptor, failed);
    if (failed) { ::close(descriptor); }
    return failed;
}

error_code last_system_error() { return {errno, boost::system::system_category()}; }

// Nodes write whole batches, which are not to wait for more.
void set_up(asio_socket& socket) {
    error_code ignored;  // What does not work here is found out by the first read.
    socket.non_blocking(true, ignored);
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
    // Boost's own kind takes an abstract name only if it is one byte shorter than the system
    // allows.
    ::sockaddr_un named{};
    named.sun_family = AF_UNIX;
    const std::size_t first = at.is_abstract() ? 1 : 0;
    const std::size_t length = std::min(at.name().size(), sizeof(named.sun_path) - 1);
    std::memcpy(named.sun_path + first, at.name().data(), length);
    return {&named, offsetof(::sockaddr_un, sun_path) + 1 + length};
}

}  // namespace

asio_stream::asio_stream(asio_socket socket) : socket_(std::move(socket)) { set_up(socket_); }

polled<stream::chunk_result> asio_stream::poll_next(const waker& waker) {
    for (;;) {
        if (has_ended_) { return polled<chunk_result>(std::in_place, rt::net::chunk()); }
        if (chunks_in_a_row_ >= tries_in_a_row) {
            chunks_in_a_row_ = 0;
            waker.wake();
            return pending;
        }
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
            ++chunks_in_a_row_;
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
        chunks_in_a_row_ = 0;
        until_read_.emplace(socket_.async_wait(asio_socket::wait_read, as_future));
    }
}

std::expected<std::size_t, std::error_code> asio_stream::try_send(
    std::span<const std::byte> bytes) noexcept {
    error_code failed;
    const std::size_t sent =
        socket_.write_some(boost::asio::buffer(bytes.data(), bytes.size()), failed);
    if (failed && !has_to_wait(failed)) { return std::unexpected(std::error_code(failed)); }
    return sent;
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
    const auto who = credentials();
    return who ? "unix:process " + std::to_string(who->pid) : std::string("an unknown address");
}

std::string asio_stream::source() const {
    const auto who = credentials();
    return who ? unix_source(who->uid) : stream::source();
}

// Of a Unix socket.
std::optional<::ucred> asio_stream::credentials() const {
    error_code failed;
    const auto at = socket_.remote_endpoint(failed);
    if (failed || is_tcp(at)) { return std::nullopt; }
    ::ucred who{};
    ::socklen_t size = sizeof(who);
    const int got = ::getsockopt(const_cast<asio_socket&>(socket_).native_handle(), SOL_SOCKET,
                                 SO_PEERCRED, &who, &size);
    return got == 0 ? std::optional(who) : std::nullopt;
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
    const asio_protocol accepts(at.ss_family, protocol);
    acceptor.assign(accepts, own->get(), failed);
    if (failed) { return std::unexpected(std::error_code(failed)); }
    (void)own->release();
    acceptor.non_blocking(true, failed);
    if (failed) { return std::unexpected(std::error_code(failed)); }
    return std::make_unique<asio_listener>(std::move(acceptor), accepts, std::move(bound));
}

task<stream_result> asio_listener::accept() {
    for (;;) {
        if (accepted_in_a_row_ >= tries_in_a_row) {
            accepted_in_a_row_ = 0;
            turn_of_others turn;
            co_await turn;
        }
        // Boost's accept leaves a moment in which a child of the process inherits the socket.
        const int descriptor =
            ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (descriptor >= 0) {
            asio_socket accepted(acceptor_.get_executor());
            const error_code failed = take_over(descriptor, protocol_, accepted);
            if (failed) { co_return stream_result(std::unexpect, failed); }
            ++accepted_in_a_row_;
            co_return stream_result(std::make_unique<asio_stream>(std::move(accepted)));
        }
        const error_code failed = last_system_error();
        // Who came was gone before it was asked for.
        if (failed == boost::asio::error::connection_aborted ||
            failed == boost::asio::error::interrupted) {
            continue;
        }
        if (!has_to_wait(failed)) { co_return stream_result(std::unexpect, failed); }
        accepted_in_a_row_ = 0;
        const auto waited = co_await acceptor_.async_wait(asio_acceptor::wait_read, as_future);
        if (!waited) { co_return stream_result(std::unexpect, waited.error()); }
    }
}

task<stream_result> asio_connect(asio_strand strand, node_address to) {
    asio_socket socket(strand);
    const asio_protocol::endpoint at = endpoint_of(to);
    const int descriptor = ::socket(at.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) { co_return stream_result(std::unexpect, last_system_error()); }
    const error_code failed = take_over(descriptor, at.protocol(), socket);
    if (failed) { co_return stream_result(std::unexpect, failed); }
    const auto connected = co_await socket.async_connect(at, as_future);
    if (!connected) { co_return stream_result(std::unexpect, connected.error()); }
    co_return stream_result(std::make_unique<asio_stream>(std::move(socket)));
}

}  // namespace heph::remote::detail
