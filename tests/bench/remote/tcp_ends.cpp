// The floor: plain TCP with frames as heph-remote's, a length and a type, in batches of 64 KiB, and
// nobody to dispatch to.

#include <bit>
#include <cstring>
#include <string_view>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ends.hpp"

namespace bench {

namespace {

constexpr std::size_t batch_bytes = 64 * 1024;
constexpr std::size_t head_bytes = 5;
enum class kind : unsigned char { data = 1, count = 2, echo = 3 };

void append_frame(std::string& to, kind what, std::string_view body) {
    const auto length = std::byteswap(static_cast<std::uint32_t>(body.size() + 1));
    char head[head_bytes];
    std::memcpy(head, &length, sizeof length);
    head[4] = static_cast<char>(what);
    to.append(head, sizeof head).append(body);
}

void send_all(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) { fail("the connection is gone"); }
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

/// Takes frames out of a stream.
class frames {
public:
    explicit frames(int socket) : socket_(socket), held_(2 * batch_bytes, '\0') {}

    /// Gives the next frame, type and body; an empty one at the end.
    std::string_view next() {
        while (true) {
            const std::size_t there = end_ - begin_;
            if (there >= head_bytes) {
                std::uint32_t length = 0;
                std::memcpy(&length, held_.data() + begin_, sizeof length);
                length = std::byteswap(length);
                if (there >= sizeof length + length) {
                    const std::string_view frame(held_.data() + begin_ + sizeof length, length);
                    begin_ += sizeof length + length;
                    return frame;
                }
            }
            std::memmove(held_.data(), held_.data() + begin_, there);
            begin_ = 0;
            end_ = there;
            // A frame that is larger than a batch.
            if (end_ == held_.size()) { held_.resize(2 * held_.size()); }
            const auto count = ::recv(socket_, held_.data() + end_, held_.size() - end_, 0);
            if (count <= 0) { return {}; }
            end_ += static_cast<std::size_t>(count);
        }
    }

private:
    int socket_;
    std::string held_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in made{};
    made.sin_family = AF_INET;
    made.sin_port = htons(port);
    made.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return made;
}

void set_no_delay(int socket) {
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void answer(int socket) {
    set_no_delay(socket);
    frames in(socket);
    std::uint64_t bytes = 0;
    std::string out;
    while (true) {
        const auto frame = in.next();
        if (frame.empty()) { return; }
        const auto what = static_cast<kind>(frame.front());
        if (what == kind::data) {
            bytes += frame.size() - 1;
            continue;
        }
        out.clear();
        const auto counted = std::to_string(bytes);
        append_frame(out, what, what == kind::echo ? frame.substr(1) : std::string_view(counted));
        if (what == kind::count) { bytes = 0; }
        send_all(socket, out);
    }
}

}  // namespace

int serve_tcp() {
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    auto at = loopback(0);
    socklen_t size = sizeof at;
    if (::bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
        ::listen(listener, 8) != 0 ||
        ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
        fail("cannot listen");
    }
    announce(std::to_string(ntohs(at.sin_port)));
    while (true) {
        const int accepted = ::accept(listener, nullptr, nullptr);
        if (accepted < 0) { fail("cannot accept"); }
        answer(accepted);
        ::close(accepted);
    }
}

int measure_tcp(const std::string& where, const load& what) {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    auto at = loopback(static_cast<std::uint16_t>(std::strtoul(where.c_str(), nullptr, 10)));
    if (::connect(socket, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) { fail("no server"); }
    set_no_delay(socket);
    frames in(socket);
    const std::string body(what.body_bytes, 'x');
    std::string out;
    const auto begin = steady::now();
    for (std::uint64_t i = 0; i < what.one_way; ++i) {
        append_frame(out, kind::data, body);
        if (out.size() >= batch_bytes) {
            send_all(socket, out);
            out.clear();
        }
    }
    if (what.one_way != 0) {
        append_frame(out, kind::count, {});
        send_all(socket, out);
        const auto expected = std::to_string(what.one_way * what.body_bytes);
        const auto counted = in.next();
        if (counted.empty() || counted.substr(1) != expected) { fail("messages are missing"); }
        report_rate(what, steady::now() - begin);
    }
    std::vector<steady::duration> times;
    for (std::uint64_t i = 0; i < what.requests; ++i) {
        const auto sent = steady::now();
        out.clear();
        append_frame(out, kind::echo, body);
        send_all(socket, out);
        if (in.next().size() != body.size() + 1) { fail("a request was not answered"); }
        times.push_back(steady::now() - sent);
    }
    if (!times.empty()) { report_times(std::move(times)); }
    ::close(socket);
    return 0;
}

}  // namespace bench
