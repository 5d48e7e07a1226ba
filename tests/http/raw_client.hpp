#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heph::http::test {

/// A response as it came over a socket.
struct reply {
    int status = 0;  // 0 when there was none.
    std::string head;
    std::string body;
    bool chunked = false;
    bool complete = false;  // Its framing says that nothing is missing.

    [[nodiscard]] std::optional<std::string> header(std::string_view name) const;
    [[nodiscard]] bool closes() const { return header("connection") == "close"; }
};

/// Sends bytes to a server and takes its answers apart, blocking, independent of what is tested.
/// No wait is longer than a few seconds.
class raw_client {
public:
    explicit raw_client(std::uint16_t port, int receive_buffer_bytes = 0);
    /// Connects to a Unix socket.
    [[nodiscard]] static raw_client over_unix(const std::string& path);
    raw_client(raw_client&& other) noexcept
        : descriptor_(std::exchange(other.descriptor_, -1)), left_(std::move(other.left_)) {}
    raw_client& operator=(raw_client&&) = delete;
    ~raw_client();

    [[nodiscard]] bool connected() const { return descriptor_ >= 0; }

    /// Sends all of it; false when the connection broke, or the server took nothing for a while.
    bool send(std::string_view bytes);
    /// Sends until the server takes nothing for `patience_ms`, at most `bytes_max`; gives how much.
    std::size_t send_until_blocked(std::string_view bytes, std::size_t bytes_max, int patience_ms);
    void end_sending();
    /// Closes with a reset.
    void reset();

    /// Reads one response, to a request of which `to_head` tells whether it was HEAD.
    reply read(bool to_head = false);
    /// Sends and reads.
    reply ask(std::string_view bytes) {
        send(bytes);
        return read();
    }
    /// Reads all that comes until the end of the connection.
    std::string read_rest();
    /// Tells whether the server ended the connection, without sending anything more.
    bool at_end();
    /// Gives what was received and not used. Waits for at least one byte, unless it is the end.
    std::string read_some();
    /// Tells whether the connection's end was a reset.
    [[nodiscard]] bool was_reset() const { return was_reset_; }

private:
    raw_client() = default;
    bool fill();
    void read_chunked(reply& into);

    int descriptor_ = -1;
    std::string left_;
    bool was_reset_ = false;
    bool timed_out_ = false;
};

/// Makes a request without a body.
std::string get_request(std::string_view path, std::string_view more_headers = {});
/// Makes a request with a body of a known length.
std::string post_request(std::string_view path, std::string_view body,
                         std::string_view more_headers = {});

}  // namespace heph::http::test
