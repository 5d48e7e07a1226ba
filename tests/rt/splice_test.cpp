#include <fcntl.h>

#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include <heph/core/either.hpp>
#include <heph/core/join.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/splice.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "open_descriptors.hpp"
#include "stream_pair.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::byte_reader;
using heph::rt::byte_writer;
using heph::rt::deadline;
using heph::rt::errc;
using heph::rt::make_pipe;
using heph::rt::splice;
using heph::rt::splice_all;
using heph::rt::splice_source;
using heph::rt::splice_target;
using heph::rt::net::unix_stream;
using heph::test::long_text;
using heph::test::new_streams;
using heph::test::run_task;
using heph::test::temporary_folder;
namespace fs = heph::rt::fs;

namespace {

std::pair<byte_reader, byte_writer> new_pipe() {
    auto made = make_pipe();
    REQUIRE(made);
    return std::move(*made);
}

std::string contents(const std::filesystem::path& of) {
    std::ifstream file(of, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

task<> send_and_end(unix_stream to, std::string text) {
    auto bytes = buffer::copy_of(text);
    const auto sent = co_await to.send_all(std::move(bytes));
    CHECK(sent);
}

task<std::string> receive_to_the_end(unix_stream* from) {
    std::string text;
    for (;;) {
        auto chunk = co_await from->next();
        if (!chunk || chunk->empty()) { co_return text; }
        text += chunk->view();
    }
}

// Through a pipe, as long as something comes.
task<> relay(unix_stream from, unix_stream to) {
    auto [out, in] = new_pipe();
    for (;;) {
        const auto came = co_await splice(from, in, 1U << 20U);
        if (!came) { FAIL(came.error().message()); }
        if (*came == 0) { co_return; }
        const auto left = co_await splice_all(out, to, *came);
        if (!left) { FAIL(left.error().message()); }
        CHECK(*left == *came);
    }
}

task<> write_text(const byte_writer* to, std::string text) {
    auto bytes = buffer::copy_of(text);
    const auto written = co_await to->write_all(std::move(bytes));
    CHECK(written);
}

task<fs::file> open_file(std::filesystem::path at, fs::open_options options) {
    auto opened = co_await fs::file::open(std::move(at), options);
    if (!opened) { FAIL(opened.error().message()); }
    co_return std::move(*opened);
}

task<std::string> read_exactly(const byte_reader* from, std::size_t count) {
    auto room = buffer::with_capacity(count);
    auto read = co_await from->read_n(std::move(room), count);
    if (!read) { FAIL(read.error().message()); }
    co_return std::string(read->view());
}

}  // namespace

TEST_CASE("splice: what one stream sends arrives at another through a pipe, whole",
          "[rt][splice]") {
    run_task([]() -> task<> {
        const std::string text = long_text(3'000'000);
        auto [client, front] = new_streams();
        auto [back, server] = new_streams();
        auto all =
            heph::join(send_and_end(std::move(client), text),
                       relay(std::move(front), std::move(back)), receive_to_the_end(&server));
        auto outcome = co_await all;
        CHECK(std::get<2>(outcome) == text);
    });
}

TEST_CASE("splice: a file goes into a pipe from an offset on, and a pipe into a file",
          "[rt][splice]") {
    const temporary_folder folder;
    run_task([&folder]() -> task<> {
        return [](std::filesystem::path at) -> task<> {
            const std::string text = long_text(200'000);
            std::ofstream(at / "source") << text;
            const auto source = co_await open_file(at / "source", {});
            const auto copy =
                co_await open_file(at / "copy", fs::open_options().write().create_new());
            auto [out, in] = new_pipe();
            std::uint64_t moved = 0;
            for (;;) {
                const splice_source from(source, 1000 + moved);
                const auto into = co_await splice(from, in, 50'000);
                if (!into) { FAIL(into.error().message()); }
                if (*into == 0) { break; }
                const splice_target to(copy, 10 + moved);
                const auto onward = co_await splice_all(out, to, *into);
                if (!onward) { FAIL(onward.error().message()); }
                REQUIRE(*onward == *into);
                moved += *onward;
            }
            CHECK(moved == text.size() - 1000);
            CHECK(contents(at / "copy") == std::string(10, '\0') + text.substr(1000));
        }(folder.path());
    });
}

TEST_CASE("splice: without an offset a file's own position moves along", "[rt][splice]") {
    const temporary_folder folder;
    run_task([&folder]() -> task<> {
        return [](std::filesystem::path at) -> task<> {
            std::ofstream(at / "source") << "one two three";
            const auto source = co_await open_file(at / "source", {});
            auto [out, in] = new_pipe();
            const auto first = co_await splice_all(source, in, 4);
            REQUIRE(first);
            CHECK(*first == 4);
            const auto second = co_await splice_all(source, in, 100);
            REQUIRE(second);
            CHECK(*second == 9);
            const auto read = co_await read_exactly(&out, 13);
            CHECK(read == "one two three");
        }(folder.path());
    });
}

TEST_CASE("splice: it waits for bytes, and for room in a pipe that is full", "[rt][splice]") {
    run_task([]() -> task<> {
        auto [from, to] = new_pipe();
        auto [out, in] = new_pipe();
        const std::string text = long_text(1'000'000);
        auto all = heph::join(
            [](byte_writer end, std::string bytes) -> task<> {
                co_await heph::rt::timer(1ms);
                co_await write_text(&end, bytes);
            }(std::move(to), text),
            splice_all(from, in, text.size() + 1),
            [](const byte_reader* end, std::size_t bytes) -> task<std::string> {
                co_await heph::rt::timer(3ms);
                co_return co_await read_exactly(end, bytes);
            }(&out, text.size()));
        auto outcome = co_await all;
        REQUIRE(std::get<1>(outcome));
        CHECK(*std::get<1>(outcome) == text.size());  // One more was asked for than there is.
        CHECK(std::get<2>(outcome) == text);
    });
}

TEST_CASE("splice: a peer that does not read keeps nobody from writing to the pipe",
          "[rt][splice]") {
    run_task([]() -> task<> {
        auto [stream, peer] = new_streams();
        auto [out, in] = new_pipe();
        // All of them come to an end: the last one by its deadline, when stream and pipe are full.
        const auto write_until_full = [](const byte_writer* end) -> task<int> {
            for (int written = 0;; ++written) {
                auto bytes = buffer::copy_of(long_text(40'000));
                auto wrote = co_await deadline(100ms, end->write_all(std::move(bytes)));
                if (!wrote) { co_return written; }
                CHECK(*wrote);
            }
        };
        auto first =
            co_await heph::either(splice_all(out, stream, 100'000'000), write_until_full(&in));
        REQUIRE(first.index() == 1);
        CHECK(std::get<1>(first) > 2);
    });
}

TEST_CASE("splice: nothing is asked for, and nothing is waited for", "[rt][splice]") {
    run_task([]() -> task<> {
        auto [from, to] = new_pipe();
        auto [out, in] = new_pipe();
        const auto none = co_await splice(from, in, 0);
        REQUIRE(none);
        CHECK(*none == 0);
    });
}

TEST_CASE("splice: one that was dropped while it waited takes no bytes that come later",
          "[rt][splice]") {
    run_task([]() -> task<> {
        auto [from, to] = new_pipe();
        auto [stream, peer] = new_streams();
        {
            auto waiting = deadline(2ms, splice(from, stream, 100));
            const auto nothing = co_await waiting;
            CHECK_FALSE(nothing);
        }
        // And the other way round, of a full pipe.
        auto [out, in] = new_pipe();
        const auto room = ::fcntl(in.descriptor(), F_GETPIPE_SZ);
        co_await write_text(&in, std::string(static_cast<std::size_t>(room), 'f'));
        co_await write_text(&to, "later");
        {
            auto full = deadline(2ms, splice(from, in, 5));
            const auto no_room = co_await full;
            CHECK_FALSE(no_room);
        }
        const auto read = co_await read_exactly(&from, 5);
        CHECK(read == "later");
    });
}

TEST_CASE("splice: dropped with its ends at any time, it leaves no descriptor open",
          "[rt][splice]") {
    const auto before = heph::test::open_descriptors();
    run_task([]() -> task<> {
        for (int i = 0; i < 200; ++i) {
            auto [from, to] = new_pipe();
            auto [stream, peer] = new_streams();
            if (i % 2 == 0) { co_await write_text(&to, "some"); }
            auto moving = deadline(i % 3 * 1ms, splice(from, stream, 100));
            (void)co_await moving;
        }
    });
    CHECK(heph::test::comes_true([&] { return heph::test::open_descriptors() <= before; }));
}

TEST_CASE("splice: two ends without a pipe, closed ends and a stream read ahead are errors",
          "[rt][splice]") {
    run_task([]() -> task<> {
        auto [from, to] = new_pipe();
        auto [one, other] = new_streams();
        auto bytes = buffer::copy_of("some");
        const auto sent = co_await other.send_all(std::move(bytes));
        CHECK(sent);
        const auto no_pipe = co_await splice(one, one, 10);
        REQUIRE_FALSE(no_pipe);
        CHECK(no_pipe.error() == std::errc::invalid_argument);
        const auto closed = co_await splice(byte_reader(), one, 10);
        CHECK(closed.error() == errc::closed);
        const auto nowhere = co_await splice(from, unix_stream(), 10);
        CHECK(nowhere.error() == errc::closed);
        const fs::file none;
        const auto no_file = co_await splice(none, to, 10);
        CHECK(no_file.error() == errc::closed);
        const auto chunk = co_await one.next();
        CHECK(chunk);
        const auto ahead = co_await splice(one, to, 10);
        REQUIRE_FALSE(ahead);
        CHECK(ahead.error() == errc::conflicting_operation);
    });
}

TEST_CASE("splice: two ends that nothing can be moved between are refused before anything comes",
          "[rt][splice][regression]") {
    const temporary_folder folder;
    run_task([&folder]() -> task<> {
        return [](std::filesystem::path at) -> task<> {
            const auto refused = [](splice_source from, splice_target to) -> task<bool> {
                auto moving = deadline(10s, splice(from, to, 10));
                const auto moved = co_await moving;
                co_return moved && !*moved && moved->error() == std::errc::invalid_argument;
            };
            auto [one, other] = new_streams();
            auto [stream, peer] = new_streams();
            const bool sockets = co_await refused(one, stream);
            CHECK(sockets);
            auto [from, to] = new_pipe();
            const bool same_pipe = co_await refused(from, to);
            CHECK(same_pipe);
            const auto options = fs::open_options().read().write().create_new();
            const auto file = co_await open_file(at / "file", options);
            const bool from_file = co_await refused(file, one);
            CHECK(from_file);
            const bool to_file = co_await refused(one, file);
            CHECK(to_file);
        }(folder.path());
    });
}

TEST_CASE("splice: who reads no more is an error, and no signal", "[rt][splice]") {
    // Signals are left to the program, where SIGPIPE ends it.
    run_task([]() -> task<> {
        auto [from, to] = new_pipe();
        co_await write_text(&to, "some");
        {
            auto [out, in] = new_pipe();
            out = byte_reader();
            co_await heph::rt::timer(5ms);  // A dropped descriptor is closed later than at once.
            const auto broken = co_await splice(from, in, 4);
            REQUIRE_FALSE(broken);
            CHECK(broken.error() == std::errc::broken_pipe);
        }
        auto [stream, peer] = new_streams();
        peer = unix_stream();
        co_await heph::rt::timer(5ms);
        const auto gone = co_await splice(from, stream, 4);
        REQUIRE_FALSE(gone);
        CHECK(gone.error() == std::errc::broken_pipe);
    });
}

TEST_CASE("splice: outside of a worker it is an error", "[rt][splice]") {
    auto ends = new_pipe();
    auto future = splice(ends.first, ends.second, 1);
    const auto outcome = future.poll(heph::waker());
    REQUIRE(outcome.is_ready());
    CHECK(outcome.value().error() == errc::no_worker);
}
