#include <fcntl.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include <heph/core/join.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/pipe.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::byte_reader;
using heph::rt::byte_writer;
using heph::rt::deadline;
using heph::rt::descriptor_handle;
using heph::rt::errc;
using heph::test::quiet_setup;
using heph::test::run_task;
using heph::test::temporary_folder;

namespace {

std::pair<byte_reader, byte_writer> pipe_ends() {
    auto made = heph::rt::make_pipe();
    REQUIRE(made);
    return std::move(*made);
}

task<std::string> read_all(const byte_reader* from) {
    auto bytes = buffer::with_capacity(65'536);
    std::string text;
    for (;;) {
        auto read = co_await from->read(std::move(bytes));
        if (!read) { FAIL(read.error().message()); }
        if (read->empty()) { co_return text; }
        text += read->view();
        bytes = std::move(*read);
        bytes.clear();
    }
}

task<> write_text(byte_writer to, std::string text) {
    auto bytes = buffer::copy_of(text);
    const auto written = co_await to.write_all(std::move(bytes));
    if (!written) { FAIL(written.error().message()); }
}

// One end reads what is written to the other, more than a pipe holds.
task<> check_transfer(byte_reader from, byte_writer to) {
    const std::string text(1'000'000, 'p');
    auto both = heph::join(write_text(std::move(to), text), read_all(&from));
    auto outcome = co_await both;
    CHECK(std::get<1>(outcome) == text);
}

}  // namespace

TEST_CASE("pipe: what is written to one end is read from the other, then the end", "[rt][pipe]") {
    run_task([]() -> task<> {
        auto ends = pipe_ends();
        co_await check_transfer(std::move(ends.first), std::move(ends.second));
    });
}

TEST_CASE("pipe: ends that block, or do not, made elsewhere work alike", "[rt][pipe]") {
    for (const int flags : {O_CLOEXEC, O_CLOEXEC | O_NONBLOCK}) {
        run_task([flags]() -> task<> {
            std::array<int, 2> ends{};
            REQUIRE(::pipe2(ends.data(), flags) == 0);
            return check_transfer(byte_reader(descriptor_handle(ends[0])),
                                  byte_writer(descriptor_handle(ends[1])));
        });
    }
}

TEST_CASE("pipe: an exact read waits for all of it, or tells the end", "[rt][pipe]") {
    run_task([]() -> task<> {
        auto [from, to] = pipe_ends();
        auto into = buffer::with_capacity(10);
        auto both = heph::join(from.read_n(std::move(into), 6), [](byte_writer* end) -> task<> {
            for (const char* part : {"ab", "cd", "efgh"}) {
                auto bytes = buffer::copy_of(part);
                const auto written = co_await end->write_all(std::move(bytes));
                REQUIRE(written);
                co_await heph::rt::timer(1ms);
            }
            *end = byte_writer();
        }(&to));
        auto outcome = co_await both;
        REQUIRE(std::get<0>(outcome));
        CHECK(std::get<0>(outcome)->view() == "abcdef");
        auto more = buffer::with_capacity(10);
        const auto ended = co_await from.read_n(std::move(more), 3);
        REQUIRE_FALSE(ended);
        CHECK(ended.error() == errc::unexpected_end);
    });
}

TEST_CASE("pipe: a read that waits ends at its deadline, and a full pipe's write, too",
          "[rt][pipe]") {
    run_task([]() -> task<> {
        auto [from, to] = pipe_ends();
        auto into = buffer::with_capacity(10);
        auto reading = deadline(2ms, from.read(std::move(into)));
        const auto nothing = co_await reading;
        CHECK_FALSE(nothing);
        auto bytes = buffer::copy_of(std::string(1'000'000, 'x'));
        auto writing = deadline(2ms, to.write_all(std::move(bytes)));
        const auto full = co_await writing;
        CHECK_FALSE(full);
    });
}

TEST_CASE("pipe: nobody who reads, no room and closed ends are errors", "[rt][pipe]") {
    run_task(heph::rt::setup{}.name("test"), []() -> task<> {
        auto [from, to] = pipe_ends();
        const auto no_room = co_await from.read(buffer());
        CHECK(no_room.error() == std::errc::invalid_argument);
        from = byte_reader();
        co_await heph::rt::timer(5ms);  // A dropped descriptor is closed later than at once.
        auto bytes = buffer::copy_of("x");
        const auto broken = co_await to.write_all(std::move(bytes));
        REQUIRE_FALSE(broken);
        CHECK(broken.error() == std::errc::broken_pipe);
        auto room = buffer::with_capacity(1);
        const auto closed = co_await from.read(std::move(room));
        CHECK(closed.error() == errc::closed);
        const byte_writer none;
        const auto unwritten = co_await none.write_all(buffer());
        CHECK(unwritten.error() == errc::closed);
    });
}

TEST_CASE("pipe: where signals are left to the program nobody who reads is an error, and no signal",
          "[rt][pipe][regression]") {
    static std::atomic<int> raised{0};
    const auto before = std::signal(SIGPIPE, [](int) { ++raised; });
    run_task([]() -> task<> {
        auto [from, to] = pipe_ends();
        from = byte_reader();
        co_await heph::rt::timer(5ms);  // A dropped descriptor is closed later than at once.
        auto bytes = buffer::copy_of("x");
        const auto broken = co_await to.write_all(std::move(bytes));
        REQUIRE_FALSE(broken);
        CHECK(broken.error() == std::errc::broken_pipe);
    });
    (void)std::signal(SIGPIPE, before);
    CHECK(raised == 0);
}

TEST_CASE("pipe: out of descriptors none can be made", "[rt][pipe]") {
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit none = before;
    none.rlim_cur = 3;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    const auto made = heph::rt::make_pipe();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    REQUIRE_FALSE(made);
    CHECK(made.error() == std::errc::too_many_files_open);
}

TEST_CASE(
    "pipe: a regular file, as input may be redirected from, is read to its end and written "
    "to",
    "[rt][pipe]") {
    const temporary_folder folder;
    const std::filesystem::path path = folder / "file";
    std::ofstream(path) << "from a file";
    run_task([&path]() -> task<> {
        return [](std::filesystem::path p) -> task<> {
            const descriptor_handle input(::open(p.c_str(), O_RDONLY | O_CLOEXEC));
            REQUIRE(input.is_open());
            const auto reader = byte_reader::borrow(input.get());
            const auto text = co_await read_all(&reader);
            CHECK(text == "from a file");
            const descriptor_handle output(::open(p.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
            REQUIRE(output.is_open());
            co_await write_text(byte_writer::borrow(output.get()), ", and back");
        }(path);
    });
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    CHECK(line == "from a file, and back");
}

namespace {

// Waits for a line that does not come, and gives it up.
task<bool> gives_up(const byte_reader* from) {
    auto room = buffer::with_capacity(100);
    auto waiting = deadline(2ms, from->read(std::move(room)));
    const auto line = co_await waiting;
    co_return !line;
}

task<std::string> line_of(const byte_reader* from) {
    auto room = buffer::with_capacity(100);
    auto reading = deadline(20s, from->read(std::move(room)));
    auto line = co_await reading;
    co_return line && *line ? std::string((*line)->view()) : "nothing";
}

std::pair<byte_reader, byte_writer> terminal_ends() {
    int terminal = -1;
    int user = -1;
    REQUIRE(::openpty(&user, &terminal, nullptr, nullptr, nullptr) == 0);
    return {byte_reader(descriptor_handle(terminal)), byte_writer(descriptor_handle(user))};
}

}  // namespace

TEST_CASE("pipe: a terminal is read line by line, and a read given up takes nobody's line",
          "[rt][pipe]") {
    run_task([]() -> task<> {
        auto [from, keys] = terminal_ends();
        for (int i = 0; i < 20; ++i) {
            const bool early = co_await gives_up(&from);
            CHECK(early);
            co_await write_text(byte_writer::borrow(keys.descriptor()), "a line\n");
            const auto line = co_await line_of(&from);
            REQUIRE(line == "a line\n");
        }
    });
}

TEST_CASE("pipe: several reads that wait for a terminal each get a line", "[rt][pipe]") {
    run_task([]() -> task<> {
        auto [from, keys] = terminal_ends();
        for (int i = 0; i < 20; ++i) {
            auto both = heph::join(line_of(&from), line_of(&from), [](byte_writer to) -> task<> {
                co_await write_text(byte_writer::borrow(to.descriptor()), "one\n");
                co_await heph::rt::timer(1ms);
                co_await write_text(byte_writer::borrow(to.descriptor()), "two\n");
            }(byte_writer::borrow(keys.descriptor())));
            auto lines = co_await both;
            const std::string& first = std::get<0>(lines);
            const std::string& second = std::get<1>(lines);
            const bool each_has_one =
                (first == "one\n" && second == "two\n") || (first == "two\n" && second == "one\n");
            CAPTURE(first, second);
            REQUIRE(each_has_one);
        }
    });
}

TEST_CASE("stdio: the standard streams are those of the process", "[rt][pipe]") {
    CHECK(heph::rt::standard_input().descriptor() == 0);
    CHECK(heph::rt::standard_output().descriptor() == 1);
    CHECK(heph::rt::standard_error().descriptor() == 2);
    {
        const auto output = heph::rt::standard_output();
        CHECK(output.is_open());
    }
    CHECK(::fcntl(1, F_GETFD) >= 0);  // Not closed.
}
