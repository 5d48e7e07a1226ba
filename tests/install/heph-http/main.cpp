// Greets whoever asks and measures what is sent, on http://127.0.0.1:8080 until SIGINT.

#include <string>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/http/router.hpp>
#include <heph/http/server.hpp>

namespace http = heph::http;

heph::task<http::response> hello(http::request& request) {
    co_return http::response::text("Hello, " + std::string(request.param("name")) + "!\n");
}

heph::task<http::response> length(http::request& request) {
    const auto body = co_await request.read_body();
    if (!body) { co_return http::response::problem(body.error()); }  // 400, 408 or 413
    co_return http::response::text(std::to_string(body->size()) + " bytes\n");
}

int main(int count, char** arguments) {
    http::router router;
    router.get("/hello/{name}", hello).post("/length", length);
    http::server_options options;
    if (count > 1) { options.address = arguments[1]; }
    return http::serve(std::move(router), options);
}
