// A chat room: a page at http://127.0.0.1:8080 and a WebSocket for each that has it open.

#include <string>
#include <utility>

#include <heph/core/log.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/http/router.hpp>
#include <heph/http/server.hpp>
#include <heph/http/ws/actor.hpp>
#include <heph/rt/runtime.hpp>

#include "page.hpp"
#include "room.hpp"

namespace http = heph::http;

int main(int count, char** arguments) {
    http::server_options options;
    options.threads = 2;
    if (count > 1) { options.address = arguments[1]; }

    auto runtime = heph::rt::setup{}.name("chat").threads(options.threads).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    const auto room = runtime->shared().spawn(heph::no_supervisor{}, heph::actor_fn(chat::room));

    http::router router;
    router.get("/", [](http::request&) { return http::response::html(std::string(chat::page())); });
    router.get("/chat", [room](http::request& request) {
        http::ws::accept_options how;
        how.subprotocols = {"chat.v1"};
        how.socket.limits.message_bytes_max = 4096;
        return http::ws::accept(request, http::ws::as_actor(&chat::member, room), how);
    });

    const auto server = http::server::open(std::move(router), options, options.threads);
    if (!server) { return heph::rt::report(heph::rt::error(server.error(), "cannot listen")); }
    heph::log(heph::log_level::info, "chat: http://" + server->local_endpoint().to_string());
    runtime->run_on_workers([shared = *server](heph::rt::worker& worker) { shared.start(worker); });
    return heph::rt::report(runtime->start());
}
