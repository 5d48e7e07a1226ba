// Middleware that names, limits and compresses.

#include <chrono>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <brotli/decode.h>
#include <zlib.h>

#include <catch2/catch.hpp>

#include <heph/http/middleware/compression.hpp>
#include <heph/http/middleware/conditional.hpp>
#include <heph/http/middleware/rate_limit.hpp>
#include <heph/http/middleware/request_id.hpp>
#include <heph/http/router.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>

#include "ask_router.hpp"
#include "raw_client.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using heph::task;
using http::test::ask;
using namespace std::chrono_literals;

namespace {

std::string header_of(const http::response& answer, std::string_view name) {
    return std::string(answer.headers().get(name).value_or("-"));
}

std::string gunzip(std::string_view bytes) {
    z_stream stream{};
    REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
    std::string out(4'000'000, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int ended = inflate(&stream, Z_FINISH);
    out.resize(out.size() - stream.avail_out);
    inflateEnd(&stream);
    CHECK(ended == Z_STREAM_END);
    return out;
}

std::string unbrotli(std::string_view bytes) {
    std::string out(1'000'000, '\0');
    std::size_t size = out.size();
    CHECK(BrotliDecoderDecompress(bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                  &size, reinterpret_cast<std::uint8_t*>(out.data())) ==
          BROTLI_DECODER_RESULT_SUCCESS);
    out.resize(size);
    return out;
}

http::response text_of(std::size_t size, std::string_view type = "text/plain") {
    return http::response::bytes(std::string(size, 'a'), type);
}

/// Gives the server's side of a connection from an IPv4 address to a socket for both versions.
heph::rt::net::tcp_stream connection_from(const char* client) {
    heph::rt::net::tcp_listener listener =
        heph::rt::net::tcp_listener::bind(*heph::rt::net::endpoint::parse("[::]:0")).value();
    const int from = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    ::inet_pton(AF_INET, client, &address.sin_addr);
    REQUIRE(::bind(from, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    address.sin_port = htons(listener.local_endpoint().value().port());
    REQUIRE(::connect(from, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    const int accepted = ::accept4(listener.descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
    ::close(from);
    REQUIRE(accepted >= 0);
    return heph::rt::net::tcp_stream(heph::rt::net::socket_handle(accepted));
}

constexpr std::string_view takes_gzip = "Accept-Encoding: gzip\r\n";

}  // namespace

TEST_CASE("request id: each request gets another, and hears of it", "[http][middleware]") {
    http::router routes;
    routes.use(http::request_id());
    routes.get("/", [](http::request& asked) {
        return http::response::text(std::string(asked.header("X-Request-Id").value_or("none")));
    });
    std::set<std::string> names;
    for (int i = 0; i < 100; ++i) {
        const auto answer = ask(routes, "/", "X-Request-Id: given\r\n");
        const std::string name = header_of(answer, "X-Request-Id");
        CHECK(name.size() == 32);
        CHECK(answer.body() == name);
        names.insert(name);
    }
    CHECK(names.size() == 100);
}

TEST_CASE("request id: a client's is kept only when it is asked for, and harmless",
          "[http][middleware]") {
    http::request_id_options options;
    options.header = "X-Trace";
    options.keeps_given = true;
    http::router routes;
    routes.use(http::request_id(options));
    routes.get("/", [](http::request&) { return http::response::text("x"); });
    const auto name_for = [&](std::string_view fields) {
        return header_of(ask(routes, "/", fields), "X-Trace");
    };
    CHECK(name_for("X-Trace: a-1_b.c:d+e/f=g@h\r\n") == "a-1_b.c:d+e/f=g@h");
    CHECK(name_for("X-Trace: a\r\nX-Trace: b\r\n").size() == 32);
    CHECK(name_for("X-Trace: \"quoted\"\r\n").size() == 32);
    CHECK(name_for("X-Trace: " + std::string(129, 'a') + "\r\n").size() == 32);
    CHECK(name_for("X-Trace: " + std::string(128, 'a') + "\r\n") == std::string(128, 'a'));
    options.header = "not a name";
    CHECK_THROWS_AS(http::request_id(options), std::invalid_argument);
}

TEST_CASE("rate limit: a key may make its burst, and then its rate", "[http][middleware]") {
    const auto now = std::make_shared<std::chrono::steady_clock::time_point>();
    http::rate_limit_options options;
    options.burst = 3;
    options.per_second = 0.5;
    options.key = [](const http::request& asked) {
        return std::string(asked.header("X-Key").value_or(""));
    };
    options.now = [now] { return *now; };
    http::router routes;
    routes.use(http::rate_limit(options));
    routes.get("/", [](http::request&) { return http::response::text("x"); });
    const auto status_for = [&](std::string_view key) {
        return code(ask(routes, "/", "X-Key: " + std::string(key) + "\r\n").status());
    };
    for (int i = 0; i < 3; ++i) { CHECK(status_for("a") == 200); }
    const auto refused = ask(routes, "/", "X-Key: a\r\n");
    CHECK(code(refused.status()) == 429);
    CHECK(header_of(refused, "Retry-After") == "2");
    CHECK(status_for("b") == 200);
    *now += 1999ms;
    CHECK(header_of(ask(routes, "/", "X-Key: a\r\n"), "Retry-After") == "1");
    *now += 1ms;
    CHECK(status_for("a") == 200);
    CHECK(status_for("a") == 429);
    *now += 1h;
    for (int i = 0; i < 3; ++i) { CHECK(status_for("a") == 200); }
    CHECK(status_for("a") == 429);
    // Without a key there is no limit.
    for (int i = 0; i < 10; ++i) { CHECK(code(ask(routes, "/").status()) == 200); }
}

TEST_CASE("rate limit: what is remembered is bounded, and the busiest are remembered",
          "[http][middleware]") {
    http::rate_limit_options options;
    options.burst = 5;
    options.per_second = 1;
    options.keys_max = 64;
    options.key = [](const http::request& asked) {
        return std::string(asked.header("X-Key").value_or(""));
    };
    options.now = [] { return std::chrono::steady_clock::time_point(); };
    http::router routes;
    routes.use(http::rate_limit(options));
    routes.get("/", [](http::request&) { return http::response::text("x"); });
    const auto status_for = [&](const std::string& key) {
        return code(ask(routes, "/", "X-Key: " + key + "\r\n").status());
    };
    for (int i = 0; i < 5; ++i) { CHECK(status_for("busy") == 200); }
    for (int i = 0; i < 2000; ++i) { CHECK(status_for(std::to_string(i)) == 200); }
    CHECK(status_for("busy") == 429);
    options.burst = 0.5;
    CHECK_THROWS_AS(http::rate_limit(options), std::invalid_argument);
    options.burst = 1;
    options.per_second = 0;
    CHECK_THROWS_AS(http::rate_limit(options), std::invalid_argument);
}

TEST_CASE("rate limit: by default the peer's address is the key", "[http][server]") {
    http::rate_limit_options options;
    options.burst = 2;
    options.per_second = 0.001;
    http::router routes;
    routes.use(http::rate_limit(options));
    routes.get("/", [](http::request&) { return http::response::text("x"); });
    const http::test::test_server server(std::move(routes));
    http::test::raw_client first(server.port());
    http::test::raw_client second(server.port());
    CHECK(first.ask(http::test::get_request("/")).status == 200);
    CHECK(second.ask(http::test::get_request("/")).status == 200);
    CHECK(first.ask(http::test::get_request("/")).status == 429);
    CHECK(second.ask(http::test::get_request("/missing")).status == 429);
}

TEST_CASE("rate limit: IPv4 clients of a listener for both versions do not share one bucket",
          "[http][middleware]") {
    http::rate_limit_options options;
    options.burst = 1;
    options.per_second = 0.001;
    http::router routes;
    routes.use(http::rate_limit(options));
    routes.get("/", [](http::request&) { return http::response::text("x"); });
    const auto status_for = [&routes](const char* client) {
        const heph::rt::net::tcp_stream stream = connection_from(client);
        http::request asked;
        REQUIRE(http::test::parse_head(asked, "GET", "/").kind == http::h1::event_kind::head);
        asked.set_stream(stream);
        REQUIRE(asked.peer());
        CHECK(asked.peer()->is_v6());
        return code(http::test::run(routes.handle(asked)).status());
    };
    CHECK(status_for("127.0.0.1") == 200);
    CHECK(status_for("127.0.0.2") == 200);
    CHECK(status_for("127.0.0.1") == 429);
}

TEST_CASE("compression: bodies are compressed for who takes them", "[http][middleware]") {
    http::router routes;
    routes.use(http::compression());
    routes.get("/", [](http::request&) { return text_of(5000).set_header("ETag", "\"a\""); });
    const auto small = ask(routes, "/", takes_gzip);
    CHECK(header_of(small, "Content-Encoding") == "gzip");
    CHECK(header_of(small, "Vary") == "Accept-Encoding");
    CHECK(header_of(small, "ETag") == "W/\"a\"");
    CHECK(small.body().size() < 100);
    CHECK(gunzip(small.body()) == std::string(5000, 'a'));
    for (const std::string_view fields :
         {"", "Accept-Encoding: zstd\r\n", "Accept-Encoding: gzip;q=0\r\n",
          "Accept-Encoding: identity, gzip;q=0\r\n"}) {
        CAPTURE(fields);
        const auto plain = ask(routes, "/", fields);
        CHECK(header_of(plain, "Content-Encoding") == "-");
        CHECK(header_of(plain, "Vary") == "Accept-Encoding");
        CHECK(header_of(plain, "ETag") == "\"a\"");
        CHECK(plain.body().size() == 5000);
    }
}

TEST_CASE(
    "compression: the coding a client likes best is taken, and Brotli of those it likes alike",
    "[http][middleware]") {
    http::router both;
    both.use(http::compression());
    both.get("/", [](http::request&) { return text_of(5000); });
    http::compression_options without;
    without.brotli_level.reset();
    http::router gzip_only;
    gzip_only.use(http::compression(without));
    gzip_only.get("/", [](http::request&) { return text_of(5000); });
    struct sample {
        const char* accepted;
        const char* chosen;
        const char* chosen_without;
    };
    for (const auto& [accepted, chosen, chosen_without] :
         {sample{"gzip, deflate, br", "br", "gzip"},
          {"br", "br", "-"},
          {"*", "br", "gzip"},
          {"br;q=0.5, gzip", "gzip", "gzip"},
          {"br;q=0.5, gzip;q=0.5", "br", "gzip"},
          {"br;q=0.6, gzip;q=0.5", "br", "gzip"},
          {"br;q=0, *", "gzip", "gzip"},
          {"br;q=0, gzip;q=0", "-", "-"},
          {"identity, br;q=0.5", "-", "-"}}) {
        CAPTURE(accepted);
        const std::string field = "Accept-Encoding: " + std::string(accepted) + "\r\n";
        const auto answer = ask(both, "/", field);
        CHECK(header_of(answer, "Content-Encoding") == chosen);
        CHECK(header_of(answer, "Vary") == "Accept-Encoding");
        CHECK(header_of(ask(gzip_only, "/", field), "Content-Encoding") == chosen_without);
        if (std::string_view(chosen) == "br") {
            CHECK(answer.body().size() < 100);
            CHECK(unbrotli(answer.body()) == std::string(5000, 'a'));
        }
    }
    for (const int level : {-1, 12}) {
        without.brotli_level = level;
        CHECK_THROWS_AS(http::compression(without), std::invalid_argument);
    }
}

TEST_CASE("compression: what it would harm is left alone", "[http][middleware]") {
    http::router routes;
    routes.use(http::compression());
    const auto add = [&routes](std::string path, auto make) {
        routes.get(path, [make](http::request&) { return make(); });
    };
    add("/short", [] { return text_of(1023); });
    add("/image", [] { return text_of(5000, "image/png"); });
    add("/untyped", [] {
        http::response answer;
        answer.set_body(std::string(5000, 'a'));
        return answer;
    });
    add("/encoded", [] { return text_of(5000).set_header("Content-Encoding", "br"); });
    add("/kept",
        [] { return text_of(5000).set_header("Cache-Control", "max-age=5, no-transform"); });
    add("/part", [] {
        auto answer = text_of(5000);
        answer.set_status(http::status::partial_content);
        return answer;
    });
    add("/events", [] { return text_of(5000, "text/event-stream"); });
    add("/empty", [] { return http::response::empty(); });
    for (const std::string_view path :
         {"/short", "/image", "/untyped", "/kept", "/part", "/events", "/empty"}) {
        CAPTURE(path);
        const auto answer = ask(routes, path, takes_gzip);
        CHECK(header_of(answer, "Content-Encoding") == "-");
        const bool part = path == "/part";  // The whole would have been compressed.
        CHECK(header_of(answer, "Vary") == (part ? "Accept-Encoding" : "-"));
    }
    CHECK(header_of(ask(routes, "/encoded", takes_gzip), "Content-Encoding") == "br");
    http::compression_options options;
    options.level = 10;
    CHECK_THROWS_AS(http::compression(options), std::invalid_argument);
}

TEST_CASE("compression: types that get smaller are known", "[http][middleware]") {
    http::router routes;
    routes.use(http::compression());
    routes.get("/", [](http::request& asked) {
        return text_of(2000, asked.query("type").value_or("text/plain"));
    });
    for (const std::string_view type :
         {"text/html;+charset=utf-8", "application/json", "application/problem%2Bjson",
          "image/svg%2Bxml", "TEXT/CSS", "application/wasm"}) {
        CAPTURE(type);
        CHECK(header_of(ask(routes, "/?type=" + std::string(type), takes_gzip),
                        "Content-Encoding") == "gzip");
    }
    CHECK(header_of(ask(routes, "/?type=video/mp4", takes_gzip), "Content-Encoding") == "-");
}

TEST_CASE("compression: parts vary as the whole does", "[http][middleware]") {
    // A cache that kept the part gave it to clients that had asked for another coding.
    http::router routes;
    routes.use(http::compression());
    routes.use(http::conditional());
    routes.get("/text", [](http::request&) { return text_of(5000); });
    routes.get("/image", [](http::request&) { return text_of(5000, "image/png"); });
    routes.get("/sent",
               [](http::request&) { return text_of(5000).set_header("Content-Encoding", "br"); });
    for (const std::string_view ranges : {"0-3", "0-3,10-12"}) {
        const std::string field = "Range: bytes=" + std::string(ranges) + "\r\n";
        const auto text = ask(routes, "/text", field);
        CHECK(text.status() == http::status::partial_content);
        CHECK(header_of(text, "Vary") == "Accept-Encoding");
        CHECK(header_of(text, "Content-Encoding") == "-");
        CHECK(header_of(ask(routes, "/sent", field), "Vary") == "-");
    }
    const auto image = ask(routes, "/image", "Range: bytes=0-3\r\n");
    CHECK(image.status() == http::status::partial_content);
    CHECK(header_of(image, "Vary") == "-");
}

TEST_CASE("compression: a condition on the weak tag is met", "[http][middleware]") {
    http::router routes;
    routes.use(http::compression());
    routes.use(http::conditional());
    routes.get("/", [](http::request&) { return text_of(5000); });
    const auto first = ask(routes, "/", takes_gzip);
    const std::string tag = header_of(first, "ETag");
    CHECK(tag.starts_with("W/\""));
    CHECK(header_of(first, "Accept-Ranges") == "-");
    const auto again = ask(routes, "/", std::string(takes_gzip) + "If-None-Match: " + tag + "\r\n");
    CHECK(again.status() == http::status::not_modified);
    CHECK(header_of(again, "Vary") == "Accept-Encoding");
    // The tag is that of what the client has: a cache would not take the other for it.
    CHECK(header_of(again, "ETag") == tag);
    const std::string strong = tag.substr(2);
    for (const std::string& known : {strong, strong + ", " + tag, tag + ", " + strong}) {
        const auto plain = ask(routes, "/", "If-None-Match: " + known + "\r\n");
        CHECK(plain.status() == http::status::not_modified);
        CHECK(header_of(plain, "ETag") == strong);
    }
    const auto part = ask(routes, "/", std::string(takes_gzip) + "Range: bytes=0-9\r\n");
    CHECK(part.status() == http::status::partial_content);
    CHECK(part.body() == std::string(10, 'a'));
}

TEST_CASE("compression: a 304 and a part have the Vary, and a 304 the tag, of the 200",
          "[http][middleware]") {
    http::router routes;
    routes.use(http::compression());
    routes.use(http::conditional());
    routes.get("/long", [](http::request&) { return text_of(5000); });
    routes.get("/short", [](http::request&) { return text_of(500); });
    routes.get("/image", [](http::request&) { return text_of(5000, "image/png"); });
    routes.get("/kept", [](http::request&) {
        return text_of(5000).set_header("Cache-Control", "no-transform");
    });
    routes.get("/sent",
               [](http::request&) { return text_of(5000).set_header("Content-Encoding", "br"); });
    for (const std::string path : {"/long", "/short", "/image", "/kept", "/sent"}) {
        for (const std::string& fields : {std::string(), std::string(takes_gzip)}) {
            CAPTURE(path, fields);
            const auto full = ask(routes, path, fields);
            CHECK(full.status() == http::status::ok);
            const std::string tag = header_of(full, "ETag");
            const std::string strong = tag.starts_with("W/") ? tag.substr(2) : tag;
            // Somebody on the way, or the client itself, may have weakened it.
            for (const std::string& known : {strong, "W/" + strong}) {
                const auto same = ask(routes, path, fields + "If-None-Match: " + known + "\r\n");
                CHECK(same.status() == http::status::not_modified);
                CHECK(header_of(same, "ETag") == tag);
                CHECK(header_of(same, "Vary") == header_of(full, "Vary"));
            }
            for (const std::string ranges : {"0-3", "0-3,10-12"}) {
                const auto part = ask(routes, path, fields + "Range: bytes=" + ranges + "\r\n");
                CHECK(part.status() == http::status::partial_content);
                CHECK(header_of(part, "Vary") == header_of(full, "Vary"));
            }
        }
    }
}

TEST_CASE("compression: a 304 that says nothing of the whole has Vary", "[http][middleware]") {
    http::router routes;
    routes.use(http::compression());
    routes.get("/", [](http::request&) {
        return http::response::empty(http::status::not_modified).set_header("ETag", "\"a\"");
    });
    const auto answer = ask(routes, "/", "If-None-Match: \"a\"\r\n");
    CHECK(header_of(answer, "Vary") == "Accept-Encoding");
    CHECK(header_of(answer, "ETag") == "\"a\"");
}

TEST_CASE("compression: a short stream that says its length is sent as it is",
          "[http][middleware]") {
    http::router routes;
    routes.use(http::compression());
    routes.get("/{size:int}", [](http::request& asked) {
        return http::response::stream(
                   "text/plain",
                   [](http::body_writer&) -> task<std::expected<void, http::error>> {
                       co_return {};
                   })
            .set_content_length(asked.param("size") == "10" ? 10 : 5000);
    });
    CHECK(header_of(ask(routes, "/10", takes_gzip), "Content-Encoding") == "-");
    CHECK(header_of(ask(routes, "/5000", takes_gzip), "Content-Encoding") == "gzip");
}

TEST_CASE("compression: a stream is compressed piece by piece, as it is written",
          "[http][server]") {
    using outcome = std::expected<void, http::error>;
    http::router routes;
    routes.use(http::compression());
    routes.get("/", [](http::request&) {
        return http::response::stream("text/plain", [](http::body_writer& to) -> task<outcome> {
            const outcome first = co_await to.write("first piece, ");
            if (!first) { co_return first; }
            co_await heph::rt::timer(5ms);
            const outcome second = co_await to.write("second piece");
            co_return second;
        });
    });
    routes.get("/fails", [](http::request&) {
        return http::response::stream("text/plain", [](http::body_writer& to) -> task<outcome> {
            const outcome first = co_await to.write("first piece, ");
            if (!first) { co_return first; }
            throw std::runtime_error("broken");
        });
    });
    const http::test::test_server server(std::move(routes));
    http::test::raw_client client(server.port());
    const auto whole = client.ask(http::test::get_request("/", takes_gzip));
    CHECK(whole.header("content-encoding") == "gzip");
    CHECK(whole.chunked);
    CHECK(gunzip(whole.body) == "first piece, second piece");
    const auto by_brotli =
        client.ask(http::test::get_request("/", "Accept-Encoding: gzip, br\r\n"));
    CHECK(by_brotli.header("content-encoding") == "br");
    CHECK(unbrotli(by_brotli.body) == "first piece, second piece");
    const auto plain = client.ask(http::test::get_request("/"));
    CHECK(plain.body == "first piece, second piece");
    const http::test::captured_log log;
    const auto cut = client.ask(http::test::get_request("/fails", takes_gzip));
    CHECK_FALSE(cut.complete);
}

TEST_CASE("compression: a large body is compressed piece by piece, and few of them at once",
          "[http][middleware]") {
    std::string text;
    for (int i = 0; text.size() < 300'000; ++i) { text += std::to_string(i * 7919) + ' '; }
    http::compression_options options;
    options.streams_max = 1;
    http::router routes;
    routes.use(http::compression(options));
    routes.get("/", [&text](http::request&) { return http::response::text(text); });
    auto first = ask(routes, "/", takes_gzip);
    CHECK(first.is_streamed());
    CHECK(header_of(first, "Content-Encoding") == "gzip");
    const auto second = ask(routes, "/", takes_gzip);
    CHECK_FALSE(second.is_streamed());
    CHECK(header_of(second, "Content-Encoding") == "-");
    CHECK(header_of(second, "Vary") == "Accept-Encoding");
    CHECK(second.body() == text);
    first = http::response::empty(http::status::no_content);

    const http::test::test_server server(std::move(routes));
    http::test::raw_client client(server.port());
    for (const std::string_view coding : {"gzip", "br"}) {
        const std::string fields = "Accept-Encoding: " + std::string(coding) + "\r\n";
        const auto whole = client.ask(http::test::get_request("/", fields));
        CHECK(whole.header("content-encoding") == coding);
        CHECK(whole.chunked);
        CHECK((coding == "br" ? unbrotli(whole.body) : gunzip(whole.body)) == text);
    }
}
