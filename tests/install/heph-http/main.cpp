// Answers one request without a socket: bytes in, bytes out.

#include <iostream>
#include <string>
#include <string_view>
#include <utility>

#include <heph/core/block_on.hpp>
#include <heph/core/task.hpp>
#include <heph/http/h1/request_parser.hpp>
#include <heph/http/h1/response_writer.hpp>
#include <heph/http/limits.hpp>
#include <heph/http/router.hpp>

namespace http = heph::http;

heph::task<http::response> hello(http::request& request) {
    co_return http::response::text("Hello, " + std::string(request.param("name")) + "!\n");
}

int main() {
    http::router router;
    router.get("/hello/{name}", hello);

    const http::limits limits;
    http::h1::request_parser parser(limits);
    http::request request;
    std::string_view input = "GET /hello/World HTTP/1.1\r\nHost: example.org\r\n\r\n";
    if (parser.next(input, request.head()).kind != http::h1::event_kind::head) { return 1; }

    const http::response answer = heph::block_on(router.handle(request));
    std::string output;
    http::h1::response_writer writer;
    if (!writer.write(output, answer, request.method(), request.version(), true)) { return 1; }
    std::cout << code(answer.status()) << ' ' << answer.body();
    return output.starts_with("HTTP/1.1 200 OK\r\n") ? 0 : 1;
}
