#include <heph/rt/net/server.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <heph/core/log.hpp>
#include <heph/rt/net/connect.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::net::endpoint;
using heph::rt::net::tcp_listener;
using heph::rt::net::tcp_server;
using heph::rt::net::tcp_stream;
using heph::rt::net::unix_address;
using heph::rt::net::unix_listener;
using heph::rt::net::unix_server;
using heph::rt::net::unix_stream;
using heph::test::run_on_worker;

namespace {

// Sends back what comes, to its end.
template <typename Stream>
task<> echo(heph::rt::worker /*on*/, Stream stream) {
    for (;;) {
        auto chunk = co_await stream.next();
        if (!chunk || chunk->empty()) { co_return; }
        auto bytes = buffer::copy_of(chunk->view());
        const auto sent = co_await stream.send_all(std::move(bytes));
        if (!sent) { co_return; }
    }
}

template <typename Stream>
task<std::string> ask(Stream& stream, std::string text) {
    auto bytes = buffer::copy_of(text);
    const auto sent = co_await stream.send_all(std::move(bytes));
    if (!sent) { co_return "send: " + sent.error().message(); }
    std::string got;
    while (got.size() < text.size()) {
        auto chunk = co_await stream.next();
        if (!chunk) { co_return "receive: " + chunk.error().message(); }
        if (chunk->empty()) { co_return "end"; }
        got += chunk->view();
    }
    co_return got;
}

task<std::string> ask_once(endpoint to, std::string text) {
    auto stream = co_await tcp_stream::connect(to);
    if (!stream) { co_return "connect: " + stream.error().message(); }
    co_return co_await ask(*stream, std::move(text));
}

std::vector<tcp_listener> listen(std::size_t workers) {
    auto made = heph::rt::net::listen_on(endpoint::loopback(0), workers);
    REQUIRE(made);
    REQUIRE(made->size() == workers);
    return std::move(*made);
}

// A runtime in a thread of its own.
class running {
public:
    running(std::size_t threads, std::function<void(heph::rt::worker&)> set_up) {
        auto built = heph::test::quiet_setup().threads(threads).stop_grace(10s).build();
        REQUIRE(built);
        runtime_.emplace(std::move(*built));
        runtime_->run_on_workers(std::move(set_up));
        thread_ = std::thread([this] { (void)runtime_->start(); });
    }
    running(const running&) = delete;
    running& operator=(const running&) = delete;
    ~running() { stop(); }
    /// Waits until nothing is left to run.
    void join() { thread_.join(); }
    void stop() {
        if (!thread_.joinable()) { return; }
        runtime_->shared().request_stop();
        thread_.join();
    }

private:
    std::optional<heph::rt::runtime> runtime_;
    std::thread thread_;
};

// A listener whose accept throws first, then is refused, then gives a connection, and then no more;
// it has accepted three others by the time that it is asked to end.
class scripted_listener {
public:
    explicit scripted_listener(std::shared_ptr<int> step) : step_(std::move(step)) {}

    class [[nodiscard]] accept_future {
    public:
        using value_type = std::expected<tcp_stream, std::error_code>;
        explicit accept_future(std::shared_ptr<int> step) : step_(std::move(step)) {}
        heph::polled<value_type> poll(const heph::waker& /*waker*/) {
            switch ((*step_)++) {
                case 0: throw std::bad_alloc();
                case 1: throw std::runtime_error("not a system's error");
                case 2: throw std::system_error(std::make_error_code(std::errc::io_error));
                case 3: return value_type(std::unexpect, EMFILE, std::system_category());
                case 4: return value_type(std::in_place);
                default: return heph::pending;
            }
        }

    private:
        std::shared_ptr<int> step_;
    };
    [[nodiscard]] accept_future accept() const { return accept_future(step_); }
    [[nodiscard]] std::optional<heph::rt::net::socket_handle> take_accepted() {
        if (accepted_before_ == 0) { return std::nullopt; }
        --accepted_before_;
        return heph::rt::net::socket_handle();
    }
    static heph::polled<void> poll_stop_accepting(const heph::waker& /*waker*/) {
        return heph::ready;
    }
    [[nodiscard]] int descriptor() const { return -1; }

private:
    std::shared_ptr<int> step_;
    int accepted_before_ = 3;
};

// So many connections to an address, completed by the kernel.
// As it stands, g++ 12 gives a broken vector from -O2 on, but for an option of heph::core.
task<std::vector<tcp_stream>> connect_many(endpoint to, std::size_t count) {
    std::vector<tcp_stream> all;
    while (all.size() < count) {
        auto stream = co_await tcp_stream::connect(to);
        if (!stream) { FAIL(stream.error().message()); }
        all.push_back(std::move(*stream));
    }
    co_return all;
}

// Takes all that wait for a listening socket, and gives how many they were.
task<std::size_t> count_waiting(int socket) {
    for (std::size_t count = 0;; ++count) {
        auto taken = co_await heph::rt::detail::take_waiting(socket);
        if (!taken) { co_return count; }
    }
}

// Sets a variable of the environment for as long as it lives.
class set_variable {
public:
    set_variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
    set_variable(const set_variable&) = delete;
    set_variable& operator=(const set_variable&) = delete;
    ~set_variable() { ::unsetenv(name_); }

private:
    const char* name_;
};

// Runs a script as a successor, and then that which says that it is ready; gives whether it was.
bool is_ready_after(const std::string& script, int* id = nullptr) {
    bool ready = false;
    const std::string whole = script + " && eval \"echo 1 >&$HEPH_PREDECESSOR\"";
    heph::test::run_task(heph::rt::setup{}.name("test"), [&]() -> task<> {
        return [](std::string text, bool* out, int* process) -> task<> {
            const std::vector<std::string> command{"/bin/sh", "-c", text};
            auto next = heph::rt::net::successor::start(command, {});
            REQUIRE(next);
            *out = co_await next->wait_until_ready();
            if (process != nullptr) { *process = next->process_id(); }
        }(whole, &ready, id);
    });
    return ready;
}

std::atomic<int> refusals_logged{0};

void count_refusals(heph::log_level /*level*/, std::string_view line) noexcept {
    if (line.find("cannot accept connections") != std::string_view::npos) { ++refusals_logged; }
}

}  // namespace

TEST_CASE("server: every worker has a listener on the port, and serves what it accepts",
          "[rt][net][server]") {
    auto listeners = listen(2);
    const endpoint address = listeners.front().local_endpoint().value();
    CHECK(listeners.back().local_endpoint().value() == address);
    const auto server = tcp_server::over(std::move(listeners), 2);
    REQUIRE(server);
    running service(
        2, [&server](heph::rt::worker& worker) { server->start(worker, echo<tcp_stream>); });
    std::vector<std::string> answers;
    heph::test::run_task([&]() -> task<> {
        return [](endpoint to, std::vector<std::string>* all) -> task<> {
            for (int i = 0; i < 40; ++i) { all->push_back(co_await ask_once(to, "hello")); }
        }(address, &answers);
    });
    CHECK(answers == std::vector<std::string>(40, "hello"));
}

TEST_CASE("server: several workers share one Unix socket", "[rt][net][server]") {
    const auto name = unix_address::abstract("heph-test-" + std::to_string(::getpid()));
    auto listener = unix_listener::bind(*name);
    REQUIRE(listener);
    std::vector<unix_listener> listeners;
    listeners.push_back(std::move(*listener));
    const auto server = unix_server::over(std::move(listeners), 3);
    REQUIRE(server);
    running service(
        3, [&server](heph::rt::worker& worker) { server->start(worker, echo<unix_stream>); });
    std::vector<std::string> answers;
    heph::test::run_task([&]() -> task<> {
        return [](unix_address to, std::vector<std::string>* all) -> task<> {
            for (int i = 0; i < 20; ++i) {
                auto stream = co_await unix_stream::connect(to);
                REQUIRE(stream);
                all->push_back(co_await ask(*stream, "hello"));
            }
        }(*name, &answers);
    });
    CHECK(answers == std::vector<std::string>(20, "hello"));
    CHECK(unix_server::over({}, 1).error() == std::errc::invalid_argument);
}

TEST_CASE("server: connections beyond the limit wait for one to end", "[rt][net][server]") {
    auto listeners = listen(1);
    const endpoint address = listeners.front().local_endpoint().value();
    const auto server = tcp_server::over(std::move(listeners), 1);
    REQUIRE(server);
    auto live = std::make_shared<int>(0);
    auto most = std::make_shared<int>(0);
    running service(1, [&](heph::rt::worker& worker) {
        heph::rt::net::serve_options options;
        options.connections_max = 2;
        server->start(
            worker,
            [live, most](heph::rt::worker on, tcp_stream stream) -> task<> {
                return [](std::shared_ptr<int> now, std::shared_ptr<int> peak, heph::rt::worker of,
                          tcp_stream peer) -> task<> {
                    *peak = std::max(*peak, ++*now);
                    co_await echo(of, std::move(peer));
                    --*now;
                }(live, most, on, std::move(stream));
            },
            options);
    });
    std::string log;
    heph::test::run_task([&]() -> task<> {
        return [](endpoint to, std::string* out) -> task<> {
            std::vector<std::unique_ptr<tcp_stream>> held;
            for (int i = 0; i < 2; ++i) {
                auto stream = co_await tcp_stream::connect(to);
                REQUIRE(stream);
                held.push_back(std::make_unique<tcp_stream>(std::move(*stream)));
                *out += co_await ask(*held.back(), "x");
            }
            auto third = co_await tcp_stream::connect(to);
            REQUIRE(third);
            auto early = co_await heph::rt::deadline(20ms, ask(*third, "y"));
            *out += early ? *early : "waits";
            held.pop_back();
            // Only the question was dropped: it is on its way.
            auto chunk = co_await third->next();
            *out += chunk ? std::string(chunk->view()) : "lost";
        }(address, &log);
    });
    CHECK(log == "xxwaitsy");
    service.stop();
    CHECK(*most == 2);
    CHECK(*live == 0);
}

TEST_CASE("server: listeners that wait for room on one worker are all woken", "[rt][net][server]") {
    std::string log;
    run_on_worker(heph::test::quiet_setup(), [&log](heph::rt::worker& worker) {
        worker.spawn_future([](heph::rt::worker on, std::string* out) -> task<> {
            std::vector<tcp_listener> listeners;
            std::vector<endpoint> to;
            for (int i = 0; i < 2; ++i) {
                for (tcp_listener& each : listen(1)) {
                    to.push_back(each.local_endpoint().value());
                    listeners.push_back(std::move(each));
                }
            }
            const auto server = tcp_server::over(std::move(listeners), 1);
            REQUIRE(server);
            heph::rt::net::serve_options options;
            options.connections_max = 1;
            server->start(on, echo<tcp_stream>, options);
            for (int round = 0; round < 3; ++round) {
                std::optional<tcp_stream> first;
                std::optional<tcp_stream> second;
                std::optional<tcp_stream> third;
                for (auto* each : {&first, &second, &third}) {
                    auto stream = co_await tcp_stream::connect(to[each == &second ? 1 : 0]);
                    REQUIRE(stream);
                    each->emplace(std::move(*stream));
                    if (each == &first) { *out += co_await ask(*first, "a"); }
                }
                for (auto* each : {&second, &third}) {
                    auto bytes = buffer::copy_of("b");
                    const auto sent = co_await (*each)->send_all(std::move(bytes));
                    REQUIRE(sent);
                }
                // Both wait, each at a listener of its own.
                auto early = co_await heph::rt::deadline(20ms, second->next());
                *out += early ? "early" : "-";
                first.reset();
                // Who of the two is next is open: one's end is the other's beginning.
                auto reads = heph::either(third->next(), second->next());
                auto next = co_await heph::rt::deadline(60s, std::move(reads));
                if (!next) {
                    *out += "lost";
                    break;
                }
                const bool third_was_first = next->index() == 0;
                (third_was_first ? third : second).reset();
                auto last =
                    co_await heph::rt::deadline(60s, (third_was_first ? second : third)->next());
                *out += last && *last ? "bb " : "lost";
            }
            on.request_stop();
        }(worker, &log));
    });
    CHECK(log == "a-bb a-bb a-bb ");
}

TEST_CASE("server: who waits for room and is dropped is not woken", "[rt][net][server]") {
    heph::rt::detail::connection_count count;
    count.add();
    const heph::waker nobody;
    std::vector<std::unique_ptr<heph::rt::detail::connection_count::room_future>> waiting;
    for (int i = 0; i < 3; ++i) {
        waiting.push_back(
            std::make_unique<heph::rt::detail::connection_count::room_future>(count.room(1)));
        CHECK_FALSE(waiting.back()->poll(nobody).is_ready());
    }
    // In the middle, at the end, and the last one.
    for (const std::size_t dropped : {1U, 0U, 0U}) {
        waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(dropped));
        count.remove();
        for (const auto& each : waiting) { CHECK(each->poll(nobody).is_ready()); }
        count.add();
    }
    CHECK(count.current() == 1);
}

TEST_CASE("server: what accepting or a handler throws ends no listener", "[rt][net][server]") {
    auto listeners = listen(1);
    const endpoint address = listeners.front().local_endpoint().value();
    const auto server = tcp_server::over(std::move(listeners), 1);
    REQUIRE(server);
    running service(1, [&server](heph::rt::worker& worker) {
        heph::rt::net::serve_options options;
        options.connections_max = 1;  // So that one which is counted on would show.
        server->start(
            worker,
            // No coroutine: it throws before there is a task.
            [calls = 0](heph::rt::worker on, tcp_stream stream) mutable -> task<> {
                if (++calls <= 2) { throw std::runtime_error("no task"); }
                return echo(on, std::move(stream));
            },
            options);
    });
    std::vector<std::string> answers;
    heph::test::run_task([&]() -> task<> {
        return [](endpoint to, std::vector<std::string>* all) -> task<> {
            for (int i = 0; i < 4; ++i) {
                auto answer = co_await ask_once(to, "hello");
                all->push_back(answer == "hello" ? "served" : "ended");
            }
        }(address, &answers);
    });
    CHECK(answers == std::vector<std::string>{"ended", "ended", "served", "served"});

    // Then accepting itself; of what it had accepted, too, one fails.
    const auto previous = heph::set_log_handler(&count_refusals);
    refusals_logged = 0;
    auto step = std::make_shared<int>(0);
    auto live = std::make_shared<int>(0);
    auto log = std::make_shared<std::string>();
    run_on_worker(heph::test::quiet_setup(), [&](heph::rt::worker& worker) {
        heph::rt::net::serve_options options;
        options.connections_max = 1;
        options.pause_first = 1ms;
        auto handler = [live, log](heph::rt::worker on, tcp_stream stream) -> task<> {
            *log += std::to_string(*live);
            if (log->size() == 3) { throw std::bad_alloc(); }
            ++*live;
            return [](heph::rt::worker of, std::shared_ptr<int> now, tcp_stream held) -> task<> {
                if (!of.shared().stop_requested()) { of.request_stop(); }
                for (int i = 0; i < 3; ++i) { co_await heph::yield(); }
                --*now;
                (void)held;
            }(on, live, std::move(stream));
        };
        worker.spawn_future(heph::rt::detail::serve_all<scripted_listener, tcp_stream>(
            worker, std::make_shared<scripted_listener>(step), handler, options,
            std::make_shared<heph::rt::detail::connection_count>()));
    });
    (void)heph::set_log_handler(previous);
    CHECK(refusals_logged == 4);
    // None was lost, and never were there two at a time.
    CHECK(*log == "0000");
    CHECK(*live == 0);
}

TEST_CASE("server: a stop takes no more of those who wait than there is room for",
          "[rt][net][server]") {
    constexpr std::size_t waiting = 150;
    auto listeners = listen(1);
    const endpoint address = listeners.front().local_endpoint().value();
    // As a successor has it.
    auto copy = heph::rt::duplicate(listeners.front().descriptor());
    REQUIRE(copy);
    const auto server = tcp_server::over(std::move(listeners), 1);
    REQUIRE(server);
    auto served = std::make_shared<std::size_t>(0);
    std::vector<std::size_t> taken;
    run_on_worker(heph::test::quiet_setup().stop_grace(60s), [&](heph::rt::worker& worker) {
        worker.spawn_future([](heph::rt::worker on, tcp_server its, endpoint to,
                               std::shared_ptr<std::size_t> count, int rest,
                               std::vector<std::size_t>* out) -> task<> {
            auto clients = co_await connect_many(to, waiting);
            on.request_stop();
            heph::rt::net::serve_options options;
            options.connections_max = 100;
            its.start(
                on,
                [count](heph::rt::worker of, tcp_stream stream) {
                    ++*count;
                    return echo(of, std::move(stream));
                },
                options);
            // They are served in the order in which they came.
            const std::string answer = co_await ask(clients[options.connections_max - 1], "last");
            CHECK(answer == "last");
            out->push_back(co_await count_waiting(rest));
            clients.clear();
            clients = co_await connect_many(to, 70);
            out->push_back(co_await count_waiting(rest));
        }(worker, *server, address, served, copy->get(), &taken));
    });
    CHECK(*served == 100);
    CHECK(taken == std::vector<std::size_t>{50, 70});
}

TEST_CASE("server: what a connection throws ends that connection only", "[rt][net][server]") {
    auto listeners = listen(1);
    const endpoint address = listeners.front().local_endpoint().value();
    const auto server = tcp_server::over(std::move(listeners), 1);
    REQUIRE(server);
    running service(1, [&server](heph::rt::worker& worker) {
        server->start(worker, [](heph::rt::worker on, tcp_stream stream) -> task<> {
            auto chunk = co_await stream.next();
            if (chunk && chunk->view() == "throw") { throw std::runtime_error("as asked"); }
            auto bytes = buffer::copy_of("fine");
            (void)co_await stream.send_all(std::move(bytes));
            (void)on;
        });
    });
    std::vector<std::string> answers;
    heph::test::run_task([&]() -> task<> {
        return [](endpoint to, std::vector<std::string>* all) -> task<> {
            for (const char* word : {"okay", "throw", "good"}) {
                all->push_back(co_await ask_once(to, word));
            }
        }(address, &answers);
    });
    CHECK(answers == std::vector<std::string>{"fine", "end", "fine"});
}

TEST_CASE("server: it backs off while descriptors are used up, and serves on when there are some",
          "[rt][net][server]") {
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const auto previous = heph::set_log_handler(&count_refusals);
    std::string answer;
    // First with descriptors: the sanitizers look at an object by a pipe, when they meet one of its
    // type for the first time. That goes for the error's category, too.
    CHECK_FALSE(std::error_code(EMFILE, std::system_category()).message().empty());
    for (const int refusals : {0, 3}) {
        refusals_logged = 0;
        rlimit allowed = before;
        if (refusals != 0) { allowed.rlim_cur = 3; }
        run_on_worker(heph::test::quiet_setup(), [&](heph::rt::worker& worker) {
            worker.spawn_future([](heph::rt::worker on, rlimit limits, rlimit limited, int least,
                                   std::string* out) -> task<> {
                auto listeners = listen(1);
                const endpoint address = listeners.front().local_endpoint().value();
                // The kernel completes the connection before it is accepted.
                auto stream = co_await tcp_stream::connect(address);
                REQUIRE(stream);
                const auto server = tcp_server::over(std::move(listeners), 1);
                server->start(on, echo<tcp_stream>);
                REQUIRE(::setrlimit(RLIMIT_NOFILE, &limited) == 0);
                for (int i = 0; i < 2000 && refusals_logged < least; ++i) {
                    co_await heph::rt::timer(1ms);
                }
                REQUIRE(::setrlimit(RLIMIT_NOFILE, &limits) == 0);
                *out = co_await ask(*stream, "at last");
                on.request_stop();
            }(worker, before, allowed, refusals, &answer));
        });
        CHECK(answer == "at last");
        answer.clear();
    }
    (void)heph::set_log_handler(previous);
    CHECK(refusals_logged >= 3);
}

TEST_CASE("server: while a successor takes over, no connection is refused or lost",
          "[rt][net][server]") {
    auto listeners = listen(1);
    const endpoint address = listeners.front().local_endpoint().value();
    auto copy = heph::rt::duplicate(listeners.front().descriptor());
    REQUIRE(copy);
    auto inherited = tcp_listener::adopt(std::move(*copy));
    REQUIRE(inherited);
    const auto old_server = tcp_server::over(std::move(listeners), 1);
    std::vector<tcp_listener> taken;
    taken.push_back(std::move(*inherited));
    const auto new_server = tcp_server::over(std::move(taken), 1);
    REQUIRE(old_server);
    REQUIRE(new_server);
    std::atomic<int> by_old{0};
    std::atomic<int> by_new{0};
    const auto counting = [](std::atomic<int>& count) {
        return [&count](heph::rt::worker on, tcp_stream stream) {
            ++count;
            return echo(on, std::move(stream));
        };
    };
    running old_service(
        1, [&](heph::rt::worker& worker) { old_server->start(worker, counting(by_old)); });
    std::atomic<int> good{0};
    std::atomic<int> bad{0};
    running clients(1, [&](heph::rt::worker& worker) {
        worker.spawn_future([](endpoint to, std::atomic<int>* fine, std::atomic<int>* broken,
                               std::atomic<int>* seen_by_new) -> task<> {
            for (int after = 0; after < 50;) {
                const std::string answer = co_await ask_once(to, "hello");
                ++(answer == "hello" ? *fine : *broken);
                if (*seen_by_new > 20) { ++after; }
            }
        }(address, &good, &bad, &by_new));
    });
    // Before there is another one: of two, the kernel may give one all that the clients ever make.
    while (by_old == 0) { std::this_thread::yield(); }
    {
        running new_service(
            1, [&](heph::rt::worker& worker) { new_server->start(worker, counting(by_new)); });
        old_service.stop();
        clients.join();
    }
    CHECK(bad == 0);
    CHECK(by_old > 0);
    CHECK(by_new > 20);
    CHECK(good == by_old + by_new);
}

TEST_CASE("successor: a program gets the sockets, and says when it serves", "[rt][net][server]") {
    auto listeners = listen(2);
    const auto server = tcp_server::over(std::move(listeners), 2);
    REQUIRE(server);
    const auto sockets = server->hand_over("web");
    REQUIRE(sockets.size() == 2);
    std::vector<bool> ready;
    heph::test::run_task([&]() -> task<> {
        return [](const std::vector<heph::rt::net::handed_over>* all,
                  std::vector<bool>* out) -> task<> {
            const std::string checks =
                "test \"$LISTEN_FDS $LISTEN_FDNAMES\" = '2 web:web' && test -S /proc/self/fd/3 && "
                "test -S /proc/self/fd/4 && eval \"echo 1 >&$HEPH_PREDECESSOR\"";
            for (const std::string& script : {checks, std::string("exit 1")}) {
                const std::vector<std::string> command{"/bin/sh", "-c", script};
                auto next = heph::rt::net::successor::start(command, *all);
                REQUIRE(next);
                out->push_back(co_await next->wait_until_ready());
                int status = 0;
                CHECK(::waitpid(next->process_id(), &status, 0) == next->process_id());
            }
        }(&sockets, &ready);
    });
    CHECK(ready == std::vector<bool>{true, false});
    const auto missing = heph::rt::net::successor::start({"/nonexistent"}, sockets);
    REQUIRE_FALSE(missing);
    CHECK(missing.error() == std::errc::no_such_file_or_directory);
    const std::vector<heph::rt::net::handed_over> bad_name(1, {"a:b", 0});
    CHECK(heph::rt::net::successor::start({"/bin/true"}, bad_name).error() ==
          std::errc::invalid_argument);
}

TEST_CASE("successor: the user's variables stay, and those of this process's own sockets go",
          "[rt][net][server]") {
    const set_variable pid("LISTEN_PID", "1");
    const set_variable pidfd("LISTEN_PIDFDID", "2");
    const set_variable old_names("LISTEN_FDNAMES", "old");
    const set_variable old_line("HEPH_PREDECESSOR", "99");
    const set_variable address("LISTEN_ADDRESS", "here");
    const set_variable longer("LISTEN_FDS_MAX", "7");
    const set_variable name("HEPH_PREDECESSOR_NAME", "blue");
    CHECK(
        is_ready_after("test \"$LISTEN_ADDRESS $LISTEN_FDS_MAX $HEPH_PREDECESSOR_NAME\" = "
                       "'here 7 blue'"));
    CHECK(
        is_ready_after("test \"$LISTEN_FDS.$LISTEN_FDNAMES.$HEPH_PREDECESSOR\" = 0..3 && "
                       "test -z \"$LISTEN_PID$LISTEN_PIDFDID\""));
}

TEST_CASE("successor: no signal is blocked in it, and a broken pipe's is not ignored",
          "[rt][net][server]") {
    const auto before = std::signal(SIGPIPE, SIG_IGN);
    const std::string mask = "$(sed -n 's/^Sig%:[^0-9a-f]*/0x/p' /proc/self/status)";
    const auto of = [&mask](const char* which) {
        std::string made = mask;
        return made.replace(made.find('%'), 1, which);
    };
    CHECK(is_ready_after("test $((" + of("Blk") + ")) = 0"));
    // SIGPIPE is 13, SIGXFSZ 25.
    CHECK(is_ready_after("test $((" + of("Ign") + " & 0x1001000)) = 0"));
    (void)std::signal(SIGPIPE, before);
}

TEST_CASE("successor: one that ends leaves no zombie", "[rt][net][server]") {
    for (const char* script : {"true", "exit 1"}) {
        int id = -1;
        CHECK(is_ready_after(script, &id) == (std::string_view(script) == "true"));
        REQUIRE(id > 0);
        bool is_gone = false;
        for (int round = 0; round < 6000 && !is_gone; ++round) {
            is_gone = ::kill(id, 0) != 0 && errno == ESRCH;
            if (!is_gone) { std::this_thread::sleep_for(10ms); }
        }
        CHECK(is_gone);
    }
}

TEST_CASE("successor: a process without a predecessor has nobody to tell", "[rt][net][server]") {
    heph::rt::net::tell_predecessor();
    int line[2] = {-1, -1};
    REQUIRE(::pipe2(line, O_CLOEXEC) == 0);
    ::setenv("HEPH_PREDECESSOR", "nonsense", 1);
    heph::rt::net::tell_predecessor();
    CHECK(std::getenv("HEPH_PREDECESSOR") == nullptr);
    ::close(line[0]);
    ::close(line[1]);
}
