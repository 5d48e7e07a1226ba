#include <heph/rt/net/socket_options.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <climits>
#include <type_traits>

#include "socket_calls.hpp"
#include "sockets.hpp"

namespace heph::rt::net {

namespace {

using detail::last_error;

// An option as the kernel names it; of IPv6 sockets, if they have another.
struct name {
    int level;
    int option;
    int level_v6 = -1;
    int option_v6 = -1;
};

// By id.
constexpr std::array<name, 18> system_names{{
    {SOL_SOCKET, SO_REUSEADDR},
    {SOL_SOCKET, SO_REUSEPORT},
    {SOL_SOCKET, SO_BROADCAST},
    {SOL_SOCKET, SO_DONTROUTE},
    {SOL_SOCKET, SO_SNDBUF},
    {SOL_SOCKET, SO_RCVBUF},
    {SOL_SOCKET, SO_LINGER},
    {IPPROTO_TCP, TCP_NODELAY},
    {IPPROTO_TCP, TCP_CORK},
    {IPPROTO_TCP, TCP_QUICKACK},
    {SOL_SOCKET, SO_KEEPALIVE},
    {IPPROTO_TCP, TCP_KEEPIDLE},
    {IPPROTO_TCP, TCP_KEEPINTVL},
    {IPPROTO_TCP, TCP_KEEPCNT},
    {IPPROTO_TCP, TCP_USER_TIMEOUT},
    {IPPROTO_IP, IP_TTL, IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {IPPROTO_IPV6, IPV6_V6ONLY},
    {IPPROTO_IP, IP_TOS, IPPROTO_IPV6, IPV6_TCLASS},
}};

name name_for(int descriptor, std::uint8_t id) noexcept {
    name found = system_names[id];
    if (found.level_v6 < 0) { return found; }
    int family = AF_UNSPEC;
    socklen_t bytes = sizeof(family);
    if (detail::calls::getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &bytes) == 0 &&
        family == AF_INET6) {
        found.level = found.level_v6;
        found.option = found.option_v6;
    }
    return found;
}

template <typename Value>
std::error_code set(int descriptor, std::uint8_t id, const Value& value) noexcept {
    const name asked = name_for(descriptor, id);
    return detail::calls::setsockopt(descriptor, asked.level, asked.option, &value,
                                     sizeof(value)) == 0
               ? std::error_code()
               : last_error();
}

// Asks for the kernel's value and converts it.
template <typename Value, typename Convert>
auto get(int descriptor, std::uint8_t id, Convert convert) noexcept
    -> std::expected<std::invoke_result_t<Convert, Value>, std::error_code> {
    const name asked = name_for(descriptor, id);
    Value value{};
    socklen_t bytes = sizeof(value);
    if (detail::calls::getsockopt(descriptor, asked.level, asked.option, &value, &bytes) != 0) {
        return std::unexpected(last_error());
    }
    return convert(value);
}

template <typename Duration>
std::error_code set_time(int descriptor, std::uint8_t id, Duration value) noexcept {
    if (value.count() < 0 || value.count() > INT_MAX) {
        return std::make_error_code(std::errc::invalid_argument);
    }
    return set(descriptor, id, static_cast<int>(value.count()));
}

template <typename Duration>
std::expected<Duration, std::error_code> get_time(int descriptor, std::uint8_t id) noexcept {
    return get<int>(descriptor, id, [](int value) { return Duration(value); });
}

}  // namespace

std::error_code set_option(int descriptor, socket_option<bool> option, bool value) noexcept {
    return set(descriptor, option.id(), value ? 1 : 0);
}

std::error_code set_option(int descriptor, socket_option<int> option, int value) noexcept {
    return set(descriptor, option.id(), value);
}

std::error_code set_option(int descriptor, socket_option<std::size_t> option,
                           std::size_t value) noexcept {
    // The kernel has a limit of its own below that, and takes what is above it for the limit.
    return set(descriptor, option.id(),
               static_cast<int>(std::min<std::size_t>(value, INT_MAX / 2)));
}

std::error_code set_option(int descriptor, socket_option<std::chrono::seconds> option,
                           std::chrono::seconds value) noexcept {
    return set_time(descriptor, option.id(), value);
}

std::error_code set_option(int descriptor, socket_option<std::chrono::milliseconds> option,
                           std::chrono::milliseconds value) noexcept {
    return set_time(descriptor, option.id(), value);
}

std::error_code set_option(int descriptor,
                           socket_option<std::optional<std::chrono::seconds>> option,
                           std::optional<std::chrono::seconds> value) noexcept {
    if (value && (value->count() < 0 || value->count() > INT_MAX)) {
        return std::make_error_code(std::errc::invalid_argument);
    }
    const ::linger asked{value ? 1 : 0, value ? static_cast<int>(value->count()) : 0};
    return set(descriptor, option.id(), asked);
}

std::expected<bool, std::error_code> get_option(int descriptor,
                                                socket_option<bool> option) noexcept {
    return get<int>(descriptor, option.id(), [](int value) { return value != 0; });
}

std::expected<int, std::error_code> get_option(int descriptor, socket_option<int> option) noexcept {
    return get<int>(descriptor, option.id(), [](int value) { return value; });
}

std::expected<std::size_t, std::error_code> get_option(int descriptor,
                                                       socket_option<std::size_t> option) noexcept {
    return get<int>(descriptor, option.id(),
                    [](int value) { return static_cast<std::size_t>(value); });
}

std::expected<std::chrono::seconds, std::error_code> get_option(
    int descriptor, socket_option<std::chrono::seconds> option) noexcept {
    return get_time<std::chrono::seconds>(descriptor, option.id());
}

std::expected<std::chrono::milliseconds, std::error_code> get_option(
    int descriptor, socket_option<std::chrono::milliseconds> option) noexcept {
    return get_time<std::chrono::milliseconds>(descriptor, option.id());
}

std::expected<std::optional<std::chrono::seconds>, std::error_code> get_option(
    int descriptor, socket_option<std::optional<std::chrono::seconds>> option) noexcept {
    return get<::linger>(descriptor, option.id(),
                         [](const ::linger& value) -> std::optional<std::chrono::seconds> {
                             if (value.l_onoff == 0) { return std::nullopt; }
                             return std::chrono::seconds(value.l_linger);
                         });
}

}  // namespace heph::rt::net
