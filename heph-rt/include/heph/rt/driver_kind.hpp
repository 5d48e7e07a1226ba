#pragma once

#include <cstdint>
#include <string_view>

namespace heph::rt {

/// By what a worker reaches the kernel.
enum class driver_kind : std::uint8_t {
    automatic,  ///< io_uring; where the kernel refuses it epoll, with a warning that says why.
    io_uring,   ///< io_uring, or an error.
    epoll,      ///< Readiness by epoll for sockets, and a few threads a worker for files.
};

/// Names a driver: "automatic", "io_uring" or "epoll".
[[nodiscard]] std::string_view name_of(driver_kind kind) noexcept;

}  // namespace heph::rt
