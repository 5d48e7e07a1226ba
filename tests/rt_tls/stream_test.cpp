// TLS over connections of a runtime.

#include <heph/rt/tls/stream.hpp>

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>

#include <heph/core/either.hpp>
#include <heph/core/join.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/timer.hpp>

#include "rt/on_runtime.hpp"
#include "rt_tls/certified.hpp"

using namespace heph_tests;
using heph::task;
using heph::rt::buffer;
using heph::test::run_task;
using tls::errc;
namespace net = heph::rt::net;

namespace {

using namespace std::chrono_literals;

struct setting {
    authority ca;
    tls::server_context server;
    tls::client_context client;

    setting()
        : server(make_server_context(tls::server_config(to_certificate(ca.issue("a"))))),
          client(make_client_context(trust_in(ca))) {}
};
using setting_ptr = std::shared_ptr<setting>;
using unix_tls = tls::basic_stream<net::unix_stream>;

struct pair {
    unix_tls client;
    unix_tls server;
};

// Runs a test's body; what a coroutine captures would be gone before it ends.
void run_with(task<> (*body)(setting_ptr)) {
    auto with = std::make_shared<setting>();
    run_task([body, with] { return body(with); });
}

// Two ends over a pair of sockets, before their handshake.
pair make_pair(const setting& with) {
    auto sockets = net::unix_stream::pair();
    REQUIRE(sockets);
    return {unix_tls(std::move(sockets->first), with.client.connect("a").value()),
            unix_tls(std::move(sockets->second), with.server.accept().value())};
}

std::string text_of(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) { text[i] = static_cast<char>('a' + i * 7 % 26); }
    return text;
}

template <typename Stream>
task<bool> send_text(Stream& stream, std::string text) {
    auto bytes = buffer::copy_of(text);
    const auto sent = co_await stream.send_all(std::move(bytes));
    co_return sent.has_value();
}

template <typename Stream>
task<std::string> receive(Stream& stream, std::size_t size) {
    std::string got;
    while (got.size() < size) {
        auto chunk = co_await stream.next();
        if (!chunk || chunk->empty()) { break; }
        got += chunk->view();
    }
    co_return got;
}

template <typename Stream>
task<std::error_code> shake(Stream& stream) {
    const auto done = co_await stream.handshake();
    co_return done ? std::error_code() : done.error();
}

}  // namespace

TEST_CASE("tls stream: much data flows both ways at once over TCP", "[rt][tls][stream]") {
    run_with([](setting_ptr with) -> task<> {
        auto listener = net::tcp_listener::bind(net::endpoint::loopback(0));
        REQUIRE(listener);
        auto connecting = net::tcp_stream::connect(listener->local_endpoint().value());
        auto connected = co_await std::move(connecting);
        auto accepted = co_await listener->accept();
        REQUIRE(connected);
        REQUIRE(accepted);
        auto both = co_await heph::join(tls::connect(std::move(*connected), with->client, "a"),
                                        tls::accept(std::move(*accepted), with->server));
        auto& client = std::get<0>(both);
        auto& server = std::get<1>(both);
        REQUIRE(client);
        REQUIRE(server);
        CHECK(client->transport().peer_endpoint().has_value());
        const std::string text = text_of(1'000'000);
        auto moved =
            co_await heph::join(send_text(*client, text), send_text(*server, text),
                                receive(*client, text.size()), receive(*server, text.size()));
        CHECK(std::get<0>(moved));
        CHECK(std::get<1>(moved));
        CHECK((std::get<2>(moved) == text));
        CHECK((std::get<3>(moved) == text));
    });
}

TEST_CASE("tls stream: a receive into a buffer takes what fits, and its end does not grow it",
          "[rt][tls][stream]") {
    run_with([](setting_ptr with) -> task<> {
        pair ends = make_pair(*with);
        auto sent = co_await heph::join(send_text(ends.client, "hello"), shake(ends.server));
        CHECK(std::get<0>(sent));
        auto small = buffer::with_capacity(3);
        auto first = co_await ends.server.recv(std::move(small));
        REQUIRE(first);
        CHECK(first->view() == "hel");
        auto full = co_await ends.server.recv(std::move(*first));
        CHECK(full.error() == std::errc::invalid_argument);
        auto rest = buffer::with_capacity(100);
        auto second = co_await ends.server.recv(std::move(rest));
        REQUIRE(second);
        CHECK(second->view() == "lo");
        const auto ended = co_await ends.client.shutdown();
        CHECK(ended.has_value());
        for (int i = 0; i < 2; ++i) {
            second = co_await ends.server.recv(std::move(*second));
            REQUIRE(second);
            CHECK(second->view() == "lo");
        }
    });
}

TEST_CASE("tls stream: after an announced end the other direction goes on", "[rt][tls][stream]") {
    run_with([](setting_ptr with) -> task<> {
        pair ends = make_pair(*with);
        auto sent = co_await heph::join(send_text(ends.client, "question"), shake(ends.server));
        CHECK(std::get<0>(sent));
        const auto ended = co_await ends.client.shutdown();
        CHECK(ended.has_value());
        auto more = buffer::copy_of("x");
        const auto refused = co_await ends.client.send_all(std::move(more));
        CHECK(refused.error() == errc::closed);
        const std::string got = co_await receive(ends.server, 1000);
        CHECK(got == "question");
        const bool answered = co_await send_text(ends.server, "answer");
        CHECK(answered);
        const std::string answer = co_await receive(ends.client, 6);
        CHECK(answer == "answer");
    });
}

TEST_CASE("tls stream: a connection that ends without an announcement is an error",
          "[rt][tls][stream]") {
    run_with([](setting_ptr with) -> task<> {
        auto sockets = net::unix_stream::pair();
        REQUIRE(sockets);
        auto client = std::make_unique<unix_tls>(std::move(sockets->first),
                                                 with->client.connect("a").value());
        // Tickets that nobody reads would make it a reset.
        tls::server_config config(to_certificate(with->ca.issue("a")));
        config.tickets = false;
        const auto context = make_server_context(config);
        unix_tls server(std::move(sockets->second), context.accept().value());
        auto sent = co_await heph::join(send_text(*client, "all of it?"), shake(server));
        CHECK(std::get<0>(sent));
        client.reset();
        const std::string got = co_await receive(server, 10);
        CHECK(got == "all of it?");
        for (int i = 0; i < 2; ++i) {
            auto next = co_await server.next();
            REQUIRE_FALSE(next);
            CHECK(next.error() == errc::truncated);
        }
    });
}

TEST_CASE("tls stream: readable text on a TLS port is named, and the connection can be used for it",
          "[rt][tls][stream]") {
    run_with([](setting_ptr with) -> task<> {
        auto sockets = net::unix_stream::pair();
        REQUIRE(sockets);
        unix_tls server(std::move(sockets->second), with->server.accept().value());
        auto request = buffer::copy_of("GET / HTTP/1.1\r\n\r\n");
        const auto sent = co_await sockets->first.send_all(std::move(request));
        REQUIRE(sent);
        const std::error_code refused = co_await shake(server);
        CHECK(refused == errc::plain_text_peer);
        auto plain = server.release();
        auto answer = buffer::copy_of("HTTP/1.1 400 Bad Request\r\n\r\n");
        const auto answered = co_await plain.send_all(std::move(answer));
        REQUIRE(answered);
        auto chunk = co_await sockets->first.next();
        REQUIRE(chunk);
        CHECK(chunk->view() == "HTTP/1.1 400 Bad Request\r\n\r\n");
    });
}

TEST_CASE("tls stream: a refused peer is told why", "[rt][tls][stream]") {
    run_with([](setting_ptr with) -> task<> {
        auto sockets = net::unix_stream::pair();
        REQUIRE(sockets);
        unix_tls client(std::move(sockets->first), with->client.connect("b").value());
        unix_tls server(std::move(sockets->second), with->server.accept().value());
        auto both = co_await heph::join(shake(client), shake(server));
        CHECK(std::get<0>(both) == errc::host_mismatch);
        CHECK(std::get<1>(both) == errc::certificate_refused);
        const std::error_code again = co_await shake(client);
        CHECK(again == errc::host_mismatch);
    });
}

TEST_CASE(
    "tls stream: a peer that sends nothing does not hold a handshake up for longer than its "
    "deadline",
    "[rt][tls][stream]") {
    run_with([](setting_ptr with) -> task<> {
        auto sockets = net::unix_stream::pair();
        REQUIRE(sockets);
        const auto came = co_await heph::rt::deadline(
            20ms, tls::accept(std::move(sockets->second), with->server));
        CHECK_FALSE(came.has_value());
        // The connection is closed with the handshake.
        auto chunk = co_await sockets->first.next();
        CHECK((!chunk || chunk->empty()));
    });
}

TEST_CASE("tls stream: a connection that ends in the handshake is an error", "[rt][tls][stream]") {
    run_with([](setting_ptr with) -> task<> {
        auto sockets = net::unix_stream::pair();
        REQUIRE(sockets);
        unix_tls server(std::move(sockets->second), with->server.accept().value());
        { const net::unix_stream gone = std::move(sockets->first); }
        const std::error_code refused = co_await shake(server);
        CHECK(refused == errc::truncated);
    });
}

TEST_CASE("tls stream: a receive that is dropped loses nothing", "[rt][tls][stream]") {
    run_with([](setting_ptr with) -> task<> {
        pair ends = make_pair(*with);
        auto shaken = co_await heph::join(shake(ends.client), shake(ends.server));
        CHECK_FALSE(std::get<0>(shaken));
        const std::string text = text_of(100'000);
        std::string got;
        auto sending = send_text(ends.client, text);
        bool sent = false;
        while (got.size() < text.size()) {
            // Each round drops a receive that did not get on at once.
            auto first = co_await heph::either(ends.server.next(), heph::rt::timer(1ms));
            if (first.index() == 0) {
                auto& chunk = std::get<0>(first);
                REQUIRE(chunk);
                REQUIRE_FALSE(chunk->empty());
                got += chunk->view();
            }
            if (!sent) {
                auto progress = co_await heph::either(sending, heph::rt::timer(1ms));
                sent = progress.index() == 0;
            }
        }
        CHECK((got == text));
    });
}

TEST_CASE("tls stream: after a send that was dropped the stream is whole", "[rt][tls][stream]") {
    run_with([](setting_ptr with) -> task<> {
        pair ends = make_pair(*with);
        auto shaken = co_await heph::join(shake(ends.client), shake(ends.server));
        CHECK_FALSE(std::get<0>(shaken));
        // More than the sockets hold, so that it is dropped half-way.
        const std::string text(4'000'000, 'x');
        auto dropped = co_await heph::either(send_text(ends.client, text), heph::rt::timer(1ms));
        REQUIRE(dropped.index() == 1);
        auto moved = co_await heph::join(send_text(ends.client, "END"),
                                         [](unix_tls& from) -> task<std::string> {
                                             std::string got;
                                             while (!got.ends_with("END")) {
                                                 auto chunk = co_await from.next();
                                                 if (!chunk || chunk->empty()) { break; }
                                                 got += chunk->view();
                                             }
                                             co_return got;
                                         }(ends.server));
        CHECK(std::get<0>(moved));
        const std::string& got = std::get<1>(moved);
        REQUIRE(got.ends_with("END"));
        CHECK(got.find_first_not_of('x') == got.size() - 3);
        CHECK(got.size() < text.size());
    });
}

TEST_CASE("tls stream: two tasks that share it both go on after the handshake",
          "[rt][tls][stream]") {
    // Whoever polls last drives it.
    for (const bool sender_first : {false, true}) {
        CAPTURE(sender_first);
        auto with = std::make_shared<setting>();
        auto got = std::make_shared<std::string>();
        heph::test::run_on_worker(
            heph::test::quiet_setup(), [with, got, sender_first](heph::rt::worker& worker) {
                auto ends = std::make_shared<pair>(make_pair(*with));
                const auto sends = [](std::shared_ptr<pair> of) -> task<> {
                    const bool sent = co_await send_text(of->server, "welcome");
                    CHECK(sent);
                };
                const auto receives = [](std::shared_ptr<pair> of,
                                         std::shared_ptr<std::string> text) -> task<> {
                    *text = co_await receive(of->server, 5);
                };
                if (sender_first) { worker.spawn_future(sends(ends)); }
                worker.spawn_future(receives(ends, got));
                if (!sender_first) { worker.spawn_future(sends(ends)); }
                // Its end of the handshake and its question come in one piece.
                worker.spawn_future([](std::shared_ptr<pair> of) -> task<> {
                    const bool sent = co_await send_text(of->client, "hello");
                    CHECK(sent);
                    const std::string greeting = co_await receive(of->client, 7);
                    CHECK(greeting == "welcome");
                }(ends));
            });
        CHECK(*got == "hello");
    }
}

namespace {

// Sends in steps, as who keeps the bytes itself does.
class steps_of_sending {
public:
    using value_type = bool;
    steps_of_sending(unix_tls& stream, buffer bytes) : stream_(&stream), bytes_(std::move(bytes)) {}
    heph::polled<bool> poll(const heph::waker& waker) {
        auto sent = stream_->poll_send(bytes_, taken_, waker);
        if (!sent.is_ready()) { return heph::pending; }
        return sent.value().has_value();
    }

private:
    unix_tls* stream_;
    buffer bytes_;
    std::size_t taken_ = 0;
};

}  // namespace

TEST_CASE("tls stream: who sends in steps is woken, though another task receives meanwhile",
          "[rt][tls][stream]") {
    // That one flushes, too, and was the only one to learn that it was done.
    const bool gives_up = GENERATE(false, true);
    CAPTURE(gives_up);
    auto with = std::make_shared<setting>();
    auto got = std::make_shared<std::string>();
    heph::test::run_on_worker(
        heph::test::quiet_setup(), [with, got, gives_up](heph::rt::worker& worker) {
            auto ends = std::make_shared<pair>(make_pair(*with));
            worker.spawn_future([](std::shared_ptr<pair> of, std::shared_ptr<std::string> text,
                                   heph::rt::worker on, bool drops) -> task<> {
                auto shaken = co_await heph::join(of->client.handshake(), of->server.handshake());
                REQUIRE(std::get<0>(shaken));
                on.spawn_future([](std::shared_ptr<pair> its) -> task<> {
                    const std::string much = text_of(4'000'000);
                    steps_of_sending sending(its->server, buffer::copy_of(much));
                    const bool sent = co_await sending;
                    CHECK(sent);
                    const bool last = co_await send_text(its->server, "END");
                    CHECK(last);
                }(of));
                on.spawn_future([](std::shared_ptr<pair> its, bool gives) -> task<> {
                    if (gives) {
                        auto brief = heph::rt::deadline(5ms, its->server.next());
                        (void)co_await brief;
                        co_return;
                    }
                    const std::string greeting = co_await receive(its->server, 5);
                    CHECK(greeting == "hello");
                }(of, drops));
                co_await heph::rt::timer(1ms);  // Both wait.
                if (drops) { co_await heph::rt::timer(20ms); }
                *text = co_await receive(of->client, 4'000'003);
                const bool sent = co_await send_text(of->client, "hello");
                CHECK(sent);
            }(ends, got, worker, gives_up));
        });
    CHECK(got->ends_with("END"));
}

namespace {

task<bool> sends_in_time(unix_tls& stream) {
    auto bytes = buffer::copy_of("hello");
    auto bounded = heph::rt::deadline(20ms, stream.send_all(std::move(bytes)));
    const auto sent = co_await bounded;
    co_return sent.has_value();
}

}  // namespace

TEST_CASE("tls stream: one that gives up in the handshake leaves it to the other",
          "[rt][tls][stream]") {
    auto with = std::make_shared<setting>();
    auto got = std::make_shared<std::string>();
    heph::test::run_on_worker(heph::test::quiet_setup(), [with, got](heph::rt::worker& worker) {
        auto ends = std::make_shared<pair>(make_pair(*with));
        worker.spawn_future(
            [](std::shared_ptr<pair> of, std::shared_ptr<std::string> text) -> task<> {
                *text = co_await receive(of->client, 5);
            }(ends, got));
        worker.spawn_future([](std::shared_ptr<pair> of) -> task<> {
            const bool in_time = co_await sends_in_time(of->client);
            CHECK_FALSE(in_time);
            // Only now the peer answers.
            const bool sent = co_await send_text(of->server, "hello");
            CHECK(sent);
        }(ends));
    });
    CHECK(*got == "hello");
}
