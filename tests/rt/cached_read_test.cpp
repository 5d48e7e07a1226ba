// Reads of what is in the page cache by the epoll driver, which has threads for all else.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/join_range.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/driver_kind.hpp>
#include <heph/rt/fs/file.hpp>

#include "on_runtime.hpp"
#include "temporary_folder.hpp"

using heph::task;
using heph::rt::buffer;
using heph::rt::fs::file;
using heph::test::temporary_folder;

namespace {

heph::rt::setup on_epoll() {
    auto settings = heph::test::quiet_setup();
    settings.driver(heph::rt::driver_kind::epoll);
    return settings;
}

std::string text_of(std::size_t bytes) {
    std::string text(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i) { text[i] = static_cast<char>('a' + i % 23); }
    return text;
}

// Makes a file with some text, and opens it.
int file_of(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path) << text;
    const int made = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    REQUIRE(made >= 0);
    return made;
}

// Reads without waiting, as the driver does: not every file system can.
bool is_cached(int descriptor, off_t offset) {
    char byte = 0;
    const iovec into{&byte, 1};
    return ::preadv2(descriptor, &into, 1, offset, RWF_NOWAIT) == 1;
}

// Drops what it can of a file's pages from some offset on.
void forget(int descriptor, off_t from) {
    REQUIRE(::fsync(descriptor) == 0);
    REQUIRE(::posix_fadvise(descriptor, from, 0, POSIX_FADV_DONTNEED) == 0);
}

std::size_t blocking_threads() {
    std::size_t count = 0;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
        std::string name;
        std::getline(std::ifstream(each.path() / "comm"), name);
        if (name == "heph-blocking") { ++count; }
    }
    return count;
}

}  // namespace

TEST_CASE("cached read: no thread is needed for what is in the page cache", "[rt][file]") {
    const temporary_folder folder;
    const std::string text = text_of(100'000);
    const int descriptor = file_of(folder / "file", text);
    if (!is_cached(descriptor, 0)) {
        WARN("this file system does not tell what is in the page cache");
        ::close(descriptor);
        return;
    }
    std::string got;
    std::size_t threads = 1;
    heph::test::run_task(on_epoll(), [&]() -> task<> {
        return [](int opened, std::string* out, std::size_t* count) -> task<> {
            const file from(opened);
            for (;;) {
                auto read = co_await from.read_at(buffer::with_capacity(4096), out->size());
                REQUIRE(read);
                if (read->empty()) { break; }
                *out += read->view();
            }
            *count = blocking_threads();
        }(descriptor, &got, &threads);
    });
    CHECK(got == text);
    CHECK(threads == 0);
}

TEST_CASE("cached read: one of which a part is in the page cache gives all", "[rt][file]") {
    const temporary_folder folder;
    const std::string text = text_of(300'000);
    const int descriptor = file_of(folder / "file", text);
    const bool by_position = GENERATE(false, true);
    forget(descriptor, 65'536);
    std::string got;
    heph::test::run_task(on_epoll(), [&]() -> task<> {
        return [](int opened, std::uint64_t at, std::string* out) -> task<> {
            const file from(opened);
            auto read = co_await from.read_at(buffer::with_capacity(250'000), at);
            REQUIRE(read);
            *out = read->view();
        }(descriptor, by_position ? file::current_position : 10'000, &got);
    });
    CHECK(got == text.substr(by_position ? 0 : 10'000, 250'000));
}

TEST_CASE("cached read: the file's own position moves on, to the end", "[rt][file]") {
    const temporary_folder folder;
    const std::string text = text_of(10'000);
    const int descriptor = file_of(folder / "file", text);
    std::vector<std::size_t> sizes;
    std::string got;
    heph::test::run_task(on_epoll(), [&]() -> task<> {
        return [](int opened, std::string* out, std::vector<std::size_t>* all) -> task<> {
            const file from(opened);
            for (int i = 0; i < 4; ++i) {
                auto bytes = buffer::with_capacity(4096);
                auto read = co_await from.read_at(std::move(bytes), file::current_position);
                REQUIRE(read);
                *out += read->view();
                all->push_back(read->size());
            }
        }(descriptor, &got, &sizes);
    });
    CHECK(got == text);
    CHECK(sizes == std::vector<std::size_t>{4096, 4096, 1808, 0});
}

TEST_CASE("cached read: a large one, and one of a device without a size, are as any",
          "[rt][file]") {
    const temporary_folder folder;
    const std::string text = text_of(3'000'000);
    const int descriptor = file_of(folder / "file", text);
    std::string got;
    std::string zeros;
    heph::test::run_task(on_epoll(), [&]() -> task<> {
        return [](int opened, std::string* out, std::string* nothing) -> task<> {
            const file from(opened);
            auto read = co_await from.read_at(buffer::with_capacity(2'500'000), 1);
            REQUIRE(read);
            *out = read->view();
            const file device(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
            auto zero = co_await device.read_at(buffer::with_capacity(5), 0);
            REQUIRE(zero);
            *nothing = zero->view();
        }(descriptor, &got, &zeros);
    });
    CHECK(got == text.substr(1, 2'500'000));
    CHECK(zeros == std::string(5, '\0'));
}

TEST_CASE("cached read: a pipe is waited for, and what comes is read", "[rt][file]") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    std::string got;
    heph::test::run_on_worker(on_epoll(), [&](heph::rt::worker& worker) {
        worker.spawn_future([](int read_end, std::string* out) -> task<> {
            const file from(read_end);
            for (;;) {
                auto bytes = buffer::with_capacity(64);
                auto read = co_await from.read_at(std::move(bytes), file::current_position);
                REQUIRE(read);
                if (read->empty()) { co_return; }
                *out += read->view();
            }
        }(ends[0], &got));
        worker.spawn_future([](int write_end) -> task<> {
            const file to(write_end);
            for (const char* word : {"one ", "two ", "three"}) {
                for (int i = 0; i < 3; ++i) { co_await heph::yield(); }
                auto bytes = buffer::copy_of(word);
                const auto written = co_await to.append(std::move(bytes));
                CHECK(written);
            }
        }(ends[1]));
    });
    CHECK(got == "one two three");
}

TEST_CASE("cached read: who reads all the time leaves others their turns", "[rt][file]") {
    const temporary_folder folder;
    const int descriptor = file_of(folder / "file", text_of(100'000));
    const std::size_t bytes = GENERATE(4096U, 90'000U);
    auto turns = std::make_shared<int>(0);
    int seen = 0;
    heph::test::run_on_worker(on_epoll(), [&](heph::rt::worker& worker) {
        auto over = std::make_shared<bool>(false);
        worker.spawn_future([](int opened, std::size_t size, std::shared_ptr<int> others,
                               std::shared_ptr<bool> end, int* out) -> task<> {
            const file from(opened);
            auto into = buffer::with_capacity(size);
            for (int i = 0; i < 2000; ++i) {
                auto read = co_await from.read_at(std::move(into), 0);
                REQUIRE(read);
                into = std::move(*read);
                into.clear();
            }
            *out = *others;
            *end = true;
        }(descriptor, bytes, turns, over, &seen));
        worker.spawn_future([](std::shared_ptr<int> count, std::shared_ptr<bool> end) -> task<> {
            while (!*end) {
                ++*count;
                co_await heph::yield();
            }
        }(turns, over));
    });
    // At most 32 small reads at once, or as many bytes of larger ones.
    CHECK(seen >= (bytes == 4096 ? 2000 / 64 : 2000 / 24));
}

namespace {

constexpr std::size_t large_bytes = std::size_t{1} << 20U;

task<std::size_t> read_large(const file& from) {
    auto read = co_await from.read_at(buffer::with_capacity(large_bytes), 0);
    REQUIRE(read);
    co_return read->size();
}

// Starts so many large reads at once; gives how many turns the worker had until all were done.
task<std::uint64_t> turns_of_large_reads(heph::rt::worker on, int opened, std::size_t reads) {
    const file from(opened);
    std::vector<task<std::size_t>> all;
    for (std::size_t i = 0; i < reads; ++i) { all.push_back(read_large(from)); }
    const std::uint64_t before = on.shared().metrics().workers.at(0).turns;
    auto joined = heph::join(std::move(all));
    const std::vector<std::size_t> sizes = co_await std::move(joined);
    CHECK(sizes == std::vector<std::size_t>(reads, large_bytes));
    co_return on.shared().metrics().workers.at(0).turns - before;
}

}  // namespace

TEST_CASE("cached read: many large ones that are started at once take many turns", "[rt][file]") {
    const temporary_folder folder;
    const int descriptor = file_of(folder / "file", text_of(large_bytes));
    if (!is_cached(descriptor, 0)) {
        WARN("this file system does not tell what is in the page cache");
        ::close(descriptor);
        return;
    }
    constexpr std::size_t reads = 64;
    std::uint64_t turns = 0;
    heph::test::run_on_worker(on_epoll(), [&](heph::rt::worker& worker) {
        worker.spawn_future(
            [](heph::rt::worker on, int opened, std::size_t count, std::uint64_t* out) -> task<> {
                auto reading = turns_of_large_reads(on, opened, count);
                *out = co_await std::move(reading);
            }(worker, descriptor, reads, &turns));
    });
    // One in each look for events, of which a turn may have two.
    CHECK(turns >= reads / 2 - 1);
}
