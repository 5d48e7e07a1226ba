// Streams and files without a descriptor of the process's: in the table of their worker's ring.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/core/join.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/buffer_pool.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/net/send_file.hpp>
#include <heph/rt/net/server.hpp>
#include <heph/rt/net/socket_options.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/net/udp.hpp>
#include <heph/rt/splice.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "open_descriptors.hpp"
#include "stream_pair.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::errc;
using heph::rt::is_direct;
using heph::rt::worker;
using heph::rt::net::endpoint;
using heph::rt::net::tcp_listener;
using heph::rt::net::tcp_stream;
using heph::rt::net::unix_stream;
using heph::test::long_text;
using heph::test::new_streams;
using heph::test::open_descriptors;
using heph::test::run_on_worker;
using heph::test::send_text;
using heph::test::temporary_folder;
namespace fs = heph::rt::fs;
namespace net = heph::rt::net;

namespace {

heph::rt::setup direct_setup(std::size_t slots) {
    auto settings = heph::test::quiet_setup();
    settings.direct_descriptors(slots);
    return settings;
}

heph::rt::worker_metrics metrics_of(const worker& here) {
    return here.shared().metrics().workers[here.index()];
}

// Some kernels, and epoll, have none: all is to go on as it does with ordinary ones.
bool has_table(const worker& here) { return metrics_of(here).direct_slots != 0; }

// Runs a task that is given its worker.
void run_here(std::size_t slots, task<> (*make)(worker)) {
    run_on_worker(direct_setup(slots), [make](worker& here) { here.spawn_future(make(here)); });
}

task<std::string> receive(unix_stream* from) {
    auto room = buffer::with_capacity(4096);
    const auto got = co_await from->recv(std::move(room));
    REQUIRE(got);
    co_return std::string(got->view());
}

task<> expect(unix_stream* from, std::string text) {
    const auto got = co_await receive(from);
    CHECK(got == text);
}

std::string contents(const std::filesystem::path& of) {
    std::ifstream file(of, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// Waits until the worker has so many direct descriptors.
task<> await_in_use(worker here, std::size_t count) {
    while (metrics_of(here).direct_in_use != count) { co_await heph::rt::timer(1ms); }
}

task<> becomes_direct(worker here) {
    auto [near, far] = new_streams();
    const std::size_t before = open_descriptors();
    CHECK_FALSE(near.is_direct());
    CHECK_FALSE(near.make_direct());
    CHECK_FALSE(near.make_direct());  // It is.
    CHECK(near.is_direct() == has_table(here));
    CHECK(is_direct(near.descriptor()) == near.is_direct());
    if (near.is_direct()) {
        CHECK(metrics_of(here).direct_in_use == 1);
        CHECK(::fcntl(near.descriptor(), F_GETFD) == -1);
        CHECK(errno == EBADF);
        co_await heph::rt::timer(1ms);  // The ring has closed the other.
        CHECK(open_descriptors() == before - 1);
    }
    co_await send_text(&near, "there");
    co_await expect(&far, "there");
    co_await send_text(&far, "and back");
    co_await expect(&near, "and back");
    CHECK_FALSE(near.make_ordinary());
    CHECK_FALSE(near.make_ordinary());
    CHECK_FALSE(near.is_direct());
    CHECK(::fcntl(near.descriptor(), F_GETFD) == FD_CLOEXEC);
    CHECK(metrics_of(here).direct_in_use == 0);
    co_await send_text(&near, "again");
    co_await expect(&far, "again");
}

task<> sends_in_all_ways(unix_stream* near, unix_stream* far) {
    auto bytes = buffer::copy_of("some");
    {
        const auto done = co_await near->send_some(std::move(bytes));
        CHECK(done);
    }
    co_await expect(far, "some");
    std::vector<buffer> parts;
    parts.push_back(buffer::copy_of("two "));
    parts.push_back(buffer::copy_of("parts"));
    {
        const auto done = co_await near->send_all_vectored(std::move(parts));
        CHECK(done);
    }
    co_await expect(far, "two parts");
    bytes = buffer::copy_of("uncopied");
    {
        const auto done = co_await near->send_all_zero_copy(std::move(bytes));
        CHECK(done);
    }
    co_await expect(far, "uncopied");
}

task<> receives_in_all_ways(unix_stream* near, unix_stream* far) {
    co_await send_text(far, "12345678limitpool");
    auto room = buffer::with_capacity(16);
    const auto exact = co_await near->recv_n(std::move(room), 2);
    REQUIRE(exact);
    CHECK(exact->view() == "12");
    std::vector<buffer> rooms;
    rooms.push_back(buffer::with_capacity(2));
    const auto vectored = co_await near->recv_vectored(std::move(rooms));
    REQUIRE(vectored);
    CHECK(vectored->front().view() == "34");
    std::vector<buffer> more;
    more.push_back(buffer::with_capacity(8));
    const auto exact_vectored = co_await near->recv_n_vectored(std::move(more), 4);
    REQUIRE(exact_vectored);
    CHECK(exact_vectored->front().view() == "5678");
    const auto limited = co_await near->recv(heph::rt::limit(std::string(), 5));
    CHECK((limited && *limited == "limit"));
    auto pool = heph::rt::buffer_pool::make({.count = 8, .bytes = 512});
    REQUIRE(pool);
    const auto pooled = co_await near->recv(*pool);
    CHECK((pooled && pooled->view() == "pool"));
    {
        auto receiver = near->recv_many(*pool);
        co_await send_text(far, "many");
        const auto many = co_await receiver.next();
        CHECK((many && many->view() == "many"));
    }
    co_await send_text(far, "next");
    const auto next = co_await near->next();
    CHECK((next && next->view() == "next"));
    CHECK(near->make_direct() == errc::conflicting_operation);
}

task<> does_all_that_streams_do(worker here) {
    auto [near, far] = new_streams();
    CHECK_FALSE(near.make_direct());
    CHECK(near.is_direct() == has_table(here));
    co_await sends_in_all_ways(&near, &far);
    co_await receives_in_all_ways(&near, &far);
    CHECK_FALSE(net::set_option(near, net::options::receive_buffer_bytes, 65'536));
    CHECK(net::get_option(near, net::options::receive_buffer_bytes).value_or(0) >= 65'536);
    CHECK(near.credentials());
    CHECK(near.peer_address());
    CHECK_FALSE(near.shutdown(net::shutdown_how::send));
    co_await expect(&far, "");
}

// More than a stream queues.
task<> receives_a_flood(worker here) {
    auto [near, far] = new_streams();
    CHECK_FALSE(near.make_direct());
    const std::string text = long_text(1'000'000);
    here.spawn_future([](unix_stream to, std::string bytes) -> task<> {
        co_await send_text(&to, std::move(bytes));
    }(std::move(far), text));
    std::string got;
    for (;;) {
        const auto chunk = co_await near.next();
        REQUIRE(chunk);
        if (chunk->empty()) { break; }
        got += chunk->view();
    }
    CHECK(got == text);
}

task<> does_all_that_files_do(worker here) {
    const temporary_folder folder;
    auto opened =
        co_await fs::file::open(folder / "file", fs::open_options().read().write().create());
    REQUIRE(opened);
    fs::file& file = *opened;
    CHECK_FALSE(file.make_direct());
    CHECK(file.is_direct() == has_table(here));
    auto bytes = buffer::copy_of("0123456789");
    {
        const auto done = co_await file.write_at(std::move(bytes), 0);
        CHECK(done);
    }
    std::vector<buffer> parts;
    parts.push_back(buffer::copy_of("ab"));
    parts.push_back(buffer::copy_of("cd"));
    {
        const auto done = co_await file.write_vectored_at(std::move(parts), 10);
        CHECK(done);
    }
    {
        const auto done = co_await file.sync_data();
        CHECK(done);
    }
    {
        const auto done = co_await file.sync_all();
        CHECK(done);
    }
    {
        const auto done = co_await file.allocate(0, 64, true);
        CHECK(done);
    }
    {
        const auto done = co_await file.advise(0, 0, fs::access_pattern::sequential);
        CHECK(done);
    }
    CHECK(file.size().value_or(0) == 14);
    const auto known = co_await file.get_metadata();
    REQUIRE(known);
    CHECK(known->size() == 14);
    {
        const auto done = co_await file.resize(12);
        CHECK(done);
    }
    CHECK_FALSE(file.truncate(11));
    auto room = buffer::with_capacity(64);
    const auto read = co_await file.read_at(std::move(room), 1);
    CHECK((read && read->view() == "123456789a"));
    std::vector<buffer> rooms;
    rooms.push_back(buffer::with_capacity(3));
    const auto vectored = co_await file.read_vectored_at(std::move(rooms), 2);
    CHECK((vectored && vectored->front().view() == "234"));
    auto pool = heph::rt::buffer_pool::make({.count = 8, .bytes = 512});
    REQUIRE(pool);
    const auto pooled = co_await file.read_at(*pool, 9);
    CHECK((pooled && pooled->view() == "9a"));
    {
        const auto done = co_await file.give_name(folder / "other");
        CHECK(done);
    }
    {
        const auto done = co_await file.close();
        CHECK(done);
    }
    CHECK_FALSE(file.is_open());
    CHECK(contents(folder / "other") == "0123456789a");
    co_await await_in_use(here, 0);
}

task<> is_spliced_and_sent(worker here) {
    const temporary_folder folder;
    std::ofstream(folder / "file") << "of a file";
    auto file = co_await fs::file::open(folder / "file");
    REQUIRE(file);
    auto [near, far] = new_streams();
    auto [middle, end] = new_streams();
    CHECK_FALSE(file->make_direct());
    CHECK_FALSE(near.make_direct());
    CHECK_FALSE(middle.make_direct());
    CHECK(metrics_of(here).direct_in_use == (has_table(here) ? 3 : 0));
    {
        const auto moved = co_await net::send_file(near, *file, 0, 9);
        CHECK(moved.value_or(0) == 9);
    }
    co_await expect(&far, "of a file");
    co_await send_text(&far, "through a pipe");
    auto pipe = heph::rt::make_pipe();
    REQUIRE(pipe);
    {
        const auto moved = co_await heph::rt::splice(near, pipe->second, 100);
        CHECK(moved.value_or(0) == 14);
    }
    {
        const auto moved = co_await heph::rt::splice_all(pipe->first, middle, 14);
        CHECK(moved.value_or(0) == 14);
    }
    co_await expect(&end, "through a pipe");
    const auto without_pipe = co_await heph::rt::splice(near, middle, 1);
    REQUIRE_FALSE(without_pipe);
    CHECK(without_pipe.error() == std::errc::invalid_argument);
}

task<> passes_datagrams(worker here) {
    auto near = net::udp_socket::bind(endpoint::loopback(0));
    auto far = net::udp_socket::bind(endpoint::loopback(0));
    REQUIRE((near && far));
    CHECK_FALSE(near->make_direct());
    CHECK(near->is_direct() == has_table(here));
    const auto to_near = near->local_endpoint();
    const auto to_far = far->local_endpoint();
    REQUIRE((to_near && to_far));
    auto bytes = buffer::copy_of("there");
    const auto sent = co_await near->send_to(std::move(bytes), *to_far);
    CHECK(sent);
    auto room = buffer::with_capacity(16);
    auto got = co_await far->recv_from(std::move(room));
    REQUIRE(got);
    CHECK(got->bytes().view() == "there");
    CHECK_FALSE(far->connect(*to_near));
    CHECK_FALSE(near->connect(*to_far));
    bytes = buffer::copy_of("back");
    const auto answered = co_await far->send(std::move(bytes));
    CHECK(answered);
    room = buffer::with_capacity(16);
    const auto back = co_await near->recv(std::move(room));
    REQUIRE(back);
}

// The only slot is taken by what is dropped while it receives.
task<> is_dropped_while_it_receives(worker here) {
    auto [near, far] = new_streams();
    std::optional<unix_stream> direct(std::move(near));
    auto [second, second_far] = new_streams();
    CHECK_FALSE(direct->make_direct());
    {
        auto waiting = co_await heph::either(direct->next(), heph::rt::timer(1ms));
        CHECK(waiting.index() == 1);
    }
    direct.reset();
    if (has_table(here)) {
        // The operation is under way still: no other may have its slot.
        CHECK(metrics_of(here).direct_in_use == 1);
        CHECK_FALSE(second.make_direct());
        CHECK_FALSE(second.is_direct());
    }
    co_await expect(&far, "");  // The peer sees the end.
    co_await await_in_use(here, 0);
    CHECK_FALSE(second.make_direct());
    CHECK(second.is_direct() == has_table(here));
    co_await send_text(&second_far, "its own");
    co_await expect(&second, "its own");
}

task<> keeps_what_a_dropped_receive_left(worker here) {
    auto [near, far] = new_streams();
    CHECK_FALSE(near.make_direct());
    for (int i = 0; i < 50; ++i) {
        {
            auto room = buffer::with_capacity(64);
            auto waiting = co_await heph::either(near.recv(std::move(room)), heph::yield());
            CHECK(waiting.index() == 1);
        }
        co_await heph::rt::timer(1ms);  // It is cancelled.
        co_await send_text(&far, "whole");
        co_await expect(&near, "whole");
    }
    CHECK(metrics_of(here).direct_in_use == (has_table(here) ? 1 : 0));
}

task<> finds_a_full_table(worker here) {
    std::vector<unix_stream> all;
    for (int i = 0; i < 3; ++i) {
        auto [near, far] = new_streams();
        CHECK_FALSE(near.make_direct());
        CHECK(near.is_direct() == (has_table(here) && i < 2));
        co_await send_text(&near, "works");
        co_await expect(&far, "works");
        all.push_back(std::move(near));
    }
}

// A thousand, one after the other, through four slots.
task<> passes_through_few_slots(worker here) {
    for (int i = 0; i < 1'000; ++i) {
        auto [near, far] = new_streams();
        CHECK_FALSE(near.make_direct());
        CHECK(near.is_direct() == has_table(here));
        co_await send_text(&far, "x");
        co_await expect(&near, "x");
    }
    co_await await_in_use(here, 0);
}

tcp_listener listen() {
    auto bound = tcp_listener::bind(endpoint::loopback(0));
    REQUIRE(bound);
    return std::move(*bound);
}

task<tcp_stream> connect(const tcp_listener& to) {
    const auto address = to.local_endpoint();
    REQUIRE(address);
    auto made = co_await tcp_stream::connect(*address);
    REQUIRE(made);
    co_return std::move(*made);
}

// Eight slots: direct while more than four are free.
task<> accepts_direct_ones(worker here) {
    auto listener = listen();
    listener.accept_direct();
    std::vector<tcp_stream> clients;
    std::vector<tcp_stream> served;
    for (std::size_t i = 0; i < 12; ++i) {
        clients.push_back(co_await connect(listener));
        auto accepted = co_await listener.accept();
        REQUIRE(accepted);
        CHECK(accepted->is_direct() == (has_table(here) && i < 4));
        CHECK(accepted->peer_endpoint() == clients.back().local_endpoint());
        served.push_back(std::move(*accepted));
    }
    served.clear();  // With room again it goes back to direct ones.
    clients.clear();
    co_await await_in_use(here, 0);
    bool any_direct = false;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(co_await connect(listener));
        auto accepted = co_await listener.accept();
        REQUIRE(accepted);
        any_direct = accepted->is_direct();
        served.push_back(std::move(*accepted));
    }
    CHECK(any_direct == has_table(here));
}

// More at once than there are slots. Who gets no slot is served all the same, but for one at most.
task<> accepts_a_burst(worker here) {
    std::optional<tcp_listener> listener(listen());
    listener->accept_direct();
    std::vector<tcp_stream> clients;
    for (int i = 0; i < 40; ++i) { clients.push_back(co_await connect(*listener)); }
    std::vector<tcp_stream> served;
    for (int i = 0; i < 39; ++i) {
        auto accepted = co_await listener->accept();
        REQUIRE(accepted);
        auto bytes = buffer::copy_of("hello");
        {
            const auto done = co_await accepted->send_all(std::move(bytes));
            CHECK(done);
        }
        served.push_back(std::move(*accepted));
    }
    CHECK(metrics_of(here).direct_in_use <= 8);
    listener.reset();  // Nobody waits for who is left.
    int greeted = 0;
    for (auto& each : clients) {
        auto room = buffer::with_capacity(16);
        const auto got = co_await each.recv(std::move(room));
        if (got && got->view() == "hello") { ++greeted; }
    }
    CHECK(greeted == 39);
}

task<> echo_once(worker here, tcp_stream stream) {
    CHECK(stream.is_direct() == has_table(here));
    const auto chunk = co_await stream.next();
    REQUIRE(chunk);
    auto bytes = buffer::copy_of(chunk->view());
    {
        const auto done = co_await stream.send_all(std::move(bytes));
        CHECK(done);
    }
}

task<> asks_a_server(worker here, endpoint to) {
    auto made = co_await tcp_stream::connect(to);
    REQUIRE(made);
    auto bytes = buffer::copy_of("echo");
    {
        const auto done = co_await made->send_all(std::move(bytes));
        CHECK(done);
    }
    const auto chunk = co_await made->next();
    CHECK((chunk && chunk->view() == "echo"));
    here.shared().request_stop();
}

// What the threads of a test tell each other. Only one at a time may check anything: the first
// until it is there, the second until it is done, and then the first again.
struct handed_on {
    std::optional<unix_stream> near;
    std::optional<unix_stream> far;
    std::atomic<bool> there{false};
    std::atomic<bool> done{false};
};

// Runs a task on each of two workers.
void run_two(task<> (*on_first)(worker, handed_on*), task<> (*on_second)(worker, handed_on*)) {
    handed_on shared;
    auto settings = direct_setup(4);
    auto runtime = settings.threads(2).build();
    REQUIRE(runtime);
    runtime->run_on_workers([&shared, on_first, on_second](worker& here) {
        here.spawn_future((here.index() == 0 ? on_first : on_second)(here, &shared));
    });
    const auto ended = runtime->start();
    if (!ended) { FAIL(ended.error().message()); }
}

task<> makes_and_hands_on(worker here, handed_on* to) {
    auto [near, far] = new_streams();
    CHECK_FALSE(near.make_direct());
    const bool direct = near.is_direct();
    to->near.emplace(std::move(near));
    to->there = true;
    while (!to->done) { co_await heph::rt::timer(1ms); }
    if (direct) { co_await expect(&far, ""); }  // Closed by the other worker.
    co_await await_in_use(here, 0);
}

task<> uses_what_is_anothers(worker /*here*/, handed_on* from) {
    while (!from->there) { co_await heph::rt::timer(1ms); }
    unix_stream& stream = *from->near;
    if (stream.is_direct()) {
        CHECK(stream.make_direct() == errc::wrong_worker);
        CHECK(stream.make_ordinary() == errc::wrong_worker);
        auto bytes = buffer::copy_of("lost");
        const auto sent = co_await stream.send_all(std::move(bytes));
        REQUIRE_FALSE(sent);
        CHECK(sent.error() == std::errc::bad_file_descriptor);
        const auto next = co_await stream.next();
        REQUIRE_FALSE(next);
        CHECK(next.error() == std::errc::bad_file_descriptor);
        CHECK(stream.shutdown(net::shutdown_how::both) == std::errc::bad_file_descriptor);
        const auto copy = heph::rt::duplicate(stream.descriptor());
        CHECK((!copy && copy.error() == errc::wrong_worker));
    }
    from->near.reset();
    from->done = true;
}

task<> makes_ordinary_and_hands_on(worker /*here*/, handed_on* to) {
    auto [near, far] = new_streams();
    CHECK_FALSE(near.make_direct());
    CHECK_FALSE(near.make_ordinary());
    to->near.emplace(std::move(near));
    to->there = true;
    while (!to->done) { co_await heph::rt::timer(1ms); }
    co_await expect(&far, "from another worker");
}

task<> uses_what_was_anothers(worker /*here*/, handed_on* from) {
    while (!from->there) { co_await heph::rt::timer(1ms); }
    co_await send_text(&*from->near, "from another worker");
    from->done = true;
}

task<> leaves_a_stream(handed_on* to) {
    auto [near, far] = new_streams();
    CHECK_FALSE(near.make_direct());
    to->near.emplace(std::move(near));
    to->far.emplace(std::move(far));
    CHECK_FALSE(to->far->make_direct());
    co_return;
}

task<> uses_what_is_left(handed_on* from) {
    auto bytes = buffer::copy_of("to nobody");
    const bool direct = from->near->is_direct();
    const auto sent = co_await from->near->send_all(std::move(bytes));
    CHECK(sent.has_value() != direct);
    if (direct) { CHECK(sent.error() == std::errc::bad_file_descriptor); }
}

}  // namespace

TEST_CASE("direct: a stream leaves the process's descriptors and comes back", "[rt][direct]") {
    run_here(4, becomes_direct);
}

TEST_CASE("direct: there is a table with io_uring from Linux 6.14 on", "[rt][direct]") {
    utsname system{};
    REQUIRE(::uname(&system) == 0);
    int major = 0;
    int minor = 0;
    REQUIRE(std::sscanf(system.release, "%d.%d", &major, &minor) == 2);
    const bool new_enough = major > 6 || (major == 6 && minor >= 14);
    auto runtime = direct_setup(8).build();
    REQUIRE(runtime);
    const bool by_ring = runtime->driver() == heph::rt::driver_kind::io_uring;
    std::size_t slots = 0;
    runtime->run_on_workers([&slots](worker& here) { slots = metrics_of(here).direct_slots; });
    REQUIRE(runtime->start());
    CHECK(slots == (by_ring && new_enough ? 8 : 0));
}

TEST_CASE("direct: without a table all stays as it is", "[rt][direct]") {
    run_here(0, [](worker here) -> task<> {
        CHECK_FALSE(has_table(here));
        return becomes_direct(here);
    });
}

TEST_CASE("direct: a stream can do what others can", "[rt][direct][stream]") {
    run_here(4, does_all_that_streams_do);
}

TEST_CASE("direct: more than a stream queues is received", "[rt][direct][stream]") {
    run_here(4, receives_a_flood);
}

TEST_CASE("direct: a file can do what others can", "[rt][direct][file]") {
    run_here(4, does_all_that_files_do);
}

TEST_CASE("direct: a UDP socket can be one", "[rt][direct][udp]") { run_here(4, passes_datagrams); }

TEST_CASE("direct: streams and files are spliced, and files sent", "[rt][direct][splice]") {
    run_here(4, is_spliced_and_sent);
}

TEST_CASE("direct: a slot has no next owner while an operation names it", "[rt][direct][drop]") {
    run_here(1, is_dropped_while_it_receives);
}

TEST_CASE("direct: a receive is dropped, and loses nothing of what comes later",
          "[rt][direct][drop]") {
    run_here(2, keeps_what_a_dropped_receive_left);
}

TEST_CASE("direct: what finds a full table stays ordinary", "[rt][direct]") {
    run_here(2, finds_a_full_table);
}

TEST_CASE("direct: a thousand streams use few slots one after the other", "[rt][direct]") {
    const std::size_t before = open_descriptors();
    run_here(4, passes_through_few_slots);
    CHECK(heph::test::comes_true([before] { return open_descriptors() == before; }));
}

TEST_CASE("direct: connections are accepted as such while there is room", "[rt][direct][server]") {
    run_here(8, accepts_direct_ones);
}

TEST_CASE("direct: of connections that come at once one is lost at most", "[rt][direct][server]") {
    run_here(8, accepts_a_burst);
}

TEST_CASE("direct: a server gives its handler direct ones", "[rt][direct][server]") {
    run_on_worker(direct_setup(16), [](worker& here) {
        auto listeners = net::listen_on(endpoint::loopback(0), 1);
        REQUIRE(listeners);
        const auto address = listeners->front().local_endpoint();
        REQUIRE(address);
        auto server = net::tcp_server::over(std::move(*listeners), 1);
        REQUIRE(server);
        net::serve_options options;
        options.direct = true;
        server->start(here, echo_once, options);
        here.spawn_future(asks_a_server(here, *address));
    });
}

TEST_CASE("direct: another worker cannot use it, and may drop it", "[rt][direct][drop]") {
    run_two(makes_and_hands_on, uses_what_is_anothers);
}

TEST_CASE("direct: made ordinary it may be another worker's", "[rt][direct]") {
    run_two(makes_ordinary_and_hands_on, uses_what_was_anothers);
}

TEST_CASE("direct: the end of a worker closes what is left, which then means nothing",
          "[rt][direct]") {
    const std::size_t before = open_descriptors();
    for (int i = 0; i < 20; ++i) {
        const auto held = std::make_unique<handed_on>();
        handed_on& left = *held;
        run_on_worker(direct_setup(4),
                      [&left](worker& here) { here.spawn_future(leaves_a_stream(&left)); });
        REQUIRE(left.near);
        // The next worker's table has something in the same slots.
        run_on_worker(direct_setup(4), [&left](worker& here) {
            here.spawn_future([](handed_on* old) -> task<> {
                auto [near, far] = new_streams();
                CHECK_FALSE(near.make_direct());
                CHECK_FALSE(far.make_direct());
                co_await uses_what_is_left(old);
                old->near.reset();
                co_await send_text(&near, "untouched");
                co_await expect(&far, "untouched");
            }(&left));
        });
        left.far.reset();
    }
    CHECK(heph::test::comes_true([before] { return open_descriptors() == before; }));
}

TEST_CASE("direct: a table of more slots than there may be is refused", "[rt][direct][setup]") {
    const auto too_many = direct_setup(65'537).build();
    REQUIRE_FALSE(too_many);
    CHECK(too_many.error().message().find("direct descriptors must be 0 to 65536") !=
          std::string::npos);
    rlimit usual{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &usual) == 0);
    rlimit few = usual;
    few.rlim_cur = 100;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    const auto beyond_limit = direct_setup(200).build();
    CHECK(::setrlimit(RLIMIT_NOFILE, &usual) == 0);
    if (beyond_limit) {
        CHECK(beyond_limit->driver() == heph::rt::driver_kind::epoll);
    } else {
        CHECK(beyond_limit.error().message().find("ulimit -n") != std::string::npos);
    }
}
