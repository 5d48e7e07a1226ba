#include "in_use.hpp"

#include <dirent.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

namespace heph::rt::detail {

namespace {

using open_directory = std::unique_ptr<DIR, decltype([](DIR* each) { ::closedir(each); })>;

bool is_ip(const sockaddr& address) noexcept {
    return address.sa_family == AF_INET || address.sa_family == AF_INET6;
}

// At the same place in both kinds of addresses.
in_port_t port_of(const sockaddr& address) noexcept {
    in_port_t port = 0;
    static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
    std::memcpy(&port, reinterpret_cast<const char*>(&address) + offsetof(sockaddr_in, sin_port),
                sizeof(port));
    return port;
}

bool is_bound_to(int descriptor, const sockaddr& address, socklen_t bytes, int type) noexcept {
    sockaddr_storage bound{};
    socklen_t size = sizeof(bound);
    auto& local = reinterpret_cast<sockaddr&>(bound);
    if (::getsockname(descriptor, &local, &size) != 0) { return false; }
    int its_type = -1;
    socklen_t type_size = sizeof(its_type);
    if (::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &its_type, &type_size) != 0) { return false; }
    if (is_ip(address)) {
        return is_ip(local) && its_type == type && port_of(local) == port_of(address);
    }
    // The zero byte behind a path may be missing in one of them.
    return local.sa_family == address.sa_family &&
           std::memcmp(&local, &address, std::min(size, bytes)) == 0 &&
           std::max(size, bytes) - std::min(size, bytes) <= 1;
}

}  // namespace

bool bounded_pauses::pause() noexcept {
    if (!is_left()) { return false; }
    const auto now = std::min(next_, left_);
    std::this_thread::sleep_for(now);
    left_ -= now;
    next_ = std::min<std::chrono::nanoseconds>(next_ * 2, std::chrono::milliseconds(16));
    return true;
}

bool is_bound_here(const sockaddr& address, socklen_t bytes, int type) noexcept {
    const open_directory all(::opendir("/proc/self/fd"));
    if (!all) { return false; }
    while (const dirent* each = ::readdir(all.get())) {
        const char* name = each->d_name;
        if (*name < '0' || *name > '9') { continue; }
        const int descriptor = static_cast<int>(std::strtol(name, nullptr, 10));
        if (is_bound_to(descriptor, address, bytes, type)) { return true; }
    }
    return false;
}

}  // namespace heph::rt::detail
