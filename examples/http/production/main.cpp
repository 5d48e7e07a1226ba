// A service as it is put on the internet: limits, logs, metrics, sockets that outlive a restart;
// behind nginx, or by itself over TLS.
//
//     production ADDRESS:PORT ADMIN-ADDRESS:PORT [CHAIN.pem KEY.pem [PLAIN-ADDRESS:PORT]]
//
// Started by a systemd socket unit, the first address does not count. Metrics and health are on the
// second one, which nobody outside should reach. With a certificate, the plain address leads to
// https, and SIGHUP takes the files over when they were renewed.

#include <chrono>
#include <expected>
#include <iostream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/http/middleware/access_log.hpp>
#include <heph/http/middleware/body_limit.hpp>
#include <heph/http/middleware/compression.hpp>
#include <heph/http/middleware/https_only.hpp>
#include <heph/http/middleware/metrics.hpp>
#include <heph/http/middleware/request_id.hpp>
#include <heph/http/middleware/time_limit.hpp>
#include <heph/http/middleware/trusted_proxies.hpp>
#include <heph/http/router.hpp>
#include <heph/http/server.hpp>
#include <heph/http/tls.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/signal.hpp>
#include <heph/rt/systemd.hpp>

namespace http = heph::http;
namespace rt = heph::rt;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t workers = 2;

heph::task<http::response> hello(http::request& request) {
    co_return http::response::text("Hello, " + std::string(request.param("name")) + "!\n");
}

heph::task<http::response> length(http::request& request) {
    const auto body = co_await request.read_body();
    if (!body) { co_return http::response::problem(body.error()); }
    co_return http::response::text(std::to_string(body->size()) + " bytes\n");
}

// The outermost comes first: what the others refuse is counted, too. What the server refuses by
// itself, and how much of each answer was sent, is told to observers.
http::router public_routes(const http::metrics& metrics, bool behind_nginx) {
    http::request_id_options names;
    names.keeps_given = behind_nginx;  // Which has named it already.
    http::router routes;
    if (behind_nginx) { routes.use(http::trusted_proxies()); }
    routes.observe(metrics.observer());
    routes.observe(http::log_exchanges(http::access_log_format::json));
    routes.use(metrics.around());
    routes.use(http::request_id(names));
    routes.use(http::time_limit(10s));
    routes.use(http::compression());
    routes.use(http::body_limit(64 * 1024));
    routes.get("/hello/{name}", hello).post("/length", length);
    return routes;
}

http::router admin_routes(const http::metrics& metrics) {
    http::router routes;
    routes.get("/metrics", metrics.endpoint());
    routes.get("/healthz", [](http::request&) { return http::response::text("good\n"); });
    return routes;
}

// Everything that is asked in plain text is elsewhere.
http::router plain_routes() {
    http::router routes;
    routes.observe(http::log_exchanges(http::access_log_format::json));
    routes.use(http::https_only());
    return routes;
}

/// Where the certificate comes from, and where it goes.
struct secured {
    std::string chain;
    std::string key;
    rt::tls::server_context context;
};

std::expected<secured, rt::error> load_secured(std::string chain, std::string key) {
    auto own = rt::tls::certificate::load(chain, key);
    if (!own) { return std::unexpected(own.error()); }
    auto context = http::make_server_tls(rt::tls::server_config(std::move(*own)));
    if (!context) { return std::unexpected(context.error()); }
    return secured{std::move(chain), std::move(key), std::move(*context)};
}

// Later connections get the new certificate; those that are there go on.
heph::task<> reload_on_hangup(rt::shared_context<rt::signal> ctx, secured what) {
    while (const auto got = co_await ctx.receive()) {
        if (*got != rt::signal::hangup) { continue; }
        auto own = rt::tls::certificate::load(what.chain, what.key);
        rt::tls::server_config config;
        if (own) { config.certificates.push_back(std::move(*own)); }
        config.protocols = {"http/1.1"};
        const auto loaded = own ? what.context.reload(config) : std::unexpected(own.error());
        // The old certificate is used on when the new one is no good.
        if (!loaded) { (void)rt::report(loaded.error()); }
    }
}

/// Opens the sockets, or takes those over that systemd holds for us: with these, connections wait
/// while the service restarts, and none is refused.
std::expected<http::server, std::error_code> open_server(http::router routes,
                                                         const http::server_options& options) {
    auto inherited = rt::systemd::inherited_sockets();
    if (!inherited) { return std::unexpected(inherited.error()); }
    if (inherited->empty()) { return http::server::open(std::move(routes), options, workers); }
    std::vector<rt::net::tcp_listener> listeners;
    for (auto& each : *inherited) {
        auto adopted = rt::net::tcp_listener::adopt(each.take());
        if (!adopted) { return std::unexpected(adopted.error()); }
        listeners.push_back(std::move(*adopted));
    }
    return http::server::over(std::move(routes), std::move(listeners), options, workers);
}

int complain(const std::string& what, std::error_code why) {
    return rt::report(rt::error(why, what + ": " + why.message()));
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3 && count != 5 && count != 6) {
        std::cerr << "usage: production ADDRESS:PORT ADMIN-ADDRESS:PORT "
                     "[CHAIN.pem KEY.pem [PLAIN-ADDRESS:PORT]]\n";
        return 2;
    }
    const http::metrics metrics;
    http::server_options options;
    options.address = arguments[1];
    options.limits.requests_max = 1'000;  // What the handlers can do at a time; beyond it is 503.
    std::optional<secured> own;
    if (count > 3) {
        // Nobody stands before us: no address may take all connections.
        options.limits.connections_per_address_max = 256;
        auto loaded = load_secured(arguments[3], arguments[4]);
        if (!loaded) { return rt::report(loaded.error()); }
        own = std::move(*loaded);
        options.tls = http::secured_by(own->context);
    }
    const auto server = open_server(public_routes(metrics, count == 3), options);
    if (!server) { return complain(options.address, server.error()); }
    http::server_options inside;
    inside.address = arguments[2];
    const auto admin = http::server::open(admin_routes(metrics), inside);
    if (!admin) { return complain(inside.address, admin.error()); }
    std::optional<http::server> plain;
    if (count == 6) {
        http::server_options leading = inside;
        leading.address = arguments[5];
        leading.limits.connections_per_address_max = 256;
        auto opened = http::server::open(plain_routes(), leading);
        if (!opened) { return complain(leading.address, opened.error()); }
        plain = std::move(*opened);
    }
    const auto notify = rt::systemd::notifier::from_environment();
    if (!notify) { return complain("NOTIFY_SOCKET", notify.error()); }
    auto runtime = rt::setup{}.name("production").threads(workers).stop_grace(20s).build();
    if (!runtime) { return rt::report(runtime.error()); }
    runtime->run_on_workers([&](rt::worker& worker) {
        server->start(worker);
        if (worker.index() != 0) { return; }
        admin->start(worker);
        if (plain) { plain->start(worker); }
        worker.spawn_future(rt::systemd::keep_watchdog(*notify));
        (void)notify->ready();
    });
    if (own) {
        const auto received = runtime->receive_signals(
            runtime->spawn(heph::no_supervisor{}, heph::actor_fn(reload_on_hangup), *own));
        if (!received) { return rt::report(received); }
    }
    std::cout << "serving on " << server->local_address() << ", metrics on "
              << admin->local_address();
    if (plain) { std::cout << ", plain on " << plain->local_address(); }
    std::cout << std::endl;
    return rt::report(runtime->start());
}
