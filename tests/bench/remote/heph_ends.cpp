// Nodes of heph-remote, linked over TCP, by TLS 1.3 or in plain text: codec and dispatch to an
// actor included.

#include <span>
#include <string_view>
#include <utility>
#include <variant>

#include <heph/core/match.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/remote/node.hpp>
#include <heph/rt/runtime.hpp>

#include "ends.hpp"

namespace {

namespace remote = heph::remote;
namespace rt = heph::rt;
using namespace std::chrono_literals;

struct data {
    data() = default;
    explicit data(std::string bytes) : body(std::move(bytes)) {}
    std::string body;
};
HEPH_MESSAGE(data, "bench.data", 1, body)

using count_bytes = heph::rpc<void, std::uint64_t>;
using echo = heph::rpc<data, data>;
using message = std::variant<data, count_bytes, echo>;

heph::task<> receive(rt::local_context<message> ctx) {
    std::uint64_t bytes = 0;
    while (auto next = co_await ctx.receive()) {
        heph::match(
            *next, [&](data& m) { bytes += m.body.size(); },
            [&](count_bytes& call) { call.respond(std::exchange(bytes, 0)); },
            [&](echo& call) { call.respond(std::move(call.request())); });
    }
}

remote::options node_named(std::string name, bench::security how) {
    if (how == bench::security::plain_text) {
        return remote::options::insecure_plain_text(std::move(name));
    }
    const std::string_view words = "a secret for benchmarks only";
    return {std::move(name), rt::tls::secret::copy_of(std::as_bytes(std::span(words))).value()};
}

heph::task<> measure(rt::worker worker, remote::node node, bench::load what) {
    auto found = co_await node.find<message>("server", "sink", 10s);
    if (!found) { bench::fail("the server is not found"); }
    const data body(std::string(what.body_bytes, 'x'));
    const auto begin = bench::steady::now();
    for (std::uint64_t i = 0; i < what.one_way; ++i) {
        const auto sent = co_await found->send(body);
        if (!sent) { bench::fail("a message was not sent"); }
    }
    if (what.one_way != 0) {
        const auto bytes = co_await found->rpc<count_bytes>(60s);
        if (bytes != what.one_way * what.body_bytes) { bench::fail("messages are missing"); }
        bench::report_rate(what, bench::steady::now() - begin);
    }
    std::vector<bench::steady::duration> times;
    times.reserve(what.requests);
    for (std::uint64_t i = 0; i < what.requests; ++i) {
        const auto sent = bench::steady::now();
        const auto answer = co_await found->rpc<echo>(60s, body);
        if (!answer) { bench::fail("a request was not answered"); }
        times.push_back(bench::steady::now() - sent);
    }
    if (!times.empty()) { bench::report_times(std::move(times)); }
    worker.request_stop();
}

}  // namespace

namespace bench {

int serve_heph(security how) {
    auto runtime = rt::setup{}.name("server").build();
    if (!runtime) { return rt::report(runtime.error()); }
    runtime->run_on_workers([how](rt::worker& worker) {
        auto settings = node_named("server", how).listen("127.0.0.1:0");
        auto node = remote::node::start(worker, settings).value();
        heph::actor_options inbox;
        inbox.inbox_size = 1024;
        node.publish(
            "sink", worker.spawn(std::move(inbox), heph::no_supervisor(), heph::actor_fn(receive)));
        announce(node.address());
    });
    return rt::report(runtime->start());
}

int measure_heph(const std::string& where, const load& what, security how) {
    auto runtime = rt::setup{}.name("client").build();
    if (!runtime) { return rt::report(runtime.error()); }
    runtime->run_on_workers([&](rt::worker& worker) {
        auto settings = node_named("client", how).peer("server", where);
        auto node = remote::node::start(worker, settings).value();
        worker.spawn_future(measure(worker, node, what));
    });
    return rt::report(runtime->start());
}

}  // namespace bench
