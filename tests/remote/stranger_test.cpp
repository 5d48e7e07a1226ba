// Who has no business at a node's port.

#include <cerrno>
#include <cstdint>
#include <system_error>

#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <heph/core/either.hpp>
#include <heph/remote/codec/codec.hpp>
#include <heph/remote/protocol/frame.hpp>
#include <heph/remote/protocol/handshake.hpp>
#include <heph/remote/protocol/link.hpp>
#include <heph/rt/tls/engine.hpp>

#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::failure;
namespace remote = heph::remote;
namespace protocol = heph::remote::protocol;
namespace rt = heph::rt;

namespace {

// A node "a", linked to "b" all the time.
struct good_link {
    // The links are those of a; b notices nothing of what strangers do.
    explicit good_link(rt::worker worker, const remote::link_settings& links = quick_links())
        : state(std::make_shared<counter_state>()),
          a(start(worker, listening("a").links(links))),
          b(start(worker, quick_options("b").peer("a", a.address()))) {
        a.publish("counter", spawn_counter(worker, state));
    }
    std::shared_ptr<counter_state> state;
    remote::node a;
    remote::node b;
};

rt::net::endpoint endpoint_of(const remote::node& node) {
    return *rt::net::endpoint::parse(node.address());
}

// A connection that says nothing, from an address of its own, and takes nothing of the heap.
class plain_socket {
public:
    plain_socket(const std::string& to, std::size_t number) {
        const auto port = static_cast<std::uint16_t>(std::stoi(to.substr(to.rfind(':') + 1)));
        const auto host = static_cast<std::uint32_t>(number + 1);
        sockaddr_in from{};
        from.sin_family = AF_INET;
        from.sin_addr.s_addr = htonl(0x7f020000U + host);
        sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_port = htons(port);
        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        descriptor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (descriptor_ < 0 ||
            ::bind(descriptor_, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0 ||
            ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) {
            throw std::system_error(errno, std::system_category(), "a socket of a test");
        }
    }
    plain_socket(plain_socket&& other) noexcept
        : descriptor_(std::exchange(other.descriptor_, -1)) {}
    plain_socket& operator=(plain_socket&&) = delete;
    ~plain_socket() {
        if (descriptor_ >= 0) { ::close(descriptor_); }
    }
    [[nodiscard]] bool is_closed() const noexcept {
        pollfd what{descriptor_, POLLRDHUP, 0};
        return ::poll(&what, 1, 0) == 1;
    }

private:
    int descriptor_ = -1;
};

// Sanitizers have an allocator of their own, and say 0.
std::size_t heap_bytes() { return ::mallinfo2().uordblks + ::mallinfo2().hblkhd; }

rlim_t allow_descriptors(rlim_t wanted) {
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = std::max(before, std::min(wanted, limit.rlim_max));
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    return before;
}
void restore_descriptors(rlim_t before) {
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = before;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

// Says something and waits for the other end to close; false when it does not.
heph::task<bool> say(rt::net::endpoint to, std::string words) {
    auto stream = co_await rt::net::tcp_stream::connect(to);
    if (!stream) { co_return false; }
    if (!words.empty()) {
        auto bytes = rt::buffer::copy_of(words);
        const auto sent = co_await stream->send_all(std::move(bytes));
        if (!sent) { co_return false; }
    }
    for (;;) {
        rt::deadline receiving(plenty, stream->next());
        auto received = co_await receiving;
        if (!received) { co_return false; }
        if (!*received || (*received)->empty()) { co_return true; }
    }
}

// Knows the secret, and says whatever it is told to within TLS.
class insider {
public:
    static heph::task<std::optional<insider>> connect(rt::net::endpoint to) {
        auto stream = co_await rt::net::tcp_stream::connect(to);
        auto tls = rt::tls::context::make(rt::tls::psk_config(shared_secret()));
        auto engine = tls->client();
        if (!stream || !engine) { co_return std::nullopt; }
        std::optional<insider> made(insider(std::move(*stream), std::move(*engine)));
        while (!made->engine_.handshake_done()) {
            const bool going = co_await made->turn();
            if (!going) { co_return std::nullopt; }
        }
        co_return made;
    }

    // Sends bytes; false when the connection is gone.
    heph::task<bool> say(std::vector<std::byte> bytes) {
        if (!engine_.write(bytes)) { co_return false; }
        auto out = engine_.take_output();
        const auto sent = co_await stream_.send_all(std::move(out));
        co_return sent.has_value();
    }

    // Sends bytes as they are, behind what is encrypted.
    heph::task<bool> say_in_the_clear(rt::buffer bytes) {
        const auto sent = co_await stream_.send_all(std::move(bytes));
        co_return sent.has_value();
    }

    // Receives until the other end closes; false when it does not.
    heph::task<bool> wait_for_end() {
        for (bool going = true; going;) {
            rt::deadline receiving(plenty, turn());
            const auto received = co_await receiving;
            if (!received) { co_return false; }
            going = *received;
        }
        co_return true;
    }

    // What was received and decrypted.
    std::vector<std::byte> heard;

private:
    insider(rt::net::tcp_stream stream, rt::tls::engine engine)
        : stream_(std::move(stream)), engine_(std::move(engine)) {}

    heph::task<bool> turn() {
        if (engine_.has_output()) {
            auto out = engine_.take_output();
            const auto sent = co_await stream_.send_all(std::move(out));
            if (!sent) { co_return false; }
            if (engine_.handshake_done()) { co_return true; }
        }
        auto received = co_await stream_.next();
        if (!received || received->empty()) { co_return false; }
        if (!engine_.feed(received->bytes())) { co_return false; }
        std::array<std::byte, 4096> some;
        for (;;) {
            const auto count = engine_.read(some);
            if (!count) { co_return false; }
            if (*count == 0) { break; }
            heard.insert(heard.end(), some.begin(),
                         some.begin() + static_cast<std::ptrdiff_t>(*count));
        }
        if (engine_.handshake_done() && engine_.has_output()) {
            auto out = engine_.take_output();
            const auto sent = co_await stream_.send_all(std::move(out));
            if (!sent) { co_return false; }
        }
        co_return !engine_.peer_closed();
    }

    rt::net::tcp_stream stream_;
    rt::tls::engine engine_;
};

// What a node would say first.
std::vector<std::byte> hello_of(std::string name, std::string expected) {
    protocol::identity self{std::move(name), {7, 7}, {}};
    protocol::session_offer offer;
    offer.fresh = {9, 9};
    auto meeting = protocol::handshake::dial(std::move(self), std::move(expected), offer);
    std::vector<std::byte> bytes;
    meeting.take_output(bytes);
    return bytes;
}

// The link of the two nodes did not notice anything.
heph::task<bool> is_undisturbed(const good_link& nodes) {
    auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
    if (!found) { co_return false; }
    const auto total = co_await found->rpc<get_total>(plenty);
    co_return total == 0 && log_lines::with(": linked to ") == 2;
}

}  // namespace

TEST_CASE("stranger: garbage, HTTP and silence are turned away with one line each",
          "[remote][stranger]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::link_settings links = quick_links();
        links.handshake_time = 3000ms;
        const good_link nodes(worker, links);
        const bool linked = co_await eventually([&] { return nodes.b.is_linked("a"); });
        REQUIRE(linked);
        const auto words = {std::string("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                            std::string(1000, '\xff'), std::string(), std::string(100'000, '\x16')};
        std::size_t lines = 0;
        for (const std::string& each : words) {
            const bool closed = co_await say(endpoint_of(nodes.a), each);
            CHECK(closed);
            ++lines;
            const bool told =
                co_await eventually([&] { return log_lines::with("turned away") == lines; });
            INFO(log_lines::all());
            CHECK(told);
        }
        const bool good = co_await is_undisturbed(nodes);
        CHECK(good);
    });
    CHECK(log_lines::with("turned away") == 4);
}

TEST_CASE("stranger: a node with another secret is turned away, and says so once",
          "[remote][stranger]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const good_link nodes(worker);
        remote::options other("c", secret_of("quite another secret, as it happens"));
        remote::link_settings once = quick_links();
        once.pause_min = 60'000ms;
        once.pause_max = 60'000ms;
        other.links(once).peer("a", nodes.a.address());
        const auto c = start(worker, other);
        const bool told = co_await eventually([&] { return log_lines::with("cannot link") == 1; });
        CHECK(told);
        const bool seen = co_await eventually([&] { return log_lines::with("turned away") == 1; });
        CHECK(seen);
        const bool good = co_await is_undisturbed(nodes);
        CHECK(good);
        CHECK_FALSE(c.is_linked("a"));
    });
    INFO(log_lines::all());
    CHECK(log_lines::with("turned away") == 1);
    CHECK(log_lines::with("cannot link") == 1);
    CHECK(log_lines::with("quite another") == 0);  // Nothing of a secret is told.
    CHECK(log_lines::with("a secret that") == 0);
}

TEST_CASE("stranger: hellos with a wrong name, our own name, or what is none are turned away",
          "[remote][stranger]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const good_link nodes(worker);
        const bool linked = co_await eventually([&] { return nodes.a.is_linked("b"); });
        REQUIRE(linked);
        std::vector<std::pair<std::vector<std::byte>, std::string>> cases;
        cases.emplace_back(hello_of("x", "someone else"), "another name");
        cases.emplace_back(hello_of("a", "a"), "own name");
        cases.emplace_back(hello_of("b", "a"), "another node of this name is linked already");
        cases.emplace_back(std::vector<std::byte>(100, std::byte{'x'}), "larger frame");
        cases.emplace_back(std::vector<std::byte>{std::byte{0}, std::byte{0}, std::byte{0},
                                                  std::byte{2}, std::byte{9}, std::byte{9}},
                           "does not speak");
        cases.emplace_back(std::vector<std::byte>(4, std::byte{0}), "does not speak");
        std::size_t lines = 0;
        for (auto& [words, reason] : cases) {
            auto inside = co_await insider::connect(endpoint_of(nodes.a));
            REQUIRE(inside);
            const bool said = co_await inside->say(words);
            CHECK(said);
            const bool ended = co_await inside->wait_for_end();
            CHECK(ended);
            CHECK(inside->heard.size() > 5);  // A reject.
            ++lines;
            const bool told =
                co_await eventually([&] { return log_lines::with("turned away") == lines; });
            INFO(reason << "\n" << log_lines::all());
            CHECK(told);
            CHECK(log_lines::with(reason) >= 1);
        }
        const bool good = co_await is_undisturbed(nodes);
        CHECK(good);
    });
    CHECK(log_lines::with("turned away") == 6);
}

TEST_CASE("stranger: a linked node that breaks the protocol loses its link alone",
          "[remote][stranger]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const good_link nodes(worker);
        std::vector<std::vector<std::byte>> cases;
        // A declared length of 4 GiB, a gap in the sequence, a frame that is cut short.
        cases.emplace_back(5, std::byte{0xff});
        for (const std::uint64_t sequence : {std::uint64_t{2}, std::uint64_t{1}}) {
            std::vector<std::byte> frame;
            protocol::frame_writer writer(frame, protocol::frame_type::data);
            writer.u64(sequence);
            writer.u8(static_cast<std::uint8_t>(protocol::data_kind::call));
            writer.end();
            cases.push_back(std::move(frame));
        }
        for (auto& words : cases) {
            auto inside = co_await insider::connect(endpoint_of(nodes.a));
            REQUIRE(inside);
            bool said = co_await inside->say(hello_of("c", "a"));
            CHECK(said);
            const bool linked = co_await eventually([&] { return nodes.a.is_linked("c"); });
            REQUIRE(linked);
            said = co_await inside->say(words);
            CHECK(said);
            const bool ended = co_await inside->wait_for_end();
            CHECK(ended);
            CHECK_FALSE(nodes.a.is_linked("c"));
        }
        CHECK(log_lines::with("the link to c") == 3);
        CHECK(nodes.a.is_linked("b"));
    });
}

TEST_CASE("stranger: a linked connection does not begin anew with another secret",
          "[remote][stranger]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto older = secret_of("the secret that there was before");
        const auto a = start(worker, listening("a").also_accept(older));
        auto inside = co_await insider::connect(endpoint_of(a));
        REQUIRE(inside);
        const bool said = co_await inside->say(hello_of("c", "a"));
        CHECK(said);
        const bool linked = co_await eventually([&] { return a.is_linked("c"); });
        REQUIRE(linked);
        auto another = rt::tls::context::make(rt::tls::psk_config(older))->client();
        REQUIRE(another);
        auto first_flight = another->take_output();
        const bool sent = co_await inside->say_in_the_clear(std::move(first_flight));
        CHECK(sent);
        const bool ended = co_await inside->wait_for_end();
        CHECK(ended);
        const bool down = co_await eventually([&] { return !a.is_linked("c"); });
        CHECK(down);
    });
    INFO(log_lines::all());
    CHECK(log_lines::with("the link to c") == 1);
    CHECK(log_lines::with("silent for too long") == 0);
    CHECK(log_lines::with("is down: it closed") == 0);
}

TEST_CASE("stranger: half-open connections are bounded", "[remote][stranger]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::link_settings links = quick_links();
        links.half_open_max = 2;
        links.handshake_time = 60s;
        const good_link nodes(worker, links);
        const bool linked = co_await eventually([&] { return nodes.a.is_linked("b"); });
        REQUIRE(linked);
        auto one = co_await rt::net::tcp_stream::connect(endpoint_of(nodes.a));
        auto two = co_await rt::net::tcp_stream::connect(endpoint_of(nodes.a));
        REQUIRE(one);
        REQUIRE(two);
        const auto before = rt::clock::now();
        const bool closed = co_await say(endpoint_of(nodes.a), "");
        CHECK(closed);
        CHECK(rt::clock::now() - before < links.handshake_time);
        CHECK(log_lines::with("half-open") == 1);
        one->shutdown(rt::net::shutdown_how::both);
        two->shutdown(rt::net::shutdown_how::both);
        const bool left =
            co_await eventually([&] { return log_lines::with("before the handshake") == 2; });
        CHECK(left);
        auto inside = co_await insider::connect(endpoint_of(nodes.a));  // There is room again.
        CHECK(inside);
    });
}

namespace {

// Opens so many connections that say nothing, and gives what the heap has then. They are closed at
// the end, and there is room for others.
heph::task<std::size_t> heap_of_half_open(const good_link& nodes, std::size_t many) {
    auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
    REQUIRE(found);
    std::vector<plain_socket> all;
    for (std::size_t i = 0; i < many; ++i) {
        all.emplace_back(nodes.a.address(), i);
        // The node gets a chance to accept them, and others are served meanwhile.
        if (i % 50 != 49) { continue; }
        const auto total = co_await found->rpc<get_total>(plenty);
        CHECK(total == 0);
    }
    const auto turned_away = log_lines::with("too many are half-open");
    const bool full = co_await eventually([&] {
        // One more is turned away once all of them are in.
        const plain_socket more(nodes.a.address(), many);
        return log_lines::with("too many are half-open") > turned_away;
    });
    CHECK(full);
    const std::size_t bytes = heap_bytes();
    all.clear();
    auto inside = co_await insider::connect(endpoint_of(nodes.a));
    for (int tries = 0; !inside && tries < 2000; ++tries) {
        co_await rt::timer(10ms);
        inside = co_await insider::connect(endpoint_of(nodes.a));
    }
    CHECK(inside);
    co_return bytes;
}

}  // namespace

TEST_CASE("stranger: half-open connections by the thousand take little, and no more the next time",
          "[remote][stranger]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        constexpr std::size_t many = 1000;
        remote::link_settings links = quick_links();
        links.half_open_max = many;
        links.handshake_time = 60s;
        const good_link nodes(worker, links);
        const bool linked = co_await eventually([&] { return nodes.a.is_linked("b"); });
        REQUIRE(linked);
        const rlim_t descriptors_before = allow_descriptors(4 * many);
        const std::size_t before = heap_bytes();
        const std::size_t first = co_await heap_of_half_open(nodes, many);
        const std::size_t second = co_await heap_of_half_open(nodes, many);
        restore_descriptors(descriptors_before);
        const std::size_t each = (first - before) / many;
        CAPTURE(each, before, first, second);
        CHECK(each < 32 * 1024);
        CHECK(second < first + many * 1024);
        CHECK(nodes.a.is_linked("b"));
    });
}

TEST_CASE("stranger: a flood of strangers is logged within bounds", "[remote][stranger]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const good_link nodes(worker);
        const bool linked = co_await eventually([&] { return nodes.b.is_linked("a"); });
        REQUIRE(linked);
        for (int i = 0; i < 100; ++i) {
            const bool closed = co_await say(endpoint_of(nodes.a), "nonsense");
            CHECK(closed);
        }
        const bool good = co_await is_undisturbed(nodes);
        CHECK(good);
    });
    CHECK(log_lines::with("turned away") >= 20);
    CHECK(log_lines::with("turned away") <= 50);
}

TEST_CASE("stranger: connections of one address that say nothing keep no other address out",
          "[remote][stranger]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::link_settings links = quick_links();
        links.half_open_max = 4;
        links.handshake_time = std::chrono::milliseconds(600s);
        const auto a = start(worker, listening("a").links(links));
        std::vector<plain_socket> silent;
        for (int i = 0; i < 4; ++i) { silent.emplace_back(a.address(), 0); }
        const auto b = start(worker, quick_options("b").peer("a", a.address()));
        const bool linked = co_await eventually([&] { return a.is_linked("b"); });
        CHECK(linked);
        // The oldest one made place, and no more of them.
        const bool closed = co_await eventually([&] { return silent.front().is_closed(); });
        CHECK(closed);
        for (std::size_t i = 1; i < silent.size(); ++i) { CHECK_FALSE(silent[i].is_closed()); }
    });
}
