#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>

#include <heph/rt/error.hpp>
#include <heph/rt/fs/paths.hpp>

#include "on_runtime.hpp"
#include "temporary_folder.hpp"

using heph::task;
using heph::test::run_task;
using heph::test::temporary_folder;
namespace fs = heph::rt::fs;
namespace stdfs = std::filesystem;

namespace {

void put(const stdfs::path& at) { std::ofstream(at) << "x"; }

task<> check_tree(stdfs::path in) {
    const auto tree = in / "tree";
    stdfs::create_directories(tree / "a/b/c");
    stdfs::create_directories(tree / "empty");
    stdfs::create_directories(in / "elsewhere");
    put(in / "elsewhere/kept");
    put(tree / "one");
    put(tree / "a/two");
    put(tree / "a/b/c/three");
    stdfs::create_symlink(in / "elsewhere", tree / "a/link");
    stdfs::create_symlink("nowhere", tree / "dangling");
    REQUIRE(::mkfifo((tree / "fifo").c_str(), 0600) == 0);
    const auto removed = co_await fs::remove_all(tree);
    if (!removed) { FAIL(removed.error().message()); }
    CHECK(*removed == 11);
    CHECK_FALSE(stdfs::exists(tree));
    CHECK(stdfs::exists(in / "elsewhere/kept"));
    const auto nothing = co_await fs::remove_all(tree);
    REQUIRE(nothing);
    CHECK(*nothing == 0);
    // A link is removed itself, also with a slash behind it; and a file.
    stdfs::create_symlink(in / "elsewhere", in / "link");
    const auto link = co_await fs::remove_all((in / "link").string() + "/");
    REQUIRE(link);
    CHECK(*link == 1);
    CHECK(stdfs::exists(in / "elsewhere/kept"));
    const auto file = co_await fs::remove_all(in / "elsewhere/kept");
    REQUIRE(file);
    CHECK(*file == 1);
    const auto zero = co_await fs::remove_all(std::string("a\0b", 3));
    CHECK(zero.error() == std::errc::invalid_argument);
}

task<> check_deep(stdfs::path in) {
    auto deep = in;
    for (int i = 0; i < 200; ++i) { deep /= "d"; }
    stdfs::create_directories(deep);
    put(deep / "file");
    const auto removed = co_await fs::remove_all(in / "d");
    if (!removed) { FAIL(removed.error().message()); }
    CHECK(*removed == 201);
}

task<> remove_often(stdfs::path in, int* rounds) {
    for (; *rounds < 200; ++*rounds) {
        std::error_code lost;  // The attacker may be quicker.
        stdfs::create_directories(in / "tree/inner", lost);
        put(in / "tree/inner/file");
        (void)co_await fs::remove_all(in / "tree");
    }
}

}  // namespace

TEST_CASE("remove_all: a tree goes with all that is in it, and nothing that links lead to",
          "[rt][files]") {
    const temporary_folder folder;
    run_task([&folder] { return check_tree(folder.path()); });
}

TEST_CASE("remove_all: a tree of many levels needs no stack for them", "[rt][files]") {
    const temporary_folder folder;
    run_task([&folder] { return check_deep(folder.path()); });
}

TEST_CASE("remove_all: who swaps directories for links meanwhile has nothing removed elsewhere",
          "[rt][files]") {
    const temporary_folder folder;
    stdfs::create_directories(folder / "kept");
    put(folder / "kept/file");
    std::atomic<bool> done{false};
    std::thread attacker([&] {
        std::error_code ignored;
        while (!done) {
            stdfs::rename(folder / "tree/inner", folder / "aside", ignored);
            stdfs::create_directory_symlink(folder / "kept", folder / "tree/inner", ignored);
            stdfs::remove(folder / "tree/inner", ignored);
            stdfs::remove(folder / "aside/file", ignored);
            stdfs::remove(folder / "aside", ignored);
        }
    });
    int rounds = 0;
    run_task([&] { return remove_often(folder.path(), &rounds); });
    done = true;
    attacker.join();
    CHECK(rounds == 200);
    CHECK(stdfs::exists(folder / "kept/file"));
}
