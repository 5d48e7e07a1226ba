#include <catch2/catch.hpp>

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include <heph/http/router.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/timer.hpp>

#include "raw_client.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using heph::task;

namespace {

// Text in which every place can be told from every other.
std::string numbered(std::size_t size) {
    std::string text;
    for (std::size_t i = 0; text.size() < size; ++i) {
        text += std::to_string(i);
        text += ' ';
    }
    text.resize(size);
    return text;
}

std::size_t size_asked_for(const request& asked) {
    return std::strtoull(std::string(asked.param("bytes")).c_str(), nullptr, 10);
}

response text_of_size(request& asked) {
    return response::bytes(numbered(size_asked_for(asked)), "text/plain");
}

task<response> text_of_size_later(request& asked) {
    co_await heph::rt::timer(std::chrono::milliseconds(1));
    co_return text_of_size(asked);
}

// A file that is gone from its folder already.
heph::rt::fs::file file_with(const std::string& text) {
    std::FILE* made = std::tmpfile();
    REQUIRE(made != nullptr);
    REQUIRE(std::fwrite(text.data(), 1, text.size(), made) == text.size());
    REQUIRE(std::fflush(made) == 0);
    const int kept = ::dup(::fileno(made));
    REQUIRE(std::fclose(made) == 0);
    REQUIRE(kept >= 0);
    return heph::rt::fs::file(kept);
}

using outcome = std::expected<void, error>;

// Text, a part of a file, text, and another part.
task<outcome> write_around(body_writer* to, const heph::rt::fs::file* from, std::uint64_t size) {
    outcome written = co_await to->write("<");
    if (written) { written = co_await to->write_file(*from, 0, size); }
    if (written) { written = co_await to->write(">"); }
    if (written) { written = co_await to->write_file(*from, 7, 1); }
    if (written) { written = co_await to->write_file(*from, 9, 0); }
    co_return written;
}

response around_file(request& asked, std::shared_ptr<const heph::rt::fs::file> from) {
    const std::uint64_t size = size_asked_for(asked);
    response answer = response::stream("text/plain", [from, size](body_writer& to) {
        return write_around(&to, from.get(), size);
    });
    if (asked.query() == "length") { answer.set_content_length(size + 3); }
    return answer;
}

router file_routes(std::shared_ptr<const heph::rt::fs::file> from) {
    router routes;
    routes.get("/around/{bytes}", [from](request& asked) { return around_file(asked, from); });
    return routes;
}

router large_routes(std::shared_ptr<const std::string> shared) {
    router routes;
    routes.get("/text/{bytes}", text_of_size).get("/later/{bytes}", text_of_size_later);
    routes.get("/shared", [shared](request&) {
        response answer;
        answer.set_body(shared);
        return answer;
    });
    return routes;
}

// Around what is copied, what leaves with its head, and what is sent at once.
constexpr std::size_t sizes[] = {16'384,  16'385,  32'768,    32'769,    40'000,
                                 278'528, 278'529, 1'048'576, 2'500'000, 0};

}  // namespace

TEST_CASE("server: bodies of all sizes come whole and in order", "[http][server][large]") {
    const test_server server(large_routes(nullptr));
    raw_client client(server.port());
    for (const char* path : {"/text/", "/later/"}) {
        for (const std::size_t size : sizes) {
            CAPTURE(path, size);
            const reply got = client.ask(get_request(path + std::to_string(size)));
            REQUIRE(got.complete);
            REQUIRE(got.body == numbered(size));
        }
    }
}

TEST_CASE("server: pipelined large and small bodies keep their order", "[http][server][large]") {
    const test_server server(large_routes(nullptr));
    raw_client client(server.port());
    std::string requests;
    for (const std::size_t size : sizes) {
        requests += get_request("/text/7") + get_request("/text/" + std::to_string(size));
    }
    REQUIRE(client.send(requests));
    for (const std::size_t size : sizes) {
        CAPTURE(size);
        REQUIRE(client.read().body == numbered(7));
        REQUIRE(client.read().body == numbered(size));
    }
}

TEST_CASE("server: a large body is left out for HEAD", "[http][server][large]") {
    const test_server server(large_routes(nullptr));
    raw_client client(server.port());
    REQUIRE(client.send("HEAD /text/1000000 HTTP/1.1\r\nHost: a\r\n\r\n"));
    const reply got = client.read(true);
    CHECK(got.header("content-length") == "1000000");
    CHECK(client.ask(get_request("/text/5")).body == numbered(5));
}

TEST_CASE("server: a body that many responses share is left as it is", "[http][server][large]") {
    const auto shared = std::make_shared<const std::string>(numbered(300'000));
    {
        const test_server server(large_routes(shared));
        raw_client leaving(server.port(), 4 * 1024);
        for (int i = 0; i < 3; ++i) {
            raw_client client(server.port());
            CHECK(client.ask(get_request("/shared")).body == *shared);
            CHECK(client.ask(get_request("/shared")).body == *shared);
            // One goes while its body is being sent.
            leaving.send(get_request("/shared"));
            leaving.reset();
        }
    }
    CHECK(*shared == numbered(300'000));
    // Nothing keeps it when its connections are gone.
    CHECK(shared.use_count() == 1);
}

TEST_CASE("server: parts of files come whole between text", "[http][server][large]") {
    const std::string text = numbered(3'000'000);
    const auto from = std::make_shared<const heph::rt::fs::file>(file_with(text));
    const test_server server(file_routes(from));
    raw_client client(server.port(), 16 * 1024);
    for (const char* length : {"", "?length"}) {
        for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{65'536},
                                       std::size_t{262'145}, std::size_t{3'000'000}}) {
            CAPTURE(size, length);
            const std::string path = "/around/" + std::to_string(size) + length;
            const reply got = client.ask(get_request(path));
            REQUIRE(got.complete);
            REQUIRE(got.chunked == (*length == '\0'));
            REQUIRE(got.body == "<" + text.substr(0, size) + ">" + text[7]);
        }
    }
}

TEST_CASE("server: a file that is shorter than announced cuts the connection",
          "[http][server][large]") {
    const auto from = std::make_shared<const heph::rt::fs::file>(file_with(numbered(100'000)));
    const test_server server(file_routes(from));
    for (const char* length : {"", "?length"}) {
        CAPTURE(length);
        raw_client client(server.port());
        const reply got = client.ask(get_request(std::string("/around/100001") + length));
        CHECK(got.status == 200);
        CHECK_FALSE(got.complete);
        (void)client.read_rest();
        CHECK(client.at_end());
    }
    raw_client client(server.port());
    CHECK(client.ask(get_request("/around/5")).complete);
}

TEST_CASE("server: a client that leaves within a file leaves nothing behind",
          "[http][server][large]") {
    const std::string text = numbered(3'000'000);
    const auto from = std::make_shared<const heph::rt::fs::file>(file_with(text));
    {
        const test_server server(file_routes(from));
        for (int i = 0; i < 8; ++i) {
            raw_client client(server.port(), 4 * 1024);
            REQUIRE(client.send(get_request("/around/3000000")));
            REQUIRE_FALSE(client.read_some().empty());
            client.reset();
        }
        raw_client client(server.port());
        CHECK(client.ask(get_request("/around/5")).body == "<" + text.substr(0, 5) + ">" + text[7]);
    }
    CHECK(from.use_count() == 1);
}

TEST_CASE("server: a client that leaves within a large body leaves nothing behind",
          "[http][server][large]") {
    const test_server server(large_routes(nullptr));
    for (int i = 0; i < 8; ++i) {
        raw_client client(server.port(), 4 * 1024);
        REQUIRE(client.send(get_request("/text/2000000")));
        REQUIRE_FALSE(client.read_some().empty());
        client.reset();
    }
    raw_client client(server.port());
    CHECK(client.ask(get_request("/text/40000")).body == numbered(40'000));
}
