#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include <heph/core/join.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/fs/paths.hpp>
#include <heph/rt/limited.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "open_descriptors.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::errc;
using heph::test::run_task;
using heph::test::temporary_folder;
namespace fs = heph::rt::fs;

namespace {

std::string contents(const std::filesystem::path& of) {
    std::ifstream file(of, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

task<fs::file> open_file(std::filesystem::path at, fs::open_options options) {
    auto opened = co_await fs::file::open(std::move(at), options);
    if (!opened) { FAIL(opened.error().message()); }
    co_return std::move(*opened);
}

task<> write_text(const fs::file* to, std::string text) {
    auto bytes = buffer::copy_of(text);
    const auto written = co_await to->write_all(std::move(bytes));
    CHECK(written);
}

task<std::string> read_some(const fs::file* from, std::size_t most) {
    auto room = buffer::with_capacity(most);
    const auto read = co_await from->read(std::move(room));
    if (!read) { FAIL(read.error().message()); }
    co_return std::string(read->view());
}

task<> check_position(std::filesystem::path at) {
    const auto options = fs::open_options().read().write().create_new();
    auto file = co_await open_file(at, options);
    co_await write_text(&file, "one ");
    co_await write_text(&file, "two");
    CHECK(contents(at) == "one two");
    const auto again = co_await open_file(at, {});
    const auto first = co_await read_some(&again, 4);
    CHECK(first == "one ");
    const auto second = co_await read_some(&again, 10);
    CHECK(second == "two");
    const auto end = co_await read_some(&again, 10);
    CHECK(end.empty());
}

task<> check_fifo(std::filesystem::path at) {
    REQUIRE(::mkfifo(at.c_str(), 0600) == 0);
    const auto both = co_await open_file(at, fs::open_options().read().write());
    auto all = heph::join(read_some(&both, 10), [](const fs::file* to) -> task<> {
        co_await heph::rt::timer(1ms);
        co_await write_text(to, "fifo");
    }(&both));
    auto outcome = co_await all;
    CHECK(std::get<0>(outcome) == "fifo");
}

task<> check_close(std::filesystem::path at) {
    auto file = co_await open_file(at, fs::open_options().write().create_new());
    co_await write_text(&file, "some");
    const int descriptor = file.descriptor();
    const auto closed = co_await file.close();
    CHECK(closed);
    CHECK_FALSE(file.is_open());
    CHECK(::fcntl(descriptor, F_GETFD) == -1);
    const auto twice = co_await file.close();
    REQUIRE_FALSE(twice);
    CHECK(twice.error() == errc::closed);
    const int stale = ::dup(0);
    REQUIRE(stale >= 0);
    ::close(stale);
    fs::file wrong(stale);
    const auto bad = co_await wrong.close();
    REQUIRE_FALSE(bad);
    CHECK(bad.error() == std::errc::bad_file_descriptor);
}

// Before its first poll, after it, and while a write that was dropped may go on.
task<> drop_closes(std::filesystem::path at) {
    for (int i = 0; i < 60; ++i) {
        auto file = co_await open_file(at, fs::open_options().write().create());
        if (i % 2 == 0) {
            auto bytes = buffer::copy_of(std::string(100'000, 'x'));
            auto writing = heph::rt::deadline(0ms, file.write_at(std::move(bytes), 0));
            (void)co_await writing;
        }
        auto closing = file.close();
        if (i % 3 == 0) { continue; }
        auto once = heph::rt::deadline(0ms, std::move(closing));
        (void)co_await once;
    }
}

task<> check_name(std::filesystem::path in) {
    auto made = co_await fs::create_unnamed(in);
    if (!made) { co_return; }  // The file system has none.
    co_await write_text(&*made, "was unnamed");
    CHECK(std::filesystem::is_empty(in));
    const auto named = co_await made->give_name(in / "named");
    if (!named) { FAIL(named.error().message()); }
    CHECK(contents(in / "named") == "was unnamed");
    const auto taken = co_await made->give_name(in / "named");
    REQUIRE_FALSE(taken);
    CHECK(taken.error() == std::errc::file_exists);
    const auto zero = co_await made->give_name(std::string("a\0b", 3));
    CHECK(zero.error() == std::errc::invalid_argument);
    const fs::file none;
    const auto closed = co_await none.give_name(in / "other");
    CHECK(closed.error() == errc::closed);
}

}  // namespace

TEST_CASE("file: reads and writes without an offset go on where the last one ended",
          "[rt][files]") {
    const temporary_folder folder;
    run_task([&folder] { return check_position(folder / "file"); });
}

TEST_CASE("file: a FIFO is read and written, though it has no position", "[rt][files]") {
    const temporary_folder folder;
    run_task([&folder] { return check_fifo(folder / "fifo"); });
}

TEST_CASE("file: closing it tells how that went, once", "[rt][files]") {
    const temporary_folder folder;
    run_task([&folder] { return check_close(folder / "file"); });
}

TEST_CASE("file: a close that is dropped at any time closes it all the same", "[rt][files]") {
    const temporary_folder folder;
    const auto before = heph::test::open_descriptors();
    run_task([&folder] { return drop_closes(folder / "file"); });
    CHECK(heph::test::comes_true([&] { return heph::test::open_descriptors() <= before; }));
}

TEST_CASE("file: one without a name gets one", "[rt][files]") {
    const temporary_folder folder;
    run_task([&folder] { return check_name(folder.path()); });
}

TEST_CASE("file: what has a limit is read from the file's own position on, which moves along",
          "[rt][file][regression]") {
    const temporary_folder folder;
    run_task([&folder]() -> task<> {
        return [](std::filesystem::path at) -> task<> {
            std::ofstream(at / "file") << "one two three";
            const auto file = co_await open_file(at / "file", {});
            auto four = heph::rt::limit(std::string("> "), 4);
            const auto first = co_await file.read(std::move(four));
            if (!first) { FAIL(first.error().message()); }
            CHECK(*first == "> one ");
            auto three = heph::rt::limit(buffer::with_capacity(100), 3);
            const auto second = co_await file.read_at(std::move(three), fs::file::current_position);
            if (!second) { FAIL(second.error().message()); }
            CHECK(second->view() == "two");
            auto elsewhere = heph::rt::limit(std::string(), 3);
            const auto third = co_await file.read_at(std::move(elsewhere), 0);
            REQUIRE(third);
            CHECK(*third == "one");
            const std::string rest = co_await read_some(&file, 100);
            CHECK(rest == " three");
            auto none = heph::rt::limit(std::string(), 5);
            const auto end = co_await file.read(std::move(none));
            REQUIRE(end);
            CHECK(end->empty());
        }(folder.path());
    });
}
