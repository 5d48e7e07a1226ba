#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace heph::http::detail {

/// An address of either version, an IPv4 one as it stands within IPv6 (RFC 4291, 2.5.5.2): so both
/// ways to write one are the same.
using ip_address = std::array<std::uint8_t, 16>;

/// Reads an address without a port and brackets; nothing when it is a name.
[[nodiscard]] inline std::optional<ip_address> read_ip_address(const std::string& text) noexcept {
    ip_address found{};
    in_addr v4{};
    if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) {
        found[10] = found[11] = 0xff;
        std::memcpy(found.data() + 12, &v4, sizeof(v4));
        return found;
    }
    if (::inet_pton(AF_INET6, text.c_str(), found.data()) != 1) { return {}; }
    return found;
}

[[nodiscard]] inline bool is_ip_v4(const ip_address& one) noexcept {
    return one[10] == 0xff && one[11] == 0xff &&
           std::all_of(one.begin(), one.begin() + 10, [](std::uint8_t byte) { return byte == 0; });
}

/// The addresses that begin with the same bits.
class ip_network {
public:
    /// Reads `10.0.0.7`, `10.0.0.0/8`, `::1`, `fd00::/8`; gives nothing for anything else.
    [[nodiscard]] static std::optional<ip_network> parse(std::string_view text) {
        const std::size_t slash = text.find('/');
        const std::string base(text.substr(0, slash));
        const auto address = read_ip_address(base);
        if (!address) { return {}; }
        ip_network made{*address, 128};
        if (slash == std::string_view::npos) { return made; }
        const bool is_v4 = base.find(':') == std::string::npos;
        const std::string_view number = text.substr(slash + 1);
        unsigned bits = 0;
        const auto [at, failed] =
            std::from_chars(number.data(), number.data() + number.size(), bits);
        if (failed != std::errc() || at != number.data() + number.size() ||
            bits > (is_v4 ? 32U : 128U)) {
            return {};
        }
        made.bits_ = bits + (is_v4 ? 96U : 0U);
        return made;
    }

    [[nodiscard]] bool has(const ip_address& one) const noexcept {
        const std::size_t whole = bits_ / 8;
        if (!std::equal(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(whole),
                        base_.begin())) {
            return false;
        }
        const unsigned rest = bits_ % 8;
        return rest == 0 || (one[whole] ^ base_[whole]) >> (8 - rest) == 0;
    }

    /// Makes one of the first `bits` of an address, as `base` and `bits` give them.
    ip_network(const ip_address& base, unsigned bits) noexcept : base_(base), bits_(bits) {}
    [[nodiscard]] const ip_address& base() const noexcept { return base_; }
    [[nodiscard]] unsigned bits() const noexcept { return bits_; }

private:
    ip_address base_;
    unsigned bits_;
};

}  // namespace heph::http::detail
