// Shows errors as pages to browsers, and as JSON to everybody else.

#include <string>
#include <string_view>
#include <utility>

#include <heph/http/error_page.hpp>
#include <heph/http/router.hpp>
#include <heph/http/server.hpp>

namespace http = heph::http;

namespace {

http::response make_page(const http::refusal& refused) {
    const std::string_view accept =
        refused.asked == nullptr ? "" : refused.asked->headers().get("Accept").value_or("");
    if (accept.find("text/html") == std::string_view::npos) {
        return http::response::problem(refused.status, refused.detail);
    }
    const std::string title(http::reason(refused.status));
    return http::response::html("<!doctype html><title>" + title + "</title><h1>" + title +
                                "</h1><p>" + std::string(refused.detail) + "</p>\n");
}

}  // namespace

int main(int count, char** arguments) {
    http::router router;
    router.get("/", [](http::request&) { return http::response::html("<h1>Home</h1>\n"); });
    router.get("/users/{id:int}",
               [](http::request&) { return http::response::html("<h1>A user</h1>\n"); });
    router.render_errors(make_page);
    http::server_options options;
    if (count > 1) { options.address = arguments[1]; }
    return http::serve(std::move(router), options);
}
