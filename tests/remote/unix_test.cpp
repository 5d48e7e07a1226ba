// Nodes over Unix sockets.

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <unistd.h>

#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::failure;
namespace remote = heph::remote;
namespace rt = heph::rt;

namespace {

// Gives a name that neither another test nor the same one in another process has.
std::string abstract_name() {
    static std::atomic<int> made = 0;
    return "unix:@heph-remote-test-" + std::to_string(::getpid()) + '-' + std::to_string(made++);
}

// A directory of its own for the sockets of a test.
class socket_directory {
public:
    socket_directory() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "heph-remote-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) { throw std::runtime_error("no directory"); }
        path_ = pattern;
    }
    socket_directory(const socket_directory&) = delete;
    socket_directory& operator=(const socket_directory&) = delete;
    ~socket_directory() { std::filesystem::remove_all(path_); }
    [[nodiscard]] std::filesystem::path file(const std::string& name) const { return path_ / name; }

private:
    std::filesystem::path path_;
};

}  // namespace

TEST_CASE("unix: nodes link over a Unix socket, whose file goes with the node", "[remote][unix]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const socket_directory directory;
        const auto file = directory.file("a.sock");
        for (int round = 0; round < 2; ++round) {
            const auto a = start(worker, quick_options("a").listen("unix:" + file.string()));
            CHECK(a.address() == "unix:" + file.string());
            CHECK(std::filesystem::exists(file));
            a.publish("counter", spawn_counter(worker, std::make_shared<counter_state>()));
            const auto b = start(worker, quick_options("b").peer("a", a.address()));
            auto found = co_await b.find<counter_message>("a", "counter", plenty);
            REQUIRE(found);
            const text said(std::string(100'000, 'x'));
            const auto echoed = co_await found->rpc(plenty, said);
            REQUIRE(echoed);
            CHECK(echoed->body == said.body);
            a.stop();
            const bool gone = co_await eventually([&] { return !std::filesystem::exists(file); });
            CHECK(gone);
            b.stop();
        }
    });
}

TEST_CASE("unix: an abstract name needs no file, and others with it are refused",
          "[remote][unix]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const std::string name = abstract_name();
        const auto a = start(worker, quick_options("a").listen(name));
        const auto again = remote::node::start(worker, quick_options("c").listen(name));
        REQUIRE_FALSE(again);
        CHECK(again.error().message().contains("cannot listen at " + name));
        const auto b = start(worker, quick_options("b").peer("a", name));
        const bool linked = co_await eventually([&] { return a.is_linked("b"); });
        CHECK(linked);
        const auto stranger = start(
            worker,
            remote::options("d", secret_of("quite another secret, as it happens")).peer("a", name));
        const bool refused =
            co_await eventually([] { return log_lines::with("turned away unix:process ") >= 1; });
        CHECK(refused);
        CHECK_FALSE(stranger.is_linked("a"));
    });
}

TEST_CASE("unix: a path that is too long is refused with a word", "[remote][unix]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const std::string name = "unix:/" + std::string(200, 'x');
        const auto a = remote::node::start(worker, quick_options("a").listen(name));
        REQUIRE_FALSE(a);
        CHECK(a.error().message().contains("unix:/run/a.sock"));
        co_return;
    });
}
