#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace heph::http::test {

/// A proxy that opens tunnels to ports of this machine, whatever the host is called, blocking and
/// in threads of its own.
class relay_proxy {
public:
    relay_proxy();
    relay_proxy(const relay_proxy&) = delete;
    relay_proxy& operator=(const relay_proxy&) = delete;
    ~relay_proxy() { stop(); }

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    /// Ends all tunnels, and waits for the threads.
    void stop();
    /// Gives the heads that arrived. *Requires*: `stop` was called.
    [[nodiscard]] const std::vector<std::string>& heads() const noexcept { return heads_; }

private:
    void serve();
    void relay(int client);
    int open_tunnel(const std::string& head);

    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<bool> stops_ = false;
    std::mutex mutex_;
    std::vector<std::string> heads_;
    std::vector<std::thread> relays_;  // Of the thread that accepts, until it has ended.
    std::thread thread_;
};

}  // namespace heph::http::test
