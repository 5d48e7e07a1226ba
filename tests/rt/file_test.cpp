#include <fcntl.h>
#include <mqueue.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include <heph/core/yield.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/fs/file.hpp>

#include "on_runtime.hpp"
#include "open_descriptors.hpp"
#include "temporary_folder.hpp"

using heph::task;
using heph::rt::buffer;
using heph::rt::errc;
using heph::rt::fs::file;
using heph::rt::fs::open_options;
using heph::test::open_descriptors;
using heph::test::run_task;
using heph::test::temporary_folder;

namespace {

task<std::string> read_all(const file& from) {
    std::string text;
    for (;;) {
        auto read = co_await from.read_at(buffer::with_capacity(7), text.size());
        REQUIRE(read);
        if (read->empty()) { co_return text; }
        text += read->view();
    }
}

}  // namespace

TEST_CASE("file: what is appended and synced is read back", "[rt][file]") {
    const temporary_folder folder;
    run_task([path = folder / "log"]() -> task<> {
        return [](std::filesystem::path p) -> task<> {
            auto log = co_await file::open(p, open_options().append().read().create_new());
            REQUIRE(log);
            const auto done_1 = co_await log->append(buffer::copy_of("hello "));
            CHECK(done_1);
            const auto done_2 = co_await log->append(buffer::copy_of("world"));
            CHECK(done_2);
            const auto done_3 = co_await log->sync_data();
            CHECK(done_3);
            const auto done_4 = co_await log->sync_all();
            CHECK(done_4);
            CHECK(log->size() == 11U);
            const auto text_9 = co_await read_all(*log);
            CHECK(text_9 == "hello world");
            CHECK_FALSE(log->truncate(5));
            const auto text_10 = co_await read_all(*log);
            CHECK(text_10 == "hello");
            const auto done_5 = co_await log->append(buffer::copy_of("!"));
            CHECK(done_5);
            const auto text_11 = co_await read_all(*log);
            CHECK(text_11 == "hello!");
        }(path);
    });
}

TEST_CASE("file: write_at writes where it is told", "[rt][file]") {
    const temporary_folder folder;
    run_task([path = folder / "file"]() -> task<> {
        return [](std::filesystem::path p) -> task<> {
            auto opened = co_await file::open(p, open_options().read().write().create());
            REQUIRE(opened);
            const auto done_6 = co_await opened->write_at(buffer::copy_of("abcdef"), 0);
            CHECK(done_6);
            const auto done_7 = co_await opened->write_at(buffer::copy_of("XY"), 2);
            CHECK(done_7);
            const auto text_12 = co_await read_all(*opened);
            CHECK(text_12 == "abXYef");
            auto again = co_await file::open(p, open_options().write().truncate());
            REQUIRE(again);
            CHECK(again->size() == 0U);
        }(path);
    });
}

TEST_CASE("file: errors are the system's", "[rt][file]") {
    const temporary_folder folder;
    run_task([path = folder.path()]() -> task<> {
        return [](std::filesystem::path p) -> task<> {
            const auto missing = co_await file::open(p / "none");
            REQUIRE_FALSE(missing);
            CHECK(missing.error() == std::errc::no_such_file_or_directory);
            const auto made = co_await file::open(p / "new", open_options().write().create_new());
            REQUIRE(made);
            // The kernel would open the first part of it.
            const auto cut = co_await file::open(p / std::string("new\0.png", 8));
            CHECK(cut.error() == std::errc::invalid_argument);
            const auto twice = co_await file::open(p / "new", open_options().write().create_new());
            REQUIRE_FALSE(twice);
            CHECK(twice.error() == std::errc::file_exists);
            const auto folder_written = co_await file::open(p, open_options().write());
            REQUIRE_FALSE(folder_written);
            CHECK(folder_written.error() == std::errc::is_a_directory);
            const auto unreadable = co_await made->read_at(buffer::with_capacity(1), 0);
            REQUIRE_FALSE(unreadable);
            CHECK(unreadable.error() == std::errc::bad_file_descriptor);
            const auto full = co_await file::open("/dev/full", open_options().write());
            REQUIRE(full);
            const auto written = co_await full->append(buffer::copy_of("x"));
            REQUIRE_FALSE(written);
            CHECK(written.error() == std::errc::no_space_on_device);
        }(path);
    });
}

TEST_CASE("file: a closed one says so", "[rt][file]") {
    run_task([]() -> task<> {
        const file closed;
        const auto read = co_await closed.read_at(buffer::with_capacity(1), 0);
        CHECK(read.error() == errc::closed);
        const auto written = co_await closed.append(buffer::copy_of("x"));
        CHECK(written.error() == errc::closed);
        const auto synced = co_await closed.sync_data();
        CHECK(synced.error() == errc::closed);
    });
}

TEST_CASE("file: a folder can be synced", "[rt][file]") {
    const temporary_folder folder;
    run_task([path = folder.path()]() -> task<> {
        return [](std::filesystem::path p) -> task<> {
            const auto opened = co_await file::open(p, open_options().directory());
            REQUIRE(opened);
            const auto done_8 = co_await opened->sync_all();
            CHECK(done_8);
        }(path);
    });
}

TEST_CASE("file: a buffer without room cannot be read into", "[rt][file]") {
    run_task([]() -> task<> {
        const auto zero = co_await file::open("/dev/zero");
        REQUIRE(zero);
        const auto read = co_await zero->read_at(buffer(), 0);
        REQUIRE_FALSE(read);
        CHECK(read.error() == std::errc::invalid_argument);
    });
}

// A message queue's descriptor is closed like a file of an overlay or a network file system: the
// ring hands the close to a kernel thread. Unlike those, it needs no mount.
TEST_CASE("file: what is closed as the runtime ends is closed, not cancelled with the ring",
          "[rt][file]") {
    const std::string name = "/heph-rt-test-" + std::to_string(::getpid());
    const ::mqd_t queue = ::mq_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600, nullptr);
    REQUIRE(queue >= 0);
    REQUIRE(::mq_unlink(name.c_str()) == 0);
    const auto before = open_descriptors();
    for (int round = 0; round < 100; ++round) {
        run_task([queue]() -> task<> {
            return [](int source) -> task<> {
                std::vector<file> files;
                for (int i = 0; i < 40; ++i) {
                    files.emplace_back(::fcntl(source, F_DUPFD_CLOEXEC, 0));
                }
                co_await heph::yield();
            }(queue);
        });
    }
    CHECK(open_descriptors() == before);
    CHECK(::mq_close(queue) == 0);
}

TEST_CASE("file: writing to a pipe that nobody reads is an error, not a signal", "[rt][file]") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    REQUIRE(::close(ends[0]) == 0);
    run_task(heph::rt::setup{}.name("test"), [write_end = ends[1]]() -> task<> {
        return [](int descriptor) -> task<> {
            const file pipe(descriptor);
            const auto written = co_await pipe.append(buffer::copy_of("x"));
            REQUIRE_FALSE(written);
            CHECK(written.error() == std::errc::broken_pipe);
        }(write_end);
    });
}

TEST_CASE("file: several buffers are written, more than one call takes, and read back",
          "[rt][file]") {
    const temporary_folder folder;
    run_task([path = folder / "file"]() -> task<> {
        return [](std::filesystem::path p) -> task<> {
            auto opened = co_await file::open(p, open_options().read().write().create());
            REQUIRE(opened);
            std::vector<buffer> parts;
            std::string whole;
            for (int i = 0; i < 2100; ++i) {
                const std::string part(static_cast<std::size_t>(i % 5),
                                       static_cast<char>('a' + i % 26));
                parts.push_back(buffer::copy_of(part));
                whole += part;
            }
            const auto written = co_await opened->write_vectored_at(std::move(parts), 3);
            REQUIRE(written);
            CHECK(written->size() == 2100);
            std::vector<buffer> into;
            into.push_back(buffer::with_capacity(10));
            into.push_back(buffer());
            into.push_back(buffer::with_capacity(100'000));
            const auto read = co_await opened->read_vectored_at(std::move(into), 3);
            REQUIRE(read);
            CHECK(std::string((*read)[0].view()) + std::string((*read)[2].view()) == whole);
            std::vector<buffer> none(2);
            const auto no_room = co_await opened->read_vectored_at(std::move(none), 0);
            REQUIRE_FALSE(no_room);
            CHECK(no_room.error() == std::errc::invalid_argument);
            std::vector<buffer> room;
            room.push_back(buffer::with_capacity(10));
            const auto end = co_await opened->read_vectored_at(std::move(room), 1'000'000);
            REQUIRE(end);
            CHECK((*end)[0].empty());
        }(path);
    });
}

TEST_CASE("file: space is reserved, holes are made, sizes change and advice is taken",
          "[rt][file]") {
    const temporary_folder folder;
    run_task([path = folder / "file"]() -> task<> {
        return [](std::filesystem::path p) -> task<> {
            auto opened = co_await file::open(p, open_options().read().write().create());
            REQUIRE(opened);
            const auto kept = co_await opened->allocate(0, 1'000'000, true);
            REQUIRE(kept);
            CHECK(opened->size() == 0U);
            const auto extended = co_await opened->allocate(0, 1'000'000);
            REQUIRE(extended);
            CHECK(opened->size() == 1'000'000U);
            const auto before = co_await opened->get_metadata();
            REQUIRE(before);
            CHECK(before->allocated_bytes() >= 1'000'000);
            const auto hole = co_await opened->punch_hole(0, 524'288);
            REQUIRE(hole);
            const auto after = co_await opened->get_metadata();
            REQUIRE(after);
            CHECK(after->allocated_bytes() < before->allocated_bytes());
            CHECK(after->size() == 1'000'000);
            const auto cut = co_await opened->resize(10);
            REQUIRE(cut);
            CHECK(opened->size() == 10U);
            const auto advised =
                co_await opened->advise(0, 0, heph::rt::fs::access_pattern::sequential);
            CHECK(advised);
            const auto senseless = co_await opened->resize(~std::uint64_t{0});
            REQUIRE_FALSE(senseless);
            CHECK(senseless.error() == std::errc::invalid_argument);
        }(path);
    });
}

TEST_CASE("file: a link is not followed when asked so, and a directory is none", "[rt][file]") {
    const temporary_folder folder;
    run_task([path = folder.path()]() -> task<> {
        return [](std::filesystem::path p) -> task<> {
            std::filesystem::create_symlink("anything", p / "link");
            const auto link = co_await file::open(p / "link", open_options().no_follow());
            REQUIRE_FALSE(link);
            CHECK(link.error() == std::errc::too_many_symbolic_link_levels);
            const auto new_one = co_await file::open(p / "synchronous",
                                                     open_options().write().create().synchronous());
            CHECK(new_one);
        }(path);
    });
}
