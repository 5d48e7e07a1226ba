#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include <heph/rt/error.hpp>
#include <heph/rt/fs/watcher.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::deadline;
using heph::rt::errc;
using heph::rt::fs::change;
using heph::rt::fs::watch_event;
using heph::rt::fs::watcher;
using heph::test::quiet_setup;
using heph::test::run_on_worker;
using heph::test::run_task;
using heph::test::temporary_folder;

namespace {

watcher make() {
    auto made = watcher::make();
    REQUIRE(made);
    return std::move(*made);
}

task<watch_event> next(watcher* from) {
    auto bounded = deadline(20s, from->next());
    auto event = co_await bounded;
    REQUIRE(event);
    if (!*event) { FAIL(event->error().message()); }
    co_return std::move(**event);
}

}  // namespace

TEST_CASE("watcher: creating, writing, moving and removing in a directory are told in order",
          "[rt][fs]") {
    const temporary_folder folder;
    run_task([path = folder.path()]() -> task<> {
        return [](std::filesystem::path in) -> task<> {
            watcher changes = make();
            const auto id = changes.add(in);
            REQUIRE(id);
            std::ofstream(in / "file") << "text";
            std::filesystem::rename(in / "file", in / "other");
            std::filesystem::remove(in / "other");
            std::filesystem::create_directory(in / "folder");
            const auto created = co_await next(&changes);
            CHECK(created.watch() == *id);
            CHECK(created.has(change::created));
            CHECK(created.name() == "file");
            CHECK_FALSE(created.is_directory());
            const auto modified = co_await next(&changes);
            CHECK(modified.what() == change::modified);
            const auto written = co_await next(&changes);
            CHECK(written.has(change::written));
            const auto away = co_await next(&changes);
            CHECK(away.has(change::moved_away));
            CHECK(away.name() == "file");
            const auto here = co_await next(&changes);
            CHECK(here.has(change::moved_here));
            CHECK(here.name() == "other");
            CHECK(here.pair() == away.pair());
            CHECK(here.pair() != 0);
            const auto removed = co_await next(&changes);
            CHECK(removed.has(change::removed));
            const auto made = co_await next(&changes);
            CHECK(made.has(change::created));
            CHECK(made.is_directory());
        }(path);
    });
}

TEST_CASE("watcher: what happens while it is awaited wakes it, and a dropped wait loses nothing",
          "[rt][fs]") {
    const temporary_folder folder;
    run_on_worker(quiet_setup(), [path = folder.path()](heph::rt::worker& here) {
        // One worker runs both: when one sees it, the other has begun to wait.
        auto waits = std::make_shared<bool>(false);
        here.spawn_future([](std::filesystem::path in, std::shared_ptr<bool> go) -> task<> {
            while (!*go) { co_await heph::rt::timer(1ms); }
            std::ofstream(in / "late") << "";
        }(path, waits));
        here.spawn_future([](std::filesystem::path in, std::shared_ptr<bool> go) -> task<> {
            watcher changes = make();
            REQUIRE(changes.add(in, change::created));
            for (int round = 0; round < 5; ++round) {
                auto bounded = deadline(1ms, changes.next());
                const auto nothing = co_await bounded;
                if (nothing) { FAIL("too early"); }
            }
            *go = true;
            const auto created = co_await next(&changes);
            CHECK(created.name() == "late");
        }(path, waits));
    });
}

TEST_CASE("watcher: a watch ends when it is removed, or its file is gone", "[rt][fs]") {
    const temporary_folder folder;
    std::ofstream(folder / "file") << "x";
    run_task([path = folder / "file"]() -> task<> {
        return [](std::filesystem::path file) -> task<> {
            watcher changes = make();
            const auto first = changes.add(file, change::modified);
            REQUIRE(first);
            CHECK_FALSE(changes.remove(*first));
            CHECK(changes.remove(*first) == std::errc::invalid_argument);
            const auto ended = co_await next(&changes);
            CHECK(ended.what() == change::watch_ended);
            CHECK(ended.watch() == *first);
            const auto second = changes.add(file, change::self_removed);
            REQUIRE(second);
            CHECK(*second != *first);
            std::filesystem::remove(file);
            const auto removed = co_await next(&changes);
            CHECK(removed.has(change::self_removed));
            CHECK(removed.name().empty());
            const auto over = co_await next(&changes);
            CHECK(over.has(change::watch_ended));
            CHECK(changes.add(file).error() == std::errc::no_such_file_or_directory);
        }(path);
    });
}

TEST_CASE("watcher: what is too much for the queue is told as an overflow", "[rt][fs]") {
    std::size_t limit = 0;
    std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> limit;
    REQUIRE(limit > 0);
    REQUIRE(limit <= 100'000);
    const temporary_folder folder;
    run_task([path = folder.path(), limit]() -> task<> {
        return [](std::filesystem::path in, std::size_t queued) -> task<> {
            watcher changes = make();
            std::ofstream(in / "x") << "";
            REQUIRE(changes.add(in, change::moved_away | change::moved_here));
            const std::string names[] = {in / "x", in / "y"};
            for (std::size_t i = 0; i < queued / 2 + 10; ++i) {
                REQUIRE(::rename(names[i % 2].c_str(), names[(i + 1) % 2].c_str()) == 0);
            }
            for (std::size_t i = 0; i < queued + 10; ++i) {
                const auto event = co_await next(&changes);
                if (event.has(change::overflow)) { co_return; }
            }
            FAIL("no overflow");
        }(path, limit);
    });
}

TEST_CASE("watcher: a closed one says so", "[rt][fs]") {
    run_task([]() -> task<> {
        watcher closed;
        const auto event = co_await closed.next();
        REQUIRE_FALSE(event);
        CHECK(event.error() == errc::closed);
        CHECK(closed.add("/").error() == std::errc::bad_file_descriptor);
        CHECK(closed.add(std::string("/\0x", 3)).error() == std::errc::invalid_argument);
    });
}

TEST_CASE("watcher: the end of a file system is told by an event that says so", "[rt][fs]") {
    const temporary_folder folder;
    // Only root may mount.
    if (::mount("none", folder.path().c_str(), "tmpfs", 0, "size=64k") != 0) { return; }
    run_task([path = folder.path()]() -> task<> {
        return [](std::filesystem::path in) -> task<> {
            watcher changes = make();
            const auto id = changes.add(in);
            REQUIRE(id);
            REQUIRE(::umount2(in.c_str(), 0) == 0);
            const auto gone = co_await next(&changes);
            CHECK(gone.has(change::unmounted));
            CHECK(gone.watch() == *id);
            const auto ended = co_await next(&changes);
            CHECK(ended.has(change::watch_ended));
        }(path);
    });
}
