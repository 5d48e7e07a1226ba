// Tests the API as its clients see it, from bytes to bytes, with neither a server nor a socket.

#include <string>
#include <string_view>
#include <utility>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <heph/http/h1/request_parser.hpp>
#include <heph/http/request.hpp>

#include "api.hpp"

namespace http = heph::http;
using nlohmann::json;

namespace {

/// Gives a request the body that a test has.
class body_of_test final : public http::body_reader {
public:
    explicit body_of_test(std::string text) : text_(std::move(text)) {}

    heph::task<std::expected<std::string_view, http::error>> next() override {
        using result = std::expected<std::string_view, http::error>;
        if (std::exchange(given_, true)) { co_return result(std::string_view()); }
        co_return result(std::string_view(text_));
    }

private:
    std::string text_;
    bool given_ = false;
};

struct answer {
    unsigned status = 0;
    std::string type;
    std::string location;
    json body;
};

answer ask(const http::router& api, std::string_view method, std::string_view path,
           std::string body = {}) {
    const std::string head = std::string(method) + " " + std::string(path) +
                             " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\r\n";
    const http::limits limits;
    http::h1::request_parser parser(limits);
    http::request request;
    std::string_view input = head;
    REQUIRE(parser.next(input, request.head()).kind == http::h1::event_kind::head);
    body_of_test reader(std::move(body));
    request.set_body(reader, limits.body_bytes_max);

    heph::task<http::response> answering = api.handle(request);
    auto polled = answering.poll(heph::waker());  // No handler here waits for anything.
    REQUIRE(polled.is_ready());
    const http::response got = std::move(polled).value();
    answer made;
    made.status = http::code(got.status());
    made.type = got.headers().get("Content-Type").value_or("");
    made.location = got.headers().get("Location").value_or("");
    if (!got.body().empty()) { made.body = json::parse(got.body()); }
    return made;
}

}  // namespace

TEST_CASE("bookmarks: what is added is found, listed and removed", "[example]") {
    const http::router api = bookmarks::make_routes();
    CHECK(ask(api, "GET", "/bookmarks").body == json::array());
    const answer added = ask(api, "POST", "/bookmarks",
                             R"({"url":"https://debian.org","tags":["linux"],"stars":5})");
    CHECK(added.status == 201);
    CHECK(added.location == "/bookmarks/1");
    CHECK(ask(api, "GET", added.location).body == added.body);
    CHECK(added.body["tags"] == json::array({"linux"}));
    CHECK(added.body["stars"] == 5);
    CHECK(ask(api, "POST", "/bookmarks", R"({"url":"http://a"})").location == "/bookmarks/2");
    CHECK(ask(api, "GET", "/bookmarks").body.size() == 2);
    CHECK(ask(api, "DELETE", added.location).status == 204);
    CHECK(ask(api, "DELETE", added.location).status == 404);
    CHECK(ask(api, "GET", added.location).status == 404);
    CHECK(ask(api, "GET", "/bookmarks").body.size() == 1);
}

TEST_CASE("bookmarks: what is wrong is told as a problem, and changes nothing", "[example]") {
    const http::router api = bookmarks::make_routes();
    const auto status = [&api](std::string body) {
        const answer got = ask(api, "POST", "/bookmarks", std::move(body));
        CHECK(got.type == "application/problem+json");
        CHECK(got.body["status"] == got.status);
        return got.status;
    };
    CHECK(status("{") == 400);
    CHECK(status("{}") == 422);
    CHECK(status(R"({"url":7})") == 422);
    CHECK(status(R"({"url":"https://a","tags":"linux"})") == 422);
    CHECK(status(R"({"url":"https://a","stars":4294967297})") == 422);
    CHECK(status(R"({"url":"https://a","stars":4.5})") == 422);
    CHECK(status(R"({"url":"ftp://a"
})") == 422);
    CHECK(status(R"({"url":"https://a","url":"https://b"})") == 400);
    CHECK(ask(api, "GET", "/bookmarks/one").status == 404);
    CHECK(ask(api, "PUT", "/bookmarks").status == 405);
    CHECK(ask(api, "GET", "/bookmarks").body == json::array());
}
