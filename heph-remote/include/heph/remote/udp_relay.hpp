#pragma once

// Messages as datagrams: fire and forget, to relays at other addresses.

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <heph/core/actor_ref.hpp>
#include <heph/core/rpc.hpp>
#include <heph/remote/audience.hpp>
#include <heph/remote/codec/codec.hpp>
#include <heph/remote/detail/alternatives.hpp>
#include <heph/remote/detail/published.hpp>
#include <heph/remote/protocol/datagram.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/net/endpoint.hpp>
#include <heph/rt/tls/secret.hpp>
#include <heph/rt/worker.hpp>

namespace heph::remote {

/// Collects the settings of a `udp_relay`.
class udp_relay_options {
public:
    /// Authenticates what is sent, and takes what others authenticate, by a shared secret. Nothing
    /// is encrypted: who sees a datagram can read it, but not change it or send it again.
    explicit udp_relay_options(rt::tls::secret shared) { secrets_.push_back(std::move(shared)); }

    /// Authenticates nothing: whoever reaches the port can send any message, under any sender's
    /// name. One warning is logged when the relay starts.
    [[nodiscard]] static udp_relay_options insecure_plain_text() { return {}; }

    /// Sets where the relay receives, such as `192.0.2.1:9001` or `[2001:db8::1]:9001`. Without it,
    /// it is any free port of all IPv4 addresses; `[::]:0` is one of all addresses of both kinds,
    /// where the system has IPv6. A relay of IPv4 reaches none of IPv6.
    udp_relay_options& bind(std::string address) {
        address_ = std::move(address);
        return *this;
    }
    /// Accepts what knows an older, or a coming, secret as well; see `options::also_accept`.
    /// *Requires*: not of plain text.
    udp_relay_options& also_accept(rt::tls::secret other) {
        secrets_.push_back(std::move(other));
        return *this;
    }
    /// Names what the relays are for. Datagrams of another channel are not accepted, so that none
    /// can be replayed to a relay for which it was not meant; what has the same secret and the same
    /// channel accepts the same datagrams, each relay once.
    udp_relay_options& channel(std::string name) {
        channel_ = std::move(name);
        return *this;
    }
    /// Sets the bytes that a datagram has at most, the same at both ends: 128 to 65,507. What is
    /// larger than a path's MTU is cut into fragments, and lost when one of them is.
    udp_relay_options& datagram_bytes_max(std::size_t bytes) {
        limits_.bytes_max = bytes;
        return *this;
    }
    /// Sets how old a datagram may be, and how much clocks may differ. It is what the relay
    /// remembers, too: at least a second.
    udp_relay_options& time_window(std::chrono::milliseconds window) {
        limits_.time_window = window;
        return *this;
    }
    /// Sets how many senders are kept apart within the time window.
    udp_relay_options& senders_max(std::size_t count) {
        limits_.senders_max = count;
        return *this;
    }
    /// Sets how many messages may wait to be sent.
    udp_relay_options& inbox_size(std::size_t messages) {
        inbox_size_ = messages;
        return *this;
    }

    [[nodiscard]] const std::vector<rt::tls::secret>& secrets() const noexcept { return secrets_; }
    [[nodiscard]] const std::string& address() const noexcept { return address_; }
    [[nodiscard]] const std::string& channel() const noexcept { return channel_; }
    [[nodiscard]] const protocol::datagram_limits& limits() const noexcept { return limits_; }
    [[nodiscard]] std::size_t inbox_size() const noexcept { return inbox_size_; }

private:
    udp_relay_options() = default;

    std::vector<rt::tls::secret> secrets_;
    std::string address_ = "0.0.0.0:0";
    std::string channel_;
    protocol::datagram_limits limits_;
    std::size_t inbox_size_ = 64;
};

/// Counts what a relay did.
struct udp_relay_counters {
    std::uint64_t sent = 0;
    std::uint64_t too_large = 0;      ///< Not sent: more bytes than a datagram may have.
    std::uint64_t not_sent = 0;       ///< The system refused to send it.
    std::uint64_t routed = 0;         ///< Came, and was taken by the route.
    std::uint64_t refused = 0;        ///< Came, and was dropped: forged, repeated, too old, ….
    std::uint64_t undeliverable = 0;  ///< Came; the route had no room, does not take it, or threw.
    std::uint64_t receive_failures = 0;  ///< The system could not receive, for want of memory, say.
};

/// Is a message type that a relay can send: one without calls.
template <typename M>
concept relayed_message = remote_message<M> && std::move_constructible<M>;

namespace detail {

/// A message on its way to a relay's actor.
struct outgoing_datagram {
    outgoing_datagram(rt::net::endpoint its_target, std::uint16_t its_type,
                      std::vector<std::byte> its_payload) noexcept
        : to(its_target), type(its_type), payload(std::move(its_payload)) {}

    rt::net::endpoint to;
    std::uint16_t type;
    std::vector<std::byte> payload;
};

class relay_state;

/// Is what a started relay has.
struct started_relay {
    actor_ref<outgoing_datagram> inbox;
    std::shared_ptr<relay_state> state;
};

[[nodiscard]] std::expected<started_relay, rt::error> start_udp_relay(
    rt::worker& worker, const udp_relay_options& settings, std::unique_ptr<published> route);
[[nodiscard]] udp_relay_counters counters_of(const relay_state& state) noexcept;
[[nodiscard]] const rt::net::endpoint& endpoint_of(const relay_state& state) noexcept;

/// Encodes a message, and names its type by a number.
template <typename M>
outgoing_datagram relayed(const rt::net::endpoint& to, const M& message) {
    if constexpr (requires { std::variant_size<M>::value; }) {
        return std::visit(
            [&](const auto& each) {
                return outgoing_datagram(to, static_cast<std::uint16_t>(message.index()),
                                         encode(each));
            },
            message);
    } else {
        return outgoing_datagram(to, 0, encode(message));
    }
}

template <typename... Ts>
using has_no_call = std::bool_constant<(!heph::detail::rpc_message<Ts> && ...)>;

}  // namespace detail

/// Sends messages as datagrams to relays at other addresses, and gives what arrives to a route.
///
///     auto relay = heph::remote::udp_relay<reading>::start(
///         worker, heph::remote::udp_relay_options(secret).bind("192.0.2.1:9001"), collector);
///     auto far = relay->to(*heph::rt::net::endpoint::parse("192.0.2.2:9001"));
///     (void)far.try_send(reading(21.5));      // arrives once, or not at all; nobody is told
///
/// A message has to fit a datagram. Messages may be lost, and arrive in another order; none arrives
/// twice. What the route has no room for, or throws at, is dropped. The relay runs on the worker
/// that started it until the runtime stops, or nothing refers to it: no handle, and no reference of
/// `to`.
///
/// *Thread safety*: safe.
template <relayed_message M>
    requires(detail::alternatives_of<M>::template apply<detail::has_no_call>::value)
class udp_relay {
public:
    /// Starts a relay. `route` is where goes what arrives: an actor, or one of route.hpp.
    /// *Errors*: a bad address or limit, a port in use; the message says which.
    /// *Requires*: called on that worker's thread.
    [[nodiscard]] static std::expected<udp_relay, rt::error> start(
        rt::worker& worker, const udp_relay_options& settings,
        actor_ref<M> route = actor_ref<M>::to_nothing()) {
        auto started = detail::start_udp_relay(worker, settings,
                                               std::make_unique<detail::published_actor<M>>(
                                                   std::move(route), audience::everyone(), false));
        if (!started) { return std::unexpected(std::move(started).error()); }
        return udp_relay(std::move(*started));
    }

    /// Gives a reference by which messages are sent to the relay at an address. `send` waits while
    /// too many messages wait to be sent; what is too large is dropped, and counted.
    [[nodiscard]] actor_ref<M> to(const rt::net::endpoint& peer) const {
        return relay_.inbox.template map_fn<M>(
            [peer](M&& message) { return detail::relayed<M>(peer, message); });
    }

    /// Gives the address at which the relay receives, with its real port.
    [[nodiscard]] const rt::net::endpoint& endpoint() const noexcept {
        return detail::endpoint_of(*relay_.state);
    }
    [[nodiscard]] udp_relay_counters counters() const noexcept {
        return detail::counters_of(*relay_.state);
    }

private:
    explicit udp_relay(detail::started_relay started) noexcept : relay_(std::move(started)) {}

    detail::started_relay relay_;
};

}  // namespace heph::remote
