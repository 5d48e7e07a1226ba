// Serves https with the certificate and key of two PEM files, and reads them again on SIGHUP, so
// that a renewed certificate is used without dropping a connection:
//
//     https ADDRESS:PORT fullchain.pem key.pem

#include <iostream>
#include <string>
#include <utility>

#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/http/server.hpp>
#include <heph/http/tls.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/signal.hpp>
#include <heph/rt/systemd.hpp>

namespace http = heph::http;
namespace rt = heph::rt;

namespace {

struct files {
    std::string chain;
    std::string key;
};

http::response hello(http::request& request) {
    return http::response::text(request.is_secure() ? "Hello, in secret!\n" : "Hello!\n");
}

heph::task<> reload_on_hangup(rt::shared_context<rt::signal> ctx, rt::tls::server_context context,
                              files from) {
    while (const auto got = co_await ctx.receive()) {
        if (*got != rt::signal::hangup) { continue; }
        auto own = rt::tls::certificate::load(from.chain, from.key);
        rt::tls::server_config config;
        if (own) { config.certificates.push_back(std::move(*own)); }
        config.protocols = {"http/1.1"};
        const auto loaded = own ? context.reload(config) : std::unexpected(own.error());
        // The old certificate is used on when the new one is no good.
        if (!loaded) { (void)rt::report(loaded.error()); }
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 4) {
        std::cerr << "usage: https ADDRESS:PORT CHAIN.pem KEY.pem\n";
        return 2;
    }
    const files from{arguments[2], arguments[3]};
    auto own = rt::tls::certificate::load(from.chain, from.key);
    if (!own) { return rt::report(own.error()); }
    auto context = http::make_server_tls(rt::tls::server_config(std::move(*own)));
    if (!context) { return rt::report(context.error()); }
    const auto notify = rt::systemd::notifier::from_environment();
    if (!notify) { return rt::report(rt::error(notify.error(), "NOTIFY_SOCKET is no socket")); }

    http::router router;
    router.get("/", hello);
    http::server_options options;
    options.address = arguments[1];
    options.tls = http::secured_by(*context);
    auto runtime = rt::setup{}.name("https").build();
    if (!runtime) { return rt::report(runtime.error()); }
    const auto server = http::server::open(std::move(router), options);
    if (!server) {
        return rt::report(
            rt::error(server.error(), options.address + ": " + server.error().message()));
    }
    const auto received = runtime->receive_signals(
        runtime->spawn(heph::no_supervisor{}, heph::actor_fn(reload_on_hangup), *context, from));
    if (!received) { return rt::report(received); }
    runtime->run_on_workers([&](rt::worker& worker) {
        server->start(worker);
        worker.spawn_future(rt::systemd::keep_watchdog(*notify));
        (void)notify->ready();
    });
    std::cout << "https://" << server->local_address() << std::endl;
    return rt::report(runtime->start());
}
