// A start that fails, and a runtime that is never started: nothing may be left of what was spawned.

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "open_descriptors.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::worker;
using heph::test::open_descriptors;
using heph::test::quiet_setup;

namespace {

// Counts how many of its kind are alive.
class counted {
public:
    explicit counted(std::atomic<int>& alive) noexcept : alive_(&alive) { ++*alive_; }
    counted(counted&& other) noexcept : alive_(std::exchange(other.alive_, nullptr)) {}
    counted& operator=(counted&&) = delete;
    ~counted() {
        if (alive_ != nullptr) { --*alive_; }
    }

private:
    std::atomic<int>* alive_;
};

task<> wait_an_hour(counted) { co_await heph::rt::timer(1h); }

task<> actor(heph::rt::shared_context<int> ctx, std::atomic<int>* alive) {
    const counted here(*alive);
    while (const auto message = co_await ctx.receive()) { (void)message; }
}

// What is closed when it goes, in different ways.
struct open_things {
    heph::rt::net::tcp_listener listener;
    heph::rt::fs::file file;
};

std::shared_ptr<open_things> make_open_things() {
    auto listener = heph::rt::net::tcp_listener::bind(heph::rt::net::endpoint::loopback(0));
    REQUIRE(listener);
    return std::make_shared<open_things>(
        open_things{std::move(*listener), heph::rt::fs::file(::open("/dev/null", O_CLOEXEC))});
}

task<> hold(heph::rt::shared_context<int>, heph::rt::net::tcp_listener) { co_return; }

// Gives a runtime, not started, that holds descriptors in ways that its workers let go of.
heph::rt::runtime holder_of_descriptors(const heph::rt::setup& settings) {
    auto runtime = settings.build();
    REQUIRE(runtime);
    runtime->run_on_workers([things = make_open_things()](worker&) {});
    auto listener = std::move(make_open_things()->listener);
    (void)runtime->spawn(heph::stop_supervisor{}, heph::actor_fn(hold), std::move(listener));
    return std::move(*runtime);
}

// Makes the kernel refuse two system calls to the calling thread and those it starts.
bool refuse(unsigned call, unsigned other_call, unsigned error) {
    std::array<sock_filter, 5> filter{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, other_call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Starts a runtime on a thread that is refused something. Gives the error's message.
std::string message_of_start(heph::rt::runtime& runtime, bool (*refuse_it)()) {
    bool refused = false;
    std::string message;
    std::thread([&] {
        refused = refuse_it();
        const auto ended = runtime.start();
        if (!ended) { message = ended.error().message(); }
    }).join();
    CHECK(refused);
    return message;
}

}  // namespace

TEST_CASE("runtime: workers without a ring drop the thread-safe processes that are their own",
          "[rt][runtime]") {
    std::atomic<int> alive{0};
    auto runtime = quiet_setup().threads(4).driver(heph::rt::driver_kind::io_uring).build();
    REQUIRE(runtime);
    for (int i = 0; i < 12; ++i) { runtime->shared().spawn_future(wait_an_hour(counted(alive))); }
    CHECK(alive == 12);
    const auto message = message_of_start(
        *runtime, [] { return refuse(SYS_io_uring_setup, SYS_io_uring_setup, EPERM); });
    CHECK_THAT(message, Catch::Contains("a seccomp filter forbids it"));
    CHECK(alive == 0);
}

TEST_CASE("runtime: a worker without a ring closes what the runtime held", "[rt][runtime]") {
    const auto before = open_descriptors();
    {
        auto runtime = holder_of_descriptors(quiet_setup().driver(heph::rt::driver_kind::io_uring));
        const auto message = message_of_start(
            runtime, [] { return refuse(SYS_io_uring_setup, SYS_io_uring_setup, EPERM); });
        CHECK_THAT(message, Catch::Contains("a seccomp filter forbids it"));
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("runtime: a worker whose scheduler cannot be made closes what the runtime held",
          "[rt][runtime]") {
    const auto before = open_descriptors();
    {
        const auto none = []() -> std::unique_ptr<heph::rt::scheduler> {
            throw std::runtime_error("no scheduler here");
        };
        auto runtime = holder_of_descriptors(quiet_setup().threads(2).scheduler(none));
        const auto ended = runtime.start();
        REQUIRE_FALSE(ended);
        CHECK_THAT(ended.error().message(), Catch::Contains("no scheduler here"));
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("runtime: what is thrown at its set-up may be anything, and is a failure of the start",
          "[rt][runtime]") {
    auto without_scheduler =
        quiet_setup().scheduler([]() -> std::unique_ptr<heph::rt::scheduler> { throw 1; }).build();
    REQUIRE(without_scheduler);
    const auto first = without_scheduler->start();
    REQUIRE_FALSE(first);
    CHECK_THAT(first.error().message(), Catch::Contains("scheduler could not be made"));

    struct not_copied {
        explicit not_copied(bool& armed) noexcept : throws(&armed) {}
        not_copied(const not_copied& other) : throws(other.throws) {
            if (*throws) { throw 1; }
        }
        not_copied(not_copied&&) noexcept = default;
        not_copied& operator=(const not_copied&) = delete;
        ~not_copied() = default;
        bool* throws;
    };
    bool armed = false;
    auto without_copies = quiet_setup().build();
    REQUIRE(without_copies);
    without_copies->run_on_workers([it = not_copied(armed)](worker&) { (void)it; });
    armed = true;
    const auto second = without_copies->start();
    REQUIRE_FALSE(second);
    CHECK_THAT(second.error().message(), Catch::Contains("could not be copied"));
}

TEST_CASE("runtime: it fails when no thread can be started, and drops what was spawned",
          "[rt][runtime]") {
    std::atomic<int> alive{0};
    auto runtime = quiet_setup().threads(2).build();
    REQUIRE(runtime);
    for (int i = 0; i < 3; ++i) { runtime->shared().spawn_future(wait_an_hour(counted(alive))); }
    const auto message =
        message_of_start(*runtime, [] { return refuse(SYS_clone, SYS_clone3, EAGAIN); });
    CHECK_THAT(message, Catch::Contains("cannot start a worker thread"));
    CHECK(alive == 0);
}

TEST_CASE("runtime: what was spawned on a runtime that never starts is dropped with it",
          "[rt][runtime]") {
    std::atomic<int> alive{0};
    auto ref = [&alive] {
        auto runtime = quiet_setup().threads(2).build();
        REQUIRE(runtime);
        runtime->shared().spawn_future(wait_an_hour(counted(alive)));
        CHECK(alive == 1);
        return runtime->spawn(heph::no_supervisor{}, heph::actor_fn(actor), &alive);
    }();
    CHECK(alive == 0);
    CHECK_FALSE(ref.is_connected());
    const auto sent = ref.try_send(1);
    CHECK_FALSE(sent);
}

TEST_CASE("runtime: what is spawned after a runtime that never started is dropped",
          "[rt][runtime]") {
    std::atomic<int> alive{0};
    auto shared = [] {
        auto runtime = quiet_setup().build();
        REQUIRE(runtime);
        return runtime->shared();
    }();
    shared.spawn_future(wait_an_hour(counted(alive)));
    CHECK(alive == 0);
}
