#include <heph/rt/limited.hpp>

#include <sys/socket.h>

#include <fstream>
#include <limits>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/join.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/pipe.hpp>
#include <heph/rt/static_storage.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "stream_pair.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::deadline;
using heph::rt::errc;
using heph::rt::limit;
using heph::rt::static_storage;
using heph::rt::net::unix_stream;
using heph::test::new_streams;
using heph::test::run_task;
using heph::test::send_text;
using heph::test::temporary_folder;

namespace {

std::string text_of(const auto& bytes) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

constinit static_storage<16> storage;
constinit std::array<std::byte, 16> static_bytes{};

}  // namespace

TEST_CASE("limited: a receive adds at most as much to what holds bytes, and leaves the rest",
          "[rt][limited]") {
    run_task([]() -> task<> {
        auto [client, server] = new_streams();
        co_await send_text(&client, "abcdefghijklmnopqrst");
        std::string text = "so: ";
        auto into_text = limit(std::move(text), 3);
        const auto first = co_await server.recv(std::move(into_text));
        REQUIRE(first);
        CHECK(*first == "so: abc");
        auto into_bytes = limit(std::vector<std::byte>(1, std::byte{'-'}), 2);
        const auto second = co_await server.recv(std::move(into_bytes));
        REQUIRE(second);
        CHECK(text_of(*second) == "-de");
        auto into_buffer = limit(buffer::with_capacity(100), 4);
        const auto third = co_await server.recv(std::move(into_buffer));
        REQUIRE(third);
        CHECK(third->view() == "fghi");
        auto into_chars = limit(std::vector<char>(), 1);
        const auto fourth = co_await server.recv(std::move(into_chars));
        REQUIRE(fourth);
        CHECK(text_of(*fourth) == "j");
        auto into_span = limit(std::span<std::byte>(static_bytes), 5);
        const auto fifth = co_await server.recv(std::move(into_span));
        REQUIRE(fifth);
        CHECK(fifth->data() == static_bytes.data());
        CHECK(text_of(*fifth) == "klmno");
        auto rest = limit(std::string(), 100);
        const auto sixth = co_await server.recv(std::move(rest));
        REQUIRE(sixth);
        CHECK(*sixth == "pqrst");
        client = unix_stream();
        auto beyond = limit(std::string("kept"), 100);
        const auto end = co_await server.recv(std::move(beyond));
        REQUIRE(end);
        CHECK(*end == "kept");
    });
}

TEST_CASE("limited: a limit beyond what memory can hold throws, and does not wrap around",
          "[rt][limited][regression]") {
    run_task([]() -> task<> {
        constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();
        auto [client, server] = new_streams();
        auto ends = heph::rt::make_pipe();
        REQUIRE(ends);
        // With the ten bytes that are there already, each is more than a size can say.
        for (const std::size_t most : {no_limit, no_limit - 1, no_limit - 9}) {
            auto ten = buffer::copy_of("ten  bytes");
            CHECK_THROWS_AS(server.recv(limit(std::move(ten), most)), std::bad_alloc);
            CHECK_THROWS(server.recv(limit(std::string(10, 'x'), most)));
            CHECK_THROWS(server.recv(limit(std::vector<std::byte>(10), most)));
            CHECK_THROWS(ends->first.read(limit(std::vector<char>(10), most)));
        }
        // A span has what room it has.
        co_await send_text(&client, "in a span");
        auto all = limit(std::span<std::byte>(static_bytes), no_limit);
        const auto received = co_await server.recv(std::move(all));
        REQUIRE(received);
        CHECK(text_of(*received) == "in a span");
    });
}

TEST_CASE("limited: pipes and files are read up to a limit, too", "[rt][limited]") {
    const temporary_folder folder;
    std::ofstream(folder / "file") << "0123456789";
    run_task([path = folder / "file"]() -> task<> {
        return [](std::filesystem::path at) -> task<> {
            auto ends = heph::rt::make_pipe();
            REQUIRE(ends);
            auto written = buffer::copy_of("pipe");
            const auto done = co_await ends->second.write_all(std::move(written));
            CHECK(done);
            auto some = limit(std::string(), 2);
            const auto read = co_await ends->first.read(std::move(some));
            REQUIRE(read);
            CHECK(*read == "pi");
            const auto file = co_await heph::rt::fs::file::open(at);
            REQUIRE(file);
            auto three = limit(std::string(), 3);
            const auto part = co_await file->read_at(std::move(three), 4);
            REQUIRE(part);
            CHECK(*part == "456");
        }(path);
    });
}

TEST_CASE("limited: no room, and what is closed, are errors; a dropped one keeps its memory",
          "[rt][limited]") {
    run_task([]() -> task<> {
        auto [client, server] = new_streams();
        auto no_bytes = limit(std::string("x"), 0);
        const auto nothing = co_await server.recv(std::move(no_bytes));
        REQUIRE_FALSE(nothing);
        CHECK(nothing.error() == std::errc::invalid_argument);
        unix_stream none;
        auto some = limit(std::string(), 5);
        const auto closed = co_await none.recv(std::move(some));
        CHECK(closed.error() == errc::closed);
        {
            auto more = limit(std::string(), 50'000);
            auto waiting = deadline(1ms, server.recv(std::move(more)));
            const auto late = co_await waiting;
            CHECK_FALSE(late);
        }
        co_await send_text(&client, "later");
        auto after = limit(std::string(), 50);
        const auto received = co_await server.recv(std::move(after));
        REQUIRE(received);
        CHECK(*received == "later");
    });
}

TEST_CASE("static_storage: it is one buffer at a time, without memory of its own",
          "[rt][limited]") {
    run_task([]() -> task<> {
        auto [client, server] = new_streams();
        for (int i = 0; i < 3; ++i) {
            auto taken = storage.take();
            REQUIRE(taken);
            CHECK((taken->capacity() == 16 && taken->empty() && !taken->is_shared()));
            const auto* const at = taken->data();
            CHECK_FALSE(storage.take());
            co_await send_text(&client, "static");
            auto received = co_await server.recv(std::move(*taken));
            REQUIRE(received);
            CHECK(received->data() == at);
            CHECK(received->view() == "static");
            received->clear();
            CHECK(received->capacity() == 16);
            CHECK_FALSE(storage.take());
        }
        // Grown beyond it, a buffer has memory of its own.
        auto taken = storage.take();
        REQUIRE(taken);
        taken->append("more than sixteen bytes");
        CHECK(taken->view() == "more than sixteen bytes");
        CHECK(storage.take());
    });
}

TEST_CASE("stream: one send may be short, and says how much was sent", "[rt][stream]") {
    run_task([]() -> task<> {
        auto [client, server] = new_streams();
        auto small = buffer::copy_of("small");
        const auto whole = co_await client.send_some(std::move(small));
        REQUIRE(whole);
        CHECK((whole->count() == 5 && whole->bytes().view() == "small"));
        // More than the socket holds: a part of it goes, and then there is no room.
        std::size_t sent = 0;
        for (;;) {
            auto large = buffer::copy_of(std::string(1'000'000, 'l'));
            auto once = deadline(20ms, client.send_some(std::move(large)));
            const auto outcome = co_await once;
            if (!outcome) { break; }
            REQUIRE(*outcome);
            CHECK((**outcome).count() > 0);
            sent += (**outcome).count();
        }
        CHECK(sent < 1'000'000);
        unix_stream none;
        const auto closed = co_await none.send_some(buffer());
        CHECK(closed.error() == errc::closed);
        server = unix_stream();
        co_await heph::rt::timer(5ms);
        auto more = buffer::copy_of("x");
        const auto broken = co_await client.send_some(std::move(more));
        CHECK_FALSE(broken);
    });
}

TEST_CASE("stream: what is tried to be sent is on its way at once, as far as there is room",
          "[rt][stream]") {
    run_task([]() -> task<> {
        auto [client, server] = new_streams();
        const auto bytes_of = [](std::string_view text) {
            return std::as_bytes(std::span(text.data(), text.size()));
        };
        CHECK(client.try_send(bytes_of("small")) == 5U);
        // It is there before the worker has asked the kernel for anything.
        char there[16] = {};
        CHECK(::recv(server.descriptor(), there, sizeof(there), MSG_DONTWAIT) == 5);
        CHECK(std::string_view(there) == "small");
        const std::string large(1'000'000, 'l');
        std::size_t sent = 0;
        for (;;) {
            const auto count = client.try_send(bytes_of(large));
            REQUIRE(count);
            if (*count == 0) { break; }
            sent += *count;
        }
        CHECK(sent > 0);
        CHECK(sent < large.size());
        unix_stream none;
        CHECK(none.try_send(bytes_of("x")).error() == errc::closed);
        server = unix_stream();
        co_await heph::rt::timer(5ms);
        CHECK(client.try_send(bytes_of("x")).error() == std::errc::broken_pipe);
    });
}

TEST_CASE("stream: an exact receive fills several buffers, and no more than it was asked for",
          "[rt][stream]") {
    run_task([]() -> task<> {
        auto [client, server] = new_streams();
        std::vector<buffer> into;
        for (const std::size_t room : {2U, 3U, 10U}) {
            into.push_back(buffer::with_capacity(room));
        }
        auto both =
            heph::join(server.recv_n_vectored(std::move(into), 7), [](unix_stream* to) -> task<> {
                for (const char* part : {"a", "bcd", "efghi"}) {
                    co_await send_text(to, part);
                    co_await heph::rt::timer(1ms);
                }
            }(&client));
        auto outcome = co_await both;
        const auto& received = std::get<0>(outcome);
        REQUIRE(received);
        CHECK((*received)[0].view() == "ab");
        CHECK((*received)[1].view() == "cde");
        CHECK((*received)[2].view() == "fg");
        std::vector<buffer> little;
        little.push_back(buffer::with_capacity(2));
        const auto too_much = co_await server.recv_n_vectored(std::move(little), 3);
        CHECK(too_much.error() == std::errc::invalid_argument);
        client = unix_stream();
        std::vector<buffer> more;
        more.push_back(buffer::with_capacity(10));
        const auto ended = co_await server.recv_n_vectored(std::move(more), 10);
        REQUIRE_FALSE(ended);
        CHECK(ended.error() == errc::unexpected_end);
    });
}
