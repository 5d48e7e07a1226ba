#pragma once

// Proxies between a client and the servers it asks: which one, for what, and who we are to it.
//
//     http::client_options options;
//     const auto proxies = http::proxy_rules::from_environment();
//     if (!proxies) { … proxies.error() … }
//     options.proxies = *proxies;

#include <array>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/http/error.hpp>
#include <heph/http/url.hpp>

namespace heph::http {

/// What a proxy speaks.
enum class proxy_kind : std::uint8_t {
    http,     ///< HTTP in plain text.
    https,    ///< HTTP within TLS: see `client_options::proxy_tls`.
    socks5,   ///< SOCKS 5 (RFC 1928); it is given addresses, which we find.
    socks5h,  ///< The same, but it is given names, and finds the addresses: we look nothing up.
};

/// A proxy, and who we are to it.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class proxy {
public:
    /// Makes one that speaks HTTP in plain text.
    explicit proxy(std::string host, std::uint16_t port)
        : proxy(proxy_kind::http, std::move(host), port) {}
    explicit proxy(proxy_kind kind, std::string host, std::uint16_t port)
        : host_(std::move(host)), port_(port), kind_(kind) {}

    /// Reads `http://user:password@host:port`, of which only the host has to be there. The scheme
    /// names the kind; the port is 80 for `http`, 443 for `https`, else 1080. User and password may
    /// be percent-encoded.
    /// *Errors*: `unsupported_scheme`, such as SOCKS 4; `bad_target`, `bad_host`.
    [[nodiscard]] static std::expected<proxy, error> parse(std::string_view text);

    /// Says who we are: by `Basic` (RFC 7617), or to SOCKS as RFC 1929 has it. Only the proxy is
    /// told; whoever listens on the way learns it, too, unless the kind is `https`.
    /// *Errors*: `bad_target` for a colon in the user's name, or a control character; for SOCKS,
    /// for an empty user, or more than 255 bytes of either.
    std::expected<void, error> authenticate(std::string_view user, std::string_view password);

    [[nodiscard]] proxy_kind kind() const noexcept { return kind_; }
    [[nodiscard]] bool is_socks() const noexcept {
        return kind_ == proxy_kind::socks5 || kind_ == proxy_kind::socks5h;
    }

    /// Gives the name or address; an IPv6 address without brackets.
    [[nodiscard]] const std::string& host() const noexcept { return host_; }
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    /// Gives the value of `Proxy-Authorization`; empty when there is none, as for SOCKS.
    [[nodiscard]] const std::string& authorization() const noexcept { return authorization_; }
    /// Gives who we are to a SOCKS proxy; empty for any other, and for nobody.
    [[nodiscard]] const std::string& user() const noexcept { return user_; }
    [[nodiscard]] const std::string& password() const noexcept { return password_; }

private:
    std::string host_;
    std::uint16_t port_;
    proxy_kind kind_;
    std::string authorization_;
    std::string user_;
    std::string password_;
};

/// Which proxy requests go through, by the scheme and the host of their URLs; none by default.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class proxy_rules {
public:
    /// Goes through no proxy.
    proxy_rules() = default;
    /// Goes through one proxy, whatever is asked.
    explicit proxy_rules(proxy always) : http_(always), https_(std::move(always)) {}

    proxy_rules& set_http(proxy for_http) {
        http_ = std::move(for_http);
        return *this;
    }
    proxy_rules& set_https(proxy for_https) {
        https_ = std::move(for_https);
        return *this;
    }

    /// Adds hosts that are asked directly, from a list as `NO_PROXY` has it, by commas or blanks:
    /// a name, which counts for those below it as well; an address, or a network (`10.0.0.0/8`,
    /// `fd00::/8`); each of the first two maybe with a port; `*` for all. Names are compared as
    /// they stand in the URL; nothing is resolved for it.
    /// *Errors*: `bad_host` for what is none of these; those before it are added.
    std::expected<void, error> exclude(std::string_view list);

    /// Reads `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, as curl does: in capitals as
    /// well, but for `HTTP_PROXY`, which is what a CGI server makes of a client's header `Proxy`.
    /// An empty variable counts as none. *Errors*: what `proxy::parse` and `exclude` give: nothing
    /// should be sent directly because of a typo. *Thread safety*: as `std::getenv`.
    [[nodiscard]] static std::expected<proxy_rules, error> from_environment();

    /// Finds the value of a variable.
    using variables = std::function<std::optional<std::string>(const char* name)>;
    /// Does as `from_environment`, with variables from elsewhere.
    [[nodiscard]] static std::expected<proxy_rules, error> from(const variables& environment);

    /// Gives the proxy for a URL, or null. *Lifetime*: that of the rules, unchanged.
    [[nodiscard]] const proxy* find(const url& to) const noexcept;

private:
    struct exclusion {
        std::string name;                        // Empty for a network.
        std::array<std::uint8_t, 16> network{};  // An IPv4 address is mapped into IPv6.
        unsigned bits = 0;                       // Of `network` that count.
        std::uint16_t port = 0;                  // 0 is any.
    };
    static std::optional<exclusion> read_exclusion(std::string_view text);

    std::optional<proxy> http_;
    std::optional<proxy> https_;
    std::vector<exclusion> excluded_;
    bool excludes_all_ = false;
};

}  // namespace heph::http
