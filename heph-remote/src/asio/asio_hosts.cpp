#include "asio/asio_hosts.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <system_error>
#include <utility>

#include <boost/asio/ip/tcp.hpp>

#include <heph/core/either.hpp>

#include "asio/asio_stream.hpp"

namespace heph::remote::detail {

namespace {

rt::net::endpoint endpoint_of(const boost::asio::ip::tcp::endpoint& at) {
    const auto address = at.address();
    if (address.is_v4()) { return rt::net::endpoint::v4(address.to_v4().to_bytes(), at.port()); }
    const auto v6 = address.to_v6();
    return rt::net::endpoint::v6(v6.to_bytes(), at.port(),
                                 static_cast<std::uint32_t>(v6.scope_id()));
}

}  // namespace

task<rt::net::resolved> asio_resolve(asio_strand strand, host_name of) {
    boost::asio::ip::tcp::resolver resolver(strand);
    const std::string port = std::to_string(of.port());
    const auto found = co_await resolver.async_resolve(
        of.host(), port, boost::asio::ip::resolver_base::numeric_service, as_future);
    if (!found) { co_return rt::net::resolved(std::unexpect, found.error()); }
    std::vector<rt::net::endpoint> all;
    for (const auto& each : *found) { all.push_back(endpoint_of(each.endpoint())); }
    co_return rt::net::resolved(std::move(all));
}

task<stream_result> asio_connect_any(asio_strand strand, std::vector<rt::net::endpoint> to) {
    stream_result made(std::unexpect, std::make_error_code(std::errc::address_not_available));
    for (std::size_t i = 0; i < to.size(); ++i) {
        auto connecting = asio_connect(strand, node_address(to[i]));
        if (i + 1 == to.size()) {
            made = co_await connecting;
            co_return made;
        }
        asio_alarm over(strand, std::chrono::steady_clock::now() + silence_to_try_next);
        auto first = co_await either(connecting, over);
        if (first.index() == 1) { continue; }
        made = std::move(std::get<0>(first));
        if (made) { break; }
    }
    co_return made;
}

}  // namespace heph::remote::detail
