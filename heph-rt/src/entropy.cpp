#include <heph/rt/detail/entropy.hpp>

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "net/socket_calls.hpp"
#include "random_stand_in.hpp"

namespace heph::rt::detail {

void fill_randomly(std::span<std::byte> bytes) {
    if (this_thread_sockets != nullptr) [[unlikely]] {
        this_thread_sockets->fill_randomly(bytes);
        return;
    }
    if (random_stand_in* const instead = random_stand_in::of_this_thread()) [[unlikely]] {
        instead->fill_randomly(bytes);
        return;
    }
    constexpr std::size_t at_once = 256;  // Up to so many come whole (getrandom(2)).
    while (!bytes.empty()) {
        const std::size_t count = std::min(bytes.size(), at_once);
        if (::getrandom(bytes.data(), count, 0) == static_cast<ssize_t>(count)) {
            bytes = bytes.subspan(count);
        } else if (errno != EINTR) {
            throw std::system_error(errno, std::system_category(), "getrandom");
        }
    }
}

}  // namespace heph::rt::detail
