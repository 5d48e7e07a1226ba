#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

task<> check_refused(stdfs::path in) {
    const auto tree = in / "tree";
    stdfs::create_directories(tree / "inner");
    put(tree / "kept");
    stdfs::create_directory_symlink(tree, in / "link");
    const std::string at = tree.string();
    const std::string link = (in / "link").string();
    for (const std::string& path : {at + "/.", at + "/..", at + "/inner/..", at + "/./",
                                    at + "/inner/..//", link + "/.", link + "/inner/.."}) {
        INFO(path);
        const auto removed = co_await fs::remove_all(path);
        CHECK((!removed && removed.error() == std::errc::invalid_argument));
        CHECK(stdfs::exists(tree / "kept"));
        CHECK(stdfs::exists(tree / "inner"));
    }
    CHECK(stdfs::is_symlink(in / "link"));
    // Also without a part before it: of the working directory.
    const auto before = stdfs::current_path();
    stdfs::current_path(tree / "inner");
    for (const std::string& path : {std::string("."), std::string(".."), std::string("./")}) {
        INFO(path);
        const auto removed = co_await fs::remove_all(path);
        CHECK((!removed && removed.error() == std::errc::invalid_argument));
    }
    stdfs::current_path(before);
    CHECK(stdfs::exists(tree / "kept"));
    // Names that only begin like that are names; and what is before the last part is followed.
    put(tree / "..kept");
    const auto dots = co_await fs::remove_all(at + "/inner/../..kept");
    CHECK((dots && *dots == 1));
    const auto inner = co_await fs::remove_all(link + "/inner//");
    CHECK((inner && *inner == 1));
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

// Leaves 48 descriptors for a tree of 400 levels.
task<> check_deeper_than_descriptors(stdfs::path in) {
    auto deep = in;
    for (int i = 0; i < 400; ++i) { deep /= "d"; }
    stdfs::create_directories(deep);
    put(deep / "file");
    put(deep.parent_path() / "file");
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int next = ::dup(2);
    REQUIRE(next >= 0);
    ::close(next);
    rlimit few = before;
    few.rlim_cur = static_cast<rlim_t>(next) + 48;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    const auto removed = co_await fs::remove_all(in / "d");
    CHECK(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    if (!removed) { FAIL(removed.error().message()); }
    CHECK(*removed == 402);
}

task<> check_unreadable(stdfs::path in) {
    stdfs::create_directories(in / "tree/empty");
    stdfs::permissions(in / "tree/empty", stdfs::perms::none);
    const auto removed = co_await fs::remove_all(in / "tree");
    if (!removed) { FAIL(removed.error().message()); }
    CHECK(*removed == 2);
    stdfs::create_directories(in / "tree/full");
    put(in / "tree/full/file");
    stdfs::permissions(in / "tree/full", stdfs::perms::none);
    const auto refused = co_await fs::remove_all(in / "tree");
    CHECK((!refused && refused.error() == std::errc::permission_denied));
    stdfs::permissions(in / "tree/full", stdfs::perms::owner_all);
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

TEST_CASE("remove_all: a path that ends in . or .. is refused before anything is removed",
          "[rt][files][regression]") {
    const temporary_folder folder;
    run_task([&folder] { return check_refused(folder.path()); });
}

TEST_CASE("remove_all: a tree of many levels needs no stack for them", "[rt][files]") {
    const temporary_folder folder;
    run_task([&folder] { return check_deep(folder.path()); });
}

TEST_CASE("remove_all: a tree that is deeper than there are descriptors goes all the same",
          "[rt][files][regression]") {
    const temporary_folder folder;
    run_task([&folder] { return check_deeper_than_descriptors(folder.path()); });
}

TEST_CASE("remove_all: an empty directory that must not be read goes; a full one is an error",
          "[rt][files][regression]") {
    const temporary_folder folder;
    // As nobody, if the test is run by root, who may read all: a thread, and those it starts.
    std::thread as_nobody([&folder] {
        if (::geteuid() == 0) {
            REQUIRE(::chown(folder.path().c_str(), 65534, 65534) == 0);
            REQUIRE(::syscall(SYS_setresuid, -1, 65534, -1) == 0);
        }
        run_task([&folder] { return check_unreadable(folder.path()); });
    });
    as_nobody.join();
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
