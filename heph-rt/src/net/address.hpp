#pragma once

#include <heph/rt/net/endpoint.hpp>

#include "../slot.hpp"

namespace heph::rt::detail {

/// Writes an endpoint as the kernel wants it. Gives the bytes in use.
[[nodiscard]] unsigned to_socket_address(const net::endpoint& from, socket_address& to) noexcept;

/// Reads an endpoint from the kernel's form.
[[nodiscard]] net::endpoint from_socket_address(const socket_address& from) noexcept;

}  // namespace heph::rt::detail
