// Nodes at addresses that somebody else has.

#include <unistd.h>

#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include <boost/asio/io_context.hpp>

#include <heph/remote/asio.hpp>
#include <heph/rt/net/unix.hpp>

#include "remote/nodes.hpp"

using namespace heph::remote::testing;
namespace remote = heph::remote;
namespace rt = heph::rt;

namespace {

// Has an address until a node has said that it tries again, or for ever.
class holder {
public:
    enum class kind { tcp, unix_name };
    explicit holder(kind of) {
        if (of == kind::tcp) {
            auto bound = rt::net::tcp_listener::bind(rt::net::endpoint::loopback(0));
            address_ = bound.value().local_endpoint().value().to_string();
            socket_.emplace(std::move(*bound));
            return;
        }
        const std::string name = "heph-listening-test-" + std::to_string(::getpid());
        auto bound = rt::net::unix_listener::bind(rt::net::unix_address::abstract(name).value());
        address_ = "unix:@" + name;
        socket_.emplace(std::move(bound.value()));
    }
    holder(const holder&) = delete;
    holder& operator=(const holder&) = delete;
    ~holder() {
        if (giving_up_.joinable()) { giving_up_.join(); }
    }

    [[nodiscard]] const std::string& address() const noexcept { return address_; }

    // Ends as a program that was killed does: at some time after the new one has found its address
    // taken.
    void give_up_when_told() {
        giving_up_ = std::thread([this] {
            const auto until = std::chrono::steady_clock::now() + plenty;
            while (log_lines::with("is in use; trying again") == 0 &&
                   std::chrono::steady_clock::now() < until) {
                std::this_thread::sleep_for(1ms);
            }
            socket_.reset();
        });
    }

private:
    std::string address_;
    std::optional<std::variant<rt::net::tcp_listener, rt::net::unix_listener>> socket_;
    std::thread giving_up_;
};

remote::options at_address(const std::string& address, std::chrono::milliseconds retry) {
    remote::link_settings links = quick_links();
    links.listen_retry = retry;
    return quick_options("a").links(links).listen(address);
}

// Starts a node on one of the two that run nodes, and gives its address, or why there is none.
using starter = std::string (*)(const remote::options&);

std::string said_by(const std::expected<remote::node, rt::error>& started) {
    return started ? started->address() : started.error().message();
}

std::string start_on_worker(const remote::options& settings) {
    std::string said;
    auto runtime = rt::setup{}.name("test").ignore_signals().build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](rt::worker& worker) {
        said = said_by(remote::node::start(worker, settings));
        worker.request_stop();
    });
    CHECK(runtime->start());
    return said;
}

std::string start_on_asio(const remote::options& settings) {
    boost::asio::io_context context;
    return said_by(remote::asio::start(context.get_executor(), settings));
}

}  // namespace

TEST_CASE("listening: a node takes an address over from a program that is about to end",
          "[remote][listening]") {
    const starter start_it = GENERATE(&start_on_worker, &start_on_asio);
    const auto kind = GENERATE(holder::kind::tcp, holder::kind::unix_name);
    const log_lines log;
    holder before(kind);
    before.give_up_when_told();
    CHECK(start_it(at_address(before.address(), plenty)) == before.address());
    INFO(log_lines::all());
    CHECK(log_lines::with("is in use; trying again") == 1);
}

TEST_CASE("listening: an address that stays in use is an error when the time is over",
          "[remote][listening]") {
    const starter start_it = GENERATE(&start_on_worker, &start_on_asio);
    const log_lines log;
    const holder before(holder::kind::tcp);
    const std::string said = start_it(at_address(before.address(), 50ms));
    CHECK(said.contains("cannot listen at " + before.address()));
    CHECK(said.contains("choose another port"));
    CHECK(log_lines::with("is in use; trying again for 50 ms") == 1);
}

TEST_CASE("listening: without a time to try again the first refusal is the error",
          "[remote][listening]") {
    const starter start_it = GENERATE(&start_on_worker, &start_on_asio);
    const log_lines log;
    const holder before(holder::kind::tcp);
    const std::string said = start_it(at_address(before.address(), 0ms));
    CHECK(said.contains("choose another port"));
    CHECK(log_lines::with("trying again") == 0);
}

TEST_CASE("listening: what is no address of this machine is not tried again",
          "[remote][listening]") {
    const starter start_it = GENERATE(&start_on_worker, &start_on_asio);
    const log_lines log;
    const std::string said = start_it(at_address("192.0.2.77:1", plenty));
    CHECK(said.contains("cannot listen at 192.0.2.77:1"));
    CHECK(log_lines::with("trying again") == 0);
}
