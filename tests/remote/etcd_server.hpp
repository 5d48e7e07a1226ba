#pragma once

// A real etcd on loopback, for one test: ended with it, whatever happens to the test.

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include <heph/remote/etcd/client.hpp>
#include <heph/rt/command.hpp>

#include "remote/nodes.hpp"

namespace heph::remote::testing {

class etcd_server {
public:
    etcd_server() {
        // Of an address of its own, so that its ports are free, also for a restart. 127.0.x.x is
        // left to others.
        static std::atomic<int> made = 0;
        const auto pid = static_cast<unsigned>(::getpid());
        address_ = "127." + std::to_string(1 + (pid >> 14U) % 250) + '.' +
                   std::to_string((pid >> 6U) % 256) + '.' +
                   std::to_string((pid % 64) * 4 + static_cast<unsigned>(made++ % 4));
        const std::filesystem::path memory = "/dev/shm";
        auto folder =
            (std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path()) /
            "heph-etcd-XXXXXX";
        folder_ = folder.string();
        if (::mkdtemp(folder_.data()) == nullptr) { throw std::runtime_error("no folder"); }
    }
    etcd_server(const etcd_server&) = delete;
    etcd_server& operator=(const etcd_server&) = delete;
    ~etcd_server() {
        if (child_) { ::kill(-child_->id(), SIGKILL); }
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    /// Tells whether this machine has etcd.
    static bool is_installed() {
        return std::filesystem::exists("/usr/bin/etcd") ||
               std::getenv("HEPH_NEEDS_ETCD") != nullptr;
    }

    [[nodiscard]] const std::string& address() const { return address_; }
    /// Names a folder that goes with it.
    [[nodiscard]] const std::string& folder() const { return folder_; }
    /// Has it speak https, by files of a certificate and its key, to those whose certificates
    /// the authority in a third file vouches for. *Requires*: it does not run.
    void secure(std::string certificate, std::string key, std::string authority) {
        tls_files_ = {std::move(certificate), std::move(key), std::move(authority)};
    }
    [[nodiscard]] std::string endpoint() const {
        return (tls_files_.empty() ? "http://" : "https://") + address_ + ":2379";
    }
    [[nodiscard]] etcd::settings where() const {
        etcd::settings made({endpoint()});
        made.request_timeout(5000ms);
        return made;
    }

    task<> start() {
        // The shell kills etcd when its input says so, or ends: with the test, however that ends.
        // It ends after etcd, whose ports are free then.
        rt::command command("sh");
        command.argument("-c");
        command.argument("etcd \"$@\" & read how; kill -\"${how:-KILL}\" $!; wait $!");
        command.argument("etcd");
        command.argument("--data-dir").argument(folder_ + "/data");
        command.argument("--listen-client-urls").argument(endpoint());
        command.argument("--advertise-client-urls").argument(endpoint());
        command.argument("--listen-peer-urls").argument("http://" + address_ + ":2380");
        command.argument("--initial-advertise-peer-urls").argument("http://" + address_ + ":2380");
        command.argument("--initial-cluster").argument("default=http://" + address_ + ":2380");
        command.argument("--heartbeat-interval").argument("50");
        command.argument("--election-timeout").argument("500");
        if (!tls_files_.empty()) {
            command.argument("--cert-file").argument(tls_files_[0]);
            command.argument("--key-file").argument(tls_files_[1]);
            command.argument("--client-cert-auth");
            command.argument("--trusted-ca-file").argument(tls_files_[2]);
        }
        command.input(rt::stdio::pipe())
            .output(rt::stdio::null())
            .error(rt::stdio::null())
            .new_process_group();
        auto child = co_await command.spawn();
        if (!child) { throw std::runtime_error("etcd does not start"); }
        child_.emplace(std::move(*child));
    }

    /// Ends it as a loss of power does, and waits until its ports are free.
    task<> kill() {
        child_->close_input();
        (void)co_await child_->wait();
        child_.reset();
    }
    /// Removes its data. *Requires*: it does not run.
    void forget_all() { std::filesystem::remove_all(folder_ + "/data"); }
    /// Asks it to end, and waits for that.
    task<> stop() {
        auto told = co_await child_->input().write_all(rt::buffer::copy_of("TERM\n"));
        if (!told) { throw std::runtime_error("etcd is not there"); }
        (void)co_await child_->wait();
        child_.reset();
    }
    void freeze() { ::kill(-child_->id(), SIGSTOP); }
    void thaw() { ::kill(-child_->id(), SIGCONT); }

    /// Waits until it answers.
    static task<bool> ready(etcd::client client) {
        const auto until = rt::clock::now() + plenty;
        while (rt::clock::now() < until) {
            const auto got = co_await client.get("/");
            if (got) { co_return true; }
            co_await rt::timer(10ms);
        }
        co_return false;
    }

private:
    std::string address_;
    std::string folder_;
    std::vector<std::string> tls_files_;
    std::optional<rt::child> child_;
};

/// Says that a test is left out, and why, where etcd is not installed.
#define HEPH_TEST_NEEDS_ETCD()                                        \
    if (!etcd_server::is_installed()) {                               \
        WARN("SKIPPED: etcd is not installed (Debian: etcd-server)"); \
        return;                                                       \
    }

/// What a test with an etcd has of it.
using etcd_test = std::function<task<>(rt::worker, etcd_server&, etcd::client)>;

inline task<> with_etcd(rt::worker worker, etcd_test body, bool is_to_be_up) {
    etcd_server server;
    co_await server.start();
    const etcd::client client(worker, server.where());
    if (is_to_be_up) {
        const bool is_ready = co_await etcd_server::ready(client);
        REQUIRE(is_ready);
    }
    auto running = body(worker, server, client);
    co_await running;
}

/// Runs a test with an etcd of its own, and a client of it to which it answers; leaves it out where
/// etcd is not installed.
inline void run_with_etcd(const etcd_test& body) {
    HEPH_TEST_NEEDS_ETCD();
    run_nodes([&](rt::worker worker) { return with_etcd(worker, body, true); });
}

/// Likewise, with an etcd that is only about to be up.
inline void run_with_coming_etcd(const etcd_test& body) {
    HEPH_TEST_NEEDS_ETCD();
    run_nodes([&](rt::worker worker) { return with_etcd(worker, body, false); });
}

}  // namespace heph::remote::testing
