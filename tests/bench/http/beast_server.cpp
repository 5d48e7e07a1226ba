// The routes of heph_http_bench by Boost.Beast, one thread.
//
// Usage: heph_http_beast ADDRESS PORT

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

// What a service has on: time-outs, limits, the names of its routes.
http::response<http::string_body> answer(const http::request<http::string_body>& request) {
    static const std::string ten_kib(10 * 1024, 'x');
    static const std::string one_mib(1024 * 1024, 'x');
    http::response<http::string_body> made(http::status::ok, request.version());
    const std::string_view target(request.target().data(), request.target().size());
    made.set(http::field::content_type, "text/plain");
    if (target == "/hello") {
        made.body() = "Hello, World!";
    } else if (target == "/json") {
        made.set(http::field::content_type, "application/json");
        made.body() = R"({"message":"Hello, World!"})";
    } else if (target == "/10k") {
        made.body() = ten_kib;
    } else if (target == "/1m") {
        made.body() = one_mib;
    } else {
        made.result(http::status::not_found);
    }
    made.keep_alive(request.keep_alive());
    made.prepare_payload();
    return made;
}

asio::awaitable<void> serve(beast::tcp_stream stream) {
    beast::flat_buffer buffer;
    boost::system::error_code failed;
    for (;;) {
        stream.expires_after(std::chrono::seconds(60));  // As heph.
        http::request<http::string_body> request;
        co_await http::async_read(stream, buffer, request,
                                  asio::redirect_error(asio::use_awaitable, failed));
        if (failed) { co_return; }
        auto made = answer(request);
        const bool keeps = made.keep_alive();
        co_await http::async_write(stream, made, asio::redirect_error(asio::use_awaitable, failed));
        if (failed || !keeps) { co_return; }
    }
}

asio::awaitable<void> listen(asio::ip::tcp::endpoint at) {
    asio::ip::tcp::acceptor acceptor(co_await asio::this_coro::executor, at);
    for (;;) {
        auto socket = co_await acceptor.async_accept(asio::use_awaitable);
        socket.set_option(asio::ip::tcp::no_delay(true));
        asio::co_spawn(acceptor.get_executor(), serve(beast::tcp_stream(std::move(socket))),
                       asio::detached);
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) {
        std::fputs("usage: heph_http_beast ADDRESS PORT\n", stderr);
        return 2;
    }
    const auto port = static_cast<std::uint16_t>(std::strtoul(arguments[2], nullptr, 10));
    asio::io_context context(1);
    asio::co_spawn(context, listen({asio::ip::make_address(arguments[1]), port}), asio::detached);
    context.run();
}
