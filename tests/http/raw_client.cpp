#include "raw_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include <heph/http/headers.hpp>

namespace heph::http::test {

namespace {

constexpr int patience_seconds = 20;

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') { text.remove_prefix(1); }
    return text;
}

// Freeing a ring may interrupt a later call of its thread, and calls with a time-out do not go on
// by themselves then.
template <typename Call>
auto uninterrupted(Call call) {
    for (;;) {
        const auto result = call();
        if (result >= 0 || errno != EINTR) { return result; }
    }
}

void be_patient(int descriptor) {
    const timeval patience{patience_seconds, 0};
    ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    ::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

bool is_bodiless_status(int status) { return status < 200 || status == 204 || status == 304; }

}  // namespace

std::optional<std::string> reply::header(std::string_view name) const {
    std::string_view rest = head;
    while (!rest.empty()) {
        const std::size_t end = rest.find("\r\n");
        const std::string_view line = rest.substr(0, end);
        const std::size_t colon = line.find(':');
        if (colon != std::string_view::npos && equal_ignoring_case(line.substr(0, colon), name)) {
            return std::string(trimmed(line.substr(colon + 1)));
        }
        if (end == std::string_view::npos) { break; }
        rest.remove_prefix(end + 2);
    }
    return std::nullopt;
}

raw_client raw_client::over_unix(const std::string& path) {
    raw_client made;
    made.descriptor_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made.descriptor_ < 0) { return made; }
    be_patient(made.descriptor_);
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::copy_n(path.begin(), std::min(path.size(), sizeof(to.sun_path) - 1), to.sun_path);
    if (uninterrupted([&] {
            return ::connect(made.descriptor_, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
        }) != 0 &&
        errno != EISCONN) {
        ::close(std::exchange(made.descriptor_, -1));
    }
    return made;
}

raw_client::raw_client(std::uint16_t port, int receive_buffer_bytes)
    : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (descriptor_ < 0) { return; }
    if (receive_buffer_bytes > 0) {
        ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                     sizeof(receive_buffer_bytes));
    }
    be_patient(descriptor_);
    const int one = 1;
    ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (uninterrupted([&] {
            return ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
        }) != 0 &&
        errno != EISCONN) {
        ::close(std::exchange(descriptor_, -1));
    }
}

raw_client::~raw_client() {
    if (descriptor_ >= 0) { ::close(descriptor_); }
}

bool raw_client::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto sent = uninterrupted(
            [&] { return ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
        if (sent <= 0) { return false; }
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

std::size_t raw_client::send_until_blocked(std::string_view bytes, std::size_t bytes_max,
                                           int patience_ms) {
    std::size_t total = 0;
    while (total < bytes_max) {
        pollfd waiting{descriptor_, POLLOUT, 0};
        if (uninterrupted([&] { return ::poll(&waiting, 1, patience_ms); }) != 1) { return total; }
        const std::size_t at = total % bytes.size();
        const auto sent =
            ::send(descriptor_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0) { return total; }
        total += static_cast<std::size_t>(sent);
    }
    return total;
}

void raw_client::end_sending() { ::shutdown(descriptor_, SHUT_WR); }

void raw_client::reset() {
    const linger at_once{1, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    ::close(std::exchange(descriptor_, -1));
}

bool raw_client::fill() {
    char bytes[16 * 1024];
    const auto got = uninterrupted([&] { return ::recv(descriptor_, bytes, sizeof(bytes), 0); });
    if (got <= 0) {
        was_reset_ = got < 0 && (errno == ECONNRESET || errno == EPIPE);
        timed_out_ = got < 0 && !was_reset_;
        return false;
    }
    left_.append(bytes, static_cast<std::size_t>(got));
    return true;
}

std::string raw_client::read_some() {
    if (left_.empty()) { fill(); }
    return std::exchange(left_, {});
}

std::string raw_client::read_rest() {
    while (fill()) {}
    return std::exchange(left_, {});
}

bool raw_client::at_end() { return left_.empty() && !fill() && !timed_out_; }

reply raw_client::read(bool to_head) {
    reply got;
    std::size_t end = 0;
    while ((end = left_.find("\r\n\r\n")) == std::string::npos) {
        if (!fill()) { return got; }
    }
    got.head = left_.substr(0, end);
    left_.erase(0, end + 4);
    if (!got.head.starts_with("HTTP/1.1 ")) { return got; }
    got.status = std::atoi(got.head.c_str() + 9);
    if (to_head || is_bodiless_status(got.status)) {
        got.complete = true;
        return got;
    }
    if (got.header("transfer-encoding") == "chunked") {
        read_chunked(got);
    } else if (const auto length = got.header("content-length")) {
        const auto wanted = static_cast<std::size_t>(std::atoll(length->c_str()));
        while (left_.size() < wanted && fill()) {}
        got.complete = left_.size() >= wanted;
        got.body = left_.substr(0, wanted);
        left_.erase(0, wanted);
    } else {
        got.body = read_rest();
        got.complete = !was_reset_ && !timed_out_;
    }
    return got;
}

void raw_client::read_chunked(reply& into) {
    into.chunked = true;
    std::size_t at = 0;  // Erasing the front for each chunk would take too long.
    for (;;) {
        std::size_t end = 0;
        while ((end = left_.find("\r\n", at)) == std::string::npos) {
            if (!fill()) { return; }
        }
        const std::size_t size = std::strtoull(left_.c_str() + at, nullptr, 16);
        const std::size_t data_at = end + 2;
        while (left_.size() < data_at + size + 2) {
            if (!fill()) { return; }
        }
        if (left_.compare(data_at + size, 2, "\r\n") != 0) { return; }
        into.body.append(left_, data_at, size);
        at = data_at + size + 2;
        if (size == 0) {
            left_.erase(0, at);
            into.complete = true;
            return;
        }
    }
}

std::string get_request(std::string_view path, std::string_view more_headers) {
    std::string text = "GET ";
    text.append(path).append(" HTTP/1.1\r\nHost: localhost\r\n").append(more_headers);
    return text.append("\r\n");
}

std::string post_request(std::string_view path, std::string_view body,
                         std::string_view more_headers) {
    std::string text = "POST ";
    text.append(path).append(" HTTP/1.1\r\nHost: localhost\r\n").append(more_headers);
    text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n");
    return text.append(body);
}

}  // namespace heph::http::test
