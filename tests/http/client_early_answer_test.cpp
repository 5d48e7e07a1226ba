// Answers that come before the request is sent to its end, and a switch that nobody asked for.

#include <chrono>
#include <cstddef>
#include <expected>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/client.hpp>
#include <heph/rt/timer.hpp>

#include "client_run.hpp"
#include "scripted_server.hpp"

namespace http = heph::http;
using heph::task;
using http::test::fetch;
using http::test::fetch_all;
using http::test::outcome;
using http::test::scripted_server;
using http::test::scripted_step;
using http::test::text_of;
using http::test::with_client;

namespace {

using produced = std::expected<void, http::error>;

// More than the sockets between the two take.
constexpr std::size_t upload_bytes = 16 * 1024 * 1024;

const std::string good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What a producer was told at last.
struct account {
    std::size_t bytes = 0;
    std::string ended = "dropped";
};

http::body_producer producing(std::shared_ptr<account> into, std::size_t bytes_max) {
    return [into = std::move(into), bytes_max](http::body_writer& to) {
        return [](std::shared_ptr<account> told, std::size_t most,
                  http::body_writer* writer) -> task<produced> {
            const std::string piece(64 * 1024, 'x');
            while (told->bytes < most) {
                const auto written = co_await writer->write(piece);
                if (!written) {
                    told->ended = text_of(written.error());
                    co_return written;
                }
                told->bytes += piece.size();
            }
            told->ended = "complete";
            co_return produced();
        }(into, bytes_max, &to);
    };
}

/// Sends a streamed body, and reads the answer; then fetches once more.
std::string talk(const scripted_server& server, http::body_producer producer,
                 std::optional<std::size_t> length) {
    std::string log;
    with_client([&](http::client client) -> task<> {
        return [](http::client with, std::string url, http::body_producer body,
                  std::optional<std::size_t> size, std::string* to) -> task<> {
            http::client_request request(http::method::put, url);
            request.set_stream(std::move(body), size);
            auto got = co_await with.send(std::move(request));
            *to = co_await outcome(std::move(got));
            *to += "|" + std::to_string(with.idle_connections());
        }(std::move(client), server.url(), std::move(producer), length, &log);
    });
    return log;
}

}  // namespace

TEST_CASE("client: a good answer without a body does not cut the upload that is running",
          "[http][client][early]") {
    for (const char* answer :
         {"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}) {
        CAPTURE(answer);
        scripted_server server(
            {{scripted_step{answer, false, false, false, upload_bytes}, scripted_step{good}}});
        const auto told = std::make_shared<account>();
        const std::string log = talk(server, producing(told, upload_bytes), upload_bytes);
        CHECK((log == "204 |1" || log == "201 |1" || log == "200 |1"));
        CHECK(told->ended == "complete");
    }
}

TEST_CASE("client: an answer without a body is given before what a stream still has to send",
          "[http][client][early]") {
    scripted_server server(
        {{scripted_step{"HTTP/1.1 204 No Content\r\n\r\n", false, false, false, 4}}});
    std::string log;
    with_client([&](http::client client) -> task<> {
        return [](http::client with, std::string url, std::string* to) -> task<> {
            // The rest is produced only once the answer is there.
            const auto answered = std::make_shared<bool>(false);
            http::client_request request(http::method::put, url);
            request.set_stream(
                [answered](http::body_writer& writer) {
                    return [](std::shared_ptr<bool> go, http::body_writer* out) -> task<produced> {
                        auto written = co_await out->write("ab");
                        while (written && !*go) {
                            co_await heph::rt::timer(std::chrono::milliseconds(1));
                        }
                        if (written) { written = co_await out->write("cd"); }
                        co_return written;
                    }(answered, &writer);
                },
                4);
            auto got = co_await with.send(std::move(request));
            *answered = true;
            *to = co_await outcome(std::move(got));
            *to += "|" + std::to_string(with.idle_connections());
        }(std::move(client), server.url(), &log);
    });
    CHECK(log == "204 |1");
}

TEST_CASE("client: what a producer throws behind an early answer is told once",
          "[http][client][early]") {
    // It reads more than is sent, so that the connection stays.
    scripted_server server({{scripted_step{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", false,
                                           false, false, 4}}});
    std::string log;
    http::client_options options;
    options.pause_timeout = std::chrono::milliseconds(50);
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client with, std::string url, std::string* to) -> task<> {
                const auto answered = std::make_shared<bool>(false);
                http::client_request request(http::method::put, url);
                request.set_stream(
                    [answered](http::body_writer& writer) {
                        return
                            [](std::shared_ptr<bool> go, http::body_writer* out) -> task<produced> {
                                const auto written = co_await out->write("ab");
                                while (written && !*go) {
                                    co_await heph::rt::timer(std::chrono::milliseconds(1));
                                }
                                throw std::runtime_error("broken");
                            }(answered, &writer);
                    },
                    4);
                auto got = co_await with.send(std::move(request));
                if (!got) { co_return; }
                *answered = true;
                for (int i = 0; i < 3; ++i) {
                    try {
                        const auto piece = co_await got->next();
                        *to += piece ? std::string(*piece) : piece.error().message();
                    } catch (const std::runtime_error& thrown) { *to += thrown.what(); }
                    *to += "|";
                }
            }(std::move(client), server.url(), &log);
        },
        options);
    CHECK(log == "ok|broken|" + text_of(std::errc::timed_out) + "|");
}

TEST_CASE("client: a body that is all there is sent before its good answer is given",
          "[http][client][early]") {
    scripted_server server(
        {{scripted_step{"HTTP/1.1 204 No Content\r\n\r\n", false, false, false, upload_bytes},
          scripted_step{good}}});
    std::string log;
    with_client([&](http::client client) -> task<> {
        return [](http::client with, std::string url, std::string* to) -> task<> {
            http::client_request request(http::method::post, url);
            request.set_body(std::string(upload_bytes, 'x'));
            {
                // Nobody reads a body that is not there.
                const auto got = co_await with.send(std::move(request));
                *to = got ? std::to_string(code(got->status())) : got.error().message();
            }
            *to += "|" + std::to_string(with.idle_connections());
            *to += "|" + co_await fetch(with, url);
        }(std::move(client), server.url(), &log);
    });
    CHECK(log == "204|1|200 ok");
    CHECK(server.connections() == 1);
}

TEST_CASE("client: what produces a body is told that an answer has made it pointless",
          "[http][client][early]") {
    const std::string lost = text_of(http::error::connection_lost);
    struct sample {
        const char* answer;
        const char* outcome;
    };
    for (const auto& [answer, came] : {
             sample{"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno", "413 no|0"},
             {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "200 ok|0"},
             {"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", "204 |0"},
             {"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n", "204 |0"},
         }) {
        CAPTURE(answer);
        // It reads nothing, and waits for the client to close.
        scripted_server server({{scripted_step{answer, false, false, true}}});
        const auto told = std::make_shared<account>();
        CHECK(talk(server, producing(told, std::size_t{1} << 40U), {}) == came);
        CHECK(told->ended == lost);
    }
}

TEST_CASE("client: a producer that waits for something else learns that nobody wants more",
          "[http][client][early]") {
    scripted_server server({{scripted_step{"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
                                           false, false, true}}});
    const auto told = std::make_shared<account>();
    const std::string log = talk(server,
                                 [told](http::body_writer& to) {
                                     return [](std::shared_ptr<account> into,
                                               http::body_writer* writer) -> task<produced> {
                                         const auto written = co_await writer->write("x");
                                         if (!written) { co_return written; }
                                         co_await writer->gone();
                                         into->ended = "gone";
                                         co_return produced();
                                     }(told, &to);
                                 },
                                 {});
    CHECK(log == "403 no|0");
    CHECK(told->ended == "gone");
}

TEST_CASE("client: another protocol is not spoken before the request is sent",
          "[http][client][early]") {
    scripted_server server({{scripted_step{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n"
                                           "Connection: upgrade\r\n\r\n",
                                           false, false, false, upload_bytes},
                             scripted_step{"heard"}}});
    std::string log;
    with_client([&](http::client client) -> task<> {
        return [](http::client with, std::string url, std::string* to) -> task<> {
            http::client_request request(http::method::post, url);
            request.set_header("Upgrade", "other").set_body(std::string(upload_bytes, 'x'));
            auto got = co_await with.send(std::move(request));
            if (!got || got->upgraded() == nullptr) { co_return; }
            const auto written = co_await got->upgraded()->write("hello\r\n\r\n");
            if (!written) { co_return; }
            const auto back = co_await got->upgraded()->read();
            if (back) { *to = *back; }
        }(std::move(client), server.url(), &log);
    });
    CHECK(log == "heard");
    server.stop();
    REQUIRE(server.heads().size() == 2);
    CHECK(server.heads()[1] == "hello\r\n\r\n");
}

TEST_CASE("client: a switch of protocols that was not asked for is an error",
          "[http][client][early]") {
    const std::string switching =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\nhello";
    scripted_server server({{scripted_step{switching, false, false, true}}, {scripted_step{good}}});
    CHECK(fetch_all({server.url(), server.url()}) ==
          std::vector<std::string>{text_of(http::error::unasked_upgrade), "200 ok"});
    scripted_server asked({{scripted_step{switching, false, false, true}}});
    std::string log;
    with_client([&](http::client client) -> task<> {
        return [](http::client with, std::string url, std::string* to) -> task<> {
            http::client_request request(http::method::get, url);
            request.set_header("Upgrade", "other");
            auto got = co_await with.send(std::move(request));
            if (!got || got->upgraded() == nullptr) { co_return; }
            const auto first = co_await got->upgraded()->read();
            if (first) { *to = *first; }
        }(std::move(client), asked.url(), &log);
    });
    CHECK(log == "hello");
}
