#include <signal.h>
#include <sys/time.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <utility>

#include <heph/core/join.hpp>
#include <heph/rt/command.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/fs/paths.hpp>
#include <heph/rt/net/send_file.hpp>
#include <heph/rt/net/udp.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/pipe.hpp>

#include "on_runtime.hpp"
#include "support/sanitized.hpp"
#include "temporary_folder.hpp"

using heph::task;
using heph::rt::buffer;
using heph::test::run_task;
using heph::test::temporary_folder;
namespace fs = heph::rt::fs;
namespace net = heph::rt::net;

namespace {

std::atomic<int> interruptions{0};

void count_interruption(int /*signal*/) { interruptions.fetch_add(1, std::memory_order_relaxed); }

// Interrupts system calls of this process, thousands of times a second: the handler does not have
// them begun again.
class interrupting {
public:
    interrupting() {
        interruptions = 0;
        struct sigaction action{};
        action.sa_handler = &count_interruption;
        REQUIRE(::sigaction(SIGALRM, &action, &before_) == 0);
        // Under a sanitizer a handler may take longer than the time between two.
        const int period = heph::test::is_sanitized ? 2000 : 200;
        const itimerval often{{0, period}, {0, period}};
        REQUIRE(::setitimer(ITIMER_REAL, &often, nullptr) == 0);
    }
    interrupting(const interrupting&) = delete;
    interrupting& operator=(const interrupting&) = delete;
    ~interrupting() {
        const itimerval never{};
        ::setitimer(ITIMER_REAL, &never, nullptr);
        ::sigaction(SIGALRM, &before_, nullptr);
    }

private:
    struct sigaction before_{};
};

task<> use_files(fs::path in) {
    auto file = co_await fs::file::open(in / "file", fs::open_options().read().write().create());
    REQUIRE(file);
    const auto written = co_await file->write_at(buffer::copy_of(std::string(100'000, 'x')), 0);
    REQUIRE(written);
    const auto synced = co_await file->sync_all();
    REQUIRE(synced);
    const auto whole = co_await fs::read_file(in / "file", 100'000);
    REQUIRE(whole);
    auto pair = net::unix_stream::pair();
    REQUIRE(pair);
    auto both = heph::join(net::send_file(pair->first, *file, 0, 100'000),
                           pair->second.recv_n(buffer::with_capacity(100'000), 100'000));
    const auto outcome = co_await both;
    REQUIRE(std::get<0>(outcome));
    REQUIRE(std::get<1>(outcome));
}

task<> use_others() {
    auto near = net::udp_socket::bind(net::endpoint::loopback(0));
    REQUIRE(near);
    const auto at = near->local_endpoint();
    REQUIRE(at);
    auto both =
        heph::join(near->recv(buffer::with_capacity(10)), near->send_to(buffer::copy_of("x"), *at));
    const auto datagram = co_await both;
    REQUIRE(std::get<0>(datagram));
    auto ends = heph::rt::make_pipe();
    REQUIRE(ends);
    auto piped = heph::join(ends->second.write_all(buffer::copy_of(std::string(200'000, 'p'))),
                            ends->first.read_n(buffer::with_capacity(200'000), 200'000));
    const auto bytes = co_await piped;
    REQUIRE(std::get<0>(bytes));
    REQUIRE(std::get<1>(bytes));
    auto child = co_await heph::rt::command("/bin/true").spawn();
    REQUIRE(child);
    const auto ended = co_await child->wait();
    REQUIRE(ended);
    CHECK(ended->success());
}

}  // namespace

TEST_CASE("interruption: operations go on when signals interrupt their system calls",
          "[rt][interruption]") {
    const temporary_folder folder;
    const interrupting often;
    run_task([path = folder.path()]() -> task<> {
        return [](fs::path in) -> task<> {
            for (int round = 0; round < 20; ++round) {
                co_await use_files(in);
                co_await use_others();
            }
        }(path);
    });
    CHECK(interruptions > 0);
}
