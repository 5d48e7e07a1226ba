#pragma once

// Connecting to a host by its name, over whichever of its addresses answers first.
//
//     auto stream = co_await heph::rt::net::connect("example.org", 443);

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <list>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <heph/inbox/future.hpp>
#include <heph/rt/net/endpoint.hpp>
#include <heph/rt/net/resolve.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>

namespace heph::rt::net {

/// How to choose among several addresses.
struct connect_options {
    /// How long one address is waited for before the next is tried beside it (RFC 8305, 5).
    std::chrono::milliseconds attempt_delay{250};
    /// Addresses that are tried at the most.
    std::size_t attempts_max = 16;
};

/// Puts addresses in the order in which to try them: the families take turns, beginning with that
/// of the first, and each keeps its order (RFC 8305, section 4).
[[nodiscard]] std::vector<endpoint> interleave_families(std::vector<endpoint> addresses);

/// Completes with the first connection that is made. See `connect_any`.
class [[nodiscard]] connect_any_future {
public:
    using value_type = std::expected<tcp_stream, std::error_code>;
    connect_any_future(std::vector<endpoint> addresses, connect_options options)
        : options_(options),
          addresses_(interleave_families(std::move(addresses))),
          delay_(rt::clock::duration::zero()) {}
    polled<value_type> poll(const waker& waker);

private:
    bool poll_attempts(const waker& waker, value_type& first);
    void note(std::error_code failure) noexcept;

    connect_options options_;
    std::vector<endpoint> addresses_;
    std::list<connect_future> attempts_;  // Those that are under way.
    rt::timer delay_;
    std::size_t tried_ = 0;
    std::error_code failure_;  // The most telling one.
};

/// Connects to the first of several addresses that answers ("happy eyeballs", RFC 8305): they are
/// tried one after the other in the order of `interleave_families`; each gets `attempt_delay` of
/// time before the next is tried as well, and less when it fails. The first connection wins, and
/// the other attempts are given up.
///
/// *Errors*: when all failed, what says most: an answer of the host itself, such as
/// `connection_refused`, before one of the network, such as `network_unreachable`; of equals the
/// first. `std::errc::address_not_available` for no addresses. There is no time limit but the
/// system's, some two minutes: put a `deadline` around it.
/// *Cancellation*: gives all attempts up.
[[nodiscard]] inline connect_any_future connect_any(std::vector<endpoint> addresses,
                                                    connect_options options = {}) {
    return {std::move(addresses), options};
}

/// Completes with a connection to a host. See `connect`.
class [[nodiscard]] connect_host_future {
public:
    using value_type = std::expected<tcp_stream, std::error_code>;
    connect_host_future(std::string host, std::uint16_t port, connect_options options) noexcept
        : options_(options), step_(std::in_place_index<0>, std::move(host), port) {}
    polled<value_type> poll(const waker& waker);

private:
    connect_options options_;
    std::variant<resolve_future, connect_any_future> step_;
};

/// Looks a host up, and connects to the first of its addresses that answers.
/// *Errors*: those of `resolve` and of `connect_any`. *Cancellation*: gives everything up.
[[nodiscard]] inline connect_host_future connect(std::string host, std::uint16_t port,
                                                 connect_options options = {}) noexcept {
    return {std::move(host), port, options};
}

}  // namespace heph::rt::net
