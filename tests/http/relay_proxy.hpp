#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace heph::http::test {

/// A proxy's connection to its client: plain, or secured by who derives from it.
class relay_link {
public:
    explicit relay_link(int socket) noexcept : socket_(socket) {}
    relay_link(const relay_link&) = delete;
    relay_link& operator=(const relay_link&) = delete;
    virtual ~relay_link();

    [[nodiscard]] int socket() const noexcept { return socket_; }
    virtual bool send(std::string_view bytes);
    /// Gives what comes next, which may be nothing yet; no value at the end.
    virtual std::optional<std::string> receive();

private:
    int socket_;
};

/// Reads what a client asks for, answers, and gives the connection to the server, or -1. `told`
/// becomes what was asked.
using relay_opener = std::function<int(relay_link& client, std::string& told)>;

/// Connects to a port of this machine; -1 when nobody listens there.
int connect_to_loopback(std::uint16_t port);

/// Opens tunnels by CONNECT; what it is told is the head.
int open_by_connect(relay_link& client, std::string& told);

/// A proxy that opens tunnels to ports of this machine, whatever the host is called, blocking and
/// in threads of its own.
class relay_proxy {
public:
    using link_maker = std::function<std::unique_ptr<relay_link>(int socket)>;

    explicit relay_proxy(relay_opener open = open_by_connect, link_maker wrap = {});
    relay_proxy(const relay_proxy&) = delete;
    relay_proxy& operator=(const relay_proxy&) = delete;
    ~relay_proxy() { stop(); }

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    /// Ends all tunnels, and waits for the threads.
    void stop();
    /// Gives what was asked, such as heads, in the order of the connections. *Requires*: `stop` was
    /// called.
    [[nodiscard]] const std::vector<std::string>& heads() const noexcept { return heads_; }

private:
    void serve();
    void relay(int socket, std::size_t place);

    relay_opener open_;
    link_maker wrap_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<bool> stops_ = false;
    std::mutex mutex_;
    std::vector<std::string> heads_;
    std::vector<std::thread> relays_;  // Of the thread that accepts, until it has ended.
    std::thread thread_;
};

}  // namespace heph::http::test
