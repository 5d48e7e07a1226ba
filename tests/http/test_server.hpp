#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <heph/http/limits.hpp>
#include <heph/http/router.hpp>
#include <heph/http/server.hpp>
#include <heph/rt/runtime.hpp>

namespace heph::http::test {

/// How a test's server differs from the default.
struct server_setup {
    http::limits limits;
    std::shared_ptr<const server_security> tls;
    std::size_t threads = 1;
    std::chrono::milliseconds stop_grace{5'000};
    std::function<void(rt::worker&)> on_worker;  // Called before the server starts there.
    std::string address = "127.0.0.1:0";
    std::optional<unsigned> socket_mode;
};

/// Serves a router on a runtime in a thread of its own, on a port of its own.
class test_server {
public:
    explicit test_server(router routes, server_setup setup = {});
    test_server(const test_server&) = delete;
    test_server& operator=(const test_server&) = delete;
    ~test_server();

    [[nodiscard]] std::uint16_t port() const { return port_; }
    /// Begins an orderly stop.
    void request_stop() const { runtime_->shared().request_stop(); }
    /// Waits for the end of the runtime and gives how long that took.
    std::chrono::milliseconds wait_for_end();

private:
    std::optional<rt::runtime> runtime_;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

/// Collects the lines of the log instead of writing them, for as long as it lives. One at a time.
class captured_log {
public:
    captured_log();
    captured_log(const captured_log&) = delete;
    captured_log& operator=(const captured_log&) = delete;
    ~captured_log();

    [[nodiscard]] std::vector<std::string> lines() const;
    /// Counts the lines that have this text. Waits for the first one, up to a minute.
    [[nodiscard]] std::size_t count(std::string_view text) const;
};

/// Waits until the condition holds; gives false when it does not within a minute.
bool eventually(const std::function<bool()>& condition);

}  // namespace heph::http::test
