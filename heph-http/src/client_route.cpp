#include "client_route.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <heph/rt/net/connect.hpp>
#include <heph/rt/timer.hpp>

#include "proxy_tunnel.hpp"

namespace heph::http::detail {

namespace {

using rt::net::endpoint;
using found_addresses = std::expected<std::vector<endpoint>, std::error_code>;
using reached = std::expected<peer_stream, std::error_code>;

// So many of a host's addresses are tried through a SOCKS proxy, a connection to it for each.
constexpr std::size_t socks_addresses_max = 4;

reached no_stream(std::error_code why) { return reached(std::unexpect, why); }

/// Tells whether a host is an address, or the name that is never asked for (RFC 6761, 6.3).
bool needs_no_resolver(const std::string& host) {
    if (host == "localhost" || host.ends_with(".localhost")) { return true; }
    const bool v6 = host.find(':') != std::string::npos;
    return endpoint::parse(v6 ? '[' + host + "]:0" : host + ":0").has_value();
}

/// Finds a host's addresses: at least one, best first.
task<found_addresses> find_addresses(const client_options& options, const std::string& host,
                                     std::uint16_t port) {
    found_addresses found;
    if (options.resolve && !needs_no_resolver(host)) {
        auto resolving = options.resolve(host, port);
        found = co_await std::move(resolving);
    } else {
        found = co_await rt::net::resolve(host, port);
    }
    const bool unknown =
        found ? found->empty() : found.error() == rt::net::resolve_errc::unknown_host;
    if (unknown) { found = std::unexpected(make_error_code(error::unknown_host)); }
    co_return found;
}

/// Connects to the first address of a host that answers.
task<reached> reach_host(const client_options& options, const std::string& host,
                         std::uint16_t port) {
    auto found = co_await find_addresses(options, host, port);
    if (!found) { co_return no_stream(found.error()); }
    auto connecting = rt::net::connect_any(std::move(*found));
    auto connected = co_await std::move(connecting);
    if (!connected) { co_return no_stream(connected.error()); }
    co_return reached(std::in_place, std::move(*connected));
}

/// Connects to a Unix socket.
task<reached> reach_socket(rt::net::unix_address at) {
    auto connected = co_await rt::net::unix_stream::connect(std::move(at));
    if (!connected) { co_return no_stream(connected.error()); }
    co_return reached(std::in_place, rt::net::tcp_stream(std::move(*connected)));
}

/// Gives the Unix socket that a request is sent to, or null.
const rt::net::unix_address* socket_for(const client_options& options,
                                        const client_request& request) noexcept {
    if (!request.unix_socket().is_unnamed()) { return &request.unix_socket(); }
    return options.unix_socket.is_unnamed() ? nullptr : &options.unix_socket;
}

/// Secures a connection, which may be secured already, to a host.
task<reached> secure(peer_stream plain, std::shared_ptr<const client_security> by,
                     const std::string& host) {
    if (by == nullptr) { co_return no_stream(make_error_code(error::unsupported_scheme)); }
    auto channel = plain.is_secured() ? by->connect_through(plain.release_channel(), host)
                                      : by->connect(std::move(plain.socket()), host);
    if (!channel) { co_return no_stream(channel.error()); }
    peer_stream secured(std::move(*channel));
    const auto shaken = co_await secured.handshake();
    if (!shaken) { co_return no_stream(shaken.error()); }
    co_return reached(std::move(secured));
}

/// Connects to a proxy.
task<reached> reach_proxy(const client_options& options, const proxy& through) {
    auto connected = co_await reach_host(options, through.host(), through.port());
    if (!connected || through.kind() != proxy_kind::https) { co_return connected; }
    auto security = options.proxy_tls ? options.proxy_tls : options.tls;
    auto securing = secure(std::move(*connected), std::move(security), through.host());
    auto secured = co_await std::move(securing);
    co_return secured;
}

/// Has a proxy open a tunnel to a host: by its address, or its name.
task<reached> reach_through(const client_options& options, const proxy& through, const url& to,
                            const std::string& host) {
    auto connected = co_await reach_proxy(options, through);
    if (!connected) { co_return connected; }
    std::error_code refused;
    if (through.is_socks()) {
        refused = co_await open_socks_tunnel(*connected, through, host, to.port);
    } else {
        refused = co_await open_tunnel(*connected, through, to, options);
    }
    if (refused) { co_return no_stream(refused); }
    co_return connected;
}

/// Tells whether another address of the host may do.
bool is_of_address(std::error_code refused) noexcept {
    return refused == error::socks_failed || refused == error::socks_network_unreachable ||
           refused == error::socks_host_unreachable || refused == error::socks_connection_refused ||
           refused == error::socks_ttl_expired || refused == error::socks_address_unsupported;
}

/// Has a SOCKS proxy open a tunnel to one of a host's addresses, which are found here.
task<reached> reach_by_address(const client_options& options, const proxy& through, const url& to) {
    auto found = co_await find_addresses(options, to.host, to.port);
    if (!found) { co_return no_stream(found.error()); }
    found->resize(std::min(found->size(), socks_addresses_max), found->front());
    std::error_code refused;
    for (const endpoint& each : *found) {
        const std::string address = each.address_string();
        auto connected = co_await reach_through(options, through, to, address);
        if (connected || !is_of_address(connected.error())) { co_return connected; }
        refused = connected.error();
    }
    co_return no_stream(refused);
}

}  // namespace

client_route::client_route(const client_options& options, const client_request& request,
                           const url& to) noexcept
    : socket_(socket_for(options, request)),
      through_(socket_ != nullptr ? nullptr : options.proxies.find(to)),
      tunnels_(to.scheme == "https" || request.headers().contains("Upgrade") ||
               (through_ != nullptr && through_->is_socks())) {}

std::string client_route::key(const url& to) const {
    if (socket_ != nullptr) {
        return to.origin() + (socket_->is_abstract() ? " over abstract " : " over path ") +
               socket_->name();
    }
    if (through_ == nullptr) { return to.origin(); }
    return to.origin() + (tunnels_ ? " by " : " via ") + through_->host() + ' ' +
           std::to_string(through_->port());
}

task<std::expected<peer_stream, std::error_code>> client_route::connect(
    const client_options& options, const url& to) const {
    const auto timed_out = std::make_error_code(std::errc::timed_out);
    task<reached> reaching = [&] {
        if (socket_ != nullptr) { return reach_socket(*socket_); }
        if (through_ == nullptr) { return reach_host(options, to.host, to.port); }
        if (!tunnels_) { return reach_proxy(options, *through_); }
        return through_->kind() == proxy_kind::socks5
                   ? reach_by_address(options, *through_, to)
                   : reach_through(options, *through_, to, to.host);
    }();
    auto bounded = rt::deadline(options.connect_timeout, std::move(reaching));
    auto connected = co_await bounded;
    if (!connected) { co_return no_stream(timed_out); }
    if (!*connected || to.scheme != "https") { co_return std::move(*connected); }
    auto securing = rt::deadline(options.handshake_timeout,
                                 secure(std::move(**connected), options.tls, to.host));
    auto secured = co_await securing;
    if (!secured) { co_return no_stream(timed_out); }
    co_return std::move(*secured);
}

}  // namespace heph::http::detail
