// Shows what routes can say: `route [ADDRESS:PORT]`. Then:
//
//     curl -i http://127.0.0.1:8080/users/7/posts/hello
//     curl -i http://127.0.0.1:8080/users/me
//     curl -i http://127.0.0.1:8080/users/7x/posts/hello
//     curl -i http://127.0.0.1:8080/files/a/b/c
//     curl -i -X DELETE http://127.0.0.1:8080/users/7/posts/hello

#include <cstdint>
#include <string>
#include <utility>

#include <heph/http/router.hpp>
#include <heph/http/server.hpp>

namespace http = heph::http;

namespace {

http::response home(http::request&) { return http::response::text("Welcome.\n"); }

http::response me(http::request&) { return http::response::text("That is you.\n"); }

// A parameter of type uint is a number of 64 bits, or this is not called.
http::response post_of(http::request& request) {
    const auto user = *request.param_as<std::uint64_t>("user");
    return http::response::text("Post " + std::string(request.param("post")) + " of user " +
                                std::to_string(user) + ".\n");
}

http::response file(http::request& request) {
    return http::response::text("The path is " + std::string(request.param("path")) + ".\n");
}

}  // namespace

int main(int count, char** arguments) {
    http::router users;
    users.get<"/me">(me);  // Literal text comes before parameters.
    users.get<"/{user:uint}/posts/{post}">(post_of);

    http::router routes;
    routes.get<"/">(home).get<"/files/{path...}">(file);  // The compiler checks these patterns.
    routes.mount("/users", std::move(users));
    routes.answer_wrong_types(http::status::bad_request);

    http::server_options options;
    if (count > 1) { options.address = arguments[1]; }
    return http::serve(std::move(routes), options);
}
