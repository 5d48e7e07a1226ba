#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include <heph/core/join.hpp>
#include <heph/rt/command.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "open_descriptors.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::byte_reader;
using heph::rt::child;
using heph::rt::command;
using heph::rt::deadline;
using heph::rt::descriptor_handle;
using heph::rt::exit_status;
using heph::rt::stdio;
using heph::test::comes_true;
using heph::test::open_descriptors;
using heph::test::run_task;
using heph::test::temporary_folder;

namespace {

command shell(const std::string& script) {
    command made("/bin/sh");
    made.argument("-c").argument(script);
    return made;
}

task<child> start(command* what) {
    auto started = co_await what->spawn();
    if (!started) { FAIL(started.error().message()); }
    co_return std::move(*started);
}

task<std::string> read_all(const byte_reader* from) {
    std::string text;
    for (;;) {
        auto bytes = buffer::with_capacity(4096);
        auto read = co_await from->read(std::move(bytes));
        if (!read) { FAIL(read.error().message()); }
        if (read->empty()) { co_return text; }
        text += read->view();
    }
}

// What a command writes to its output; it has to end well.
task<std::string> output_of(command what) {
    what.output(stdio::pipe());
    auto process = co_await start(&what);
    auto text = co_await read_all(&process.output());
    const auto ended = co_await process.wait();
    REQUIRE(ended);
    CHECK(ended->to_string() == "exited with code 0");
    co_return text;
}

task<exit_status> status_of(command what) {
    auto process = co_await start(&what);
    const auto ended = co_await process.wait();
    REQUIRE(ended);
    co_return *ended;
}

// Waits until a process is gone, and not a zombie either.
bool is_gone(int id) {
    for (int round = 0; round < 2000; ++round) {
        if (::kill(id, 0) != 0 && errno == ESRCH) { return true; }
        std::this_thread::sleep_for(10ms);
    }
    return false;
}

}  // namespace

TEST_CASE("command: a child tells how it ended, by code or by signal", "[rt][command]") {
    run_task([]() -> task<> {
        const auto good = co_await status_of(shell("exit 0"));
        CHECK(good.success());
        const auto bad = co_await status_of(shell("exit 7"));
        CHECK_FALSE(bad.success());
        CHECK(bad.code() == 7);
        CHECK_FALSE(bad.signal());
        const auto killed = co_await status_of(shell("kill -TERM $$"));
        CHECK(killed.signal() == SIGTERM);
        CHECK_FALSE(killed.code());
        CHECK(killed.to_string() == "ended by signal 15");
    });
}

TEST_CASE("command: a child that is not there, or must not be executed, is an error of the start",
          "[rt][command]") {
    const temporary_folder folder;
    const std::filesystem::path script = folder / "script";
    std::ofstream(script) << "no program\n";
    run_task([&script]() -> task<> {
        return [](std::filesystem::path path) -> task<> {
            const auto missing = co_await command("/no/such/program").spawn();
            REQUIRE_FALSE(missing);
            CHECK(missing.error() == std::errc::no_such_file_or_directory);
            const auto unknown = co_await command("no-such-program-anywhere").spawn();
            REQUIRE_FALSE(unknown);
            CHECK(unknown.error() == std::errc::no_such_file_or_directory);
            const auto nothing = co_await command("").spawn();
            REQUIRE_FALSE(nothing);
            CHECK(nothing.error() == std::errc::no_such_file_or_directory);
            const auto forbidden = co_await command(path.string()).spawn();
            REQUIRE_FALSE(forbidden);
            CHECK(forbidden.error() == std::errc::permission_denied);
            std::filesystem::permissions(path, std::filesystem::perms::owner_all);
            const auto senseless = co_await command(path.string()).spawn();
            REQUIRE_FALSE(senseless);
            CHECK(senseless.error() == std::errc::executable_format_error);
            command elsewhere("/bin/true");
            elsewhere.directory("/no/such/folder");
            const auto nowhere = co_await elsewhere.spawn();
            REQUIRE_FALSE(nowhere);
            CHECK(nowhere.error() == std::errc::no_such_file_or_directory);
            const auto cut = co_await shell(std::string("a\0b", 3)).spawn();
            REQUIRE_FALSE(cut);
            CHECK(cut.error() == std::errc::invalid_argument);
        }(script);
    });
}

TEST_CASE("command: a closed descriptor is not taken for this process's stream, nor for too many",
          "[rt][command]") {
    run_task([]() -> task<> {
        command silent("/bin/true");
        silent.output(stdio::from(descriptor_handle()));
        const auto without_output = co_await silent.spawn();
        REQUIRE_FALSE(without_output);
        CHECK(without_output.error() == heph::rt::errc::closed);
        command passing("/bin/true");
        passing.pass(descriptor_handle(), 5);
        const auto without_passed = co_await passing.spawn();
        REQUIRE_FALSE(without_passed);
        CHECK(without_passed.error() == heph::rt::errc::closed);
    });
}

TEST_CASE("command: a variable without a name, or with a name that has a value, is refused",
          "[rt][command]") {
    run_task([]() -> task<> {
        for (const char* name : {"", "A=B"}) {
            command odd("/bin/true");
            odd.environment(name, "value");
            const auto refused = co_await odd.spawn();
            REQUIRE_FALSE(refused);
            CHECK(refused.error() == std::errc::invalid_argument);
        }
    });
}

TEST_CASE("command: arguments, environment and folder are as asked for", "[rt][command]") {
    const temporary_folder folder;
    REQUIRE(::setenv("HEPH_TEST_KEPT", "kept", 1) == 0);
    REQUIRE(::setenv("HEPH_TEST_GONE", "there", 1) == 0);
    run_task([path = folder.path()]() -> task<> {
        return [](std::filesystem::path where) -> task<> {
            command what = shell(
                "printf '%s|' \"$0\" \"$@\" \"$HEPH_TEST_NEW\" "
                "\"$HEPH_TEST_KEPT\" \"${HEPH_TEST_GONE-none}\" \"$PWD\"");
            what.argument("zero").arguments({"a b", ""});
            what.environment("HEPH_TEST_NEW", "old").environment("HEPH_TEST_NEW", "new");
            what.remove_environment("HEPH_TEST_GONE").directory(where);
            const auto text = co_await output_of(std::move(what));
            CHECK(text == "zero|a b||new|kept|none|" + where.string() + '|');
            command bare("/usr/bin/env");
            bare.clear_environment().environment("ONLY", "this");
            const auto variables = co_await output_of(std::move(bare));
            CHECK(variables == "ONLY=this\n");
        }(std::filesystem::canonical(path));
    });
}

TEST_CASE("command: by pipes a child is fed and read at the same time", "[rt][command]") {
    run_task([]() -> task<> {
        command cat("cat");
        cat.input(stdio::pipe()).output(stdio::pipe()).error(stdio::null());
        auto process = co_await start(&cat);
        const std::string text(500'000, 'c');
        auto both = heph::join(
            [](child* to, std::string what) -> task<> {
                auto bytes = buffer::copy_of(what);
                const auto written = co_await to->input().write_all(std::move(bytes));
                REQUIRE(written);
                to->close_input();
            }(&process, text),
            read_all(&process.output()));
        auto outcome = co_await both;
        CHECK(std::get<1>(outcome) == text);
        const auto ended = co_await process.wait();
        REQUIRE(ended);
        CHECK(ended->success());
    });
}

TEST_CASE("command: error output, nothing as input, and a file as output", "[rt][command]") {
    const temporary_folder folder;
    const std::filesystem::path path = folder / "output";
    run_task([&path]() -> task<> {
        return [](std::filesystem::path file) -> task<> {
            command what = shell("read x; echo \"out$x\"; echo err >&2");
            what.input(stdio::null()).error(stdio::pipe());
            what.output(stdio::from(
                descriptor_handle(::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600))));
            auto process = co_await start(&what);
            const auto errors = co_await read_all(&process.error());
            CHECK(errors == "err\n");
            CHECK_FALSE(process.output().is_open());
            CHECK_FALSE(process.input().is_open());
            const auto ended = co_await process.wait();
            CHECK(ended);
        }(path);
    });
    std::ifstream written(path);
    std::string line;
    std::getline(written, line);
    CHECK(line == "out");
}

TEST_CASE("command: a child has the descriptors it was given, and no others", "[rt][command]") {
    const int leaky = ::open("/dev/null", O_RDONLY);  // Not marked to be closed.
    REQUIRE(leaky > 2);
    run_task([]() -> task<> {
        auto made = heph::rt::make_pipe();
        REQUIRE(made);
        command what = shell("ls /proc/self/fd | tr '\\n' ' '");
        what.pass(descriptor_handle(::open("/dev/zero", O_RDONLY | O_CLOEXEC)), 9);
        what.pass(descriptor_handle(::open("/dev/zero", O_RDONLY | O_CLOEXEC)), 5);
        const auto listed = co_await output_of(std::move(what));
        CHECK(listed == "0 1 2 3 5 9 ");  // The third is ls's own.

        command twice("/bin/true");
        for (int i = 0; i < 2; ++i) {
            twice.pass(descriptor_handle(::open("/dev/null", O_RDONLY | O_CLOEXEC)), 3);
        }
        const auto refused = co_await twice.spawn();
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == std::errc::invalid_argument);
    });
    ::close(leaky);
}

TEST_CASE("command: descriptors may change places with the standard streams", "[rt][command]") {
    run_task([]() -> task<> {
        auto made = heph::rt::make_pipe();
        REQUIRE(made);
        auto out = heph::rt::duplicate(1);
        REQUIRE(out);
        command what = shell("echo to-two >&2; echo to-three >&3");
        what.error(stdio::pipe());
        auto end = heph::rt::duplicate(made->second.descriptor());
        REQUIRE(end);
        what.pass(std::move(*end), 3);
        auto process = co_await start(&what);
        made->second = heph::rt::byte_writer();
        const auto errors = co_await read_all(&process.error());
        CHECK(errors == "to-two\n");
        const auto third = co_await read_all(&made->first);
        CHECK(third == "to-three\n");
    });
}

TEST_CASE("command: a child that is dropped is killed and leaves no zombie and no descriptor",
          "[rt][command]") {
    const auto before = open_descriptors();
    int id = 0;
    run_task([&id]() -> task<> {
        return [](int* started) -> task<> {
            command what("sleep");
            what.argument("1000").input(stdio::pipe()).output(stdio::pipe());
            const auto process = co_await start(&what);
            *started = process.id();
        }(&id);
    });
    REQUIRE(id > 0);
    CHECK(is_gone(id));
    // The reaper's event descriptor stays; it closes the child's when the child is gone already.
    CHECK(comes_true([&] { return open_descriptors() <= before + 1; }));
}

TEST_CASE("command: a start that is dropped leaves no child, no zombie and no descriptor",
          "[rt][command]") {
    run_task([]() -> task<> {
        command what("/bin/true");
        auto first = co_await what.spawn();
        REQUIRE(first);
    });
    const auto before = open_descriptors();
    run_task([]() -> task<> {
        for (int round = 0; round < 20; ++round) {
            command what("sleep");
            what.argument("1000").output(stdio::pipe());
            auto bounded = deadline(std::chrono::milliseconds(round % 3), what.spawn());
            auto outcome = co_await bounded;
            (void)outcome;
        }
    });
    bool all_gone = false;
    for (int round = 0; round < 2000 && !all_gone; ++round) {
        std::ifstream children("/proc/self/task/" + std::to_string(::getpid()) + "/children");
        std::string ids;
        std::getline(children, ids);
        // Children of other threads are listed there; what counts is that nothing can be waited
        // for.
        siginfo_t any{};
        all_gone = ids.empty() && ::waitid(P_ALL, 0, &any, WEXITED | WNOHANG | WNOWAIT) != 0 &&
                   errno == ECHILD;
        if (!all_gone) { std::this_thread::sleep_for(10ms); }
    }
    CHECK(all_gone);
    CHECK(comes_true([&] { return open_descriptors() <= before + 1; }));
}

TEST_CASE("command: a detached child lives on", "[rt][command]") {
    int id = 0;
    run_task([&id]() -> task<> {
        return [](int* started) -> task<> {
            command what("sleep");
            what.argument("1000").kill_on_drop(false);
            const auto process = co_await start(&what);
            *started = process.id();
        }(&id);
    });
    REQUIRE(id > 0);
    CHECK(::kill(id, 0) == 0);
    CHECK(::kill(id, SIGKILL) == 0);
    CHECK(is_gone(id));  // It is reaped all the same.
}

TEST_CASE("command: waiting can be given up and begun again, and the answer stays",
          "[rt][command]") {
    run_task([]() -> task<> {
        command what("sleep");
        what.argument("1000");
        const auto process = co_await start(&what);
        auto bounded = deadline(2ms, process.wait());
        const auto running = co_await bounded;
        CHECK_FALSE(running);
        CHECK_FALSE(process.signal(SIGTERM));
        for (int i = 0; i < 2; ++i) {
            const auto ended = co_await process.wait();
            REQUIRE(ended);
            CHECK(ended->signal() == SIGTERM);
        }
        CHECK(process.kill() == std::errc::no_such_process);
    });
}

TEST_CASE("command: no signal is blocked or ignored in a child, not even those of writing",
          "[rt][command]") {
    // As many a program ignores it, which a child would inherit; its bit is in the seventh digit.
    const auto before = std::signal(SIGXFSZ, SIG_IGN);
    run_task(heph::rt::setup{}.name("test"), []() -> task<> {
        command what = shell("grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\n\\t '");
        const auto text = co_await output_of(std::move(what));
        // But for the C library's own, 32 and 33.
        CHECK(text.substr(0, 23) == "SigBlk:0000000000000000");
        CHECK(text.substr(text.size() - 7) == "0000000");
    });
    (void)std::signal(SIGXFSZ, before);
}

TEST_CASE("command: a session and a process group of its own", "[rt][command]") {
    run_task([]() -> task<> {
        for (const bool session : {true, false}) {
            command what("sleep");
            what.argument("1000");
            session ? what.new_session() : what.new_process_group();
            const auto process = co_await start(&what);
            CHECK(::getpgid(process.id()) == process.id());
            CHECK((::getsid(process.id()) == process.id()) == session);
        }
    });
}

TEST_CASE("command: a session leader that is to lead a process group, too, is no error",
          "[rt][command][regression]") {
    run_task([]() -> task<> {
        command what("sleep");
        what.argument("1000").new_session().new_process_group();
        const auto process = co_await start(&what);
        CHECK(::getsid(process.id()) == process.id());
        CHECK(::getpgid(process.id()) == process.id());
    });
}

TEST_CASE("command: how a child ended is not lost where SIGCHLD is ignored, as by who started us",
          "[rt][command][regression]") {
    struct sigaction before{};
    REQUIRE(::sigaction(SIGCHLD, nullptr, &before) == 0);
    struct sigaction ignored{};
    ignored.sa_handler = SIG_IGN;
    struct sigaction without_zombies{};
    without_zombies.sa_handler = [](int) {};
    without_zombies.sa_flags = SA_NOCLDWAIT | SA_RESTART;
    for (const auto& action : {ignored, without_zombies}) {
        REQUIRE(::sigaction(SIGCHLD, &action, nullptr) == 0);
        run_task([]() -> task<> {
            auto exits = shell("exit 7");
            const auto status = co_await status_of(std::move(exits));
            CHECK(status.to_string() == "exited with code 7");
        });
        struct sigaction after{};
        CHECK(::sigaction(SIGCHLD, nullptr, &after) == 0);
        CHECK((after.sa_flags & SA_NOCLDWAIT) == 0);
        // A handler is the program's.
        CHECK(after.sa_handler == (action.sa_handler == SIG_IGN ? SIG_DFL : action.sa_handler));
    }
    (void)::sigaction(SIGCHLD, &before, nullptr);
}

TEST_CASE("command: out of descriptors a start fails, and works again later", "[rt][command]") {
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    run_task([before]() -> task<> {
        return [](rlimit limits) -> task<> {
            // First with descriptors: the sanitizers look at an object by a pipe, when they meet
            // one of its type for the first time.
            command first("/bin/true");
            first.output(stdio::pipe());
            const auto warm = co_await status_of(std::move(first));
            REQUIRE(warm.success());
            // Whatever is closed meanwhile is above them.
            rlimit none = limits;
            none.rlim_cur = 3;
            command piped("/bin/true");
            piped.output(stdio::pipe());
            REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
            const auto refused = co_await piped.spawn();
            const auto plain = co_await command("/bin/true").spawn();
            REQUIRE(::setrlimit(RLIMIT_NOFILE, &limits) == 0);
            REQUIRE_FALSE(refused);
            CHECK(refused.error() == std::errc::too_many_files_open);
            REQUIRE_FALSE(plain);
            CHECK(plain.error() == std::errc::too_many_files_open);
            command again("/bin/true");
            const auto good = co_await status_of(std::move(again));
            CHECK(good.success());
        }(before);
    });
}
