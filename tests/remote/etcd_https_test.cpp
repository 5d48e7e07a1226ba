// An etcd that speaks https, and asks for certificates.

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <heph/http/tls.hpp>
#include <heph/remote/etcd/cluster.hpp>

#include "remote/etcd_server.hpp"
#include "rt_tls/authority.hpp"

using namespace heph::remote::testing;
using heph::task;
namespace etcd = heph::remote::etcd;
namespace http = heph::http;
namespace remote = heph::remote;
namespace rt = heph::rt;

namespace {

using security = std::shared_ptr<const http::client_security>;

security client_security(const heph_tests::authority& trusted,
                         const std::optional<heph_tests::issued>& own) {
    rt::tls::client_config config;
    config.authorities = rt::tls::trust_store::from_pem(trusted.certificate()).value();
    if (own) { config.own = rt::tls::certificate::from_pem(own->certificate, own->key).value(); }
    return http::secured_by(http::make_client_tls(config).value());
}

// What a client hears that is not let in.
task<rt::error> refusal(rt::worker worker, const etcd_server& server, security by) {
    auto where = server.where();
    where.request_timeout(2000ms).tls(std::move(by));
    etcd::client client(worker, where);
    const auto got = co_await client.get("/a");
    if (got) { throw std::logic_error("it was let in"); }
    co_return got.error();
}

}  // namespace

TEST_CASE("etcd: nodes find each other through one that speaks https to those with a certificate",
          "[etcd][etcd-server]") {
    HEPH_TEST_NEEDS_ETCD();
    run_nodes([](rt::worker worker) -> task<> {
        const heph_tests::authority ours("etcd authority");
        const heph_tests::authority others("another authority");
        etcd_server server;
        heph_tests::certificate_order order;
        order.addresses = {server.address()};
        const auto of_server = ours.issue(order);
        const heph_tests::temporary_file certificate(of_server.certificate);
        const heph_tests::temporary_file key(of_server.key);
        const heph_tests::temporary_file authority(ours.certificate());
        server.secure(certificate.path(), key.path(), authority.path());
        co_await server.start();

        const auto own = ours.issue("client");
        auto where = server.where();
        where.tls(client_security(ours, own));
        etcd::client client(worker, where);
        const bool is_ready = co_await etcd_server::ready(client);
        REQUIRE(is_ready);
        const auto put = co_await client.put("/a", "b");
        CHECK(put);
        const auto got = co_await client.get("/a");
        REQUIRE(got);
        REQUIRE(*got);
        CHECK((*got)->value == "b");

        // A member's lease, its watch and its key.
        const remote::node a = start(worker, listening("a"));
        const remote::node b = start(worker, listening("b"));
        auto of_a = etcd::cluster::join(a, client);
        auto of_b = etcd::cluster::join(b, client);
        REQUIRE((of_a && of_b));
        const bool linked =
            co_await eventually([&] { return a.is_linked("b") && of_a->members().size() == 2; });
        CHECK(linked);

        // Who shows no certificate, another authority's, or does not trust this one, is not in.
        const auto bare = co_await refusal(worker, server, client_security(ours, std::nullopt));
        CHECK(bare.code() == etcd::errc::unavailable);
        const auto stranger =
            co_await refusal(worker, server, client_security(ours, others.issue("client")));
        CHECK(stranger.code() == etcd::errc::unavailable);
        const auto distrusting = co_await refusal(worker, server, client_security(others, own));
        CHECK(distrusting.code() == etcd::errc::unavailable);
        CHECK(distrusting.message().contains(server.address()));
    });
}
