// The README of heph-rt, what it says of sockets, files, pipes, processes and tests. What stands
// between
// `// [name]` and `// [/name]` is in the README, word for word; the first test compares.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/actor_ref.hpp>
#include <heph/core/join.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/testing/probe.hpp>
#include <heph/rt/buffer_pool.hpp>
#include <heph/rt/command.hpp>
#include <heph/rt/fs/directory.hpp>
#include <heph/rt/fs/paths.hpp>
#include <heph/rt/fs/watcher.hpp>
#include <heph/rt/net/send_file.hpp>
#include <heph/rt/net/socket_options.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/net/udp.hpp>
#include <heph/rt/net/unix_messages.hpp>
#include <heph/rt/pipe.hpp>
#include <heph/rt/splice.hpp>
#include <heph/rt/static_storage.hpp>
#include <heph/rt/testing/simulation.hpp>
#include <heph/rt/testing/test_runtime.hpp>
#include <heph/rt/timer.hpp>
#include <heph/rt/timer_queue.hpp>

#include "on_runtime.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using heph::rt::buffer;
using heph::test::run_task;
using heph::test::temporary_folder;
namespace fs = heph::rt::fs;
namespace net = heph::rt::net;
using outcome = std::expected<void, std::error_code>;

namespace {

// Gives the indented lines of each marked part, without the indentation.
std::vector<std::string> snippets_of(const std::filesystem::path& source) {
    std::vector<std::string> found;
    std::ifstream lines(source);
    std::string line;
    std::size_t indentation = std::string::npos;
    while (std::getline(lines, line)) {
        const std::size_t first = line.find_first_not_of(' ');
        const std::string_view text =
            first == std::string::npos ? std::string_view() : std::string_view(line).substr(first);
        if (text.starts_with("// [/")) {
            indentation = std::string::npos;
        } else if (text.starts_with("// [") && text.ends_with("]")) {
            indentation = first;
            found.emplace_back();
        } else if (indentation != std::string::npos) {
            found.back() += (line.size() > indentation ? line.substr(indentation) : "") + '\n';
        }
    }
    return found;
}

// [timers]
class sorted_timers final : public heph::rt::timer_queue {
    using ms = std::chrono::milliseconds;

public:
    void add(heph::rt::armed_timer& timer) override { waiting_.emplace(timer.due(), &timer); }
    void remove(heph::rt::armed_timer& timer) noexcept override {
        auto at = waiting_.lower_bound(timer.due());
        while (at->second != &timer) { ++at; }
        waiting_.erase(at);
    }
    heph::rt::armed_timer* expire(ms now) noexcept override {
        if (waiting_.empty() || waiting_.begin()->first > now) { return nullptr; }
        return waiting_.extract(waiting_.begin()).mapped();
    }
    [[nodiscard]] std::optional<ms> next() const noexcept override {
        if (waiting_.empty()) { return std::nullopt; }
        return waiting_.begin()->first;
    }

private:
    std::multimap<ms, heph::rt::armed_timer*> waiting_;
};
// [/timers]

heph::task<outcome> tells_time(net::udp_socket* server) {
    // [udp]
    auto asked = co_await server->recv_from(buffer::with_capacity(512));
    if (!asked) { co_return std::unexpected(asked.error()); }
    if (asked->is_truncated()) { co_return outcome(); }  // longer than any sound question
    auto sent = co_await server->send_to(buffer::copy_of("noon"), asked->from());
    // [/udp]
    CHECK(sent);
    co_return outcome();
}

heph::task<outcome> hands_over(net::unix_stream* helper, int listener) {
    // [descriptors]
    auto copy = heph::rt::duplicate(listener);  // this process goes on using its own
    if (!copy) { co_return std::unexpected(copy.error()); }
    std::vector<heph::rt::descriptor_handle> passed;
    passed.push_back(std::move(*copy));
    auto sent =
        co_await helper->send_with_descriptors(buffer::copy_of("listen"), std::move(passed));
    // [/descriptors]
    CHECK(sent);
    co_return outcome();
}

heph::task<outcome> serves_file(net::unix_stream* stream, fs::path path) {
    // [send-file]
    auto file = co_await fs::file::open(path);
    if (!file) { co_return std::unexpected(file.error()); }
    auto known = co_await file->get_metadata();
    if (!known) { co_return std::unexpected(known.error()); }
    auto sent = co_await net::send_file(*stream, *file, 0, known->size());
    // [/send-file]
    REQUIRE(sent);
    CHECK(*sent == known->size());
    co_return outcome();
}

heph::task<outcome> echoes(net::unix_stream* stream) {
    // [pool]
    auto pool = heph::rt::buffer_pool::make({.count = 256, .bytes = 2048});
    if (!pool) { co_return std::unexpected(pool.error()); }
    auto receiver = stream->recv_many(*pool);  // what waits has no memory
    for (;;) {
        auto received = co_await receiver.next();
        if (!received) { co_return std::unexpected(received.error()); }
        if (received->empty()) { break; }                             // the peer sends no more
        auto sent = co_await stream->send_all(std::move(*received));  // and back to the pool
        if (!sent) { co_return std::unexpected(sent.error()); }
    }
    // [/pool]
    co_return outcome();
}

heph::task<outcome> asks(net::unix_stream* stream) {
    // [limited]
    constinit static heph::rt::static_storage<64> line;
    auto bytes = line.take();  // nothing while another has it
    if (!bytes) { co_return std::unexpected(make_error_code(std::errc::device_or_resource_busy)); }
    bytes->append("ping");
    auto sent = co_await stream->send_all(std::move(*bytes));
    auto answer = co_await stream->recv(heph::rt::limit(std::string(), 512));
    // [/limited]
    CHECK(sent);
    CHECK((answer && *answer == "ping"));
    co_return outcome();
}

heph::task<outcome> sends_what_fits(net::unix_stream* stream, buffer bytes) {
    // [send-some]
    auto sent = co_await stream->send_some(std::move(bytes));
    if (!sent) { co_return std::unexpected(sent.error()); }
    buffer rest = std::move(sent->bytes());
    rest.consume(sent->count());  // for later: the peer may be slow
    // [/send-some]
    CHECK(!rest.empty());
    co_return outcome();
}

heph::task<outcome> relays(net::unix_stream* from, net::unix_stream* to) {
    // [splice]
    auto pipe = heph::rt::make_pipe();
    if (!pipe) { co_return std::unexpected(pipe.error()); }
    for (;;) {
        auto moved = co_await heph::rt::splice(*from, pipe->second, 64 * 1024);
        if (!moved) { co_return std::unexpected(moved.error()); }
        if (*moved == 0) { break; }  // the peer sends no more
        auto sent = co_await heph::rt::splice_all(pipe->first, *to, *moved);
        if (!sent) { co_return std::unexpected(sent.error()); }
    }
    // [/splice]
    co_return outcome();
}

heph::task<outcome> logs(fs::path path, buffer line) {
    // [direct]
    auto log = co_await fs::file::open(path, fs::open_options().append().create());
    if (!log) { co_return std::unexpected(log.error()); }
    if (const auto failed = log->make_direct()) { co_return std::unexpected(failed); }
    auto written = co_await log->append(std::move(line));  // as ever, whether it is_direct() or not
    // [/direct]
    CHECK(written);
    CHECK(log->size() == 8);
    co_return outcome();
}

heph::task<outcome> sorts(std::string* sorted) {
    // [command]
    using heph::rt::stdio;
    heph::rt::command sort("sort");
    sort.argument("-n").input(stdio::pipe()).output(stdio::pipe());
    auto child = co_await sort.spawn();
    if (!child) { co_return std::unexpected(child.error()); }  // there is no such program, ...

    auto written = co_await child->input().write_all(buffer::copy_of("10\n9\n"));
    if (!written) { co_return std::unexpected(written.error()); }
    child->close_input();
    auto first = co_await child->output().read(buffer::with_capacity(4096));
    auto ended = co_await heph::rt::deadline(10s, child->wait());
    if (!ended) { (void)child->kill(); }  // and so does dropping it
    // [/command]
    REQUIRE(first);
    *sorted = std::string(first->view());
    CHECK((ended && *ended && (*ended)->success()));
    co_return outcome();
}

heph::task<outcome> lists(fs::path folder, std::size_t* files) {
    // [directory]
    auto here = co_await fs::directory::open(folder);
    if (!here) { co_return std::unexpected(here.error()); }
    for (;;) {
        auto batch = co_await here->next();
        if (!batch) { co_return std::unexpected(batch.error()); }
        if (batch->empty()) { break; }
        for (const auto& entry : *batch) {
            if (entry.type() == fs::file_type::regular) { ++*files; }
        }
    }
    // [/directory]
    co_return outcome();
}

heph::task<outcome> watches(fs::path folder) {
    // [watcher]
    auto changes = fs::watcher::make();
    if (!changes) { co_return std::unexpected(changes.error()); }
    auto watched = changes->add(folder, fs::change::written | fs::change::moved_here);
    if (!watched) { co_return std::unexpected(watched.error()); }
    auto replaced = co_await fs::replace_file(folder / "settings", buffer::copy_of("depth = 3\n"));
    auto event = co_await changes->next();
    const bool missed_some = event && event->has(fs::change::overflow);  // look at everything again
    // [/watcher]
    CHECK(replaced);
    REQUIRE(event);
    CHECK_FALSE(missed_some);
    co_return outcome();
}

heph::task<> count(heph::rt::local_context<int> ctx, heph::actor_ref<int> totals) {
    int total = 0;
    while (auto more = co_await ctx.receive()) {
        total += *more;
        (void)co_await totals.send(total);
        if (total == 2) { co_return; }
    }
}

heph::task<outcome> greet(heph::rt::local_context<>, std::uint16_t port) {
    auto listener = net::tcp_listener::bind(net::endpoint::v4({0, 0, 0, 0}, port));
    if (!listener) { co_return std::unexpected(listener.error()); }
    for (;;) {
        auto accepted = co_await listener->accept();
        if (!accepted) { co_return std::unexpected(accepted.error()); }
        auto text = buffer::copy_of("hello");
        (void)co_await accepted->send_all(std::move(text));
    }
}

heph::task<std::string> greeting_of(net::endpoint server) {
    auto stream = co_await net::tcp_stream::connect(server);
    if (!stream) {
        co_return stream.error() == std::errc::timed_out ? "timed out" : stream.error().message();
    }
    std::string all;
    for (;;) {
        auto chunk = co_await stream->next();
        if (!chunk || chunk->empty()) { co_return all; }
        all += chunk->view();
    }
}

heph::task<int> two_and_two() {
    co_await heph::rt::timer(1ms);
    co_return 4;
}

}  // namespace

TEST_CASE("readme: each piece of code about I/O is in the README as it is here", "[rt][readme]") {
    const std::filesystem::path root = HEPH_SOURCE_DIR;
    std::ifstream readme(root / "heph-rt/README.md");
    const std::string text(std::istreambuf_iterator<char>(readme), {});
    const auto snippets = snippets_of(root / "tests/rt/readme_io_test.cpp");
    CHECK(snippets.size() == 15);
    for (const std::string& each : snippets) {
        INFO(each);
        CHECK(text.find("```cpp\n" + each + "```\n") != std::string::npos);
    }
}

TEST_CASE("readme: an actor and a task are tested", "[rt][readme]") {
    // [testing]
    heph::rt::testing::test_runtime run;
    heph::testing::probe<int> totals("totals");
    auto counter_ref = run.spawn_local(run.supervisor(), heph::actor_fn(count), totals.ref());
    REQUIRE(counter_ref.try_send(2));
    totals.expect_message(2);
    CHECK(run.block_on([](heph::rt::worker&) { return two_and_two(); }) == 4);
    run.stop();  // throws what made an actor fail
    // [/testing]
}

TEST_CASE("readme: timers in a map fire in order, and can be dropped", "[rt][readme]") {
    // [use-timers]
    auto settings = heph::rt::setup{}.timers([] { return std::make_unique<sorted_timers>(); });
    // [/use-timers]
    settings.ignore_signals();
    run_task(settings, []() -> heph::task<> {
        const auto start = heph::rt::clock::now();
        heph::rt::timer first(start + 1h);
        heph::rt::timer second(start + 1h);
        CHECK_FALSE(first.poll(heph::waker()).is_ready());
        CHECK_FALSE(second.poll(heph::waker()).is_ready());
        second.reset(4ms);
        auto bounded = heph::rt::deadline(2ms, heph::rt::timer(start + 1h));
        const auto result = co_await bounded;
        CHECK_FALSE(result);
        co_await second;
        CHECK(heph::rt::clock::now() - start >= 6ms);
    });
}

TEST_CASE("readme: a server is reached over a simulated network", "[rt][readme]") {
    // [simulation]
    using heph::rt::testing::simulation;
    heph::rt::testing::simulation_options options;
    options.link.loss = 0.05;  // each piece is sent again then, later and later
    options.faults.short_receives = 0.5;
    heph::rt::testing::run_seeds(20, options, [](simulation& world) {
        auto server = world.add_host("server", "10.0.0.1", [](heph::rt::worker& here) {
            here.spawn(heph::stop_supervisor(), heph::actor_fn(greet), 80);
        });
        auto client = world.add_host("client", "10.0.0.2");
        const auto ask = [&](heph::rt::worker&) { return greeting_of(server.at(80)); };

        CHECK(client.block_on(ask) == "hello");
        world.partition(client, server);
        CHECK(client.block_on(ask) == "timed out");  // after two minutes, which take no time
        world.heal(client, server);
        CHECK(client.block_on(ask) == "hello");
    });
    // [/simulation]
}

TEST_CASE("readme: a datagram is answered, and a file and descriptors are sent", "[rt][readme]") {
    const temporary_folder folder;
    std::ofstream(folder / "page") << "some text";
    run_task([path = folder / "page"]() -> heph::task<> {
        return [](fs::path page) -> heph::task<> {
            auto server = net::udp_socket::bind(net::endpoint::loopback(0));
            auto client = net::udp_socket::bind(net::endpoint::loopback(0));
            REQUIRE((server && client));
            const auto at = server->local_endpoint();
            REQUIRE(at);
            const auto asked = co_await client->send_to(buffer::copy_of("time?"), *at);
            CHECK(asked);
            const auto told = co_await tells_time(&*server);
            CHECK(told);
            const auto answer = co_await client->recv(buffer::with_capacity(10));
            REQUIRE(answer);
            CHECK(answer->bytes().view() == "noon");
            auto pair = net::unix_stream::pair();
            REQUIRE(pair);
            const auto handed = co_await hands_over(&pair->first, 0);
            CHECK(handed);
            const auto served = co_await serves_file(&pair->first, page);
            CHECK(served);
        }(path);
    });
}

TEST_CASE("readme: bytes go through a pool, a pipe and static memory", "[rt][readme]") {
    run_task([]() -> heph::task<> {
        auto pair = net::unix_stream::pair();
        auto relayed = net::unix_stream::pair();
        REQUIRE((pair && relayed));
        net::unix_stream client = std::move(pair->first);
        auto both = heph::join(
            [](net::unix_stream asking) -> heph::task<> {
                const auto asked = co_await asks(&asking);
                CHECK(asked);
            }(std::move(client)),
            echoes(&pair->second));
        const auto done = co_await both;
        CHECK(std::get<1>(done));

        auto flood = net::unix_stream::pair();
        REQUIRE(flood);
        const auto some =
            co_await sends_what_fits(&flood->first, buffer::copy_of(std::string(8U << 20U, '.')));
        CHECK(some);

        auto source = net::unix_stream::pair();
        REQUIRE(source);
        const auto sent = co_await source->first.send_all(buffer::copy_of("on its way"));
        CHECK(sent);
        CHECK_FALSE(source->first.shutdown(net::shutdown_how::send));
        const auto moved = co_await relays(&source->second, &relayed->first);
        CHECK(moved);
        const auto arrived = co_await relayed->second.recv(heph::rt::limit(std::string(), 100));
        CHECK((arrived && *arrived == "on its way"));
    });
}

TEST_CASE("readme: a child sorts, a folder is listed and watched", "[rt][readme]") {
    const temporary_folder folder;
    std::string sorted;
    std::size_t files = 0;
    run_task([&, path = folder.path()]() -> heph::task<> {
        return [](fs::path in, std::string* lines, std::size_t* count) -> heph::task<> {
            const auto done = co_await sorts(lines);
            CHECK(done);
            const auto seen = co_await watches(in);
            CHECK(seen);
            const auto listed = co_await lists(in, count);
            CHECK(listed);
            const auto logged = co_await logs(in / "log", buffer::copy_of("a line.\n"));
            CHECK(logged);
        }(path, &sorted, &files);
    });
    CHECK(sorted == "9\n10\n");
    CHECK(files == 1);
}
