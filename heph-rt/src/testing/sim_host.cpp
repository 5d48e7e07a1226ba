#include "sim_host.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "../net/address.hpp"
#include "sim_driver.hpp"
#include "sim_network.hpp"

namespace heph::rt::detail {

namespace {

using state = sim_socket::state;

constexpr std::size_t datagram_bytes_max = 65'507;

// What is bound to no port in particular gets one of these.
constexpr std::uint16_t first_any_port = 49'152;
constexpr std::uint16_t last_any_port = 65'535;

std::string name_in(const sockaddr* address, socklen_t bytes) {
    constexpr std::size_t before = offsetof(sockaddr_un, sun_path);
    if (bytes <= before) { return {}; }
    const char* const path = reinterpret_cast<const char*>(address) + before;
    const std::size_t most = bytes - before;
    // An abstract one begins with a zero and is as long as it is.
    return {path, path[0] == '\0' ? most : ::strnlen(path, most)};
}

net::endpoint endpoint_in(const sockaddr* address, socklen_t bytes) {
    socket_address read{};
    std::memcpy(&read, address, std::min<std::size_t>(bytes, sizeof(read)));
    return from_socket_address(read);
}

void write_address(const void* from, std::size_t used, sockaddr* to, socklen_t* bytes) noexcept {
    std::memcpy(to, from, std::min<std::size_t>(used, *bytes));
    *bytes = static_cast<socklen_t>(used);
}

void write_name(const std::string& name, sockaddr* to, socklen_t* bytes) noexcept {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::size_t used = std::min(name.size(), sizeof(address.sun_path));
    std::memcpy(address.sun_path, name.data(), used);
    const bool is_path = !name.empty() && name[0] != '\0';
    write_address(&address, offsetof(sockaddr_un, sun_path) + used + (is_path ? 1 : 0), to, bytes);
}

void write_endpoint(const net::endpoint& from, sockaddr* to, socklen_t* bytes) noexcept {
    socket_address address{};
    const unsigned used = to_socket_address(from, address);
    write_address(&address, used, to, bytes);
}

std::vector<std::byte> gather(const msghdr& message) {
    std::vector<std::byte> all;
    for (std::size_t i = 0; i < message.msg_iovlen; ++i) {
        const auto* const from = static_cast<const std::byte*>(message.msg_iov[i].iov_base);
        all.insert(all.end(), from, from + message.msg_iov[i].iov_len);
    }
    return all;
}

void scatter(std::span<const std::byte> all, const msghdr& message) noexcept {
    for (std::size_t i = 0; i < message.msg_iovlen && !all.empty(); ++i) {
        const std::size_t used = std::min(all.size(), message.msg_iov[i].iov_len);
        std::memcpy(message.msg_iov[i].iov_base, all.data(), used);
        all = all.subspan(used);
    }
}

std::size_t room_in(const msghdr& message) noexcept {
    std::size_t room = 0;
    for (std::size_t i = 0; i < message.msg_iovlen; ++i) { room += message.msg_iov[i].iov_len; }
    return room;
}

}  // namespace

bool is_any_address(const net::endpoint& address) noexcept {
    return std::ranges::all_of(address.address(), [](std::uint8_t each) { return each == 0; });
}

bool is_loopback(const net::endpoint& address) noexcept {
    if (!address.is_v6()) { return address.address()[0] == 127; }
    return address.address()[15] == 1 &&
           std::all_of(address.address().begin(), address.address().begin() + 15,
                       [](std::uint8_t each) { return each == 0; });
}

bool same_address(const net::endpoint& one, const net::endpoint& other) noexcept {
    return one.is_v6() == other.is_v6() && one.address() == other.address();
}

sim_host::sim_host(sim_network& network, std::string name, const net::endpoint& address,
                   std::size_t index)
    : network_(network), name_(std::move(name)), address_(address), index_(index) {}

sim_host::~sim_host() = default;

std::unique_ptr<driver> sim_host::make_driver(worker_link& link, const driver_settings& settings) {
    auto made = std::make_unique<sim_driver>(link, settings, *this);
    driver_ = made.get();
    return made;
}

void sim_host::note_ready(int descriptor) {
    if (driver_ != nullptr) { driver_->note_ready(descriptor); }
}

sim_socket* sim_host::find(int descriptor) noexcept {
    sim_socket* const found = network_.find_descriptor(descriptor);
    return found != nullptr && found->host == this ? found : nullptr;
}

bool sim_host::knows(int descriptor) noexcept { return find(descriptor) != nullptr; }

// Making, naming and ending sockets.

int sim_host::socket(int family, int type) noexcept {
    const int kind = type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
    const bool is_ip = family == AF_INET || family == AF_INET6;
    if (!is_ip && family != AF_UNIX) { return -EAFNOSUPPORT; }
    if (kind != SOCK_STREAM && !(is_ip && kind == SOCK_DGRAM)) { return -EOPNOTSUPP; }
    return network_.make_socket(*this, family, kind).descriptor();
}

int sim_host::socketpair(int family, int type, int* made) noexcept {
    const int first = socket(family, type);
    if (first < 0) { return first; }
    const int second = socket(family, type);
    network_.join(*find(first), *find(second));
    made[0] = first;
    made[1] = second;
    return 0;
}

bool sim_host::bind_to_any_port(sim_socket& socket) noexcept {
    for (int left = last_any_port - first_any_port + 1; left != 0; --left) {
        last_port_ = last_port_ == last_any_port ? first_any_port
                                                 : static_cast<std::uint16_t>(last_port_ + 1);
        socket.local.set_port(last_port_);
        if (!network_.is_taken(socket)) {
            socket.bound = true;
            return true;
        }
    }
    socket.local.set_port(0);
    return false;
}

int sim_host::bind(int descriptor, const sockaddr* address, socklen_t bytes) noexcept {
    sim_socket* const socket = find(descriptor);
    if (socket == nullptr) { return -EBADF; }
    if (socket->bound || socket->now != state::fresh) { return -EINVAL; }
    if (socket->family == AF_UNIX) {
        std::string name = name_in(address, bytes);
        if (network_.find_named(*this, name) != nullptr) { return -EADDRINUSE; }
        socket->local_name = std::move(name);
        socket->bound = true;
        return 0;
    }
    const net::endpoint local = endpoint_in(address, bytes);
    if (!is_any_address(local) && !is_loopback(local) && !is_at(local)) { return -EADDRNOTAVAIL; }
    socket->local = local;
    if (local.port() == 0) {
        if (!bind_to_any_port(*socket)) { return -EADDRINUSE; }
    } else if (network_.is_taken(*socket)) {
        return -EADDRINUSE;
    }
    socket->bound = true;
    return 0;
}

int sim_host::listen(int descriptor, int backlog) noexcept {
    sim_socket* const socket = find(descriptor);
    if (socket == nullptr) { return -EBADF; }
    if (socket->type != SOCK_STREAM || !socket->bound) { return -EOPNOTSUPP; }
    socket->now = state::listening;
    socket->backlog = static_cast<std::size_t>(std::max(backlog, 1));
    network_.note(this, socket->family == AF_UNIX ? std::string("listens")
                                                  : "listens at " + socket->local.to_string());
    return 0;
}

int sim_host::connect(int descriptor, const sockaddr* address, socklen_t bytes) noexcept {
    sim_socket* const socket = find(descriptor);
    if (socket == nullptr) { return -EBADF; }
    switch (socket->now) {
        case state::fresh: break;
        case state::connecting: return -EALREADY;
        case state::connected: return 0;  // Asked again, it tells how the attempt ended.
        case state::failed:
            return -(socket->error != 0 ? std::exchange(socket->error, 0) : ECONNREFUSED);
        case state::listening: return -EISCONN;
    }
    if (socket->family == AF_UNIX) {
        socket->peer_name = name_in(address, bytes);
        return network_.connect_unix(*socket);
    }
    socket->peer = endpoint_in(address, bytes);
    if (is_any_address(socket->peer)) {  // As Linux has it: this host.
        auto own = socket->peer.is_v6()
                       ? net::endpoint::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
                                           socket->peer.port())
                       : net::endpoint::loopback(socket->peer.port());
        socket->peer = own;
    }
    sim_host* const to = is_loopback(socket->peer) ? this : network_.find_host(socket->peer);
    if (!socket->bound || is_any_address(socket->local)) {
        const std::uint16_t port = socket->local.port();
        socket->local = is_loopback(socket->peer) ? socket->peer : address_;
        socket->local.set_port(port);
        if (!socket->bound && !bind_to_any_port(*socket)) { return -EADDRNOTAVAIL; }
    }
    if (socket->type == SOCK_DGRAM) {
        socket->has_peer = true;
        return 0;
    }
    if (to == nullptr) {
        network_.note(this, "finds no host at " + socket->peer.to_string());
        return -EHOSTUNREACH;
    }
    return network_.connect(*socket, *to);
}

int sim_host::accept(int descriptor) {
    sim_socket* const listener = find(descriptor);
    if (listener == nullptr) { return -EBADF; }
    if (listener->now != state::listening) { return -EINVAL; }
    if (listener->waiting.empty()) { return -EAGAIN; }
    if (network_.random().chance(network_.options().faults.accept_errors)) {
        network_.note(this, "has no descriptor for a connection");
        return -EMFILE;
    }
    sim_socket& accepted = *network_.find(listener->waiting.front());
    listener->waiting.pop_front();
    accepted.orphaned = false;
    accepted.is_waiting = false;
    accepted.listener = 0;
    network_.note(this, accepted.family == AF_UNIX
                            ? std::string("accepts a connection")
                            : "accepts a connection of " + accepted.peer.to_string());
    return accepted.descriptor();
}

int sim_host::shutdown(int descriptor, int how) noexcept {
    sim_socket* const socket = find(descriptor);
    if (socket == nullptr) { return -EBADF; }
    if (socket->type != SOCK_STREAM || socket->now != state::connected) { return -ENOTCONN; }
    if (how != SHUT_WR) {
        socket->receive_shut = true;
        note_ready(descriptor);
    }
    if (how != SHUT_RD) { network_.end_sending(*socket); }
    return 0;
}

void sim_host::close(int descriptor) noexcept {
    if (sim_socket* const socket = find(descriptor)) {
        network_.close(*socket);
    } else if (descriptor < sim_descriptor_base) {
        ::close(descriptor);
    }
}

// Sending and receiving.

ssize_t sim_host::sendmsg(int descriptor, const msghdr* message) noexcept {
    sim_socket* const socket = find(descriptor);
    if (socket == nullptr) { return -EBADF; }
    if (message->msg_controllen != 0) { return -EOPNOTSUPP; }
    if (socket->type == SOCK_DGRAM) { return send_datagram(*socket, *message); }
    return network_.send(*socket, gather(*message));
}

ssize_t sim_host::send_datagram(sim_socket& from, const msghdr& message) {
    net::endpoint to = from.peer;
    if (message.msg_name != nullptr) {
        to = endpoint_in(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen);
    } else if (!from.has_peer) {
        return -EDESTADDRREQ;
    }
    if (is_any_address(to)) { return -EINVAL; }
    const std::vector<std::byte> bytes = gather(message);
    if (bytes.size() > datagram_bytes_max) { return -EMSGSIZE; }
    if (!from.bound) {
        from.local = from.family == AF_INET6 ? net::endpoint::v6({}, 0) : net::endpoint();
        if (!bind_to_any_port(from)) { return -EADDRNOTAVAIL; }
    }
    network_.send_datagram(from, to, bytes);
    return static_cast<ssize_t>(bytes.size());
}

ssize_t sim_host::recvmsg(int descriptor, msghdr* message, int flags) noexcept {
    sim_socket* const socket = find(descriptor);
    if (socket == nullptr) { return -EBADF; }
    message->msg_flags = 0;
    message->msg_controllen = 0;
    if (socket->type == SOCK_DGRAM) { return receive_datagram(*socket, *message, flags); }
    message->msg_namelen = 0;
    if (message->msg_iovlen == 1) {
        return network_.receive(*socket, {static_cast<std::byte*>(message->msg_iov->iov_base),
                                          message->msg_iov->iov_len});
    }
    std::vector<std::byte> into(room_in(*message));
    const ssize_t got = network_.receive(*socket, into);
    if (got > 0) { scatter(std::span(into).first(static_cast<std::size_t>(got)), *message); }
    return got;
}

ssize_t sim_host::receive_datagram(sim_socket& at, msghdr& message, int flags) {
    if (at.datagrams.empty()) { return -EAGAIN; }
    const sim_datagram first = std::move(at.datagrams.front());
    at.datagrams.pop_front();
    at.datagram_bytes -= first.bytes.size();
    scatter(first.bytes, message);
    const std::size_t room = room_in(message);
    if (first.bytes.size() > room) { message.msg_flags |= MSG_TRUNC; }
    if (message.msg_name != nullptr) {
        write_endpoint(first.from, static_cast<sockaddr*>(message.msg_name), &message.msg_namelen);
    }
    const bool whole = (flags & MSG_TRUNC) != 0;
    return static_cast<ssize_t>(whole ? first.bytes.size() : std::min(first.bytes.size(), room));
}

bool sim_host::is_ready(int descriptor, bool to_read) noexcept {
    const sim_socket* const socket = find(descriptor);
    if (socket == nullptr) { return true; }  // The call tells what is wrong.
    if (to_read) {
        return !socket->waiting.empty() || !socket->received.empty() ||
               !socket->datagrams.empty() || socket->peer_ended || socket->receive_shut ||
               socket->now == state::failed;
    }
    if (socket->type == SOCK_DGRAM || socket->now == state::failed || socket->send_shut) {
        return true;
    }
    return socket->now == state::connected && network_.room(*socket) != 0;
}

// What is known of a socket.

int sim_host::getsockname(int descriptor, sockaddr* address, socklen_t* bytes) noexcept {
    const sim_socket* const socket = find(descriptor);
    if (socket == nullptr) { return -EBADF; }
    if (socket->family == AF_UNIX) {
        write_name(socket->local_name, address, bytes);
        return 0;
    }
    const net::endpoint unbound =
        socket->family == AF_INET6 ? net::endpoint::v6({}, 0) : net::endpoint();
    write_endpoint(socket->bound ? socket->local : unbound, address, bytes);
    return 0;
}

int sim_host::getpeername(int descriptor, sockaddr* address, socklen_t* bytes) noexcept {
    const sim_socket* const socket = find(descriptor);
    if (socket == nullptr) { return -EBADF; }
    if (socket->now != state::connected && !socket->has_peer) { return -ENOTCONN; }
    if (socket->family == AF_UNIX) {
        write_name(socket->peer_name, address, bytes);
    } else {
        write_endpoint(socket->peer, address, bytes);
    }
    return 0;
}

int sim_host::setsockopt(int descriptor, int level, int option, const void* value,
                         socklen_t bytes) noexcept {
    sim_socket* const socket = find(descriptor);
    if (socket == nullptr) { return -EBADF; }
    if (level == IPPROTO_TCP && option == TCP_ULP) { return -ENOPROTOOPT; }
    if ((level == IPPROTO_IP && (option == IP_ADD_MEMBERSHIP || option == IP_DROP_MEMBERSHIP)) ||
        (level == IPPROTO_IPV6 && (option == IPV6_JOIN_GROUP || option == IPV6_LEAVE_GROUP))) {
        return -EOPNOTSUPP;
    }
    if (level == SOL_SOCKET && option == SO_LINGER && bytes >= sizeof(linger)) {
        linger given{};
        std::memcpy(&given, value, sizeof(given));
        socket->resets_on_close = given.l_onoff != 0 && given.l_linger == 0;
    }
    if (level == SOL_SOCKET && option == SO_REUSEPORT && bytes >= sizeof(int)) {
        int given = 0;
        std::memcpy(&given, value, sizeof(given));
        socket->reuse_port = given != 0;
    }
    const auto* const from = static_cast<const std::byte*>(value);
    socket->options[{level, option}].assign(from, from + bytes);
    return 0;
}

int sim_host::answer_option(const sim_socket& of, int level, int option) noexcept {
    if (level == SOL_SOCKET) {
        switch (option) {
            case SO_DOMAIN: return of.family;
            case SO_TYPE: return of.type;
            case SO_ACCEPTCONN: return of.now == state::listening ? 1 : 0;
            case SO_SNDBUF:
            case SO_RCVBUF: return static_cast<int>(network_.options().stream_window);
            case SO_ERROR: return of.error;
            default: break;
        }
    }
    return 0;
}

int sim_host::getsockopt(int descriptor, int level, int option, void* value,
                         socklen_t* bytes) noexcept {
    sim_socket* const socket = find(descriptor);
    if (socket == nullptr) { return -EBADF; }
    if (level == IPPROTO_TCP && option == TCP_INFO) { return -ENOPROTOOPT; }
    const auto give = [value, bytes](const void* from, std::size_t size) {
        *bytes = static_cast<socklen_t>(std::min<std::size_t>(*bytes, size));
        std::memcpy(value, from, *bytes);
        return 0;
    };
    if (level == SOL_SOCKET && option == SO_PEERCRED) {
        if (socket->family != AF_UNIX) { return -EOPNOTSUPP; }
        ucred all_are{};
        all_are.pid = 1;
        all_are.uid = ::getuid();
        all_are.gid = ::getgid();
        return give(&all_are, sizeof(all_are));
    }
    const auto set = socket->options.find({level, option});
    if (set != socket->options.end()) { return give(set->second.data(), set->second.size()); }
    const int answered = answer_option(*socket, level, option);
    if (level == SOL_SOCKET && option == SO_ERROR) { socket->error = 0; }
    return give(&answered, sizeof(answered));
}

void sim_host::fill_randomly(std::span<std::byte> bytes) noexcept { network_.random().fill(bytes); }

std::optional<net::endpoint> sim_host::look_up(const std::string& host) {
    const sim_host* const found = network_.find_host(std::string_view(host));
    return found != nullptr ? std::optional(found->address()) : std::nullopt;
}

}  // namespace heph::rt::detail
