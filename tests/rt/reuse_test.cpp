// What the kernel takes back from one runtime goes to whoever asks next, in any thread.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

#include <heph/rt/fs/file.hpp>

#include "on_runtime.hpp"

using heph::task;
using heph::rt::fs::file;

namespace {

// Opens past the C library, as a ring does: ThreadSanitizer sees uses and the end, not the begin.
int open_unseen() {
    return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC));
}

task<> use_and_close(int descriptor) {
    const file owned(descriptor);
    struct stat found{};
    (void)::fstat(owned.descriptor(), &found);
    co_return;
}

// Asserts nothing: Catch would be shared with a thread that is not ordered with this one.
void use_and_close_on_runtime(int descriptor) {
    auto runtime = heph::test::quiet_setup().build();
    if (!runtime) { return; }
    runtime->run_on_workers([descriptor](heph::rt::worker& worker) {
        if (worker.index() == 0) { worker.spawn_future(use_and_close(descriptor)); }
    });
    (void)runtime->start();
}

// Does one thing in a thread, and then another in this one while that thread still lives. Nothing
// orders them for ThreadSanitizer, which is why the flags are relaxed.
void one_behind_the_other(const std::function<void()>& first, const std::function<void()>& second) {
    std::atomic<bool> is_over{false};
    std::atomic<bool> may_leave{false};
    std::thread other([&] {
        first();
        is_over.store(true, std::memory_order_relaxed);
        while (!may_leave.load(std::memory_order_relaxed)) { std::this_thread::yield(); }
    });
    while (!is_over.load(std::memory_order_relaxed)) { std::this_thread::yield(); }
    second();
    may_leave.store(true, std::memory_order_relaxed);
    other.join();
}

}  // namespace

// A data race that was none was reported between the last owner's uses and the next one's close.
TEST_CASE("reuse: a descriptor's number is its next owner's alone", "[rt][file][regression]") {
    const int number = open_unseen();
    REQUIRE(number >= 0);
    int next = -1;
    int looked = -1;
    int closed = -1;
    one_behind_the_other([number] { use_and_close_on_runtime(number); },
                         [&] {
                             next = open_unseen();
                             struct stat found{};
                             looked = ::fstat(next, &found);
                             closed = ::close(next);
                         });
    CHECK(next == number);
    CHECK(looked == 0);
    CHECK(closed == 0);
}

// As above, of the memory that a ring shares with the kernel.
TEST_CASE("reuse: a ring's memory is its next owner's alone", "[rt][regression]") {
    for (int i = 0; i < 3; ++i) {
        const int first = open_unseen();
        const int second = open_unseen();
        one_behind_the_other([first] { use_and_close_on_runtime(first); },
                             [second] { use_and_close_on_runtime(second); });
        const int after = open_unseen();
        CHECK(after == first);  // Both were closed.
        ::close(after);
    }
}
