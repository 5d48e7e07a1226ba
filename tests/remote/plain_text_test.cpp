// Nodes whose links are plain text, by name: among themselves, with nodes of TLS, with strangers.

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include <heph/core/asio.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/testing/step_executor.hpp>
#include <heph/remote/asio.hpp>
#include <heph/remote/memory_network.hpp>
#include <heph/remote/protocol/frame.hpp>
#include <heph/remote/protocol/handshake.hpp>
#include <heph/remote/protocol/link.hpp>

#include "node/link_security.hpp"
#include "remote/nodes.hpp"
#include "remote/use_counter.hpp"

using namespace heph::remote::testing;
using heph::remote::failure;
namespace remote = heph::remote;
namespace protocol = heph::remote::protocol;
namespace rt = heph::rt;

namespace {

constexpr std::string_view the_warning = "its links are plain text (insecure_plain_text)";
constexpr std::string_view told_by_plain = "it speaks TLS, and this node plain text";
constexpr std::string_view told_by_tls = "it speaks plain text, and this node TLS";

// Links that wait for a handshake for longer than a test does, and try once.
remote::link_settings once_and_slow() {
    remote::link_settings links = quick_links();
    links.handshake_time = 600s;
    links.pause_min = 600s;
    links.pause_max = 600s;
    return links;
}

// A connection of a stranger, in the clear.
class stranger_in_the_clear {
public:
    static heph::task<std::optional<stranger_in_the_clear>> connect(std::string to) {
        auto stream = co_await rt::net::tcp_stream::connect(*rt::net::endpoint::parse(to));
        std::optional<stranger_in_the_clear> made;
        if (stream) { made.emplace(stranger_in_the_clear(std::move(*stream))); }
        co_return made;
    }
    heph::task<bool> say(std::vector<std::byte> words) {
        rt::buffer bytes;
        bytes.append(words);
        const auto sent = co_await stream_.send_all(std::move(bytes));
        co_return sent.has_value();
    }
    // Receives until the other end closes; false when it does not.
    heph::task<bool> wait_for_end() {
        for (;;) {
            rt::deadline receiving(plenty, stream_.next());
            auto received = co_await receiving;
            if (!received) { co_return false; }
            if (!*received || (*received)->empty()) { co_return true; }
            const auto bytes = (*received)->bytes();
            heard.insert(heard.end(), bytes.begin(), bytes.end());
        }
    }
    std::vector<std::byte> heard;

private:
    explicit stranger_in_the_clear(rt::net::tcp_stream stream) : stream_(std::move(stream)) {}
    rt::net::tcp_stream stream_;
};

std::vector<std::byte> words_of(std::string_view words) {
    const auto bytes = std::as_bytes(std::span(words));
    return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> hello_in_the_clear(std::string name, std::string expected) {
    protocol::session_offer offer;
    offer.fresh = {9, 9};
    protocol::identity self{std::move(name), {7, 7}, {}};
    auto meeting = protocol::handshake::dial(std::move(self), std::move(expected), offer);
    std::vector<std::byte> bytes;
    meeting.take_output(bytes);
    return bytes;
}

}  // namespace

TEST_CASE("plain text: nodes link over TCP and over Unix sockets, each with one warning",
          "[remote][plain_text]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        std::vector<std::string> places;
        places.emplace_back("127.0.0.1:0");
        places.push_back(unique_unix_name());
        for (const std::string& where : places) {
            const auto a = start(worker, quick_plain_text("a").listen(where));
            a.publish("counter", spawn_counter(worker, std::make_shared<counter_state>()));
            const auto b = start(worker, quick_plain_text("b").peer("a", a.address()));
            const std::string wrong = co_await use_counter(b, "a");
            CHECK(wrong.empty());
            INFO(wrong);
            b.stop();
            const bool left = co_await eventually([&] { return !a.is_linked("b"); });
            CHECK(left);
            a.stop();
        }
    });
    INFO(log_lines::all());
    CHECK(log_lines::with(the_warning) == 4);
    CHECK(log_lines::with("node a: its links are plain text") == 2);
    CHECK(log_lines::with("turned away") == 0);
    CHECK(log_lines::with("cannot link") == 0);
}

TEST_CASE("plain text: nodes of both kinds of programs link", "[remote][plain_text]") {
    const log_lines log;
    boost::asio::io_context context;
    const auto there = remote::asio::start(context.get_executor(),
                                           quick_plain_text("there").listen("127.0.0.1:0"));
    REQUIRE(there);
    heph::asio_runtime actors(context.get_executor());
    const auto publish_a_new_counter = [&] {
        there->publish("counter", actors.spawn(heph::no_supervisor(),
                                               heph::actor_fn(counter_on<heph::asio_runtime>),
                                               std::make_shared<counter_state>()));
    };
    publish_a_new_counter();
    std::thread running([&context] { context.run(); });
    static std::string address;
    address = there->address();
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto here = start(worker, quick_plain_text("here").peer("there", address));
        const std::string wrong = co_await use_counter(here, "there");
        INFO(wrong);
        CHECK(wrong.empty());
    });
    publish_a_new_counter();
    {
        boost::asio::io_context others;
        const auto near = remote::asio::start(others.get_executor(),
                                              quick_plain_text("near").peer("there", address));
        REQUIRE(near);
        std::thread also_running([&others] { others.run(); });
        const std::string wrong = heph::block_on(use_counter(*near, "there"));
        INFO(wrong);
        CHECK(wrong.empty());
        near->stop();
        also_running.join();
    }
    there->stop();
    running.join();
    CHECK(log_lines::with(the_warning) == 3);
}

TEST_CASE("plain text: both ends of a link say at once who speaks what, whoever dials",
          "[remote][plain_text]") {
    const bool plain_dials = GENERATE(true, false);
    const bool two_secrets = GENERATE(false, true);
    const log_lines log;
    // In virtual time, of which nothing may pass for it.
    heph::testing::step_executor run(heph::testing::schedule::in_order());
    const remote::memory_network network;
    const auto start_in_memory = [&](remote::options settings) {
        settings.network(network).links(once_and_slow());
        return remote::start_stepped(run, settings).value();
    };
    auto secured = quick_options(plain_dials ? "a" : "b");
    if (two_secrets) { secured.also_accept(secret_of("one that was used before")); }
    auto plain = quick_plain_text(plain_dials ? "b" : "a");
    const auto a = start_in_memory((plain_dials ? secured : plain).listen("memory:a"));
    const auto before = run.clock().now();
    const auto b = start_in_memory((plain_dials ? plain : secured).peer("a", "memory:a"));
    CHECK(run.run_until([] { return log_lines::with("cannot link to a") == 1; }, 1h));
    CHECK(run.run_until([] { return log_lines::with("turned away") == 1; }, 1h));
    CHECK(run.clock().now() == before);
    INFO(log_lines::all());
    CHECK(log_lines::with(told_by_plain) == 1);
    CHECK(log_lines::with(told_by_tls) == 1);
    const std::string by_dialer(plain_dials ? told_by_plain : told_by_tls);
    CHECK(log_lines::with("cannot link to a at memory:a: " + by_dialer) == 1);
    CHECK_FALSE(a.is_linked("b"));
    CHECK_FALSE(b.is_linked("a"));
}

TEST_CASE("plain text: both ends say who speaks what over sockets, too", "[remote][plain_text]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto secured = start(worker, listening("secured").links(once_and_slow()));
        const auto plain =
            start(worker, quick_plain_text("plain").links(once_and_slow()).listen("127.0.0.1:0"));
        CHECK(secured.add_peer("plain", plain.address()));
        CHECK(plain.add_peer("secured", secured.address()));
        const bool told = co_await eventually([] {
            return log_lines::with("cannot link") == 2 && log_lines::with("turned away") == 2;
        });
        INFO(log_lines::all());
        CHECK(told);
        CHECK(log_lines::with(told_by_plain) == 2);
        CHECK(log_lines::with(told_by_tls) == 2);
        CHECK_FALSE(plain.is_linked("secured"));
    });
}

TEST_CASE("plain text: a node that closes without a word is taken for an older one of TLS",
          "[remote][plain_text]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        auto older = rt::net::tcp_listener::bind(rt::net::endpoint::loopback(0));
        REQUIRE(older);
        const auto b = start(worker, quick_plain_text("b")
                                         .links(once_and_slow())
                                         .peer("a", older->local_endpoint()->to_string()));
        {
            auto accepted = co_await older->accept();
            REQUIRE(accepted);
            auto received = co_await accepted->next();
            REQUIRE(received);
            CHECK(received->bytes().size() > 12);  // The hello, which nobody asked for.
        }
        const bool told = co_await eventually(
            [] { return log_lines::with("this node speaks plain text; does that one TLS?") == 1; });
        INFO(log_lines::all());
        CHECK(told);
    });
}

TEST_CASE("plain text: a node with a secret is not started", "[remote][plain_text]") {
    const log_lines log;
    heph::testing::step_executor run(heph::testing::schedule::in_order());
    const auto refused =
        remote::start_stepped(run, quick_plain_text("a").also_accept(shared_secret()));
    REQUIRE(!refused);
    CHECK(refused.error().code() == std::errc::invalid_argument);
    CHECK(refused.error().message().contains("insecure_plain_text"));
    CHECK(log_lines::with(the_warning) == 0);
}

TEST_CASE("plain text: strangers are turned away with one line each", "[remote][plain_text]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::link_settings links = quick_links();
        links.handshake_time = 3000ms;
        const auto a = start(worker, quick_plain_text("a").links(links).listen("127.0.0.1:0"));
        const auto b = start(worker, quick_plain_text("b").peer("a", a.address()));
        const bool linked = co_await eventually([&] { return a.is_linked("b"); });
        REQUIRE(linked);
        struct attempt {
            std::vector<std::byte> words;
            std::string_view told;
            bool is_answered;
        };
        std::vector<attempt> attempts;
        attempts.emplace_back(words_of("POST / HTTP/1.1\r\nHost: a\r\n\r\n"), "larger frame", true);
        attempts.emplace_back(words_of(std::string(1000, '\xff')), "larger frame", true);
        attempts.emplace_back(words_of(std::string("\0\0\x08\x01\x01", 5)), "larger frame", true);
        attempts.emplace_back(words_of(std::string(4, '\0')), "does not speak", true);
        attempts.emplace_back(words_of(std::string("\0\0\0\x02\x09\x09", 6)), "does not speak",
                              true);
        attempts.emplace_back(words_of("\x16\x03\x01"), "it speaks TLS", true);
        attempts.emplace_back(hello_in_the_clear("x", "c"), "another name", true);
        attempts.emplace_back(hello_in_the_clear("a", "a"), "own name", true);
        attempts.emplace_back(hello_in_the_clear("b", "a"), "is linked already", true);
        attempts.emplace_back(words_of(std::string("\0\0\x01", 3)), "no handshake within", false);
        std::size_t lines = 0;
        for (attempt& each : attempts) {
            auto stranger = co_await stranger_in_the_clear::connect(a.address());
            REQUIRE(stranger);
            const std::size_t before = log_lines::with(each.told);
            const bool said = co_await stranger->say(each.words);
            CHECK(said);
            const bool closed = co_await stranger->wait_for_end();
            CHECK(closed);
            INFO(each.told << "\n" << log_lines::all());
            CHECK(stranger->heard.empty() != each.is_answered);
            ++lines;
            const bool told =
                co_await eventually([&] { return log_lines::with("turned away") == lines; });
            CHECK(told);
            CHECK(log_lines::with(each.told) == before + 1);
        }
        CHECK(a.is_linked("b"));
        CHECK(log_lines::with(": linked to ") == 2);
    });
}

TEST_CASE("plain text: a linked node that breaks the protocol loses its link alone",
          "[remote][plain_text]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto a = start(worker, quick_plain_text("a").listen("127.0.0.1:0"));
        const auto b = start(worker, quick_plain_text("b").peer("a", a.address()));
        const bool first = co_await eventually([&] { return a.is_linked("b"); });
        REQUIRE(first);
        std::vector<std::vector<std::byte>> cases;
        cases.emplace_back(5, std::byte{0xff});  // A declared length of 4 GiB.
        // A ClientHello is no frame, either.
        cases.push_back(words_of("\x16\x03\x01\x02"));
        std::vector<std::byte> gap;
        protocol::frame_writer writer(gap, protocol::frame_type::data);
        writer.u64(2);
        writer.u8(static_cast<std::uint8_t>(protocol::data_kind::call));
        writer.end();
        cases.push_back(std::move(gap));
        for (auto& words : cases) {
            auto stranger = co_await stranger_in_the_clear::connect(a.address());
            REQUIRE(stranger);
            bool said = co_await stranger->say(hello_in_the_clear("c", "a"));
            CHECK(said);
            const bool linked = co_await eventually([&] { return a.is_linked("c"); });
            REQUIRE(linked);
            said = co_await stranger->say(words);
            CHECK(said);
            const bool ended = co_await stranger->wait_for_end();
            CHECK(ended);
            CHECK_FALSE(a.is_linked("c"));
        }
        CHECK(log_lines::with("the link to c") == 3);
        CHECK(a.is_linked("b"));
    });
}

TEST_CASE("plain text: half-open connections are bounded", "[remote][plain_text]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::link_settings links = quick_links();
        links.half_open_max = 1;
        links.handshake_time = 600s;
        const auto a = start(worker, quick_plain_text("a").links(links).listen("127.0.0.1:0"));
        auto one = co_await stranger_in_the_clear::connect(a.address());
        auto two = co_await stranger_in_the_clear::connect(a.address());
        REQUIRE(one);
        REQUIRE(two);
        const bool closed = co_await two->wait_for_end();
        CHECK(closed);
        CHECK(log_lines::with("too many are half-open") == 1);
        one.reset();
        const bool left =
            co_await eventually([] { return log_lines::with("before the handshake") == 1; });
        CHECK(left);
        const auto b = start(worker, quick_plain_text("b").peer("a", a.address()));
        const bool linked = co_await eventually([&] { return a.is_linked("b"); });
        CHECK(linked);
    });
}

TEST_CASE("plain text: settings that lost their secret make no node of plain text",
          "[remote][plain_text]") {
    remote::options settings = quick_options("a");
    CHECK(remote::detail::link_security::make(settings));
    const remote::options taken = std::move(settings);
    CHECK(remote::detail::link_security::make(taken));
    const auto made = remote::detail::link_security::make(settings);  // NOLINT(*use-after-move)
    REQUIRE_FALSE(made);
    CHECK(made.error().message().contains("neither a secret nor a certificate"));
    CHECK(remote::detail::link_security::make(quick_plain_text("a")));
}
