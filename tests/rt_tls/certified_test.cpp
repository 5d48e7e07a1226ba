// Handshakes with certificates: what is let through, and how each failure is told on both sides.

#include <heph/rt/tls/config.hpp>

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "rt_tls/certified.hpp"

using namespace heph_tests;
using tls::errc;

namespace {

struct refusal {
    std::error_code client;
    std::error_code server;
};

// What both sides say of a handshake that must not succeed.
refusal refused(const tls::client_context& from, const tls::server_context& to,
                std::string_view host) {
    attempt tried(from, to, host);
    CHECK_FALSE(tried.done());
    return {tried.errors.client, tried.errors.server};
}

tls::server_context serve(const authority& ca, const certificate_order& order) {
    return make_server_context(tls::server_config(to_certificate(ca.issue(order))));
}

certificate_order named(std::string name) {
    certificate_order order;
    order.names = {std::move(name)};
    return order;
}

}  // namespace

TEST_CASE("tls certified: a certificate for the name is accepted, and data flows", "[rt][tls]") {
    const authority ca;
    const auto server = serve(ca, named("example.org"));
    const auto client = make_client_context(trust_in(ca));
    attempt tried(client, server, "Example.org.");
    REQUIRE(tried.done());
    CHECK(tried.talk());
    CHECK(tried.client.version_name() == "TLSv1.3");
    CHECK(tried.server.server_name() == "example.org");
    CHECK_FALSE(tried.client.cipher_name().empty());
    const auto shown = tried.client.peer();
    REQUIRE(shown);
    CHECK(shown->names() == std::vector<std::string>{"example.org"});
    CHECK(shown->subject() == "CN=test");
    CHECK(shown->fingerprint().size() == 64);
    CHECK_FALSE(tried.server.peer());
}

TEST_CASE("tls certified: a wildcard stands for one label", "[rt][tls]") {
    const authority ca;
    const auto server = serve(ca, named("*.example.org"));
    const auto client = make_client_context(trust_in(ca));
    CHECK(attempt(client, server, "www.example.org").done());
    CHECK(refused(client, server, "a.www.example.org").client == errc::host_mismatch);
    CHECK(refused(client, server, "example.org").client == errc::host_mismatch);
}

TEST_CASE("tls certified: an address is looked for among addresses", "[rt][tls]") {
    const authority ca;
    certificate_order order = named("192.0.2.2");  // As a name it stands for no address.
    order.addresses = {"127.0.0.1", "::1"};
    const auto server = serve(ca, order);
    const auto client = make_client_context(trust_in(ca));
    attempt tried(client, server, "127.0.0.1");
    CHECK(tried.done());
    CHECK(tried.server.server_name().empty());
    CHECK(attempt(client, server, "::1").done());
    CHECK(refused(client, server, "127.0.0.2").client == errc::host_mismatch);
    CHECK(refused(client, server, "192.0.2.2").client == errc::host_mismatch);
}

TEST_CASE("tls certified: each fault of a server's certificate has its own error", "[rt][tls]") {
    const authority ca;
    const authority stranger("another authority");
    const auto client = make_client_context(trust_in(ca));
    certificate_order expired = named("a");
    expired.valid_to_seconds = -60;
    certificate_order early = named("a");
    early.valid_from_seconds = 3000;
    certificate_order weak = named("a");
    weak.rsa = true;
    weak.rsa_bits = 1024;

    auto said = refused(client, serve(ca, expired), "a");
    CHECK(said.client == errc::certificate_expired);
    CHECK(said.server == errc::certificate_refused);
    CHECK(refused(client, serve(ca, early), "a").client == errc::certificate_not_yet_valid);
    CHECK(refused(client, serve(ca, named("a")), "b").client == errc::host_mismatch);
    said = refused(client, serve(stranger, named("a")), "a");
    CHECK(said.client == errc::unknown_authority);
    CHECK(said.server == errc::certificate_refused);
    // OpenSSL itself serves no certificate with a weak key.
    CHECK_FALSE(
        tls::server_context::make(tls::server_config(to_certificate(ca.issue(weak)))).has_value());
}

TEST_CASE("tls certified: nobody is trusted by default who is not known to the system",
          "[rt][tls]") {
    const authority ca;
    const auto client = make_client_context(tls::client_config());
    CHECK(refused(client, serve(ca, named("a")), "a").client == errc::unknown_authority);
}

TEST_CASE("tls certified: verification can be turned off by name", "[rt][tls]") {
    const authority ca;
    tls::client_config config;
    config.accept_any_certificate = true;
    CHECK(attempt(make_client_context(config), serve(ca, named("a")), "b").done());
}

TEST_CASE("tls certified: a server picks its certificate by the name asked for", "[rt][tls]") {
    const authority ca;
    tls::server_config config;
    for (const char* name : {"one.test", "two.test", "*.three.test"}) {
        config.certificates.push_back(to_certificate(ca.issue(name)));
    }
    certificate_order rsa = named("two.test");
    rsa.rsa = true;
    config.certificates.push_back(to_certificate(ca.issue(rsa)));
    const auto server = make_server_context(config);
    const auto client = make_client_context(trust_in(ca));
    CHECK(attempt(client, server, "one.test").done());
    CHECK(attempt(client, server, "TWO.test").done());
    CHECK(attempt(client, server, "x.three.test").done());
    CHECK(refused(client, server, "four.test").client == errc::host_mismatch);
    tls::client_config any;
    any.accept_any_certificate = true;
    attempt unnamed(make_client_context(any), server, "127.0.0.1");
    REQUIRE(unnamed.done());
    CHECK(unnamed.client.peer()->names() == std::vector<std::string>{"one.test"});
}

TEST_CASE("tls certified: both ends agree on the server's best protocol", "[rt][tls]") {
    const authority ca;
    tls::server_config offered(to_certificate(ca.issue("a")));
    offered.protocols = {"h2", "http/1.1"};
    const auto server = make_server_context(offered);
    tls::client_config wanted = trust_in(ca);
    wanted.protocols = {"http/1.1", "h2"};
    attempt both(make_client_context(wanted), server, "a");
    REQUIRE(both.done());
    CHECK(both.client.protocol() == "h2");
    CHECK(both.server.protocol() == "h2");

    wanted.protocols = {};
    attempt without(make_client_context(wanted), server, "a");
    REQUIRE(without.done());
    CHECK(without.server.protocol().empty());

    wanted.protocols = {"smtp"};
    const auto said = refused(make_client_context(wanted), server, "a");
    CHECK(said.client == errc::no_shared_protocol);
    CHECK(said.server == errc::no_shared_protocol);
    for (const std::string& bad : {std::string(), std::string(256, 'x')}) {
        wanted.protocols = {bad};
        CHECK(tls::client_context::make(wanted).error().code() == errc::bad_protocol_name);
        offered.protocols = {bad};
        CHECK(tls::server_context::make(offered).error().code() == errc::bad_protocol_name);
    }
}

TEST_CASE("tls certified: a server that asks for certificates learns whose it was shown",
          "[rt][tls]") {
    const authority ca;
    const authority people("people");
    tls::server_config config(to_certificate(ca.issue("a")));
    config.clients = tls::client_certificates::required;
    CHECK(tls::server_context::make(config).error().code() == errc::no_client_authority);
    config.client_authorities = trusting(people);
    const auto server = make_server_context(config);

    tls::client_config alice = trust_in(ca);
    certificate_order order = named("alice.test");
    order.common_name = "alice";
    alice.own = to_certificate(people.issue(order));
    attempt tried(make_client_context(alice), server, "a");
    REQUIRE(tried.done());
    CHECK(tried.talk());
    REQUIRE(tried.server.peer());
    CHECK(tried.server.peer()->subject() == "CN=alice");

    alice.own = to_certificate(ca.issue(order));
    attempt stranger(make_client_context(alice), server, "a");
    CHECK(stranger.errors.server == errc::unknown_authority);
    // In TLS 1.3 the client is done before the server has looked (RFC 8446, 4.4.2.4).
    std::string out(16, '\0');
    const auto got = stranger.client.read(std::as_writable_bytes(std::span(out)));
    REQUIRE_FALSE(got);
    CHECK(got.error() == errc::certificate_refused);

    alice.own.reset();
    attempt nobody(make_client_context(alice), server, "a");
    CHECK(nobody.errors.server == errc::no_peer_certificate);
    CHECK(nobody.client.read(std::as_writable_bytes(std::span(out))).error() ==
          errc::certificate_required);

    config.clients = tls::client_certificates::optional;
    CHECK(attempt(make_client_context(alice), make_server_context(config), "a").done());
}

TEST_CASE("tls certified: who was taken back is refused, by servers and by clients", "[rt][tls]") {
    const authority ca;
    const issued good = ca.issue("good");
    const issued bad = ca.issue("bad");
    const auto lists = trusting(ca).with_revocations_from_pem(ca.revoke({bad}));
    REQUIRE(lists);

    tls::client_config careful;
    careful.authorities = *lists;
    const auto client = make_client_context(careful);
    CHECK(attempt(client, make_server_context(tls::server_config(to_certificate(good))), "good")
              .done());
    const auto refused_server =
        refused(client, make_server_context(tls::server_config(to_certificate(bad))), "bad");
    CHECK(refused_server.client == errc::certificate_revoked);
    CHECK(refused_server.server == errc::certificate_refused);

    tls::server_config asking(to_certificate(good));
    asking.clients = tls::client_certificates::required;
    asking.client_authorities = *lists;
    const auto server = make_server_context(asking);
    tls::client_config shown = trust_in(ca);
    shown.own = to_certificate(bad);
    CHECK(refused(make_client_context(shown), server, "good").server == errc::certificate_revoked);
    shown.own = to_certificate(good);
    CHECK(attempt(make_client_context(shown), server, "good").done());
}

TEST_CASE("tls certified: a list that is missing or out of date refuses everybody", "[rt][tls]") {
    const authority ca;
    const authority other("another authority");
    const auto server = make_server_context(tls::server_config(to_certificate(ca.issue("a"))));
    for (const std::string& list : {other.revoke({}), ca.revoke({}, -60)}) {
        const auto store = trusting(ca).with_revocations_from_pem(list);
        REQUIRE(store);
        tls::client_config careful;
        careful.authorities = *store;
        CHECK(refused(make_client_context(careful), server, "a").client ==
              errc::revocation_unknown);
        // A later list makes up for it.
        const auto mended = store->with_revocations_from_pem(ca.revoke({}));
        REQUIRE(mended);
        careful.authorities = *mended;
        CHECK(attempt(make_client_context(careful), server, "a").done());
    }
}

TEST_CASE("tls certified: a reload takes a client's certificate back", "[rt][tls]") {
    const authority ca;
    const issued own = ca.issue("client");
    tls::server_config config(to_certificate(ca.issue("server")));
    config.clients = tls::client_certificates::required;
    config.client_authorities = trusting(ca).with_revocations_from_pem(ca.revoke({})).value();
    auto server = make_server_context(config);
    tls::client_config shown = trust_in(ca);
    shown.own = to_certificate(own);
    const auto client = make_client_context(shown);
    attempt before(client, server, "server");
    REQUIRE(before.done());
    CHECK(before.talk());  // The client has a ticket now.
    config.client_authorities = trusting(ca).with_revocations_from_pem(ca.revoke({own})).value();
    REQUIRE(server.reload(config));
    CHECK(refused(client, server, "server").server == errc::certificate_revoked);
}

TEST_CASE("tls certified: TLS 1.2 is spoken unless it is turned off", "[rt][tls]") {
    const authority ca;
    tls::server_config config(to_certificate(ca.issue("a")));
    config.version_min = tls::version::tls_1_3;
    const auto client = make_client_context(trust_in(ca));
    CHECK(attempt(client, make_server_context(config), "a").done());
}

TEST_CASE("tls certified: a session is resumed once, and only for its host", "[rt][tls]") {
    const authority ca;
    certificate_order order = named("a");
    order.names.emplace_back("b");
    auto server = serve(ca, order);
    const auto client = make_client_context(trust_in(ca));
    attempt first(client, server, "a");
    REQUIRE(first.done());
    CHECK_FALSE(first.client.is_resumed());
    CHECK(first.talk());  // Tickets come with the first data.
    attempt other(client, server, "b");
    CHECK_FALSE(other.client.is_resumed());
    attempt second(client, server, "a");
    REQUIRE(second.done());
    CHECK(second.client.is_resumed());
    CHECK(second.server.is_resumed());
    CHECK(second.talk());
    // Tickets of before a reload are not known any more; the handshake is a full one.
    REQUIRE(server.reload(tls::server_config(to_certificate(ca.issue(order)))));
    attempt third(client, server, "a");
    CHECK(third.done());
    CHECK_FALSE(third.client.is_resumed());
}

TEST_CASE("tls certified: the session of a connection that is dropped without an end is resumed",
          "[rt][tls]") {
    const authority ca;
    const auto server = serve(ca, named("a"));
    const auto client = make_client_context(trust_in(ca));
    {
        attempt first(client, server, "a");
        REQUIRE(first.done());
        CHECK(first.talk());
    }
    attempt second(client, server, "a");
    REQUIRE(second.done());
    CHECK(second.client.is_resumed());
    CHECK(second.talk());
}

TEST_CASE("tls certified: a reload changes what later connections see, and no earlier one",
          "[rt][tls]") {
    const authority ca;
    const authority next("next authority");
    const auto server = serve(ca, named("a"));
    attempt before(make_client_context(trust_in(ca)), server, "a");
    REQUIRE(before.done());
    auto copy = server;
    REQUIRE(copy.reload(tls::server_config(to_certificate(next.issue("a")))));
    CHECK(before.talk());
    CHECK(attempt(make_client_context(trust_in(next)), server, "a").done());
    CHECK(refused(make_client_context(trust_in(ca)), server, "a").client ==
          errc::unknown_authority);
    CHECK_FALSE(copy.reload(tls::server_config()).has_value());
    CHECK(attempt(make_client_context(trust_in(next)), server, "a").done());
}

TEST_CASE("tls certified: reloads and handshakes on several threads do not disturb each other",
          "[rt][tls]") {
    const authority ca;
    auto server = serve(ca, named("a"));
    const auto client = make_client_context(trust_in(ca));
    std::atomic<int> failed{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < 10; ++round) {
                auto from = client.connect("a");
                auto to = server.accept();
                if (!from || !to) {
                    ++failed;
                    continue;
                }
                (void)shuttle(*from, *to);
                if (!from->handshake_done() || !to->handshake_done()) { ++failed; }
            }
        });
    }
    const tls::server_config config(to_certificate(ca.issue("a")));
    for (int round = 0; round < 20; ++round) {
        if (!server.reload(config)) { ++failed; }
    }
    for (auto& thread : threads) { thread.join(); }
    CHECK(failed == 0);
}

TEST_CASE("tls certified: what is no host is refused before anything is sent", "[rt][tls]") {
    const auto client = make_client_context(tls::client_config());
    for (const char* host : {"", ".", "a b", "a/b", "a\nb", "[::1]", "1:2"}) {
        CHECK(client.connect(host).error() == errc::bad_host_name);
    }
    CHECK(client.connect(std::string_view("a\0b", 3)).error() == errc::bad_host_name);
    CHECK(client.connect(std::string(300, 'a')).error() == errc::bad_host_name);
}

TEST_CASE("tls certified: damaged handshakes fail on the side that sees them, and never hang",
          "[rt][tls]") {
    const authority ca;
    const auto server_context = serve(ca, named("a"));
    const auto client_context = make_client_context(trust_in(ca));
    std::mt19937 random(7);
    for (int round = 0; round < 150; ++round) {
        auto client = client_context.connect("a").value();
        auto server = server_context.accept().value();
        std::string hello = take_text(client);
        for (int i = 0; i < 1 + round % 4; ++i) {
            hello[random() % hello.size()] = static_cast<char>(random());
        }
        if (round % 5 == 0) { hello.resize(random() % hello.size()); }
        (void)feed_text(server, hello, 1 + random() % hello.size());
        std::string answer = take_text(server);
        if (!answer.empty() && round % 3 == 0) {
            answer[random() % answer.size()] = static_cast<char>(random());
        }
        (void)feed_text(client, answer);
        (void)shuttle(client, server);
        if (!server.failed() && !server.handshake_done()) {
            CHECK(server.feed_end().error() == errc::truncated);
        }
    }
}

TEST_CASE("tls certified: a handshake that never ends is cut off", "[rt][tls]") {
    const authority ca;
    auto server = serve(ca, named("a")).accept().value();
    // A hello of 16 MiB, as its length says.
    std::string record("\x16\x03\x01\x40\x00", 5);
    std::string body(16 * 1024, 'x');
    body.replace(0, 4, std::string("\x01\xff\xff\xff", 4));
    std::error_code ended;
    for (int i = 0; i < 100 && !ended; ++i) {
        ended = feed_text(server, record + body);
        body.assign(body.size(), 'x');
    }
    CHECK(ended);
    CHECK(server.failed());
}
