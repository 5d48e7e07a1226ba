#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::worker;
using heph::rt::net::shutdown_how;
using heph::rt::net::unix_address;
using heph::rt::net::unix_listen_options;
using heph::rt::net::unix_listener;
using heph::rt::net::unix_stream;
using heph::test::quiet_setup;
using heph::test::run_on_worker;
using heph::test::run_task;
using heph::test::temporary_folder;

namespace {

// An address in a folder of its own, removed at the end.
class temporary_address {
public:
    temporary_address() {
        std::string pattern = (std::filesystem::temp_directory_path() / "heph-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder_ = pattern;
    }
    temporary_address(const temporary_address&) = delete;
    temporary_address& operator=(const temporary_address&) = delete;
    ~temporary_address() { std::filesystem::remove_all(folder_); }
    [[nodiscard]] std::filesystem::path path() const { return folder_ / "socket"; }
    [[nodiscard]] unix_address address() const {
        auto made = unix_address::path(path().string());
        REQUIRE(made);
        return std::move(*made);
    }

private:
    std::filesystem::path folder_;
};

unix_listener listen(const unix_address& at) {
    auto bound = unix_listener::bind(at);
    if (!bound) { FAIL(bound.error().message()); }
    return std::move(*bound);
}

task<> send_text(unix_stream& stream, std::string text) {
    auto bytes = buffer::copy_of(text);
    const auto sent = co_await stream.send_all(std::move(bytes));
    REQUIRE(sent);
}

task<std::string> read_to_end(unix_stream& stream) {
    std::string text;
    for (;;) {
        const auto arrived = co_await stream.next();
        if (!arrived) { FAIL(arrived.error().message()); }
        if (arrived->empty()) { co_return text; }
        text += arrived->view();
    }
}

task<> echo_one(unix_listener listener) {
    auto accepted = co_await listener.accept();
    REQUIRE(accepted);
    for (;;) {
        const auto arrived = co_await accepted->next();
        REQUIRE(arrived);
        if (arrived->empty()) { co_return; }
        co_await send_text(*accepted, std::string(arrived->view()));
    }
}

// Sends a text while it comes back.
task<> send_and_end(unix_stream* stream, std::string text) {
    co_await send_text(*stream, std::move(text));
    CHECK_FALSE(stream->shutdown(shutdown_how::send));
}

task<> ask(unix_address server, std::string text, worker here) {
    auto stream = co_await unix_stream::connect(std::move(server));
    if (!stream) { FAIL(stream.error().message()); }
    here.spawn_future(send_and_end(&*stream, text));
    const auto back = co_await read_to_end(*stream);
    CHECK(back == text);
}

}  // namespace

TEST_CASE("unix: addresses are paths, abstract names or none, of limited size", "[rt][unix]") {
    const auto path = unix_address::path("/run/service");
    REQUIRE(path);
    CHECK(path->to_string() == "/run/service");
    CHECK_FALSE(path->is_abstract());
    const auto name = unix_address::abstract("service");
    REQUIRE(name);
    CHECK(name->to_string() == "@service");
    CHECK(name->is_abstract());
    CHECK_FALSE(*name == *unix_address::path("service"));
    CHECK(unix_address().to_string() == "(unnamed)");
    CHECK(unix_address::path(std::string(108, 'p')));
    CHECK(unix_address::path(std::string(109, 'p')).error() == std::errc::filename_too_long);
    CHECK(unix_address::abstract(std::string(107, 'n')));
    CHECK(unix_address::abstract(std::string(108, 'n')).error() == std::errc::filename_too_long);
    CHECK(unix_address::path("").error() == std::errc::invalid_argument);
    CHECK(unix_address::path(std::string("a\0b", 3)).error() == std::errc::invalid_argument);
    CHECK(unix_address::abstract("").error() == std::errc::invalid_argument);
}

TEST_CASE("unix: what is sent over a path or an abstract name comes back", "[rt][unix]") {
    const temporary_address somewhere;
    const auto abstract = unix_address::abstract("heph-test-" + std::to_string(::getpid()));
    REQUIRE(abstract);
    const auto longest = unix_address::abstract(std::to_string(::getpid()) + std::string(98, 'l'));
    REQUIRE(longest);
    const temporary_folder folder;
    std::string path = (folder / "").string();
    path.resize(108, 'p');  // No zero byte fits behind it.
    const auto longest_path = unix_address::path(path);
    REQUIRE(longest_path);
    for (const unix_address& at : {somewhere.address(), *abstract, *longest, *longest_path}) {
        CAPTURE(at.to_string());
        run_on_worker(quiet_setup(), [&at](worker& here) {
            auto listener = listen(at);
            const auto local = listener.local_address();
            REQUIRE(local);
            CHECK(*local == at);
            here.spawn_future(echo_one(std::move(listener)));
            here.spawn_future(ask(at, std::string(1'000'000, 'x'), here));
        });
    }
}

TEST_CASE("unix: a pair is connected, and tells who is at the other end", "[rt][unix]") {
    run_task([]() -> task<> {
        auto made = unix_stream::pair();
        REQUIRE(made);
        unix_stream near = std::move(made->first);
        unix_stream far = std::move(made->second);
        co_await send_text(near, "hello");
        auto into = buffer::with_capacity(100);
        const auto received = co_await far.recv(std::move(into));
        REQUIRE(received);
        CHECK(received->view() == "hello");
        const auto peer = near.credentials();
        REQUIRE(peer);
        CHECK(peer->process_id() == ::getpid());
        CHECK(peer->user_id() == ::geteuid());
        CHECK(peer->group_id() == ::getegid());
        const auto address = near.peer_address();
        REQUIRE(address);
        CHECK(address->is_unnamed());
        near = unix_stream();
        const auto end = co_await read_to_end(far);
        CHECK(end.empty());
        co_await heph::rt::timer(5ms);  // A dropped socket is closed later than at once.
        auto text = buffer::copy_of("nobody hears");
        const auto sent = co_await far.send_all(std::move(text));
        REQUIRE_FALSE(sent);
        CHECK(sent.error() == std::errc::broken_pipe);
    });
}

TEST_CASE("unix: nobody there, nobody listening and no permission are errors", "[rt][unix]") {
    const temporary_address somewhere;
    const auto missing = somewhere.address();
    run_task([&missing]() -> task<> {
        return [](unix_address to) -> task<> {
            const auto nothing = co_await unix_stream::connect(to);
            REQUIRE_FALSE(nothing);
            CHECK(nothing.error() == std::errc::no_such_file_or_directory);
            const auto unnamed = co_await unix_stream::connect(unix_address());
            REQUIRE_FALSE(unnamed);
            CHECK(unnamed.error() == std::errc::invalid_argument);
        }(missing);
    });
    CHECK(unix_listener::bind(unix_address()).error() == std::errc::invalid_argument);
    const auto nowhere = unix_address::path(somewhere.path().string() + "/deeper");
    REQUIRE(nowhere);
    CHECK(unix_listener::bind(*nowhere).error() == std::errc::no_such_file_or_directory);
    {
        const auto first = listen(missing);
        CHECK(unix_listener::bind(missing).error() == std::errc::address_in_use);
        unix_listen_options replacing;
        replacing.replace_stale = true;
        CHECK(unix_listener::bind(missing, replacing).error() == std::errc::address_in_use);
        // Who has it does not learn of that.
        pollfd waiting{first.descriptor(), POLLIN, 0};
        CHECK(::poll(&waiting, 1, 0) == 0);
    }
    // The file is still there, but nobody listens.
    run_task([&missing]() -> task<> {
        return [](unix_address to) -> task<> {
            const auto refused = co_await unix_stream::connect(to);
            REQUIRE_FALSE(refused);
            CHECK(refused.error() == std::errc::connection_refused);
        }(missing);
    });
    CHECK(unix_listener::bind(missing).error() == std::errc::address_in_use);
    unix_listen_options replacing;
    replacing.replace_stale = true;
    CHECK(unix_listener::bind(missing, replacing));
}

TEST_CASE("unix: the file of a listener has the permissions it was given, whatever the umask",
          "[rt][unix]") {
    const temporary_address somewhere;
    const mode_t before = ::umask(0077);
    unix_listen_options open_to_group;
    open_to_group.mode = 0660;
    const auto bound = unix_listener::bind(somewhere.address(), open_to_group);
    ::umask(before);
    REQUIRE(bound);
    struct stat status{};
    REQUIRE(::stat(somewhere.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 07777U) == 0660U);
    const auto unlisted = unix_address::abstract("heph-mode-" + std::to_string(::getpid()));
    REQUIRE(unlisted);
    CHECK(unix_listener::bind(*unlisted, open_to_group).error() == std::errc::invalid_argument);
}

TEST_CASE("unix: a Unix socket taken for a TCP stream carries bytes, and has no endpoints",
          "[rt][unix]") {
    run_task([]() -> task<> {
        auto made = unix_stream::pair();
        REQUIRE(made);
        heph::rt::net::tcp_stream near(std::move(made->first));
        unix_stream far = std::move(made->second);
        auto text = buffer::copy_of("hello");
        const auto sent = co_await near.send_all(std::move(text));
        REQUIRE(sent);
        const auto received = co_await far.next();
        REQUIRE(received);
        CHECK(received->view() == "hello");
        CHECK(near.peer_endpoint().error() == std::errc::address_family_not_supported);
        CHECK(near.local_endpoint().error() == std::errc::address_family_not_supported);
        CHECK(near.set_no_delay(true));
    });
}

TEST_CASE("unix: a file that is no socket is not replaced", "[rt][unix]") {
    const temporary_address somewhere;
    std::FILE* file = std::fopen(somewhere.path().c_str(), "w");
    REQUIRE(file != nullptr);
    std::fclose(file);
    unix_listen_options replacing;
    replacing.replace_stale = true;
    const auto bound = unix_listener::bind(somewhere.address(), replacing);
    REQUIRE_FALSE(bound);
    CHECK(bound.error() == std::errc::address_in_use);
    CHECK(std::filesystem::is_regular_file(somewhere.path()));
}

TEST_CASE("unix: connecting waits while the backlog is full, and is given up at a deadline",
          "[rt][unix]") {
    const auto at = unix_address::abstract("heph-full-" + std::to_string(::getpid()));
    REQUIRE(at);
    int connected = 0;
    bool given_up = false;
    run_on_worker(quiet_setup(), [&](worker& here) {
        unix_listen_options narrow;
        narrow.backlog = 0;  // One connection waits, and no more.
        auto bound = unix_listener::bind(*at, narrow);
        REQUIRE(bound);
        here.spawn_future(
            [](unix_address to, bool* gave_up, int* count, unix_listener listener) -> task<> {
                auto first = co_await unix_stream::connect(to);
                REQUIRE(first);
                auto bounded = heph::rt::deadline(20ms, unix_stream::connect(to));
                const auto second = co_await bounded;
                *gave_up = !second;
                // One that waits is served once there is room.
                auto waiting = heph::rt::deadline(20s, unix_stream::connect(to));
                auto room = heph::either(std::move(waiting), heph::rt::timer(20ms));
                auto early = co_await room;
                CHECK(early.index() == 1);
                auto accepted = co_await listener.accept();
                REQUIRE(accepted);
                const auto third = co_await unix_stream::connect(to);
                REQUIRE(third);
                *count = 2;
            }(*at, &given_up, &connected, std::move(*bound)));
    });
    CHECK(given_up);
    CHECK(connected == 2);
}

TEST_CASE("unix: out of descriptors accept gives the error, and works again later", "[rt][unix]") {
    const auto at = unix_address::abstract("heph-none-" + std::to_string(::getpid()));
    REQUIRE(at);
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    run_task([&]() -> task<> {
        return [](rlimit limits, unix_address where) -> task<> {
            auto listener = listen(where);
            auto client = co_await unix_stream::connect(where);
            REQUIRE(client);
            rlimit none = limits;
            none.rlim_cur = 3;
            REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
            const auto refused = co_await listener.accept();
            REQUIRE(::setrlimit(RLIMIT_NOFILE, &limits) == 0);
            REQUIRE_FALSE(refused);
            CHECK(refused.error() == std::errc::too_many_files_open);
            const auto accepted = co_await listener.accept();
            CHECK(accepted);
        }(before, *at);
    });
}
