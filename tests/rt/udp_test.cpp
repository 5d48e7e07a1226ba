#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/net/socket_options.hpp>
#include <heph/rt/net/udp.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::deadline;
using heph::rt::errc;
using heph::rt::net::endpoint;
using heph::rt::net::udp_options;
using heph::rt::net::udp_socket;
using heph::test::run_task;
namespace options = heph::rt::net::options;

namespace {

udp_socket bind(const endpoint& at, const udp_options& how = {}) {
    auto bound = udp_socket::bind(at, how);
    if (!bound) { FAIL(bound.error().message()); }
    return std::move(*bound);
}

endpoint address_of(const udp_socket& socket) {
    const auto local = socket.local_endpoint();
    REQUIRE(local);
    return *local;
}

std::vector<buffer> texts(std::initializer_list<const char*> parts) {
    std::vector<buffer> made;
    for (const char* part : parts) { made.push_back(buffer::copy_of(part)); }
    return made;
}

task<> exchange(udp_socket near, udp_socket far) {
    auto bytes = buffer::copy_of("hello");
    auto sent = co_await near.send_to(std::move(bytes), address_of(far));
    REQUIRE(sent);
    CHECK(sent->view() == "hello");
    auto into = buffer::copy_of("<");
    into.reserve(100);
    auto arrived = co_await far.recv_from(std::move(into));
    REQUIRE(arrived);
    CHECK(arrived->bytes().view() == "<hello");
    CHECK(arrived->from() == address_of(near));
    CHECK(arrived->size() == 5);
    CHECK_FALSE(arrived->is_truncated());

    // An empty datagram is one, too.
    sent = co_await far.send_to(buffer(), arrived->from());
    REQUIRE(sent);
    auto room = buffer::with_capacity(10);
    const auto empty = co_await near.recv_from(std::move(room));
    REQUIRE(empty);
    CHECK(empty->size() == 0);
    CHECK(empty->from() == address_of(far));
}

}  // namespace

TEST_CASE("udp: a datagram arrives whole and tells who sent it, by IPv4 and IPv6", "[rt][udp]") {
    for (const char* address : {"127.0.0.1:0", "[::1]:0"}) {
        CAPTURE(address);
        const auto at = endpoint::parse(address);
        REQUIRE(at);
        run_task([&at]() -> task<> { return exchange(bind(*at), bind(*at)); });
    }
}

TEST_CASE("udp: what has no room is cut off, and that is told", "[rt][udp]") {
    run_task([]() -> task<> {
        udp_socket near = bind(endpoint::loopback(0));
        udp_socket far = bind(endpoint::loopback(0));
        auto bytes = buffer::copy_of("0123456789");
        const auto sent = co_await near.send_to(std::move(bytes), address_of(far));
        REQUIRE(sent);
        auto into = buffer::with_capacity(4);
        const auto arrived = co_await far.recv(std::move(into));
        REQUIRE(arrived);
        CHECK(arrived->bytes().view() == "0123");
        CHECK(arrived->is_truncated());
        CHECK(arrived->size() == 10);
    });
}

TEST_CASE("udp: a datagram is gathered from several buffers and scattered over others",
          "[rt][udp]") {
    run_task([]() -> task<> {
        udp_socket near = bind(endpoint::loopback(0));
        udp_socket far = bind(endpoint::loopback(0));
        REQUIRE_FALSE(near.connect(address_of(far)));
        REQUIRE_FALSE(far.connect(address_of(near)));
        auto parts = texts({"one ", "", "two ", "three"});
        const auto sent = co_await near.send_vectored(std::move(parts));
        REQUIRE(sent);
        REQUIRE(sent->size() == 4);
        CHECK(sent->back().view() == "three");
        std::vector<buffer> into;
        into.push_back(buffer::with_capacity(3));
        into.push_back(buffer::with_capacity(5));
        into.push_back(buffer::with_capacity(100));
        auto arrived = co_await far.recv_vectored_from(std::move(into));
        REQUIRE(arrived);
        CHECK(arrived->from() == address_of(near));
        REQUIRE(arrived->bytes().size() == 3);
        CHECK(arrived->bytes()[0].view() == "one");
        CHECK(arrived->bytes()[1].view() == " two ");
        CHECK(arrived->bytes()[2].view() == "three");
        auto again = texts({"x", "y"});
        const auto to_it = co_await near.send_vectored_to(std::move(again), address_of(far));
        REQUIRE(to_it);
        std::vector<buffer> small;
        small.push_back(buffer::with_capacity(1));
        const auto cut = co_await far.recv_vectored(std::move(small));
        REQUIRE(cut);
        CHECK(cut->is_truncated());
        CHECK(cut->size() == 2);
    });
}

TEST_CASE("udp: nobody at a connected socket's peer is an error of a later operation",
          "[rt][udp]") {
    run_task([]() -> task<> {
        endpoint gone;
        {
            const udp_socket was = bind(endpoint::loopback(0));
            gone = address_of(was);
        }
        co_await heph::rt::timer(5ms);  // A dropped socket is closed later than at once.
        udp_socket socket = bind(endpoint::loopback(0));
        REQUIRE_FALSE(socket.connect(gone));
        const auto peer = socket.peer_endpoint();
        REQUIRE(peer);
        CHECK(*peer == gone);
        auto bytes = buffer::copy_of("anybody?");
        const auto sent = co_await socket.send(std::move(bytes));
        CHECK(sent);
        auto into = buffer::with_capacity(10);
        const auto refused = co_await socket.recv(std::move(into));
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == std::errc::connection_refused);
    });
}

TEST_CASE("udp: a receive that waits ends at its deadline, and the next datagram is not lost",
          "[rt][udp]") {
    run_task([]() -> task<> {
        udp_socket near = bind(endpoint::loopback(0));
        udp_socket far = bind(endpoint::loopback(0));
        for (int round = 0; round < 20; ++round) {
            auto into = buffer::with_capacity(10);
            auto bounded = deadline(1ms, far.recv_from(std::move(into)));
            const auto nothing = co_await bounded;
            CHECK_FALSE(nothing);
        }
        auto bytes = buffer::copy_of("late");
        const auto sent = co_await near.send_to(std::move(bytes), address_of(far));
        REQUIRE(sent);
        auto into = buffer::with_capacity(10);
        auto bounded = deadline(10s, far.recv_from(std::move(into)));
        const auto arrived = co_await bounded;
        REQUIRE(arrived);
        REQUIRE(*arrived);
        CHECK((*arrived)->bytes().view() == "late");
    });
}

TEST_CASE(
    "udp: a port in use, a long datagram, a forbidden broadcast and a closed socket are "
    "errors",
    "[rt][udp]") {
    run_task([]() -> task<> {
        udp_socket socket = bind(endpoint::loopback(0));
        const auto taken = udp_socket::bind(address_of(socket));
        REQUIRE_FALSE(taken);
        CHECK(taken.error() == std::errc::address_in_use);
        auto bytes = buffer::copy_of(std::string(70'000, 'x'));
        const auto too_long = co_await socket.send_to(std::move(bytes), address_of(socket));
        REQUIRE_FALSE(too_long);
        CHECK(too_long.error() == std::errc::message_size);
        const auto everybody = endpoint::v4({255, 255, 255, 255}, 9);
        auto text = buffer::copy_of("x");
        udp_socket anywhere = bind(endpoint());
        const auto forbidden = co_await anywhere.send_to(std::move(text), everybody);
        REQUIRE_FALSE(forbidden);
        CHECK((forbidden.error() == std::errc::permission_denied ||
               forbidden.error() == std::errc::network_unreachable));
        const udp_socket closed;
        auto room = buffer::with_capacity(1);
        const auto received = co_await closed.recv(std::move(room));
        REQUIRE_FALSE(received);
        CHECK(received.error() == errc::closed);
    });
}

TEST_CASE("udp: several sockets share a port when all of them ask for it", "[rt][udp]") {
    udp_options sharing;
    sharing.reuse_port = true;
    const udp_socket first = bind(endpoint::loopback(0), sharing);
    CHECK(udp_socket::bind(address_of(first), sharing));
    CHECK_FALSE(udp_socket::bind(address_of(first)));
}

TEST_CASE("udp: what is sent to a group arrives at who joined it, until it leaves", "[rt][udp]") {
    run_task([]() -> task<> {
        const auto loopback = heph::rt::net::interface_index("lo");
        REQUIRE(loopback);
        udp_socket member = bind(endpoint());
        const auto group = endpoint::v4({239, 255, 11, 7}, address_of(member).port());
        REQUIRE_FALSE(member.join_group(group, *loopback));
        CHECK(member.join_group(group, *loopback) == std::errc::address_in_use);
        udp_socket sender = bind(endpoint());
        REQUIRE_FALSE(sender.set_multicast_interface(*loopback));
        REQUIRE_FALSE(sender.set_multicast_hops(1));
        REQUIRE_FALSE(sender.set_multicast_loop(true));
        auto bytes = buffer::copy_of("to all");
        const auto sent = co_await sender.send_to(std::move(bytes), group);
        REQUIRE(sent);
        auto into = buffer::with_capacity(100);
        auto bounded = deadline(10s, member.recv(std::move(into)));
        const auto arrived = co_await bounded;
        REQUIRE(arrived);
        REQUIRE(*arrived);
        CHECK((*arrived)->bytes().view() == "to all");
        CHECK_FALSE(member.leave_group(group, *loopback));
        CHECK(member.leave_group(group, *loopback) == std::errc::address_not_available);
    });
    CHECK_FALSE(heph::rt::net::interface_index("no-such-thing"));
}

TEST_CASE("udp: an IPv6 group can be joined and left, and an IPv4 address is none", "[rt][udp]") {
    const auto any = endpoint::parse("[::]:0");
    const auto group = endpoint::parse("[ff02::1234]:0");
    const auto loopback = heph::rt::net::interface_index("lo");
    REQUIRE((any && group && loopback));
    udp_socket member = bind(*any);
    CHECK_FALSE(member.join_group(*group, *loopback));
    CHECK_FALSE(member.set_multicast_hops(2));
    CHECK_FALSE(member.set_multicast_loop(false));
    CHECK_FALSE(member.set_multicast_interface(*loopback));
    CHECK_FALSE(member.leave_group(*group, *loopback));
    CHECK(member.join_group(*any, *loopback) == std::errc::invalid_argument);
}

TEST_CASE("udp: broadcast works once it is allowed", "[rt][udp]") {
    run_task([]() -> task<> {
        udp_socket receiver = bind(endpoint());
        udp_socket sender = bind(endpoint::loopback(0));
        REQUIRE_FALSE(heph::rt::net::set_option(sender, options::broadcast, true));
        const auto network = endpoint::v4({127, 255, 255, 255}, address_of(receiver).port());
        auto bytes = buffer::copy_of("everybody");
        const auto sent = co_await sender.send_to(std::move(bytes), network);
        REQUIRE(sent);
        auto into = buffer::with_capacity(100);
        auto bounded = deadline(10s, receiver.recv(std::move(into)));
        const auto arrived = co_await bounded;
        REQUIRE(arrived);
        REQUIRE(*arrived);
        CHECK((*arrived)->bytes().view() == "everybody");
    });
}

TEST_CASE("udp: many sends and receives are under way on a socket at once", "[rt][udp]") {
    run_task([]() -> task<> {
        udp_socket near = bind(endpoint::loopback(0));
        udp_socket far = bind(endpoint::loopback(0));
        for (int round = 0; round < 200; ++round) {
            auto first = buffer::with_capacity(10);
            auto second = buffer::with_capacity(10);
            auto both = heph::either(far.recv(std::move(first)), far.recv_from(std::move(second)));
            auto bytes = buffer::copy_of("x");
            auto all = heph::either(std::move(both), heph::rt::timer(0ms));
            auto outcome = co_await all;
            (void)outcome;  // Both receives are dropped, with or without a datagram.
            const auto sent = co_await near.send_to(std::move(bytes), address_of(far));
            REQUIRE(sent);
        }
    });
}
