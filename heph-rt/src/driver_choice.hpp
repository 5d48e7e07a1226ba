#pragma once

#include <expected>
#include <memory>
#include <string_view>

#include <heph/rt/driver_kind.hpp>
#include <heph/rt/error.hpp>

#include "driver.hpp"

namespace heph::rt::detail {

/// Reads what the variable HEPH_DRIVER of the environment asks for; null stands for unset.
/// *Errors*: a name that is none of a driver.
[[nodiscard]] std::expected<driver_kind, error> parse_driver(const char* given);

/// Decides by which driver the workers of a runtime reach the kernel: the one that is asked for,
/// else the one of the environment, else io_uring. In the last case epoll, with a warning, when the
/// kernel refuses io_uring. *Errors*: io_uring was asked for and is refused, or there is no
/// descriptor for it.
[[nodiscard]] std::expected<driver_kind, error> choose_driver(driver_kind asked,
                                                              std::size_t ring_entries);

/// Makes a worker's driver. `automatic` stands for io_uring that may be replaced by epoll.
/// *Errors*: the driver cannot be had.
[[nodiscard]] std::expected<std::unique_ptr<driver>, error> make_driver(
    worker_link& link, const driver_settings& settings);

}  // namespace heph::rt::detail
