#pragma once

// Options of sockets, each with its type.
//
//     if (auto failed = net::set_option(stream, net::options::keep_alive_idle, 30s)) { ... }
//     auto bytes = net::get_option(stream, net::options::receive_buffer_bytes);

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <system_error>

namespace heph::rt::net {

/// Names an option and the type of its values. `id` is this library's own.
template <typename T>
class socket_option {
public:
    using value_type = T;
    explicit constexpr socket_option(std::uint8_t id) noexcept : id_(id) {}
    [[nodiscard]] constexpr std::uint8_t id() const noexcept { return id_; }

private:
    std::uint8_t id_;
};

namespace options {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Any socket.
inline constexpr socket_option<bool> reuse_address{0};
inline constexpr socket_option<bool> reuse_port{1};
inline constexpr socket_option<bool> broadcast{2};  ///< Allows datagrams to all of a network.
/// Whether multicast routing and local networks only are used (`SO_DONTROUTE`).
inline constexpr socket_option<bool> dont_route{3};
/// The kernel doubles what is set, for its own use, and gives the doubled value.
inline constexpr socket_option<std::size_t> send_buffer_bytes{4};
inline constexpr socket_option<std::size_t> receive_buffer_bytes{5};
/// What closing does with bytes not yet sent. Nothing: they are sent in the background. A time: as
/// much as goes in that time; the thread that closes waits. Zero: thrown away, with a reset.
inline constexpr socket_option<std::optional<seconds>> linger{6};

// TCP.
inline constexpr socket_option<bool> no_delay{7};     ///< Off: Nagle's algorithm gathers bytes.
inline constexpr socket_option<bool> cork{8};         ///< On: only full segments are sent.
inline constexpr socket_option<bool> quick_ack{9};    ///< For now; the kernel changes it again.
inline constexpr socket_option<bool> keep_alive{10};  ///< Probes of an idle connection.
inline constexpr socket_option<seconds> keep_alive_idle{11};      ///< Before the first probe.
inline constexpr socket_option<seconds> keep_alive_interval{12};  ///< Between probes.
inline constexpr socket_option<int> keep_alive_probes{13};        ///< So many unanswered end it.
/// How long sent bytes may stay without an answer before the connection is given up; 0: as the
/// system has it.
inline constexpr socket_option<milliseconds> user_timeout{14};

// IP. Of IPv4 and IPv6 sockets alike, unless said otherwise.
inline constexpr socket_option<int> time_to_live{15};   ///< Hops of a packet, 1 to 255.
inline constexpr socket_option<bool> only_v6{16};       ///< IPv6, before it is bound.
inline constexpr socket_option<int> traffic_class{17};  ///< The TOS byte.

}  // namespace options

/// Sets an option of a descriptor. *Errors*: the system's: `no_protocol_option`,
/// `operation_not_supported` (not of this kind of socket), `invalid_argument`, ….
std::error_code set_option(int descriptor, socket_option<bool> option, bool value) noexcept;
std::error_code set_option(int descriptor, socket_option<int> option, int value) noexcept;
std::error_code set_option(int descriptor, socket_option<std::size_t> option,
                           std::size_t value) noexcept;
std::error_code set_option(int descriptor, socket_option<std::chrono::seconds> option,
                           std::chrono::seconds value) noexcept;
std::error_code set_option(int descriptor, socket_option<std::chrono::milliseconds> option,
                           std::chrono::milliseconds value) noexcept;
std::error_code set_option(int descriptor,
                           socket_option<std::optional<std::chrono::seconds>> option,
                           std::optional<std::chrono::seconds> value) noexcept;

/// Asks for an option of a descriptor. *Errors*: as `set_option`.
[[nodiscard]] std::expected<bool, std::error_code> get_option(int descriptor,
                                                              socket_option<bool> option) noexcept;
[[nodiscard]] std::expected<int, std::error_code> get_option(int descriptor,
                                                             socket_option<int> option) noexcept;
[[nodiscard]] std::expected<std::size_t, std::error_code> get_option(
    int descriptor, socket_option<std::size_t> option) noexcept;
[[nodiscard]] std::expected<std::chrono::seconds, std::error_code> get_option(
    int descriptor, socket_option<std::chrono::seconds> option) noexcept;
[[nodiscard]] std::expected<std::chrono::milliseconds, std::error_code> get_option(
    int descriptor, socket_option<std::chrono::milliseconds> option) noexcept;
[[nodiscard]] std::expected<std::optional<std::chrono::seconds>, std::error_code> get_option(
    int descriptor, socket_option<std::optional<std::chrono::seconds>> option) noexcept;

/// Sets an option of a stream, listener or socket. *Errors*: as above.
template <typename Socket, typename T>
    requires requires(const Socket& socket) {
        { socket.descriptor() } -> std::same_as<int>;
    }
std::error_code set_option(const Socket& socket, socket_option<T> option,
                           std::type_identity_t<T> value) noexcept {
    return set_option(socket.descriptor(), option, value);
}

/// Asks for an option of a stream, listener or socket. *Errors*: as above.
template <typename Socket, typename T>
    requires requires(const Socket& socket) {
        { socket.descriptor() } -> std::same_as<int>;
    }
[[nodiscard]] std::expected<T, std::error_code> get_option(const Socket& socket,
                                                           socket_option<T> option) noexcept {
    return get_option(socket.descriptor(), option);
}

}  // namespace heph::rt::net
