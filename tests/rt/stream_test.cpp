#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/core/join.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/net/send_file.hpp>
#include <heph/rt/net/socket_options.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::deadline;
using heph::rt::errc;
using heph::rt::fs::file;
using heph::rt::net::endpoint;
using heph::rt::net::send_file;
using heph::rt::net::shutdown_how;
using heph::rt::net::tcp_listener;
using heph::rt::net::tcp_stream;
using heph::rt::net::unix_stream;
using heph::test::run_task;
using heph::test::temporary_folder;

namespace {

// Two ends of a TCP connection.
task<std::pair<tcp_stream, tcp_stream>> connected() {
    auto listener = tcp_listener::bind(endpoint::loopback(0));
    REQUIRE(listener);
    const auto at = listener->local_endpoint();
    REQUIRE(at);
    auto near = co_await tcp_stream::connect(*at);
    REQUIRE(near);
    auto far = co_await listener->accept();
    REQUIRE(far);
    co_return std::pair(std::move(*near), std::move(*far));
}

std::pair<unix_stream, unix_stream> unix_pair() {
    auto made = unix_stream::pair();
    REQUIRE(made);
    return std::move(*made);
}

std::string numbered(std::size_t bytes) {
    std::string text;
    text.reserve(bytes + 10);
    for (std::size_t i = 0; text.size() < bytes; ++i) { text += std::to_string(i) + ' '; }
    text.resize(bytes);
    return text;
}

template <typename Stream>
task<std::string> read_to_end(Stream* stream) {
    std::string text;
    for (;;) {
        const auto arrived = co_await stream->next();
        if (!arrived) { FAIL(arrived.error().message()); }
        if (arrived->empty()) { co_return text; }
        text += arrived->view();
    }
}

template <typename Stream>
task<> send_text(Stream* stream, std::string text) {
    auto bytes = buffer::copy_of(text);
    const auto sent = co_await stream->send_all(std::move(bytes));
    REQUIRE(sent);
}

template <typename Stream>
task<> check_exact(Stream near, Stream far) {
    co_await send_text(&near, "0123");
    auto into = buffer::with_capacity(100);
    auto two = co_await far.recv_n(std::move(into), 2);
    REQUIRE(two);
    CHECK(two->view() == "01");
    // Waits for more than what is there.
    auto rest = heph::join(far.recv_n(std::move(*two), 7), [](Stream* to) -> task<> {
        co_await heph::rt::timer(2ms);
        co_await send_text(to, "45678xyz");
    }(&near));
    auto both = co_await rest;
    auto& seven = std::get<0>(both);
    REQUIRE(seven);
    CHECK(seven->view() == "012345678");
    CHECK_FALSE(near.shutdown(shutdown_how::send));
    auto room = buffer::with_capacity(10);
    const auto ended = co_await far.recv_n(std::move(room), 4);
    REQUIRE_FALSE(ended);
    CHECK(ended.error() == errc::unexpected_end);
}

template <typename Stream>
task<> check_vectored(Stream near, Stream far) {
    // More buffers than one call takes, empty ones among them, and more than the socket holds.
    std::vector<buffer> parts;
    std::string whole;
    for (int i = 0; i < 2500; ++i) {
        const std::string part(static_cast<std::size_t>(i % 7) * 300,
                               static_cast<char>('a' + i % 26));
        parts.push_back(buffer::copy_of(part));
        whole += part;
    }
    auto both = heph::join(
        [](Stream* to, std::vector<buffer> bytes) -> task<> {
            const auto sent = co_await to->send_all_vectored(std::move(bytes));
            REQUIRE(sent);
            CHECK(sent->size() == 2500);
            CHECK_FALSE(to->shutdown(shutdown_how::send));
        }(&near, std::move(parts)),
        read_to_end(&far));
    auto outcome = co_await both;
    CHECK(std::get<1>(outcome) == whole);
}

// More buffers without room than the kernel takes parts, before one that has some.
task<> check_far_room(unix_stream near, unix_stream far) {
    co_await send_text(&near, "abc");
    std::vector<buffer> into;
    for (int i = 0; i < 1024; ++i) { into.push_back(buffer::copy_of("x")); }
    into.push_back(buffer::with_capacity(16));
    const auto received = co_await far.recv_vectored(std::move(into));
    REQUIRE(received);
    CHECK(received->front().view() == "x");
    CHECK(received->back().view() == "abc");
}

task<> check_scattered(unix_stream near, unix_stream far) {
    co_await send_text(&near, "abcdefg");
    std::vector<buffer> into;
    into.push_back(buffer::with_capacity(2));
    into.push_back(buffer());
    into.push_back(buffer::with_capacity(4));
    auto received = co_await far.recv_vectored(std::move(into));
    REQUIRE(received);
    CHECK((*received)[0].view() == "ab");
    CHECK((*received)[1].empty());
    CHECK((*received)[2].view() == "cdef");
    const auto full = co_await far.recv_vectored(std::move(*received));
    REQUIRE_FALSE(full);
    CHECK(full.error() == std::errc::invalid_argument);
    CHECK_FALSE(near.shutdown(shutdown_how::send));
    std::vector<buffer> more;
    more.push_back(buffer::with_capacity(10));
    more.push_back(buffer::with_capacity(10));
    auto last = co_await far.recv_vectored(std::move(more));
    REQUIRE(last);
    CHECK((*last)[0].view() == "g");
    auto end = co_await far.recv_vectored(std::move(*last));
    REQUIRE(end);
    CHECK((*end)[0].view() == "g");
    CHECK((*end)[1].empty());
}

template <typename Stream>
task<> check_zero_copy(Stream near, Stream far) {
    const std::string text = numbered(3'000'000);
    auto both = heph::join(
        [](Stream* to, std::string what) -> task<> {
            auto bytes = buffer::copy_of(what);
            auto sent = co_await to->send_all_zero_copy(std::move(bytes));
            REQUIRE(sent);
            CHECK(sent->view() == what);
            CHECK_FALSE(to->shutdown(shutdown_how::send));
        }(&near, text),
        read_to_end(&far));
    auto outcome = co_await both;
    CHECK(std::get<1>(outcome) == text);
}

template <typename Stream>
task<> check_send_file(Stream near, Stream far, std::filesystem::path path, std::string expected,
                       std::uint64_t offset, std::uint64_t count) {
    const auto opened = co_await file::open(path);
    REQUIRE(opened);
    auto both = heph::join(
        [](Stream* to, const file* from, std::uint64_t at, std::uint64_t bytes,
           std::size_t size) -> task<> {
            const auto sent = co_await send_file(*to, *from, at, bytes);
            if (!sent) { FAIL(sent.error().message()); }
            CHECK(*sent == size);
            CHECK_FALSE(to->shutdown(shutdown_how::send));
        }(&near, &*opened, offset, count, expected.size()),
        read_to_end(&far));
    auto outcome = co_await both;
    CHECK(std::get<1>(outcome) == expected);
}

}  // namespace

TEST_CASE("stream: exactly as many bytes as asked for are received, or the end is told",
          "[rt][stream]") {
    run_task([]() -> task<> {
        auto tcp = co_await connected();
        co_await check_exact(std::move(tcp.first), std::move(tcp.second));
        auto pair = unix_pair();
        co_await check_exact(std::move(pair.first), std::move(pair.second));
    });
}

TEST_CASE("stream: an exact receive of nothing, of too much and after next is refused",
          "[rt][stream]") {
    run_task([]() -> task<> {
        auto [near, far] = unix_pair();
        auto room = buffer::with_capacity(4);
        const auto nothing = co_await far.recv_n(std::move(room), 0);
        CHECK(nothing.error() == std::errc::invalid_argument);
        auto small = buffer::with_capacity(4);
        const auto too_much = co_await far.recv_n(std::move(small), 5);
        CHECK(too_much.error() == std::errc::invalid_argument);
        co_await send_text(&near, "x");
        const auto chunk = co_await far.next();
        REQUIRE(chunk);
        auto more = buffer::with_capacity(4);
        const auto conflict = co_await far.recv_n(std::move(more), 1);
        CHECK(conflict.error() == errc::conflicting_operation);
        unix_stream closed;
        auto none = buffer::with_capacity(4);
        const auto gone = co_await closed.recv_n(std::move(none), 1);
        CHECK(gone.error() == errc::closed);
    });
}

TEST_CASE("stream: thousands of buffers are sent in order by one call", "[rt][stream]") {
    run_task([]() -> task<> {
        auto tcp = co_await connected();
        co_await check_vectored(std::move(tcp.first), std::move(tcp.second));
        auto pair = unix_pair();
        co_await check_vectored(std::move(pair.first), std::move(pair.second));
    });
}

TEST_CASE("stream: a receive fills several buffers one after the other", "[rt][stream]") {
    run_task([]() -> task<> {
        auto pair = unix_pair();
        co_await check_scattered(std::move(pair.first), std::move(pair.second));
        auto other = unix_pair();
        co_await check_far_room(std::move(other.first), std::move(other.second));
    });
}

TEST_CASE("stream: what is sent without a copy arrives, and where that is refused, too",
          "[rt][stream]") {
    run_task([]() -> task<> {
        auto tcp = co_await connected();
        co_await check_zero_copy(std::move(tcp.first), std::move(tcp.second));
        auto pair = unix_pair();
        co_await check_zero_copy(std::move(pair.first), std::move(pair.second));
    });
}

TEST_CASE("stream: a send without a copy may be dropped while the peer reads nothing",
          "[rt][stream]") {
    run_task([]() -> task<> {
        for (int round = 0; round < 5; ++round) {
            auto [near, far] = co_await connected();
            auto bytes = buffer::copy_of(std::string(20'000'000, 'x'));
            auto bounded = deadline(2ms, near.send_all_zero_copy(std::move(bytes)));
            const auto given_up = co_await bounded;
            CHECK_FALSE(given_up);
        }
    });
}

TEST_CASE("stream: sending to a peer that is gone is an error, by whatever call", "[rt][stream]") {
    run_task([]() -> task<> {
        auto [near, far] = unix_pair();
        far = unix_stream();
        co_await heph::rt::timer(5ms);  // A dropped socket is closed later than at once.
        auto bytes = buffer::copy_of("x");
        const auto plain = co_await near.send_all_zero_copy(std::move(bytes));
        REQUIRE_FALSE(plain);
        CHECK(plain.error() == std::errc::broken_pipe);
        std::vector<buffer> parts;
        parts.push_back(buffer::copy_of("x"));
        parts.push_back(buffer::copy_of("y"));
        const auto vectored = co_await near.send_all_vectored(std::move(parts));
        REQUIRE_FALSE(vectored);
        CHECK(vectored.error() == std::errc::broken_pipe);
        const auto self = co_await file::open("/proc/self/exe");
        REQUIRE(self);
        const auto sent = co_await send_file(near, *self, 0, 10);
        REQUIRE_FALSE(sent);
        CHECK(sent.error() == std::errc::broken_pipe);
    });
}

TEST_CASE("stream: a part of a file is sent, up to its end", "[rt][stream]") {
    const temporary_folder folder;
    const std::string text = numbered(5'000'000);
    const std::filesystem::path path = folder / "file";
    std::ofstream(path) << text;
    run_task([&path, &text]() -> task<> {
        return [](std::filesystem::path from, std::string all) -> task<> {
            struct part {
                std::uint64_t offset;
                std::uint64_t count;
            };
            for (const part& each : {part{0, 5'000'000}, part{1'234'567, 100},
                                     part{4'999'000, 5000}, part{6'000'000, 10}, part{10, 0}}) {
                const std::string expected =
                    each.offset < all.size() ? all.substr(each.offset, each.count) : "";
                auto tcp = co_await connected();
                co_await check_send_file(std::move(tcp.first), std::move(tcp.second), from,
                                         expected, each.offset, each.count);
                auto pair = unix_pair();
                co_await check_send_file(std::move(pair.first), std::move(pair.second), from,
                                         expected, each.offset, each.count);
            }
        }(path, text);
    });
}

TEST_CASE("stream: a file is sent whole, also where it is not in the page cache", "[rt][stream]") {
    const temporary_folder folder;
    const std::string text = numbered(3'000'000);
    const std::filesystem::path path = folder / "file";
    std::ofstream(path) << text;
    const heph::rt::descriptor_handle opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(::fsync(opened.get()) == 0);
    // Only some pages come back, and so the two ways to send a part follow each other.
    REQUIRE(::posix_fadvise(opened.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
    REQUIRE(::posix_fadvise(opened.get(), 0, 0, POSIX_FADV_RANDOM) == 0);
    std::string part(600'000, '\0');
    for (const off_t at : {off_t{500'000}, off_t{1'700'000}}) {
        REQUIRE(::pread(opened.get(), part.data(), part.size(), at) ==
                static_cast<ssize_t>(part.size()));
    }
    run_task([&path, &text]() -> task<> {
        return [](std::filesystem::path from, std::string all) -> task<> {
            auto tcp = co_await connected();
            co_await check_send_file(std::move(tcp.first), std::move(tcp.second), from, all, 0,
                                     all.size());
        }(path, text);
    });
}

TEST_CASE("stream: a peer that is gone ends the sending of a file, and no signal is left behind",
          "[rt][stream]") {
    const temporary_folder folder;
    const std::filesystem::path path = folder / "file";
    std::ofstream(path) << std::string(1'000'000, 'x');
    run_task([&path]() -> task<> {
        return [](std::filesystem::path from) -> task<> {
            auto [near, far] = unix_pair();
            far = {};
            const auto opened = co_await file::open(from);
            REQUIRE(opened);
            const auto sent = co_await send_file(near, *opened, 0, 1'000'000);
            CHECK(sent.error() == std::errc::broken_pipe);
            sigset_t pending;
            sigemptyset(&pending);
            CHECK(sigpending(&pending) == 0);
            CHECK(sigismember(&pending, SIGPIPE) == 0);
        }(path);
    });
}

TEST_CASE(
    "stream: sending a file may be dropped while the peer reads nothing, and its file and "
    "stream with it",
    "[rt][stream]") {
    const temporary_folder folder;
    const std::filesystem::path path = folder / "file";
    std::ofstream(path) << std::string(20'000'000, 'x');
    run_task([&path]() -> task<> {
        return [](std::filesystem::path from) -> task<> {
            for (int round = 0; round < 10; ++round) {
                auto [near, far] = co_await connected();
                const auto opened = co_await file::open(from);
                REQUIRE(opened);
                auto bounded = deadline(std::chrono::milliseconds(round % 4),
                                        send_file(near, *opened, 0, 20'000'000));
                const auto given_up = co_await bounded;
                CHECK_FALSE(given_up);
            }
        }(path);
    });
}

TEST_CASE("stream: a file is sent on a stream that receives, too", "[rt][stream]") {
    const temporary_folder folder;
    const std::string text = numbered(4'000'000);
    const std::filesystem::path path = folder / "file";
    std::ofstream(path) << text;
    run_task([&path, &text]() -> task<> {
        return [](std::filesystem::path from, std::string all) -> task<> {
            auto [near, far] = co_await connected();
            for (int round = 0; round < 3; ++round) {
                auto receiving = deadline(1ms, near.next());
                const auto nothing = co_await receiving;
                CHECK_FALSE(nothing);
                const auto opened = co_await file::open(from);
                REQUIRE(opened);
                auto into = buffer::with_capacity(all.size());
                auto both = heph::join(send_file(near, *opened, 0, all.size()),
                                       far.recv_n(std::move(into), all.size()));
                auto bounded = deadline(30s, std::move(both));
                auto outcome = co_await bounded;
                REQUIRE(outcome);
                const auto& [sent, received] = *outcome;
                REQUIRE((sent && received));
                CHECK(*sent == all.size());
                CHECK(received->view() == all);
            }
        }(path, text);
    });
}

TEST_CASE("stream: a folder, a closed file and a closed stream cannot be sent", "[rt][stream]") {
    const temporary_folder folder;
    run_task([path = folder.path()]() -> task<> {
        return [](std::filesystem::path p) -> task<> {
            auto [near, far] = unix_pair();
            const auto opened = co_await file::open(p);
            REQUIRE(opened);
            const auto sent = co_await send_file(near, *opened, 0, 10);
            REQUIRE_FALSE(sent);
            CHECK((sent.error() == std::errc::is_a_directory ||
                   sent.error() == std::errc::invalid_argument));
            const file closed;
            const auto none = co_await send_file(near, closed, 0, 10);
            CHECK(none.error() == errc::closed);
            const auto nowhere_in_it = co_await send_file(near, *opened, ~std::uint64_t{0}, 10);
            CHECK(nowhere_in_it.error() == std::errc::invalid_argument);
            const unix_stream gone;
            const auto nowhere = co_await send_file(gone, *opened, 0, 10);
            CHECK(nowhere.error() == errc::closed);
        }(path);
    });
}
