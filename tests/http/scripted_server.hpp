#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace heph::http::test {

/// What a scripted server does when a request's head has arrived.
struct scripted_step {
    std::string bytes;           ///< What it answers.
    bool closes = false;         ///< Whether it closes the connection then.
    bool resets = false;         ///< Whether it does so with a reset.
    bool waits_for_end = false;  ///< Whether it first waits until the client closes.
    std::size_t body_bytes = 0;  ///< What it reads of the request's body, after it has answered.
};

/// Answers connections from a script, one after the other, in a thread of its own: for what no good
/// server does. Connection n follows script n; a connection without a step left is closed.
class scripted_server {
public:
    using script = std::vector<scripted_step>;

    explicit scripted_server(std::vector<script> scripts);
    scripted_server(const scripted_server&) = delete;
    scripted_server& operator=(const scripted_server&) = delete;
    ~scripted_server();

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] std::string url(const std::string& target = "/") const {
        return "http://127.0.0.1:" + std::to_string(port_) + target;
    }
    /// Counts the connections that were taken.
    [[nodiscard]] int connections() const noexcept { return connections_; }
    /// Gives the heads that arrived. *Requires*: `stop` was called.
    [[nodiscard]] const std::vector<std::string>& heads() const noexcept { return heads_; }
    /// Takes no more connections, and waits for the thread.
    void stop();

private:
    void serve(const std::vector<script>& scripts);
    void follow(int connection, const script& steps);

    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<int> connections_ = 0;
    std::vector<std::string> heads_;
    std::thread thread_;
};

}  // namespace heph::http::test
