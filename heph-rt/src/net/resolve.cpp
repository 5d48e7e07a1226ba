#include <heph/rt/net/resolve.hpp>

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string_view>

#include "address.hpp"
#include "socket_calls.hpp"

namespace heph::rt::net {

namespace {

constexpr std::size_t host_bytes_max = 253;  // RFC 1035 section 2.3.4, as text.
constexpr int lookups_max = 256;

const char* message_of(resolve_errc error) noexcept {
    switch (error) {
        case resolve_errc::unknown_host: return "there is no such host, or it has no address";
        case resolve_errc::temporary_failure:
            return "no name server answered: try again later, or look at /etc/resolv.conf";
        case resolve_errc::failure: return "the name servers could not answer for this host";
        case resolve_errc::bad_name: return "this is not the name of a host";
        case resolve_errc::too_many_lookups:
            return "too many names are being looked up at the same time: try again later";
    }
    return "unknown error of a look-up";
}

class resolve_error_category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "heph.rt.resolve"; }
    [[nodiscard]] std::string message(int value) const override {
        return message_of(static_cast<resolve_errc>(value));
    }
};

std::error_code lookup_error(int code, int number) noexcept {
    switch (code) {
        case EAI_NONAME:
        case EAI_NODATA:
        case EAI_ADDRFAMILY: return resolve_errc::unknown_host;
        case EAI_AGAIN: return resolve_errc::temporary_failure;
        case EAI_MEMORY: return std::make_error_code(std::errc::not_enough_memory);
        case EAI_SYSTEM: return {number, std::system_category()};
        default: return resolve_errc::failure;
    }
}

// Reads an address without its port, in the form of a URL or not.
std::optional<endpoint> read_address(std::string_view host, std::uint16_t port) {
    const bool bare_v6 = !host.starts_with('[') && host.find(':') != std::string_view::npos;
    std::string text;
    if (bare_v6) { text += '['; }
    text += host;
    if (bare_v6) { text += ']'; }
    text += ':';
    text += std::to_string(port);
    const auto parsed = endpoint::parse(text);
    return parsed ? std::optional<endpoint>(*parsed) : std::nullopt;
}

// Tells whether a name is this domain, or within it.
bool is_within(std::string_view host, std::string_view domain) {
    if (host.ends_with('.')) { host.remove_suffix(1); }
    if (host.size() < domain.size()) { return false; }
    const std::string_view end = host.substr(host.size() - domain.size());
    const bool same = std::ranges::equal(end, domain, [](char a, char b) {
        return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
    });
    return same && (end.size() == host.size() || host[host.size() - end.size() - 1] == '.');
}

}  // namespace

}  // namespace heph::rt::net

namespace heph::rt::detail {

using net::resolve_errc;
using net::resolved;

// Counts the look-ups that run or wait.
struct lookup::permit {
    static inline std::atomic<int> held{0};

    permit() = default;
    permit(const permit&) = delete;
    permit& operator=(const permit&) = delete;
    ~permit() { held.fetch_sub(1, std::memory_order_relaxed); }

    static std::shared_ptr<permit> take() {
        // Only the count matters; nothing is published by it.
        if (held.fetch_add(1, std::memory_order_relaxed) >= net::lookups_max) {
            held.fetch_sub(1, std::memory_order_relaxed);
            return nullptr;
        }
        return std::make_shared<permit>();
    }
};

lookup::lookup(std::string host, std::uint16_t port)
    : host_(std::move(host)), port_(port), permit_(permit::take()) {}

resolved lookup::operator()() const {
    if (!permit_) { return resolved(std::unexpect, resolve_errc::too_many_lookups); }
    if (this_thread_sockets != nullptr) [[unlikely]] {
        const auto found = this_thread_sockets->look_up(host_);
        if (!found) { return resolved(std::unexpect, resolve_errc::unknown_host); }
        net::endpoint at = *found;
        at.set_port(port_);
        return resolved(std::in_place, std::size_t{1}, at);
    }
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* list = nullptr;
    errno = 0;
    int code = ::getaddrinfo(host_.c_str(), nullptr, &hints, &list);
    if (code == EAI_NONAME || code == EAI_ADDRFAMILY) {
        // A machine with nothing but a loopback interface has no family "configured" at all.
        hints.ai_flags = 0;
        code = ::getaddrinfo(host_.c_str(), nullptr, &hints, &list);
    }
    if (code != 0) { return resolved(std::unexpect, net::lookup_error(code, errno)); }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, ::freeaddrinfo);
    resolved found;
    for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
        if (at->ai_addrlen > sizeof(socket_address)) { continue; }
        socket_address address{};
        std::copy_n(reinterpret_cast<const char*>(at->ai_addr), at->ai_addrlen,
                    reinterpret_cast<char*>(&address));
        net::endpoint made = from_socket_address(address);
        made.set_port(port_);
        if (std::ranges::find(*found, made) == found->end()) { found->push_back(made); }
    }
    if (found->empty()) { return resolved(std::unexpect, resolve_errc::unknown_host); }
    return found;
}

}  // namespace heph::rt::detail

namespace heph::rt::net {

const std::error_category& resolve_category() noexcept {
    static const resolve_error_category category;
    return category;
}

std::error_code make_error_code(resolve_errc error) noexcept {
    return {static_cast<int>(error), resolve_category()};
}

polled<resolve_future::value_type> resolve_future::poll(const waker& waker) {
    if (!lookup_) {
        if (host_.empty() || host_.size() > host_bytes_max ||
            host_.find('\0') != std::string::npos) {
            return resolved(std::unexpect, resolve_errc::bad_name);
        }
        if (const auto numeric = read_address(host_, port_)) {
            return resolved(std::in_place, std::size_t{1}, *numeric);
        }
        // No name server is to be asked for these (RFC 6761, sections 6.3 and 6.4).
        if (is_within(host_, "localhost")) {
            resolved found;
            found->push_back(*read_address("::1", port_));
            found->push_back(*read_address("127.0.0.1", port_));
            return found;
        }
        if (is_within(host_, "invalid")) {
            return resolved(std::unexpect, resolve_errc::unknown_host);
        }
        lookup_.emplace(detail::lookup(std::move(host_), port_));
    }
    return lookup_->poll(waker);
}

}  // namespace heph::rt::net
