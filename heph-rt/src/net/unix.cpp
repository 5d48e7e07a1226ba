#include <heph/rt/net/unix.hpp>

#include <sys/socket.h>
#include <sys/un.h>

#include <array>

#include <heph/rt/error.hpp>

#include "message_call.hpp"
#include "socket_calls.hpp"
#include "sockets.hpp"
#include "unix_names.hpp"

namespace heph::rt::net {

using detail::last_error;

std::expected<unix_address, std::error_code> unix_address::path(std::string_view path) {
    if (path.empty() || path.find('\0') != std::string_view::npos) {
        return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    }
    if (path.size() > detail::path_bytes_max) {
        return std::unexpected(std::make_error_code(std::errc::filename_too_long));
    }
    return unix_address(std::string(path), false);
}

std::expected<unix_address, std::error_code> unix_address::abstract(std::string_view name) {
    if (name.empty()) { return std::unexpected(std::make_error_code(std::errc::invalid_argument)); }
    if (name.size() > detail::abstract_bytes_max) {
        return std::unexpected(std::make_error_code(std::errc::filename_too_long));
    }
    return unix_address(std::string(name), true);
}

std::string unix_address::to_string() const {
    if (is_unnamed()) { return "(unnamed)"; }
    return abstract_ ? '@' + name_ : name_;
}

polled<unix_connect_future::value_type> unix_connect_future::poll(const waker& waker) {
    if (to_.is_unnamed()) {
        return value_type(std::unexpect, std::make_error_code(std::errc::invalid_argument));
    }
    sockaddr_un address{};
    const unsigned bytes = detail::to_sockaddr(to_, address);
    return detail::to_stream<unix_stream>(detail::poll_connect(
        state_, SOCK_STREAM, reinterpret_cast<const sockaddr&>(address), bytes, waker));
}

std::expected<std::pair<unix_stream, unix_stream>, std::error_code> unix_stream::pair() {
    std::array<int, 2> made{};
    if (detail::calls::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, made.data()) != 0) {
        return std::unexpected(last_error());
    }
    return std::pair(unix_stream(socket_handle(made[0])), unix_stream(socket_handle(made[1])));
}

io_future<buffer> unix_stream::send_with_descriptors(buffer bytes,
                                                     std::vector<descriptor_handle> descriptors) {
    if (is_open() && bytes.empty()) {
        return io_future<buffer>(std::make_error_code(std::errc::invalid_argument));
    }
    return detail::send_with_descriptors(descriptor(), std::move(bytes), std::move(descriptors),
                                         true);
}

io_future<message_with_descriptors> unix_stream::recv_with_descriptors(buffer into,
                                                                       std::size_t most) {
    if (const auto refused = may_receive(into.spare())) {
        return io_future<message_with_descriptors>(refused);
    }
    return detail::recv_with_descriptors(descriptor(), std::move(into), most, 0);
}

std::expected<peer_credentials, std::error_code> unix_stream::credentials() const {
    return detail::ask_credentials(descriptor());
}

std::expected<unix_address, std::error_code> unix_stream::local_address() const {
    return detail::ask_unix_address(descriptor(), detail::calls::getsockname);
}

std::expected<unix_address, std::error_code> unix_stream::peer_address() const {
    return detail::ask_unix_address(descriptor(), detail::calls::getpeername);
}

polled<unix_accept_future::value_type> unix_accept_future::poll(const waker& waker) {
    return detail::to_stream<unix_stream>(detail::poll_accept(listener_->socket_, waker));
}

std::optional<socket_handle> unix_listener::take_accepted() noexcept {
    return detail::take_accepted(socket_);
}

polled<void> unix_listener::poll_stop_accepting(const waker& waker) {
    return detail::poll_stop_accepting(socket_, waker);
}

std::expected<unix_listener, std::error_code> unix_listener::bind(
    const unix_address& local, const unix_listen_options& options) {
    auto socket = detail::listen_at(SOCK_STREAM, local, options);
    if (!socket) { return std::unexpected(socket.error()); }
    return unix_listener(std::move(socket->socket), std::move(socket->file));
}

std::expected<unix_listener, std::error_code> unix_listener::duplicate() const {
    auto copy = rt::duplicate(descriptor());
    if (!copy) { return std::unexpected(copy.error()); }
    return unix_listener(std::move(*copy), file_);
}

void unix_listener::keep_file() const noexcept {
    if (file_) { file_->keep(); }
}

std::expected<unix_listener, std::error_code> unix_listener::adopt(socket_handle socket) {
    if (!detail::is_listening(socket.get(), AF_UNIX)) {
        return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    }
    return unix_listener(std::move(socket));
}

std::expected<unix_address, std::error_code> unix_listener::local_address() const {
    return detail::ask_unix_address(descriptor(), detail::calls::getsockname);
}

}  // namespace heph::rt::net
