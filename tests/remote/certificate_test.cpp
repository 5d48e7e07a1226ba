// Links between nodes that prove their names by certificates.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <heph/remote/protocol/handshake.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/tls/config.hpp>
#include <heph/rt/tls/error.hpp>
#include <heph/rt/tls/stream.hpp>

#include "node/link_security.hpp"
#include "remote/nodes.hpp"
#include "rt_tls/authority.hpp"

using namespace heph::remote::testing;
namespace remote = heph::remote;
namespace rt = heph::rt;

namespace {

remote::node_certificate proof(const heph_tests::issued& own,
                               const std::vector<const heph_tests::authority*>& trusted) {
    std::string all;
    for (const auto* each : trusted) { all += each->certificate(); }
    auto certificate = rt::tls::certificate::from_pem(own.certificate, own.key);
    auto authorities = rt::tls::trust_store::from_pem(all);
    return {certificate.value(), authorities.value()};
}

remote::options certified(const std::string& name, remote::node_certificate shown) {
    remote::options made(name, std::move(shown));
    made.links(quick_links());
    return made;
}

remote::options certified(const std::string& name, const heph_tests::authority& by) {
    return certified(name, proof(by.issue(name), {&by}));
}

heph::task<bool> reaches(remote::node from, std::string name) {
    auto found = co_await from.find<counter_message>(name, "counter", plenty);
    if (!found) { co_return false; }
    const auto total = co_await found->rpc<get_total>(plenty);
    co_return total == 0;
}

}  // namespace

TEST_CASE("certificates: nodes link whose names are proved, and the wrong ones are told why",
          "[remote][certificates]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const heph_tests::authority cluster("cluster");
        const heph_tests::authority stranger("stranger");
        const auto a = start(worker, certified("a", cluster).listen("127.0.0.1:0"));
        a.publish("counter", spawn_counter(worker, std::make_shared<counter_state>()));
        const auto b = start(worker, certified("b", cluster).peer("a", a.address()));
        const bool reached = co_await reaches(b, "a");
        CHECK(reached);
        CHECK(log_lines::with("turned away") == 0);

        // Who dials finds another node than the one that it wants.
        const auto c = start(worker, certified("c", cluster).peer("other", a.address()));
        const bool mismatch =
            co_await eventually([] { return log_lines::with("node c: cannot link") >= 1; });
        CHECK(mismatch);

        // A certificate of somebody else.
        const auto d = start(
            worker, certified("d", proof(stranger.issue("d"), {&cluster})).peer("a", a.address()));
        const bool unknown =
            co_await eventually([] { return log_lines::with("node d: cannot link") >= 1; });
        CHECK(unknown);
        CHECK(log_lines::with("node a: turned away") >= 1);
        CHECK_FALSE(d.is_linked("a"));

        // And who does not believe the one that is dialed.
        const auto e = start(
            worker, certified("e", proof(cluster.issue("e"), {&stranger})).peer("a", a.address()));
        const bool distrust =
            co_await eventually([] { return log_lines::with("node e: cannot link") >= 1; });
        CHECK(distrust);
        CHECK(a.peers().size() == 1);
        CHECK(a.is_linked("b"));
    });
}

TEST_CASE("certificates: no node takes another one's name, also not by a wildcard",
          "[remote][certificates]") {
    const log_lines log;
    const heph_tests::authority cluster("cluster");
    const auto wildcard = cluster.issue("*.nodes.test");
    run_nodes([&](rt::worker worker) -> heph::task<> {
        // It cannot begin, even: what it is called is not in its certificate.
        // What is compared byte by byte has one spelling.
        const auto shouting =
            remote::node::start(worker, certified("A", proof(cluster.issue("A"), {&cluster})));
        REQUIRE_FALSE(shouting);
        CHECK(shouting.error().message().contains("lower case"));

        const auto refused =
            remote::node::start(worker, certified("a", proof(cluster.issue("b"), {&cluster})));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code() == rt::tls::errc::host_mismatch);
        const auto starred =
            remote::node::start(worker, certified("a.nodes.test", proof(wildcard, {&cluster})));
        REQUIRE_FALSE(starred);

        auto two_of_them = certified("a", cluster);
        two_of_them.also_accept(proof(cluster.issue("a"), {&cluster}));
        const auto confused = remote::node::start(worker, two_of_them);
        REQUIRE_FALSE(confused);

        // A certificate may be for several names.
        const auto a = start(worker, certified("a", cluster).listen("127.0.0.1:0"));
        heph_tests::certificate_order both;
        both.names = {"c", "d"};
        const auto two = cluster.issue(both);
        const auto c = start(worker, certified("c", proof(two, {&cluster})).peer("a", a.address()));
        const auto d = start(worker, certified("d", proof(two, {&cluster})).peer("a", a.address()));
        const bool linked =
            co_await eventually([&] { return a.is_linked("c") && a.is_linked("d"); });
        CHECK(linked);
        co_return;
    });
}

namespace {

/// Links with a good certificate, but says that it is another node.
heph::task<> pretend(std::string address, heph_tests::issued own, std::string authority,
                     std::string name) {
    rt::tls::client_config config;
    config.authorities = rt::tls::trust_store::from_pem(authority).value();
    config.own = rt::tls::certificate::from_pem(own.certificate, own.key).value();
    auto context = rt::tls::client_context::make(config);
    auto connected = co_await rt::net::tcp_stream::connect(*rt::net::endpoint::parse(address));
    if (!connected) { co_return; }
    auto stream = co_await rt::tls::connect(std::move(*connected), std::move(*context), "a");
    if (!stream) { co_return; }
    remote::protocol::identity self;
    self.name = std::move(name);
    self.incarnation = {1, 2};
    remote::protocol::session_offer offer;
    offer.fresh = {9, 9};
    auto meeting = remote::protocol::handshake::dial(std::move(self), "a", offer);
    std::vector<std::byte> bytes;
    meeting.take_output(bytes);
    auto sent = co_await stream->send_all(rt::buffer::copy_of(
        std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())));
    if (!sent) { co_return; }
    while (true) {
        const auto more = co_await stream->next();
        if (!more || more->empty()) { co_return; }
    }
}

}  // namespace

TEST_CASE("certificates: who says that it is another node than its certificate is turned away",
          "[remote][certificates]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const heph_tests::authority cluster("cluster");
        const auto a = start(worker, certified("a", cluster).listen("127.0.0.1:0"));
        rt::deadline bounded(plenty,
                             pretend(a.address(), cluster.issue("c"), cluster.certificate(), "b"));
        const auto ended = co_await bounded;
        CHECK(ended);
        CHECK(log_lines::with("node a: turned away") == 1);
        CHECK(log_lines::with("the certificate is not for the name of the node") == 1);
        CHECK_FALSE(a.is_linked("b"));
        CHECK_FALSE(a.is_linked("c"));

        // An alternative name of another kind is no name of a node.
        heph_tests::certificate_order with_uri;
        with_uri.names = {"c"};
        with_uri.uris = {"b"};
        rt::deadline bounded_too(
            plenty, pretend(a.address(), cluster.issue(with_uri), cluster.certificate(), "b"));
        const auto ended_too = co_await bounded_too;
        CHECK(ended_too);
        CHECK(log_lines::with("the certificate is not for the name of the node") == 2);
        CHECK_FALSE(a.is_linked("b"));
    });
}

TEST_CASE("certificates: a node's name is one of the DNS names, in one spelling",
          "[remote][certificates]") {
    struct row {
        std::vector<std::string> names;
        std::string_view node;
        bool is_proved;
    };
    const auto each =
        GENERATE(row{{"a"}, "a", true}, row{{"A"}, "a", true}, row{{"x", "b"}, "b", true},
                 row{{"a"}, "A", false}, row{{"A"}, "A", false}, row{{"a"}, "ab", false},
                 row{{"ab"}, "a", false}, row{{}, "a", false}, row{{"*.test"}, "a.test", false},
                 row{{"*.test"}, "*.test", false}, row{{std::string("a\0b", 3)}, "a", false});
    CAPTURE(each.node, each.names.size());
    CHECK(remote::detail::proves(each.names, each.node) == each.is_proved);
}

TEST_CASE("certificates: a group changes from a secret to certificates without a gap",
          "[remote][certificates]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const heph_tests::authority cluster("cluster");
        auto of_a = certified("a", cluster);
        of_a.also_accept(shared_secret()).listen("127.0.0.1:0");
        const auto a = start(worker, of_a);
        a.publish("counter", spawn_counter(worker, std::make_shared<counter_state>()));
        const auto old = start(worker, quick_options("old").peer("a", a.address()));
        const auto fresh = start(worker, certified("new", cluster).peer("a", a.address()));
        const bool by_secret = co_await reaches(old, "a");
        CHECK(by_secret);
        const bool by_certificate = co_await reaches(fresh, "a");
        CHECK(by_certificate);
        // The other way round: a node of before that accepts certificates already.
        auto of_b = listening("b");
        of_b.also_accept(proof(cluster.issue("b"), {&cluster}));
        const auto b = start(worker, of_b);
        b.publish("counter", spawn_counter(worker, std::make_shared<counter_state>()));
        const auto next = start(worker, certified("next", cluster).peer("b", b.address()));
        const bool accepted = co_await reaches(next, "b");
        CHECK(accepted);
        CHECK(log_lines::with("turned away") == 0);
    });
}

TEST_CASE("certificates: a running node takes another certificate, of another authority",
          "[remote][certificates]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const heph_tests::authority former("former");
        const heph_tests::authority next("next");
        const auto a = start(worker, certified("a", former).listen("127.0.0.1:0"));
        a.publish("counter", spawn_counter(worker, std::make_shared<counter_state>()));
        const auto b = start(worker, certified("b", former).peer("a", a.address()));
        const bool linked = co_await reaches(b, "a");
        CHECK(linked);
        const auto refused =
            a.set_credentials(remote::credentials(proof(next.issue("c"), {&next})));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code() == rt::tls::errc::host_mismatch);
        const auto taken =
            a.set_credentials(remote::credentials(proof(next.issue("a"), {&former, &next})));
        CHECK(taken);
        const auto taken_too =
            b.set_credentials(remote::credentials(proof(former.issue("b"), {&former, &next})));
        CHECK(taken_too);
        const auto c = start(worker, certified("c", next).peer("a", a.address()));
        const bool fresh = co_await reaches(c, "a");
        CHECK(fresh);
        const auto last = b.set_credentials(remote::credentials(proof(next.issue("b"), {&next})),
                                            remote::links_that_are_up::renewed);
        CHECK(last);
        const bool again =
            co_await eventually([] { return log_lines::with("node b: linked to a") == 2; });
        CHECK(again);
        CHECK(log_lines::with("turned away") == 0);
    });
}

TEST_CASE("certificates: ends that are secured in different ways say so",
          "[remote][certificates]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const heph_tests::authority cluster("cluster");
        const auto a = start(worker, certified("a", cluster).listen("127.0.0.1:0"));
        const auto b = start(worker, listening("b"));
        const auto c = start(worker, quick_options("c").peer("a", a.address()));
        const auto d = start(worker, certified("d", cluster).peer("b", b.address()));
        const bool told = co_await eventually([] {
            return log_lines::with("node c: cannot link") >= 1 &&
                   log_lines::with("node d: cannot link") >= 1 &&
                   log_lines::with("node a: turned away") >= 1 &&
                   log_lines::with("node b: turned away") >= 1;
        });
        CHECK(told);
        CHECK(log_lines::with("offers no secret that is known here") >= 2);
        CHECK(log_lines::with("does that one by a secret?") >= 1);
        CHECK_FALSE(c.is_linked("a"));
        CHECK_FALSE(d.is_linked("b"));
    });
}
