// Pools of buffers for what is no stream socket: pipes, files, messages over Unix sockets.

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/join.hpp>
#include <heph/rt/buffer_pool.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/net/unix_messages.hpp>
#include <heph/rt/pipe.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "pool_reads.hpp"
#include "stream_pair.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::buffer_pool;
using heph::rt::byte_reader;
using heph::rt::byte_writer;
using heph::rt::deadline;
using heph::rt::descriptor_handle;
using heph::rt::errc;
using heph::rt::when_exhausted;
using heph::rt::fs::file;
using heph::rt::net::unix_address;
using heph::rt::net::unix_datagram;
using heph::rt::net::unix_seqpacket;
using heph::test::all_come_back;
using heph::test::long_text;
using heph::test::new_pool;
using heph::test::read_to_end;
using heph::test::run_task;
using heph::test::temporary_folder;

namespace {

using pipe_ends = std::pair<byte_reader, byte_writer>;

// One that blocks has a thread read, where there is no ring.
pipe_ends new_pipe(bool blocks) {
    if (!blocks) {
        auto made = heph::rt::make_pipe();
        REQUIRE(made);
        return std::move(*made);
    }
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    return {byte_reader(descriptor_handle(ends[0])), byte_writer(descriptor_handle(ends[1]))};
}

task<> write_text(const byte_writer* to, std::string text) {
    auto bytes = buffer::copy_of(text);
    const auto written = co_await to->write_all(std::move(bytes));
    CHECK(written);
}

task<> write_and_close(byte_writer to, std::string text) { co_await write_text(&to, text); }

task<> read_in_order(bool blocks) {
    const auto pool = new_pool({.count = 4, .bytes = 100});
    auto [reader, writer] = new_pipe(blocks);
    {
        co_await write_text(&writer, "hello");
        const auto once = co_await reader.read(pool);
        REQUIRE(once);
        CHECK(once->view() == "hello");
        CHECK(pool.buffers_in_use() == 1);
    }
    CHECK(pool.buffers_in_use() == 0);
    const std::string text = long_text(100'000);
    auto both =
        heph::join(write_and_close(std::move(writer), text), read_to_end(reader.read_many(pool)));
    const auto done = co_await both;
    CHECK(std::get<1>(done) == text);
    co_await all_come_back(&pool);
}

task<> give_up_reading(bool blocks) {
    const auto pool = new_pool({.count = 1, .bytes = 10});
    auto [reader, writer] = new_pipe(blocks);
    {
        const auto late = co_await deadline(2ms, reader.read(pool));
        CHECK_FALSE(late);
    }
    auto receiver = reader.read_many(pool);
    {
        const auto late = co_await deadline(2ms, receiver.next());
        CHECK_FALSE(late);
    }
    co_await write_text(&writer, "kept");
    const auto came = co_await receiver.next();
    REQUIRE(came);
    CHECK(came->view() == "kept");
}

task<> exhaust(bool blocks) {
    const auto pool = new_pool({.count = 1, .bytes = 4, .exhausted = when_exhausted::fail});
    auto [reader, writer] = new_pipe(blocks);
    co_await write_text(&writer, "12345678");
    {
        const auto first = co_await reader.read(pool);
        REQUIRE(first);
        CHECK(first->view() == "1234");
        const auto second = co_await reader.read(pool);
        CHECK((!second && second.error() == std::errc::no_buffer_space));
    }
    const auto second = co_await reader.read(pool);
    REQUIRE(second);
    CHECK(second->view() == "5678");
}

// Gives what waits for a buffer the one that somebody has.
task<> wait_for_buffer(bool blocks) {
    const auto pool = new_pool({.count = 1, .bytes = 4});
    auto [reader, writer] = new_pipe(blocks);
    co_await write_text(&writer, "12345678");
    auto first = co_await reader.read(pool);
    REQUIRE(first);
    auto both = heph::join(reader.read(pool), [](buffer held) -> task<> {
        co_await heph::rt::timer(2ms);
        const buffer gone = std::move(held);
    }(std::move(*first)));
    const auto done = co_await both;
    const auto& second = std::get<0>(done);
    REQUIRE(second);
    CHECK(second->view() == "5678");
}

task<> send_message(const heph::rt::net::unix_messages* to, std::string text) {
    auto bytes = buffer::copy_of(text);
    const auto sent = co_await to->send(std::move(bytes));
    CHECK(sent);
}

}  // namespace

TEST_CASE("buffer_pool: a pipe is read into it, once, and to its end in order",
          "[rt][pool][pipe]") {
    for (const bool blocks : {false, true}) {
        run_task([blocks] { return read_in_order(blocks); });
    }
}

TEST_CASE("buffer_pool: a read of a pipe that is given up loses nothing and leaves its buffer",
          "[rt][pool][pipe]") {
    for (const bool blocks : {false, true}) {
        run_task([blocks] { return give_up_reading(blocks); });
    }
}

TEST_CASE("buffer_pool: a read of a pipe fails, or waits, when there is no buffer",
          "[rt][pool][pipe]") {
    for (const bool blocks : {false, true}) {
        run_task([blocks] { return exhaust(blocks); });
        run_task([blocks] { return wait_for_buffer(blocks); });
    }
}

TEST_CASE("buffer_pool: a closed pipe and a closed file are errors", "[rt][pool][pipe]") {
    run_task([]() -> task<> {
        const auto pool = new_pool({.count = 1, .bytes = 4});
        const byte_reader reader;
        const auto read = co_await reader.read(pool);
        CHECK((!read && read.error() == errc::closed));
        const file nothing;
        const auto from_file = co_await nothing.read_at(pool, 0);
        CHECK((!from_file && from_file.error() == errc::closed));
    });
}

TEST_CASE("buffer_pool: a file is read into it, from an offset on or in order",
          "[rt][pool][file]") {
    const temporary_folder folder;
    std::ofstream(folder / "text") << "0123456789";
    run_task([path = folder / "text"] {
        return [](std::filesystem::path name) -> task<> {
            const auto pool = new_pool({.count = 2, .bytes = 4, .exhausted = when_exhausted::fail});
            const auto opened = co_await file::open(name);
            REQUIRE(opened);
            {
                const auto middle = co_await opened->read_at(pool, 3);
                REQUIRE(middle);
                CHECK(middle->view() == "3456");
                const auto last = co_await opened->read_at(pool, 8);
                REQUIRE(last);
                CHECK(last->view() == "89");
                CHECK(pool.buffers_in_use() == 2);
                const auto none = co_await opened->read_at(pool, 0);
                CHECK((!none && none.error() == std::errc::no_buffer_space));
            }
            CHECK(pool.buffers_in_use() == 0);
            std::string all;
            for (;;) {
                const auto next = co_await opened->read_at(pool, file::current_position);
                if (!next) { FAIL(next.error().message()); }
                if (next->empty()) { break; }
                all += next->view();
            }
            CHECK(all == "0123456789");
            (void)co_await deadline(0ms, opened->read_at(pool, 0));
            co_await all_come_back(&pool);
        }(path);
    });
}

TEST_CASE("buffer_pool: messages over Unix sockets come whole, one or many at a time",
          "[rt][pool][unix]") {
    run_task([]() -> task<> {
        const auto pool = new_pool({.count = 8, .bytes = 16 + 20});
        auto made = unix_datagram::pair();
        REQUIRE(made);
        const auto& [near, far] = *made;
        for (const char* text : {"single", ""}) {
            co_await send_message(&near, text);
            const auto single = co_await far.recv(pool);
            REQUIRE(single);
            CHECK(single->bytes().view() == text);
        }
        {
            auto receiver = far.recv_many(pool);
            const std::vector<std::string> texts{"one", "", std::string(30, 'l'), "last"};
            for (const std::string& each : texts) { co_await send_message(&near, each); }
            for (const std::string& each : texts) {
                const auto came = co_await receiver.next();
                REQUIRE(came);
                CHECK(came->bytes().view() == each.substr(0, 20));
                CHECK(came->size() == each.size());
                CHECK(came->is_truncated() == (each.size() > 20));
            }
        }
        co_await all_come_back(&pool);
        const auto small = new_pool({.count = 1, .bytes = 16});
        const auto refused = co_await far.recv(small);
        CHECK((!refused && refused.error() == std::errc::invalid_argument));
    });
}

TEST_CASE("buffer_pool: datagrams over Unix sockets have their senders", "[rt][pool][unix]") {
    const temporary_folder folder;
    // The longest that there is: without a zero byte behind it.
    std::string sender = folder.path().string() + "/";
    sender.resize(sizeof(sockaddr_un::sun_path), 's');
    run_task([server = (folder / "server").string(), sender] {
        return [](std::string server_name, std::string sender_name) -> task<> {
            const auto pool = new_pool({.count = 4, .bytes = 200});
            const auto at = unix_address::path(server_name);
            const auto from = unix_address::path(sender_name);
            REQUIRE((at && from));
            const auto to = unix_datagram::bind(*at);
            const auto named = unix_datagram::bind(*from);
            const auto unnamed = unix_datagram::unbound();
            REQUIRE((to && named && unnamed));
            auto receiver = to->recv_many_from(pool);
            for (int round = 0; round < 2; ++round) {
                for (const auto* each : {&*named, &*unnamed}) {
                    auto bytes = buffer::copy_of("hello");
                    const auto sent = co_await each->send_to(std::move(bytes), *at);
                    CHECK(sent);
                    std::expected<heph::rt::net::datagram<unix_address>, std::error_code> came =
                        std::unexpected(std::error_code());
                    if (round == 0) {
                        came = co_await to->recv_from(pool);
                    } else {
                        came = co_await receiver.next();
                    }
                    REQUIRE(came);
                    CHECK(came->bytes().view() == "hello");
                    CHECK(came->from() == (each == &*named ? *from : unix_address()));
                }
            }
        }(server, sender);
    });
}

TEST_CASE("buffer_pool: records end with an empty one, given each time", "[rt][pool][unix]") {
    run_task([]() -> task<> {
        const auto pool = new_pool({.count = 4, .bytes = 100});
        auto made = unix_seqpacket::pair();
        REQUIRE(made);
        {
            unix_seqpacket near = std::move(made->first);
            co_await send_message(&near, "one");
            co_await send_message(&near, "two");
        }
        {
            auto receiver = made->second.recv_many(pool);
            for (const char* text : {"one", "two", "", ""}) {
                const auto came = co_await receiver.next();
                REQUIRE(came);
                CHECK(came->bytes().view() == text);
            }
        }
        {
            const auto once = co_await made->second.recv(pool);
            CHECK((once && once->bytes().empty()));
        }
        co_await all_come_back(&pool);
    });
}
