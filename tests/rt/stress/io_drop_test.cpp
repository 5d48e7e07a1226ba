// Tasks that use each kind of operation besides plain connections and files, destroyed at random
// suspension points. Descriptors are counted afterwards: those that an operation held, those that
// were under way between processes, and those of files that an operation opened by itself.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <heph/core/join.hpp>
#include <heph/rt/command.hpp>
#include <heph/rt/fs/directory.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/fs/paths.hpp>
#include <heph/rt/fs/watcher.hpp>
#include <heph/rt/net/send_file.hpp>
#include <heph/rt/net/udp.hpp>
#include <heph/rt/net/unix_messages.hpp>
#include <heph/rt/pipe.hpp>
#include <heph/rt/timer.hpp>

#include "../on_runtime.hpp"
#include "../open_descriptors.hpp"
#include "../temporary_folder.hpp"
#include "support/random_drop.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::command;
using heph::rt::deadline;
using heph::rt::descriptor_handle;
using heph::rt::worker;
using heph::rt::fs::file;
using heph::rt::net::endpoint;
using heph::rt::net::udp_socket;
using heph::rt::net::unix_datagram;
using heph::rt::net::unix_seqpacket;
using heph::rt::net::unix_stream;
using heph::test::comes_true;
using heph::test::drop_after;
using heph::test::name_descriptors;
using heph::test::open_descriptors;
using heph::test::pick;
using heph::test::random_engine;
using heph::test::temporary_folder;

namespace {

struct tally {
    int alive = 0;
    int dropped = 0;
    int ended = 0;
};

using alive_mark = heph::test::alive_mark<tally>;

// What a victim needs besides its operations.
struct surroundings {
    std::filesystem::path folder;
    tally* counts;
};

buffer some_bytes(random_engine& random, std::size_t most) {
    return buffer::copy_of(std::string(1 + pick(random, most), 'd'));
}

std::vector<buffer> some_buffers(random_engine& random, std::size_t most) {
    std::vector<buffer> made;
    for (std::size_t i = 0; i < 3; ++i) { made.push_back(some_bytes(random, most)); }
    return made;
}

std::vector<buffer> some_room(std::size_t each) {
    std::vector<buffer> made;
    for (std::size_t i = 0; i < 3; ++i) { made.push_back(buffer::with_capacity(each)); }
    return made;
}

// Half of them have no descriptor of the process's, while there is room.
template <typename What>
void make_half_direct(random_engine& random, What& what) {
    if (pick(random, 2) == 0) { (void)what.make_direct(); }
}

// Waits for one that may never come.
template <typename Future>
task<> briefly(random_engine* random, Future inner) {
    deadline bounded(std::chrono::milliseconds(pick(*random, 3)), std::move(inner));
    (void)co_await bounded;
}

task<> use_udp(alive_mark, surroundings, random_engine random) {
    auto one = udp_socket::bind(endpoint::loopback(0));
    auto other = udp_socket::bind(endpoint::loopback(0));
    if (!one || !other) { co_return; }
    const auto to = other->local_endpoint();
    if (!to) { co_return; }
    make_half_direct(random, *one);
    make_half_direct(random, *other);
    for (int round = 0; round < 3; ++round) {
        auto bytes = some_bytes(random, 2000);
        auto parts = some_buffers(random, 500);
        auto sending = heph::join(one->send_to(std::move(bytes), *to),
                                  one->send_vectored_to(std::move(parts), *to));
        (void)co_await sending;
        auto room = buffer::with_capacity(1000);
        co_await briefly(&random, other->recv_from(std::move(room)));
        co_await briefly(&random, other->recv_vectored_from(some_room(700)));
        auto more = buffer::with_capacity(1000);
        co_await briefly(&random, other->recv_from(std::move(more)));
    }
}

task<> pass_descriptors(alive_mark, surroundings, random_engine random) {
    auto made = unix_datagram::pair();
    if (!made) { co_return; }
    auto& [one, other] = *made;
    for (int round = 0; round < 4; ++round) {
        std::vector<descriptor_handle> passed;
        for (std::size_t i = 0; i < 1 + pick(random, 3); ++i) {
            passed.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        }
        auto bytes = some_bytes(random, 100);
        (void)co_await one.send_with_descriptors(std::move(bytes), std::move(passed));
        if (pick(random, 4) == 0) { continue; }  // It stays in the socket.
        auto room = buffer::with_capacity(200);
        if (pick(random, 4) == 0) {
            co_await briefly(&random, other.recv(std::move(room)));
        } else {
            co_await briefly(&random,
                             other.recv_with_descriptors(std::move(room), 1 + pick(random, 3)));
        }
    }
}

task<> use_records(alive_mark, surroundings, random_engine random) {
    auto made = unix_seqpacket::pair();
    if (!made) { co_return; }
    auto& [one, other] = *made;
    for (int round = 0; round < 4; ++round) {
        auto bytes = some_bytes(random, 5000);
        auto room = buffer::with_capacity(4000);
        auto both = heph::join(one.send(std::move(bytes)), other.recv(std::move(room)));
        (void)co_await both;
        co_await briefly(&random, other.recv_vectored(some_room(100)));
    }
}

task<> use_pipe(alive_mark, surroundings, random_engine random) {
    auto made = heph::rt::make_pipe();
    if (!made) { co_return; }
    auto& [from, to] = *made;
    for (int round = 0; round < 3; ++round) {
        auto bytes = buffer::copy_of(std::string(200'000, 'p'));
        auto room = buffer::with_capacity(200'000);
        auto both =
            heph::join(to.write_all(std::move(bytes)), from.read_n(std::move(room), 200'000));
        (void)co_await both;
        auto nothing = buffer::with_capacity(10);
        co_await briefly(&random, from.read(std::move(nothing)));
    }
}

task<> swallow_all(unix_stream* from, std::size_t bytes) {
    while (bytes != 0) {
        auto room = buffer::with_capacity(std::min<std::size_t>(bytes, 50'000));
        const auto got =
            co_await from->recv_n(std::move(room), std::min<std::size_t>(bytes, 50'000));
        if (!got) { co_return; }
        bytes -= got->size();
    }
}

task<> use_stream(alive_mark, surroundings around, random_engine random) {
    auto made = unix_stream::pair();
    if (!made) { co_return; }
    auto& [one, other] = *made;
    make_half_direct(random, one);
    make_half_direct(random, other);
    auto parts = some_buffers(random, 3000);
    (void)co_await one.send_all_vectored(std::move(parts));
    co_await briefly(&random, other.recv_vectored(some_room(3000)));
    auto bytes = some_bytes(random, 3000);
    (void)co_await one.send_all_zero_copy(std::move(bytes));
    co_await briefly(&random, other.recv_vectored(some_room(9000)));
    auto source = co_await file::open(around.folder / "source");
    if (!source) { co_return; }
    make_half_direct(random, *source);
    auto both = heph::join(heph::rt::net::send_file(one, *source, 0, 300'000),
                           swallow_all(&other, 300'000));
    (void)co_await both;
    // Of what nobody takes, as much as there is room for is sent.
    co_await briefly(&random, heph::rt::net::send_file(one, *source, 0, 300'000));
}

task<> use_files(alive_mark, surroundings around, random_engine random) {
    namespace fs = heph::rt::fs;
    auto unnamed = co_await fs::create_unnamed(around.folder);
    if (unnamed) {
        make_half_direct(random, *unnamed);
        auto parts = some_buffers(random, 3000);
        (void)co_await unnamed->write_vectored_at(std::move(parts), 100);
        (void)co_await unnamed->read_vectored_at(some_room(1000), 0);
        (void)co_await unnamed->allocate(0, 10'000);
        (void)co_await unnamed->get_metadata();
        (void)co_await unnamed->resize(10);
    }
    auto named = co_await fs::create_temporary(around.folder);
    if (!named) { co_return; }
    const std::filesystem::path name = named->name();
    auto whole = some_bytes(random, 20'000);
    (void)co_await fs::replace_file(name, std::move(whole));
    (void)co_await fs::read_file(name, 100'000);
    (void)co_await fs::rename(name, name.string() + "-moved");
    (void)co_await fs::remove_file(name.string() + "-moved");
}

task<> list_and_make(alive_mark, surroundings around, random_engine random) {
    namespace fs = heph::rt::fs;
    const auto made = around.folder / ("d" + std::to_string(random()));
    (void)co_await fs::create_directories(made / "below");
    auto opened = co_await fs::directory::open(around.folder);
    for (int round = 0; opened && round < 3; ++round) {
        const auto some = co_await opened->next();
        if (!some || some->empty()) { break; }
    }
    (void)co_await fs::remove_directory(made / "below");
    (void)co_await fs::remove_directory(made);
}

task<> watch_files(alive_mark, surroundings around, random_engine random) {
    auto changes = heph::rt::fs::watcher::make();
    if (!changes || !changes->add(around.folder)) { co_return; }
    const auto name = around.folder / ("w" + std::to_string(random()));
    auto bytes = some_bytes(random, 100);
    (void)co_await heph::rt::fs::write_file(name, std::move(bytes));
    for (int round = 0; round < 3; ++round) { co_await briefly(&random, changes->next()); }
    (void)co_await heph::rt::fs::remove_file(name);
}

task<> run_child(alive_mark, surroundings, random_engine random) {
    using heph::rt::stdio;
    command what("cat");
    what.input(stdio::pipe()).output(stdio::pipe()).error(stdio::null());
    what.kill_on_drop(pick(random, 2) == 0);
    auto process = co_await what.spawn();
    if (!process) { co_return; }
    auto bytes = some_bytes(random, 3000);
    (void)co_await process->input().write_all(std::move(bytes));
    auto room = buffer::with_capacity(3000);
    (void)co_await process->output().read(std::move(room));
    process->close_input();
    (void)co_await process->wait();
}

task<> drop_a_child() {
    command what("cat");
    what.input(heph::rt::stdio::pipe()).kill_on_drop(true);
    auto process = co_await what.spawn();
    REQUIRE(process);
}

using victim_kind = task<> (*)(alive_mark, surroundings, random_engine);

constexpr std::array<victim_kind, 9> victims{&use_udp,       &pass_descriptors, &use_records,
                                             &use_pipe,      &use_stream,       &use_files,
                                             &list_and_make, &watch_files,      &run_child};

task<> one_victim(task<> inner, int polls, tally* counts) {
    drop_after victim(polls, std::move(inner));
    const bool ended = co_await victim;
    ++(ended ? counts->ended : counts->dropped);
}

task<> drive(worker here, surroundings around, std::uint32_t seed, int rounds) {
    random_engine random(seed);
    for (int i = 0; i < rounds; ++i) {
        for (const victim_kind each : victims) {
            // Children cost the most.
            if (each == &run_child && i % 8 != 0) { continue; }
            auto inner = each(alive_mark(*around.counts), around,
                              random_engine(static_cast<std::uint32_t>(random())));
            // Half of them early, where most operations are under way; some not at all.
            const std::size_t most = pick(random, 2) == 0 ? 8 : 60;
            here.spawn_future(
                one_victim(std::move(inner), static_cast<int>(pick(random, most)), around.counts));
        }
        co_await heph::rt::timer(1ms);
    }
    const auto in_use = [&here] { return here.shared().metrics().workers[0].direct_in_use; };
    for (int i = 0; i < 10'000 && in_use() != 0; ++i) { co_await heph::rt::timer(1ms); }
    CHECK(in_use() == 0);
}

tally run_seed(std::uint32_t seed, int rounds, const std::filesystem::path& folder) {
    tally counts;
    auto settings = heph::test::quiet_setup();
    settings.ring_entries(64).direct_descriptors(32);
    heph::test::run_on_worker(settings, [&](worker& here) {
        here.spawn_future(drive(here, surroundings{folder, &counts}, seed, rounds));
    });
    return counts;
}

// Neither living ones nor zombies.
bool no_children() {
    siginfo_t first{};
    return ::waitid(P_ALL, 0, &first, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

}  // namespace

TEST_CASE("random drop: operations of each kind leave no descriptor and no child behind",
          "[rt][stress]") {
    const temporary_folder folder;
    const int source = ::open((folder / "source").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    REQUIRE(source >= 0);
    REQUIRE(::ftruncate(source, 300'000) == 0);
    ::close(source);
    // What is made once for the whole process, to reap children, is there afterwards.
    heph::test::run_task(&drop_a_child);
    REQUIRE(comes_true(&no_children));
    const auto before = open_descriptors();
    const std::string names = name_descriptors();
    for (std::uint32_t seed = 1; seed <= 3; ++seed) {
        CAPTURE(seed);
        const tally counts = run_seed(seed, 40, folder.path());
        CHECK(counts.alive == 0);
        CHECK(counts.dropped > 60);
        CHECK(counts.ended > 30);
    }
    CHECK(comes_true(&no_children));
    // The reaper's event descriptor stays; a child that had ended before it was dropped needed
    // none.
    const bool all_closed = comes_true([&] { return open_descriptors() <= before + 1; });
    INFO("before:\n" << names << "after:\n" << name_descriptors());
    CHECK(all_closed);
}
