// What a connection costs while it waits for a request.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/router.hpp>
#include <heph/inbox/detail/block_pool.hpp>

#include "live_bytes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using heph::http::test::test_server;

namespace {

// Frames of coroutines are larger where nothing is optimised.
#ifdef __OPTIMIZE__
constexpr std::ptrdiff_t idle_bytes_max = 1536;
#else
constexpr std::ptrdiff_t idle_bytes_max = 2 * 1536;
#endif

// Else frames and the like came from slabs, which the operators do not see.
[[maybe_unused]] const bool all_is_counted =
    (heph::inbox::detail::block_pool::take_from_system(), true);

// Those that are there before the others are counted: what all of them share is there by then.
constexpr std::size_t first_ones = 128;
// As many as the runtime makes room for at once, or a multiple of that.
constexpr std::size_t counted_ones = 1024;

// Has no memory of its own, which would be counted.
class bare_client {
public:
    explicit bare_client(std::uint16_t port)
        : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        REQUIRE(descriptor_ >= 0);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::connect(descriptor_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0);
    }
    bare_client(bare_client&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    bare_client& operator=(bare_client&&) = delete;
    ~bare_client() {
        if (descriptor_ >= 0) { ::close(descriptor_); }
    }

    [[nodiscard]] bool ask() const {
        constexpr std::string_view request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        constexpr std::string_view end = "the end";
        if (::send(descriptor_, request.data(), request.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(request.size())) {
            return false;
        }
        std::array<char, 1024> got{};
        std::size_t size = 0;
        while (!std::string_view(got.data(), size).ends_with(end)) {
            const auto count = ::recv(descriptor_, got.data() + size, got.size() - size, 0);
            if (count <= 0) { return false; }
            size += static_cast<std::size_t>(count);
        }
        return true;
    }

private:
    int descriptor_;
};

// Gives each connection one request, and has the server be done with the last one.
void open(std::vector<bare_client>& all, std::size_t count, std::uint16_t port) {
    bool answered = true;
    for (std::size_t i = 0; i < count; ++i) {
        all.emplace_back(port);
        answered = all.back().ask() && answered;
    }
    for (int i = 0; i < 2; ++i) { answered = all.front().ask() && answered; }
    CHECK(answered);
}

// Gives whether the program may have as many descriptors.
bool may_have_descriptors(rlim_t count) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) { return false; }
    if (limit.rlim_cur >= count) { return true; }
    limit.rlim_cur = count;
    return count <= limit.rlim_max && ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

}  // namespace

TEST_CASE("server memory: a connection that waits for its next request takes 1,536 bytes at most",
          "[http][server][memory]") {
    REQUIRE(may_have_descriptors(2 * (first_ones + counted_ones) + 100));
    router routes;
    routes.get("/", [](request&) { return response::text("the end"); });
    const test_server server(std::move(routes));
    std::vector<bare_client> clients;
    clients.reserve(first_ones + counted_ones);
    open(clients, first_ones, server.port());
    const std::ptrdiff_t before = heph::test::live_bytes();
    open(clients, counted_ones, server.port());
    const std::ptrdiff_t each =
        (heph::test::live_bytes() - before) / static_cast<std::ptrdiff_t>(counted_ones);
    CAPTURE(each);
    CHECK(each <= idle_bytes_max);
    CHECK(each > 0);  // It is counted at all.
}
