#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/net/unix_messages.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "open_descriptors.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::deadline;
using heph::rt::descriptor_handle;
using heph::rt::net::shutdown_how;
using heph::rt::net::unix_address;
using heph::rt::net::unix_datagram;
using heph::rt::net::unix_listen_options;
using heph::rt::net::unix_seqpacket;
using heph::rt::net::unix_seqpacket_listener;
using heph::rt::net::unix_stream;
using heph::test::open_descriptors;
using heph::test::quiet_setup;
using heph::test::run_on_worker;
using heph::test::run_task;
using heph::test::temporary_folder;

namespace {

unix_address abstract_name(const std::string& name) {
    auto made = unix_address::abstract("heph-" + name + std::to_string(::getpid()));
    REQUIRE(made);
    return std::move(*made);
}

std::pair<unix_datagram, unix_datagram> datagram_pair() {
    auto made = unix_datagram::pair();
    REQUIRE(made);
    return std::move(*made);
}

// A pipe's two ends.
std::pair<descriptor_handle, descriptor_handle> pipe_ends() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    return std::pair(descriptor_handle(ends[0]), descriptor_handle(ends[1]));
}

std::vector<descriptor_handle> only(descriptor_handle descriptor) {
    std::vector<descriptor_handle> made;
    made.push_back(std::move(descriptor));
    return made;
}

// What is written into `in` comes out of `out`.
void check_connected(const descriptor_handle& in, const descriptor_handle& out) {
    REQUIRE(::write(in.get(), "yes", 3) == 3);
    std::array<char, 4> read{};
    REQUIRE(::read(out.get(), read.data(), 3) == 3);
    CHECK(std::string(read.data()) == "yes");
}

}  // namespace

TEST_CASE("unix datagrams: they are kept apart, and tell who sent them", "[rt][unix]") {
    run_task([]() -> task<> {
        const auto address = abstract_name("server");
        auto server = unix_datagram::bind(address);
        REQUIRE(server);
        CHECK(unix_datagram::bind(address).error() == std::errc::address_in_use);
        const auto client_address = abstract_name("client");
        auto client = unix_datagram::bind(client_address);
        REQUIRE(client);
        for (const char* text : {"one", "", "three"}) {
            auto bytes = buffer::copy_of(text);
            const auto sent = co_await client->send_to(std::move(bytes), address);
            REQUIRE(sent);
        }
        for (const char* text : {"one", "", "three"}) {
            auto into = buffer::with_capacity(100);
            const auto arrived = co_await server->recv_from(std::move(into));
            REQUIRE(arrived);
            CHECK(arrived->bytes().view() == text);
            CHECK(arrived->from() == client_address);
        }
        auto nameless = unix_datagram::unbound();
        REQUIRE(nameless);
        REQUIRE_FALSE(nameless->connect(address));
        auto bytes = buffer::copy_of("0123456789");
        const auto sent = co_await nameless->send(std::move(bytes));
        REQUIRE(sent);
        auto into = buffer::with_capacity(4);
        const auto cut = co_await server->recv_from(std::move(into));
        REQUIRE(cut);
        CHECK(cut->from().is_unnamed());
        CHECK(cut->is_truncated());
        CHECK(cut->size() == 10);
        CHECK(cut->bytes().view() == "0123");
    });
}

TEST_CASE("unix datagrams: a sender whose path fills its address does not end the receiving",
          "[rt][unix]") {
    const temporary_folder folder;
    // 108 bytes, behind which there is no room for a zero byte.
    std::string path = (folder / "").string();
    path.resize(108, 'p');
    run_task([path]() -> task<> {
        return [](std::string at) -> task<> {
            const auto address = unix_address::path(at);
            REQUIRE(address);
            auto client = unix_datagram::bind(*address);
            REQUIRE(client);
            const auto told = client->local_address();
            REQUIRE(told);
            CHECK(*told == *address);
            CHECK(unix_datagram::bind(*address).error() == std::errc::address_in_use);
            const auto server_address = abstract_name("patient");
            auto server = unix_datagram::bind(server_address);
            REQUIRE(server);
            auto question = buffer::copy_of("question");
            const auto asked = co_await client->send_to(std::move(question), server_address);
            REQUIRE(asked);
            auto into = buffer::with_capacity(100);
            const auto arrived = co_await server->recv_from(std::move(into));
            REQUIRE(arrived);
            CHECK(arrived->bytes().view() == "question");
            CHECK(arrived->from() == *address);
            auto answer = buffer::copy_of("answer");
            const auto answered = co_await server->send_to(std::move(answer), arrived->from());
            REQUIRE(answered);
            auto room = buffer::with_capacity(100);
            const auto back = co_await client->recv(std::move(room));
            REQUIRE(back);
            CHECK(back->bytes().view() == "answer");
        }(path);
    });
    // Nobody is there any more, but the file is.
    const auto address = unix_address::path(path);
    REQUIRE(address);
    CHECK(unix_datagram::bind(*address).error() == std::errc::address_in_use);
    CHECK(unix_datagram::bind(*address, true));
}

TEST_CASE("unix datagrams: nobody there, no address and a dead peer are errors", "[rt][unix]") {
    const temporary_folder folder;
    run_task([path = (folder / "socket").string()]() -> task<> {
        return [](std::string at) -> task<> {
            const auto address = unix_address::path(at);
            REQUIRE(address);
            auto socket = unix_datagram::unbound();
            REQUIRE(socket);
            auto bytes = buffer::copy_of("x");
            const auto missing = co_await socket->send_to(std::move(bytes), *address);
            REQUIRE_FALSE(missing);
            CHECK(missing.error() == std::errc::no_such_file_or_directory);
            CHECK(socket->connect(*address) == std::errc::no_such_file_or_directory);
            bytes = buffer::copy_of("x");
            const auto nowhere = co_await socket->send_to(std::move(bytes), unix_address());
            REQUIRE_FALSE(nowhere);
            CHECK(nowhere.error() == std::errc::invalid_argument);
            bytes = buffer::copy_of("x");
            const auto unconnected = co_await socket->send(std::move(bytes));
            REQUIRE_FALSE(unconnected);
            CHECK(unconnected.error() == std::errc::not_connected);
            {
                const auto was = unix_datagram::bind(*address);
                REQUIRE(was);
            }
            co_await heph::rt::timer(5ms);  // A dropped socket is closed later than at once.
            bytes = buffer::copy_of("x");
            const auto refused = co_await socket->send_to(std::move(bytes), *address);
            REQUIRE_FALSE(refused);
            CHECK(refused.error() == std::errc::connection_refused);
            CHECK(unix_datagram::bind(*address).error() == std::errc::address_in_use);
            CHECK(unix_datagram::bind(*address, true));
            CHECK(unix_datagram::bind(unix_address()).error() == std::errc::invalid_argument);
        }(path);
    });
}

TEST_CASE("unix datagrams: a sender waits while the receiver's queue is full", "[rt][unix]") {
    run_on_worker(quiet_setup(), [](heph::rt::worker& here) {
        static constexpr int count = 2000;
        const auto address = abstract_name("slow");
        auto server = unix_datagram::bind(address);
        REQUIRE(server);
        for (const bool connected : {true, false}) {
            here.spawn_future([](unix_address to, bool connects) -> task<> {
                auto socket = unix_datagram::unbound();
                REQUIRE(socket);
                if (connects) { REQUIRE_FALSE(socket->connect(to)); }
                for (int i = 0; i < count; ++i) {
                    auto bytes = buffer::copy_of("x");
                    if (connects) {
                        const auto sent = co_await socket->send(std::move(bytes));
                        REQUIRE(sent);
                    } else {
                        const auto sent = co_await socket->send_to(std::move(bytes), to);
                        REQUIRE(sent);
                    }
                }
            }(address, connected));
        }
        here.spawn_future([](unix_datagram socket) -> task<> {
            co_await heph::rt::timer(20ms);
            for (int i = 0; i < 2 * count; ++i) {
                auto into = buffer::with_capacity(10);
                const auto arrived = co_await socket.recv(std::move(into));
                REQUIRE(arrived);
                CHECK(arrived->bytes().view() == "x");
            }
        }(std::move(*server)));
    });
}

TEST_CASE("unix datagrams: a send to a full queue is given up at its deadline", "[rt][unix]") {
    run_task([]() -> task<> {
        const auto address = abstract_name("full");
        auto server = unix_datagram::bind(address);
        REQUIRE(server);
        auto client = unix_datagram::unbound();
        REQUIRE(client);
        for (int sent = 0;; ++sent) {
            REQUIRE(sent < 100'000);
            auto bytes = buffer::copy_of("x");
            auto bounded = deadline(50ms, client->send_to(std::move(bytes), address));
            const auto outcome = co_await bounded;
            if (!outcome) { break; }
            REQUIRE(*outcome);
        }
        auto into = buffer::with_capacity(10);
        const auto arrived = co_await server->recv(std::move(into));
        REQUIRE(arrived);
        auto bytes = buffer::copy_of("x");
        auto bounded = deadline(20s, client->send_to(std::move(bytes), address));
        const auto outcome = co_await bounded;
        CHECK(outcome);
    });
}

TEST_CASE("unix seqpacket: records go both ways and end when the peer is gone", "[rt][unix]") {
    run_on_worker(quiet_setup(), [](heph::rt::worker& here) {
        const auto address = abstract_name("records");
        auto listener = unix_seqpacket_listener::bind(address);
        REQUIRE(listener);
        const auto local = listener->local_address();
        REQUIRE(local);
        CHECK(*local == address);
        here.spawn_future([](unix_seqpacket_listener from) -> task<> {
            auto accepted = co_await from.accept();
            REQUIRE(accepted);
            for (;;) {
                auto into = buffer::with_capacity(4);
                auto record = co_await accepted->recv(std::move(into));
                REQUIRE(record);
                if (record->size() == 0) { co_return; }
                CHECK(record->is_truncated() == (record->size() > 4));
                const auto echoed = co_await accepted->send(std::move(record->bytes()));
                REQUIRE(echoed);
            }
        }(std::move(*listener)));
        here.spawn_future([](unix_address to) -> task<> {
            auto stream = co_await unix_seqpacket::connect(std::move(to));
            REQUIRE(stream);
            const auto peer = stream->credentials();
            REQUIRE(peer);
            CHECK(peer->process_id() == ::getpid());
            std::vector<buffer> parts;
            parts.push_back(buffer::copy_of("a"));
            parts.push_back(buffer::copy_of("bc"));
            const auto sent_1 = co_await stream->send_vectored(std::move(parts));
            REQUIRE(sent_1);
            auto bytes = buffer::copy_of("defghi");
            const auto sent_2 = co_await stream->send(std::move(bytes));
            REQUIRE(sent_2);
            for (const char* text : {"abc", "defg"}) {
                std::vector<buffer> into;
                into.push_back(buffer::with_capacity(1));
                into.push_back(buffer::with_capacity(10));
                const auto record = co_await stream->recv_vectored(std::move(into));
                REQUIRE(record);
                CHECK(std::string(record->bytes()[0].view()) +
                          std::string(record->bytes()[1].view()) ==
                      text);
            }
            const auto empty = co_await stream->send(buffer());
            REQUIRE_FALSE(empty);
            CHECK(empty.error() == std::errc::invalid_argument);
            // By whatever call: the peer would take it for the end.
            std::vector<buffer> no_bytes(2);
            const auto empty_parts = co_await stream->send_vectored(std::move(no_bytes));
            REQUIRE_FALSE(empty_parts);
            CHECK(empty_parts.error() == std::errc::invalid_argument);
            std::vector<heph::rt::descriptor_handle> passed;
            passed.emplace_back(::dup(0));
            const auto empty_pass =
                co_await stream->send_with_descriptors(buffer(), std::move(passed));
            REQUIRE_FALSE(empty_pass);
            CHECK(empty_pass.error() == std::errc::invalid_argument);
            CHECK_FALSE(stream->shutdown(shutdown_how::send));
            auto more = buffer::copy_of("x");
            const auto after = co_await stream->send(std::move(more));
            REQUIRE_FALSE(after);
            CHECK(after.error() == std::errc::broken_pipe);
        }(address));
    });
}

TEST_CASE("unix seqpacket: nobody there and nobody listening are errors", "[rt][unix]") {
    const temporary_folder folder;
    run_task([path = (folder / "socket").string()]() -> task<> {
        return [](std::string at) -> task<> {
            const auto address = unix_address::path(at);
            REQUIRE(address);
            const auto missing = co_await unix_seqpacket::connect(*address);
            REQUIRE_FALSE(missing);
            CHECK(missing.error() == std::errc::no_such_file_or_directory);
            {
                const auto was = unix_seqpacket_listener::bind(*address);
                REQUIRE(was);
            }
            co_await heph::rt::timer(5ms);
            const auto refused = co_await unix_seqpacket::connect(*address);
            REQUIRE_FALSE(refused);
            CHECK(refused.error() == std::errc::connection_refused);
            unix_listen_options replacing;
            replacing.replace_stale = true;
            CHECK(unix_seqpacket_listener::bind(*address, replacing));
            const auto unnamed = co_await unix_seqpacket::connect(unix_address());
            REQUIRE_FALSE(unnamed);
            CHECK(unnamed.error() == std::errc::invalid_argument);
        }(path);
    });
}

TEST_CASE("unix descriptors: a pipe's end is passed on, by streams and by messages", "[rt][unix]") {
    const auto before = open_descriptors();
    run_task([]() -> task<> {
        auto [near, far] = datagram_pair();
        auto [out, in] = pipe_ends();
        auto bytes = buffer::copy_of("an end");
        auto passed = only(std::move(in));
        const auto sent = co_await near.send_with_descriptors(std::move(bytes), std::move(passed));
        REQUIRE(sent);
        auto into = buffer::with_capacity(100);
        auto arrived = co_await far.recv_with_descriptors(std::move(into), 2);
        REQUIRE(arrived);
        CHECK(arrived->bytes().view() == "an end");
        CHECK_FALSE(arrived->lost_descriptors());
        REQUIRE(arrived->descriptors().size() == 1);
        CHECK((::fcntl(arrived->descriptors()[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
        check_connected(arrived->descriptors()[0], out);

        auto streams = unix_stream::pair();
        REQUIRE(streams);
        auto copy = heph::rt::duplicate(arrived->descriptors()[0].get());
        REQUIRE(copy);
        auto large = buffer::copy_of(std::string(1000, 'x'));
        auto copies = only(std::move(*copy));
        const auto streamed =
            co_await streams->first.send_with_descriptors(std::move(large), std::move(copies));
        REQUIRE(streamed);
        std::string text;
        std::size_t descriptors = 0;
        while (text.size() < 1000) {
            auto room = buffer::with_capacity(300);
            auto part = co_await streams->second.recv_with_descriptors(std::move(room), 1);
            REQUIRE(part);
            text += part->bytes().view();
            for (const auto& each : part->descriptors()) {
                check_connected(each, out);
                ++descriptors;
            }
        }
        CHECK(descriptors == 1);
        const auto nothing = co_await streams->first.send_with_descriptors(
            buffer(), std::vector<descriptor_handle>());
        REQUIRE_FALSE(nothing);
        CHECK(nothing.error() == std::errc::invalid_argument);
    });
    CHECK(open_descriptors() == before);
}

TEST_CASE("unix descriptors: what nobody expects, or takes, is closed", "[rt][unix]") {
    const auto before = open_descriptors();
    run_task([]() -> task<> {
        auto [near, far] = datagram_pair();
        std::vector<descriptor_handle> two;
        for (int i = 0; i < 2; ++i) {
            auto made = heph::rt::duplicate(0);
            REQUIRE(made);
            two.push_back(std::move(*made));
        }
        auto bytes = buffer::copy_of("two");
        const auto sent = co_await near.send_with_descriptors(std::move(bytes), std::move(two));
        REQUIRE(sent);
        auto into = buffer::with_capacity(100);
        auto arrived = co_await far.recv_with_descriptors(std::move(into), 1);
        REQUIRE(arrived);
        CHECK(arrived->descriptors().size() == 1);
        CHECK(arrived->lost_descriptors());

        // A receive that is dropped after the descriptor came, and before it was looked at.
        for (int round = 0; round < 50; ++round) {
            auto room = buffer::with_capacity(10);
            auto receive = far.recv_with_descriptors(std::move(room), 1);
            auto racing = heph::either(std::move(receive), heph::rt::timer(1ms));
            auto end = heph::rt::duplicate(0);
            REQUIRE(end);
            auto text = buffer::copy_of("x");
            auto passed = only(std::move(*end));
            auto all = heph::either(near.send_with_descriptors(std::move(text), std::move(passed)),
                                    std::move(racing));
            auto outcome = co_await all;
            (void)outcome;
        }
        std::vector<descriptor_handle> many(300);
        auto text = buffer::copy_of("x");
        const auto refused = co_await near.send_with_descriptors(std::move(text), std::move(many));
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == std::errc::invalid_argument);
        std::vector<descriptor_handle> closed(1);
        text = buffer::copy_of("x");
        const auto bad = co_await near.send_with_descriptors(std::move(text), std::move(closed));
        REQUIRE_FALSE(bad);
        CHECK(bad.error() == std::errc::bad_file_descriptor);
    });
    CHECK(open_descriptors() == before);
}
