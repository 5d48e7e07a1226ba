#include <optional>

#include <heph/rt/net/socket_options.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/net/udp.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::rt::net::endpoint;
using heph::rt::net::get_option;
using heph::rt::net::set_option;
using heph::rt::net::tcp_listener;
using heph::rt::net::udp_socket;
namespace options = heph::rt::net::options;

namespace {

// Sets an option and expects to read it back.
template <typename Socket, typename Option, typename Value>
void check_kept(const Socket& socket, Option option, Value value) {
    const auto failed = set_option(socket, option, value);
    INFO(failed.message());
    REQUIRE_FALSE(failed);
    const auto kept = get_option(socket, option);
    REQUIRE(kept);
    CHECK(*kept == typename Option::value_type(value));
}

}  // namespace

TEST_CASE("socket options: what is set is read back", "[rt][net]") {
    const auto listener = tcp_listener::bind(endpoint::loopback(0));
    REQUIRE(listener);
    const auto socket = udp_socket::bind(endpoint::loopback(0));
    REQUIRE(socket);
    for (const bool on : {true, false}) {
        check_kept(*listener, options::reuse_address, on);
        check_kept(*listener, options::reuse_port, on);
        check_kept(*listener, options::no_delay, on);
        check_kept(*listener, options::cork, on);
        check_kept(*listener, options::keep_alive, on);
        check_kept(*socket, options::broadcast, on);
        check_kept(*socket, options::dont_route, on);
    }
    check_kept(*listener, options::keep_alive_idle, 30s);
    check_kept(*listener, options::keep_alive_interval, 5s);
    check_kept(*listener, options::keep_alive_probes, 3);
    check_kept(*listener, options::user_timeout, 1500ms);
    check_kept(*listener, options::linger, std::optional(0s));
    check_kept(*listener, options::linger, std::nullopt);
    check_kept(*listener, options::linger, std::optional(7s));
    check_kept(*socket, options::time_to_live, 7);
    check_kept(*socket, options::traffic_class, 0x10);
}

TEST_CASE("socket options: those of IP are the same for IPv6", "[rt][net]") {
    const auto at = endpoint::parse("[::]:0");
    REQUIRE(at);
    const auto socket = udp_socket::bind(*at);
    REQUIRE(socket);
    check_kept(*socket, options::time_to_live, 9);
    check_kept(*socket, options::traffic_class, 0x20);
    const auto only = get_option(*socket, options::only_v6);
    REQUIRE(only);
    CHECK_FALSE(*only);
}

TEST_CASE("socket options: a buffer is at least as large as asked for", "[rt][net]") {
    const auto socket = udp_socket::bind(endpoint::loopback(0));
    REQUIRE(socket);
    CHECK_FALSE(set_option(*socket, options::send_buffer_bytes, 65'536));
    CHECK_FALSE(set_option(*socket, options::receive_buffer_bytes, 65'536));
    CHECK(get_option(*socket, options::send_buffer_bytes).value_or(0) >= 65'536);
    CHECK(get_option(*socket, options::receive_buffer_bytes).value_or(0) >= 65'536);
    CHECK_FALSE(set_option(*socket, options::receive_buffer_bytes, ~std::size_t{0}));
}

TEST_CASE("socket options: what is not the socket's, or no value, is an error", "[rt][net]") {
    const auto socket = udp_socket::bind(endpoint::loopback(0));
    REQUIRE(socket);
    CHECK(set_option(*socket, options::no_delay, true));
    CHECK_FALSE(get_option(*socket, options::no_delay));
    CHECK(set_option(*socket, options::time_to_live, 1000) == std::errc::invalid_argument);
    const auto listener = tcp_listener::bind(endpoint::loopback(0));
    REQUIRE(listener);
    CHECK(set_option(*listener, options::keep_alive_idle, -1s) == std::errc::invalid_argument);
    CHECK(set_option(*listener, options::linger, std::optional(-1s)) ==
          std::errc::invalid_argument);
    CHECK(set_option(-1, options::keep_alive, true) == std::errc::bad_file_descriptor);
    CHECK(get_option(-1, options::keep_alive).error() == std::errc::bad_file_descriptor);
}
