// Counters that are spread over nodes, found through etcd: `sharded_counter NAME ETCD [ADDRESS]`.
//
//     etcd --data-dir /tmp/counters &
//     sharded_counter a http://127.0.0.1:2379 127.0.0.1:8081 &
//     sharded_counter b http://127.0.0.1:2379 127.0.0.1:8082 &
//     sharded_counter c http://127.0.0.1:2379 127.0.0.1:8083 &
//     curl -X POST http://127.0.0.1:8081/counters/alice      # one more; ask any node
//     curl http://127.0.0.1:8083/shards                      # which node has which shard
//
// Kill one, and ask the others: its counters are with them after its lease, 5 s, and none of what
// was answered is lost. Stop one with SIGTERM, and they are at once.

#include <chrono>
#include <cstdint>
#include <iostream>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <heph/core/supervisor.hpp>
#include <heph/http/router.hpp>
#include <heph/http/server.hpp>
#include <heph/remote/etcd/shards.hpp>
#include <heph/rt/runtime.hpp>

using namespace std::chrono_literals;
namespace etcd = heph::remote::etcd;
namespace http = heph::http;
namespace remote = heph::remote;

namespace {

// Adds one to the counter of a name, and gives what it is then.
using add_one = heph::rpc<std::string, std::int64_t>;

// Keeps the counters of a shard, each in etcd as well. It writes only if the shard's key is still
// the one by which it runs: so no late request of an owner that was followed can do any harm.
heph::task<> counters(heph::rt::local_context<add_one> ctx, etcd::shard self, etcd::client store) {
    std::map<std::string, std::int64_t> totals;
    while (auto call = co_await ctx.receive()) {
        const std::string key = "/counts/" + call->request();
        auto total = totals.find(key);
        if (total == totals.end()) {
            const auto kept = co_await store.get(key);
            if (!kept) { continue; }  // Who drops a call tells the caller that there is no reply.
            total = totals.emplace(key, *kept ? std::stoll((*kept)->value) : 0).first;
        }
        etcd::transaction writing;
        writing.if_create_revision(self.key(), self.fence());
        writing.then_put(key, std::to_string(total->second + 1));
        const auto written = co_await store.commit(std::move(writing));
        if (written && written->succeeded) {
            call->respond(++total->second);
        } else {
            totals.erase(total);  // It is not known which it is now.
        }
    }
}

// Answers `POST /counters/{name}`, wherever the counter is.
heph::task<http::response> add(etcd::shards all, std::string name) {
    const remote::deadline until(20s);
    auto why = remote::failure::node_down;
    while (std::chrono::steady_clock::now() < until.at()) {
        auto found = co_await all.find<add_one>(name, until);
        if (!found) {
            why = found.error();
            break;
        }
        const auto total = co_await found->rpc(5s, name);
        if (total) { co_return http::response::text(std::to_string(*total) + '\n'); }
        why = total.error();
        // It was not done for certain only when the shard has moved.
        if (why != remote::failure::no_such_actor && why != remote::failure::actor_gone) { break; }
    }
    auto said = std::string(to_string(why)) + '\n';
    co_return http::response::text(std::move(said), http::status::service_unavailable);
}

// Answers `GET /shards`: each shard with its node.
http::response list(const etcd::shards& all) {
    std::string lines;
    for (std::uint32_t number = 0; number < all.count(); ++number) {
        const auto owner = all.owner_of(number);
        lines += std::to_string(number) + ' ' + (owner ? owner->node : "-") + '\n';
    }
    return http::response::text(lines);
}

std::string run(heph::rt::worker worker, const std::string& name, const std::string& where,
                const std::string& address) {
    const std::string_view words = "for an example only";  // otherwise: heph::rt::tls::load_secret
    const auto secret = heph::rt::tls::secret::copy_of(std::as_bytes(std::span(words)));
    auto node =
        remote::node::start(worker, remote::options(name, secret.value()).listen("127.0.0.1:0"));
    if (!node) { return node.error().message(); }

    etcd::client client(worker, etcd::settings({where}));
    etcd::cluster_settings membership;
    membership.ttl(5s);
    auto cluster = etcd::cluster::join(*node, client, membership);
    if (!cluster) { return cluster.error().message(); }
    auto all = etcd::shards::host(
        *cluster, etcd::shard_settings("counters").count(16), [client](etcd::shard self) {
            return etcd::host_actor(self, heph::no_supervisor(), heph::actor_fn(counters), self,
                                    client);
        });
    if (!all) { return all.error().message(); }

    http::router routes;
    routes.post<"/counters/{name}">([all = *all](http::request& request) {
        return add(all, std::string(request.param("name")));
    });
    routes.get<"/shards">([all = *all](http::request&) { return list(all); });
    http::server_options options;
    options.address = address;
    auto server = http::server::open(std::move(routes), options);
    if (!server) { return server.error().message(); }
    server->start(worker);
    std::cout << "node " << name << " serves " << server->local_endpoint().to_string()
              << std::endl;  // Now, whoever reads it.
    return {};
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 3) {
        std::cerr << "usage: sharded_counter NAME ETCD [ADDRESS:PORT]\n";
        return 2;
    }
    auto runtime = heph::rt::setup{}.name("counter").build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    std::string failure;
    runtime->run_on_workers([&](heph::rt::worker& worker) {
        failure = run(worker, arguments[1], arguments[2], count > 3 ? arguments[3] : "127.0.0.1:0");
        if (!failure.empty()) { worker.request_stop(); }
    });
    const int code = heph::rt::report(runtime->start());
    if (failure.empty()) { return code; }
    std::cerr << failure << '\n';
    return 1;
}
