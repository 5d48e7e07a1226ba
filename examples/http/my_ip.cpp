// Tells whoever asks from which address: `my_ip [ADDRESS:PORT | unix:PATH]`. Then:
//
//     curl http://127.0.0.1:8080/
//     curl -H 'Accept: application/json' http://127.0.0.1:8080/
//
// A proxy of this machine is believed whom it asks for: my_ip.nginx.conf has nginx before it.

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <heph/http/middleware/trusted_proxies.hpp>
#include <heph/http/negotiation.hpp>
#include <heph/http/router.hpp>
#include <heph/http/server.hpp>

namespace http = heph::http;

namespace {

http::response tell(http::request& request) {
    constexpr std::array<std::string_view, 2> offers{"text/plain", "application/json"};
    const auto wanted = http::choose_media_type(request.headers(), offers);
    if (!wanted) { return http::response::problem(http::status::not_acceptable); }
    const auto peer = request.peer();
    if (!peer) { return http::response::problem(http::status::service_unavailable); }
    const std::string address = peer->address_string();
    http::response answer = *wanted == 0
                                ? http::response::text(address + "\n")
                                : http::response::json("{\"address\":\"" + address + "\"}\n");
    answer.set_header("Vary", "Accept").set_header("Cache-Control", "no-store");
    return answer;
}

}  // namespace

int main(int count, char** arguments) {
    http::router routes;
    routes.use(http::trusted_proxies());
    routes.get("/", tell);
    http::server_options options;
    options.socket_mode = 0660;  // For the group of the proxy.
    if (count > 1) { options.address = arguments[1]; }
    return http::serve(std::move(routes), options);
}
