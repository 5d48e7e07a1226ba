#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <system_error>

namespace heph::rt::net {

/// An IPv4 or IPv6 address with a port.
class endpoint {
public:
    /// Makes 0.0.0.0:0.
    endpoint() noexcept = default;

    /// Reads `127.0.0.1:80`, `[::1]:80`, or with a scope `[fe80::1%2]:80` or `[fe80::1%eth0]:80`,
    /// by the name of an interface of this host. Names of hosts are not looked up.
    /// *Errors*: `errc::bad_address`, also for an interface that there is not.
    [[nodiscard]] static std::expected<endpoint, std::error_code> parse(std::string_view text);

    /// Makes 127.0.0.1 with a port.
    [[nodiscard]] static endpoint loopback(std::uint16_t port) noexcept;

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    void set_port(std::uint16_t port) noexcept { port_ = port; }
    [[nodiscard]] bool is_v6() const noexcept { return v6_; }

    /// Gives the address in network byte order: 4 or 16 bytes of the array are in use.
    [[nodiscard]] const std::array<std::uint8_t, 16>& address() const noexcept { return address_; }
    [[nodiscard]] std::uint32_t scope() const noexcept { return scope_; }

    /// Makes an endpoint of its parts.
    static endpoint v4(std::array<std::uint8_t, 4> address, std::uint16_t port) noexcept;
    static endpoint v6(std::array<std::uint8_t, 16> address, std::uint16_t port,
                       std::uint32_t scope = 0) noexcept;

    /// Writes it as `parse` reads it.
    [[nodiscard]] std::string to_string() const;
    /// Writes the address without the port and without brackets.
    [[nodiscard]] std::string address_string() const;

    bool operator==(const endpoint&) const noexcept = default;

private:
    std::array<std::uint8_t, 16> address_{};
    std::uint32_t scope_ = 0;
    std::uint16_t port_ = 0;
    bool v6_ = false;
};

}  // namespace heph::rt::net
