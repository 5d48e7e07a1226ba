#include "test_server.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/core/log.hpp>

namespace heph::http::test {

namespace {

std::mutex captured_mutex;
std::vector<std::string> captured_lines;
log_handler previous_handler = nullptr;

void capture(log_level /*level*/, std::string_view message) noexcept {
    const std::lock_guard lock(captured_mutex);
    captured_lines.emplace_back(message);
}

}  // namespace

test_server::test_server(router routes, server_setup setup) {
    auto built = rt::setup{}
                     .name("test")
                     .threads(setup.threads)
                     .ignore_signals()
                     .stop_grace(setup.stop_grace)
                     .build();
    if (!built) { FAIL(built.error().message()); }
    runtime_.emplace(std::move(*built));
    server_options options;
    options.address = setup.address;
    options.socket_mode = setup.socket_mode;
    options.limits = setup.limits;
    options.tls = setup.tls;
    const auto opened = server::open(std::move(routes), options, setup.threads);
    REQUIRE(opened);
    port_ = opened->local_endpoint().port();
    if (setup.on_worker) { runtime_->run_on_workers(setup.on_worker); }
    runtime_->run_on_workers([served = *opened](rt::worker& worker) { served.start(worker); });
    thread_ = std::thread([this] { (void)runtime_->start(); });
}

test_server::~test_server() {
    if (thread_.joinable()) {
        request_stop();
        thread_.join();
    }
}

std::chrono::milliseconds test_server::wait_for_end() {
    const auto begin = std::chrono::steady_clock::now();
    thread_.join();
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                 begin);
}

captured_log::captured_log() {
    {
        const std::lock_guard lock(captured_mutex);
        captured_lines.clear();
    }
    previous_handler = set_log_handler(&capture);
}

captured_log::~captured_log() { set_log_handler(previous_handler); }

std::vector<std::string> captured_log::lines() const {
    const std::lock_guard lock(captured_mutex);
    return captured_lines;
}

std::size_t captured_log::count(std::string_view text) const {
    std::size_t found = 0;
    (void)eventually([&] {
        found = 0;
        for (const std::string& line : lines()) {
            if (line.find(text) != std::string::npos) { ++found; }
        }
        return found != 0;
    });
    return found;
}

bool eventually(const std::function<bool()>& condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > until) { return false; }
        std::this_thread::yield();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

}  // namespace heph::http::test
