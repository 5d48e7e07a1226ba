#include "random.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <string_view>
#include <system_error>

#include <sys/random.h>

namespace heph::http::detail {

namespace {

void fill(void* to, std::size_t size) {
    // Up to 256 bytes come whole (getrandom(2)).
    while (::getrandom(to, size, 0) != static_cast<ssize_t>(size)) {
        if (errno != EINTR) { throw std::system_error(errno, std::system_category(), "getrandom"); }
    }
}

}  // namespace

std::uint32_t random_mask() {
    // Many at a time: a system call for each frame would cost more than sending it.
    thread_local std::array<std::uint32_t, 64> kept;
    thread_local std::size_t left = 0;
    if (left == 0) {
        fill(kept.data(), sizeof kept);
        left = kept.size();
    }
    return kept[--left];
}

std::string random_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    fill(bytes.data(), count);
    return bytes;
}

std::string random_name() {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string name;
    for (const char c : random_bytes(16)) {
        name += digits[static_cast<unsigned char>(c) >> 4U];
        name += digits[static_cast<unsigned char>(c) & 15U];
    }
    return name;
}

}  // namespace heph::http::detail
