#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <heph/rt/error.hpp>
#include <heph/rt/fs/directory.hpp>
#include <heph/rt/fs/paths.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "temporary_folder.hpp"

namespace fs = heph::rt::fs;
using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::deadline;
using heph::rt::errc;
using heph::test::run_task;
using heph::test::temporary_folder;

namespace {

// Runs a task that is given a folder of its own.
void run_in_folder(task<> (*act)(fs::path)) {
    const temporary_folder folder;
    run_task([path = folder.path(), act]() -> task<> { return act(path); });
}

void write(const fs::path& at, const std::string& text) { std::ofstream(at) << text; }

std::string read(const fs::path& at) {
    std::ifstream file(at);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

template <typename Outcome>
void check_error(const Outcome& outcome, std::errc expected) {
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error() == expected);
}

// Runs `act` in a process that may do less than root. Gives what it returned, 100 for a failure.
int as_nobody(int (*act)(const std::string&), const std::string& argument) {
    const pid_t id = ::fork();
    REQUIRE(id >= 0);
    if (id == 0) {
        ::alarm(60);
        if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) { ::_exit(100); }
        ::_exit(act(argument));
    }
    int status = 0;
    REQUIRE(::waitpid(id, &status, 0) == id);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

// Gives the errno of an operation on a runtime of its own, in a child; 0 if it went well.
template <typename Operation>
int errno_of(Operation make) {
    int number = 101;
    auto runtime = heph::test::quiet_setup().build();
    if (!runtime) { return 102; }
    runtime->run_on_workers([&](heph::rt::worker& worker) {
        worker.spawn_future([](Operation act, int* result) -> task<> {
            const auto outcome = co_await act();
            *result = outcome ? 0 : outcome.error().value();
        }(make, &number));
    });
    return runtime->start() ? number : 103;
}

}  // namespace

TEST_CASE("paths: metadata tells type, size, permissions and times", "[rt][fs]") {
    run_in_folder([](fs::path in) -> task<> {
        const auto before = std::chrono::system_clock::now() - std::chrono::seconds(1);
        write(in / "file", "12345");
        const auto permitted = co_await fs::set_permissions(in / "file", 0640);
        CHECK(permitted);
        const auto link = co_await fs::symlink("file", in / "link");
        CHECK(link);
        const auto file = co_await fs::metadata_of(in / "link");
        REQUIRE(file);
        CHECK(file->is_regular());
        CHECK(file->size() == 5);
        CHECK(file->permissions() == 0640);
        CHECK(file->user_id() == ::geteuid());
        CHECK(file->hard_links() == 1);
        CHECK(file->modified() >= before);
        CHECK(file->changed() >= file->modified());
        const auto itself = co_await fs::symlink_metadata_of(in / "link");
        REQUIRE(itself);
        CHECK(itself->is_symbolic_link());
        CHECK(itself->inode() != file->inode());
        const auto folder = co_await fs::metadata_of(in);
        REQUIRE(folder);
        CHECK(folder->is_directory());
        CHECK(folder->device() == file->device());
        const auto device = co_await fs::metadata_of("/dev/null");
        REQUIRE(device);
        CHECK(device->type() == fs::file_type::character_device);
        check_error(co_await fs::metadata_of(in / "none"), std::errc::no_such_file_or_directory);
        check_error(co_await fs::metadata_of(in / "file" / "x"), std::errc::not_a_directory);
        check_error(co_await fs::metadata_of(std::string("a\0b", 3)), std::errc::invalid_argument);
    });
}

TEST_CASE("paths: a time beyond what a time point can be is the last one, or the first",
          "[rt][fs]") {
    run_in_folder([](fs::path in) -> task<> {
        write(in / "file", "");
        const auto set_to = [&in](std::int64_t seconds) {
            const std::array<timespec, 2> both{timespec{seconds, 5}, timespec{seconds, 5}};
            REQUIRE(::utimensat(AT_FDCWD, (in / "file").c_str(), both.data(), 0) == 0);
            struct stat known{};
            REQUIRE(::stat((in / "file").c_str(), &known) == 0);
            return known.st_mtim.tv_sec == seconds;  // Not all file systems have such times.
        };
        using time_point = fs::metadata::time_point;
        // 2400, 1600, and the second before the last one whole.
        for (const std::int64_t seconds : {13'569'465'600, -11'676'096'000, 9'223'372'035}) {
            if (!set_to(seconds)) { continue; }
            const auto known = co_await fs::metadata_of(in / "file");
            REQUIRE(known);
            const auto whole = std::chrono::sys_seconds(std::chrono::seconds(seconds));
            const auto expected = seconds > 9'223'372'036    ? time_point::max()
                                  : seconds < -9'223'372'036 ? time_point::min()
                                                             : time_point(whole) + 5ns;
            CHECK(known->modified() == expected);
        }
    });
}

TEST_CASE("paths: what never opens does not keep a worker from other files", "[rt][fs]") {
    run_in_folder([](fs::path in) -> task<> {
        const auto pipe = (in / "pipe").string();
        REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
        write(in / "file", "12345");
        // More than a worker has threads at first.
        for (int i = 0; i < 12; ++i) {
            deadline given_up(1ms, fs::read_file(pipe, 100));
            const auto nothing = co_await given_up;
            CHECK_FALSE(nothing);
        }
        const auto read = co_await fs::read_file(in / "file", 100);
        REQUIRE(read);
        CHECK(read->view() == "12345");
        // So that their threads end.
        const int writes = ::open(pipe.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        CHECK(writes >= 0);
        ::close(writes);
    });
}

TEST_CASE("paths: renaming replaces, or refuses to", "[rt][fs]") {
    run_in_folder([](fs::path in) -> task<> {
        write(in / "a", "a");
        write(in / "b", "b");
        const auto replaced = co_await fs::rename(in / "a", in / "b");
        CHECK(replaced);
        CHECK(read(in / "b") == "a");
        write(in / "c", "c");
        check_error(co_await fs::rename_new(in / "b", in / "c"), std::errc::file_exists);
        const auto fresh = co_await fs::rename_new(in / "b", in / "d");
        CHECK(fresh);
        CHECK(read(in / "d") == "a");
        check_error(co_await fs::rename(in / "none", in / "x"),
                    std::errc::no_such_file_or_directory);
    });
}

TEST_CASE("paths: directories are created, with those above, and removed when empty", "[rt][fs]") {
    run_in_folder([](fs::path in) -> task<> {
        const auto made = co_await fs::create_directory(in / "one", 0700);
        CHECK(made);
        check_error(co_await fs::create_directory(in / "one"), std::errc::file_exists);
        check_error(co_await fs::create_directory(in / "x" / "y"),
                    std::errc::no_such_file_or_directory);
        const auto deep = co_await fs::create_directories(in / "one" / "two" / "three" / "four");
        CHECK(deep);
        const auto again = co_await fs::create_directories(in / "one" / "two" / "three" / "four");
        CHECK(again);
        CHECK(std::filesystem::is_directory(in / "one" / "two" / "three" / "four"));
        write(in / "file", "x");
        check_error(co_await fs::create_directories(in / "file" / "below"),
                    std::errc::not_a_directory);
        check_error(co_await fs::create_directories(in / "file"), std::errc::file_exists);
        check_error(co_await fs::remove_directory(in / "one"), std::errc::directory_not_empty);
        check_error(co_await fs::remove_directory(in / "file"), std::errc::not_a_directory);
        check_error(co_await fs::remove_file(in / "one"), std::errc::is_a_directory);
        const auto gone = co_await fs::remove_directory(in / "one" / "two" / "three" / "four");
        CHECK(gone);
        const auto removed = co_await fs::remove_file(in / "file");
        CHECK(removed);
        CHECK_FALSE(std::filesystem::exists(in / "file"));
        check_error(co_await fs::remove_file(in / "file"), std::errc::no_such_file_or_directory);
    });
}

TEST_CASE("paths: links are made and read", "[rt][fs]") {
    run_in_folder([](fs::path in) -> task<> {
        write(in / "file", "text");
        const auto hard = co_await fs::hard_link(in / "file", in / "hard");
        CHECK(hard);
        CHECK(read(in / "hard") == "text");
        check_error(co_await fs::hard_link(in / "file", in / "hard"), std::errc::file_exists);
        const auto soft = co_await fs::symlink("anything at all", in / "soft");
        CHECK(soft);
        const auto text = co_await fs::read_symlink(in / "soft");
        REQUIRE(text);
        CHECK(*text == "anything at all");
        check_error(co_await fs::read_symlink(in / "file"), std::errc::invalid_argument);
        const auto loop = co_await fs::symlink("loop", in / "loop");
        CHECK(loop);
        check_error(co_await fs::metadata_of(in / "loop"),
                    std::errc::too_many_symbolic_link_levels);
    });
}

TEST_CASE("paths: files are written, replaced and read as a whole, up to a limit", "[rt][fs]") {
    run_in_folder([](fs::path in) -> task<> {
        auto bytes = buffer::copy_of("first");
        const auto written = co_await fs::write_file(in / "file", std::move(bytes), 0600);
        REQUIRE(written);
        CHECK(written->view() == "first");
        auto read_back = co_await fs::read_file(in / "file", 5);
        REQUIRE(read_back);
        CHECK(read_back->view() == "first");
        check_error(co_await fs::read_file(in / "file", 4), std::errc::file_too_large);
        auto other = buffer::copy_of("2nd");
        const auto replaced = co_await fs::replace_file(in / "file", std::move(other));
        REQUIRE(replaced);
        CHECK(read(in / "file") == "2nd");
        // Also one whose name is as long as names may be.
        const fs::path longest = in / std::string(255, 'n');
        auto long_bytes = buffer::copy_of("long");
        const auto long_replaced = co_await fs::replace_file(longest, std::move(long_bytes));
        REQUIRE(long_replaced);
        CHECK(read(longest) == "long");
        CHECK(std::filesystem::remove(longest));
        // No other file is left beside it.
        CHECK(std::distance(std::filesystem::directory_iterator(in), {}) == 1);
        const auto large = co_await fs::read_file("/proc/self/status", 1'000'000);
        REQUIRE(large);
        CHECK(large->view().find("Pid:") != std::string_view::npos);
        check_error(co_await fs::read_file(in, 100), std::errc::is_a_directory);
        check_error(co_await fs::read_file(in / "none", 100), std::errc::no_such_file_or_directory);
        auto lost = buffer::copy_of("x");
        check_error(co_await fs::replace_file(in / "none" / "x", std::move(lost)),
                    std::errc::no_such_file_or_directory);
        const auto empty = co_await fs::write_file(in / "file", buffer());
        CHECK(empty);
        const auto nothing = co_await fs::read_file(in / "file", 0);
        REQUIRE(nothing);
        CHECK(nothing->empty());
    });
}

TEST_CASE("paths: temporary files have a name of their own, or none", "[rt][fs]") {
    run_in_folder([](fs::path in) -> task<> {
        auto first = co_await fs::create_temporary(in, "some-");
        auto second = co_await fs::create_temporary(in, "some-");
        REQUIRE((first && second));
        CHECK(first->name() != second->name());
        CHECK(first->name().filename().string().starts_with("some-"));
        const auto known = co_await first->opened().get_metadata();
        REQUIRE(known);
        CHECK(known->permissions() == 0600);
        auto bytes = buffer::copy_of("kept");
        const auto written = co_await first->opened().write_at(std::move(bytes), 0);
        CHECK(written);
        CHECK(read(first->name()) == "kept");
        check_error(co_await fs::create_temporary(in, "a/b"), std::errc::invalid_argument);
        check_error(co_await fs::create_temporary(in / "none"),
                    std::errc::no_such_file_or_directory);
        const auto before = std::distance(std::filesystem::directory_iterator(in), {});
        auto nameless = co_await fs::create_unnamed(in);
        REQUIRE(nameless);
        CHECK(std::distance(std::filesystem::directory_iterator(in), {}) == before);
        auto text = buffer::copy_of("x");
        const auto wrote = co_await nameless->write_at(std::move(text), 0);
        CHECK(wrote);
        const auto nobody = co_await nameless->get_metadata();
        REQUIRE(nobody);
        CHECK(nobody->hard_links() == 0);
    });
}

TEST_CASE("directory: a large one is listed in batches, each entry once", "[rt][fs]") {
    run_in_folder([](fs::path in) -> task<> {
        std::set<std::string> expected;
        for (int i = 0; i < 2000; ++i) {
            const std::string name = "file with a longer name " + std::to_string(i);
            write(in / name, "");
            expected.insert(name);
        }
        std::filesystem::create_directory(in / "folder");
        std::filesystem::create_symlink("x", in / "link");
        auto listing = co_await fs::directory::open(in);
        REQUIRE(listing);
        for (int round = 0; round < 2; ++round) {
            std::multiset<std::string> seen;
            int batches = 0;
            for (;;) {
                const auto batch = co_await listing->next();
                REQUIRE(batch);
                if (batch->empty()) { break; }
                ++batches;
                CHECK(batch->size() <= 1500);
                for (const auto& entry : *batch) {
                    if (entry.name() == "folder") {
                        CHECK(entry.type() == fs::file_type::directory);
                    } else if (entry.name() == "link") {
                        CHECK(entry.type() == fs::file_type::symbolic_link);
                    } else {
                        seen.insert(entry.name());
                    }
                }
            }
            CHECK(batches > 1);
            CHECK(std::ranges::equal(seen, expected));
            CHECK_FALSE(listing->rewind());
        }
        const auto synced = co_await listing->sync();
        CHECK(synced);
    });
}

TEST_CASE("directory: an empty one has no entries, and a file is none", "[rt][fs]") {
    run_in_folder([](fs::path in) -> task<> {
        auto empty = co_await fs::directory::open(in);
        REQUIRE(empty);
        const auto nothing = co_await empty->next();
        REQUIRE(nothing);
        CHECK(nothing->empty());
        write(in / "file", "");
        check_error(co_await fs::directory::open(in / "file"), std::errc::not_a_directory);
        check_error(co_await fs::directory::open(in / "none"),
                    std::errc::no_such_file_or_directory);
        const fs::directory closed;
        const auto unread = co_await closed.next();
        REQUIRE_FALSE(unread);
        CHECK(unread.error() == errc::closed);
    });
}

TEST_CASE("paths: what a user may not do is an error, on each of the ways there", "[rt][fs]") {
    const temporary_folder folder;
    write(folder / "secret", "x");
    REQUIRE(::chmod((folder / "secret").c_str(), 0) == 0);
    REQUIRE(::chmod(folder.path().c_str(), 0555) == 0);
    const int refused = as_nobody(
        [](const std::string& in) {
            const fs::path at(in);
            int number = errno_of([at] { return fs::read_file(at / "secret", 10); });
            if (number != EACCES) { return 1; }
            number = errno_of([at] { return fs::file::open(at / "secret"); });
            if (number != EACCES) { return 2; }
            number = errno_of([at] { return fs::create_directory(at / "new"); });
            if (number != EACCES) { return 3; }
            number = errno_of([at] { return fs::rename(at / "secret", at / "other"); });
            if (number != EACCES) { return 4; }
            number = errno_of([at] { return fs::remove_file(at / "secret"); });
            return number == EACCES ? 0 : 5;
        },
        folder.path().string());
    REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
    CHECK(refused == 0);
}

TEST_CASE("paths: a full file system is an error of each way to write", "[rt][fs]") {
    const temporary_folder folder;
    if (::mount("none", folder.path().c_str(), "tmpfs", 0, "size=64k") != 0) {
        // Only root may mount; the full device does for the others.
        run_task([]() -> task<> {
            auto bytes = buffer::copy_of("x");
            check_error(co_await fs::write_file("/dev/full", std::move(bytes)),
                        std::errc::no_space_on_device);
        });
        return;
    }
    run_task([path = folder.path()]() -> task<> {
        return [](fs::path in) -> task<> {
            const std::string large(200'000, 'x');
            auto bytes = buffer::copy_of(large);
            check_error(co_await fs::write_file(in / "a", std::move(bytes)),
                        std::errc::no_space_on_device);
            const auto removed = co_await fs::remove_file(in / "a");
            CHECK(removed);
            bytes = buffer::copy_of(large);
            check_error(co_await fs::replace_file(in / "b", std::move(bytes)),
                        std::errc::no_space_on_device);
            CHECK(std::filesystem::is_empty(in));
            auto file =
                co_await fs::file::open(in / "c", fs::open_options().read().write().create());
            REQUIRE(file);
            check_error(co_await file->allocate(0, 200'000), std::errc::no_space_on_device);
            bytes = buffer::copy_of(large);
            check_error(co_await file->write_at(std::move(bytes), 0),
                        std::errc::no_space_on_device);
            std::vector<buffer> parts;
            parts.push_back(buffer::copy_of(large));
            parts.push_back(buffer::copy_of("x"));
            check_error(co_await file->write_vectored_at(std::move(parts), 0),
                        std::errc::no_space_on_device);
            const auto cut = co_await file->resize(0);
            CHECK(cut);
            auto small = buffer::copy_of("small");
            const auto written = co_await file->write_at(std::move(small), 0);
            CHECK(written);
        }(path);
    });
    CHECK(::umount2(folder.path().c_str(), MNT_DETACH) == 0);
}
