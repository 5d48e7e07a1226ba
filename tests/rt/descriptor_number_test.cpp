// The number of a descriptor that a runtime closed goes to whoever opens the next, in any thread.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
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

}  // namespace

// A data race that was none was reported between the last owner's uses and the next one's close.
TEST_CASE("descriptor number: is its next owner's alone", "[rt][file][regression]") {
    const int number = open_unseen();
    REQUIRE(number >= 0);
    // Relaxed on purpose: the threads share nothing that would order their uses.
    std::atomic<bool> is_over{false};
    std::atomic<bool> may_leave{false};
    std::thread runtime([&] {
        use_and_close_on_runtime(number);
        is_over.store(true, std::memory_order_relaxed);
        while (!may_leave.load(std::memory_order_relaxed)) { std::this_thread::yield(); }
    });
    while (!is_over.load(std::memory_order_relaxed)) { std::this_thread::yield(); }
    const int next = open_unseen();
    CHECK(next == number);
    struct stat found{};
    CHECK(::fstat(next, &found) == 0);
    CHECK(::close(next) == 0);
    may_leave.store(true, std::memory_order_relaxed);
    runtime.join();
}
