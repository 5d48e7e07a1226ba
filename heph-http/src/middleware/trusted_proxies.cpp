#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <heph/http/field_name.hpp>
#include <heph/http/headers.hpp>
#include <heph/http/middleware/trusted_proxies.hpp>
#include <heph/rt/net/endpoint.hpp>

#include "../chars.hpp"
#include "../ip_network.hpp"

namespace heph::http {

namespace {

using detail::ip_address;
using rt::net::endpoint;

ip_address address_of(const endpoint& from) noexcept {
    ip_address made = from.address();
    if (from.is_v6()) { return made; }
    made.fill(0);
    made[10] = made[11] = 0xff;
    std::copy_n(from.address().begin(), 4, made.begin() + 12);
    return made;
}

endpoint endpoint_of(const ip_address& from, std::uint16_t port) noexcept {
    if (!detail::is_ip_v4(from)) { return endpoint::v6(from, port); }
    return endpoint::v4({from[12], from[13], from[14], from[15]}, port);
}

/// Reads an address with or without a port and brackets: `1.2.3.4`, `1.2.3.4:5`, `[::1]:5`, `::1`.
std::optional<endpoint> node_in(std::string_view text) {
    if (const auto bare = detail::read_ip_address(std::string(text))) {
        return endpoint_of(*bare, 0);
    }
    auto read = endpoint::parse(text);
    if (!read) { read = endpoint::parse(std::string(text) + ":0"); }
    if (!read) { return std::nullopt; }
    return endpoint_of(address_of(*read), read->port());
}

/// Takes the last element off a list. It is looked for from the end, where the proxies have
/// written: what a client wrote before that, such as a quote that it never closed, has no say in
/// it.
std::string_view take_last(std::string_view& list, bool has_quotes) noexcept {
    std::size_t begin = list.size();
    for (bool quoted = false; begin != 0; --begin) {
        const char before = list[begin - 1];
        if (before == '"' && has_quotes) { quoted = !quoted; }
        if (before == ',' && !quoted) { break; }
    }
    const std::string_view last = list.substr(begin);
    list = begin != 0 ? list.substr(0, begin - 1) : std::string_view();
    return detail::trim(last);
}

/// Gives a parameter of an element of `Forwarded`, without quotes; empty when it is not there.
std::string_view parameter_of(std::string_view element, std::string_view name) noexcept {
    while (!element.empty()) {
        std::size_t end = 0;
        for (bool quoted = false; end < element.size(); ++end) {
            if (element[end] == '"') { quoted = !quoted; }
            if (element[end] == ';' && !quoted) { break; }
        }
        const std::string_view pair = element.substr(0, end);
        element = end < element.size() ? element.substr(end + 1) : std::string_view();
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos) { continue; }
        if (!equal_ignoring_case(detail::trim(pair.substr(0, equals)), name)) { continue; }
        std::string_view value = detail::trim(pair.substr(equals + 1));
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
            value = value.substr(1, value.size() - 2);
        }
        return value;
    }
    return {};
}

class proxy_policy {
public:
    explicit proxy_policy(const trusted_proxies_options& options) : header_(options.header) {
        for (const std::string& each : options.networks) {
            if (each == "unix:") {
                trusts_unix_ = true;
                continue;
            }
            const auto read = detail::ip_network::parse(each);
            if (!read) {
                throw std::invalid_argument("trusted_proxies: this is no network: " + each);
            }
            networks_.push_back(*read);
        }
    }

    void apply(request& asked) const {
        if (!is_from_proxy(asked)) { return; }
        const bool standard = header_ == forwarded_by::forwarded;
        std::vector<std::string_view> lines;
        for (const std::string_view line : asked.headers().values(
                 standard ? field_name::forwarded : field_name::x_forwarded_for)) {
            lines.push_back(line);
        }
        std::optional<endpoint> client;
        std::string_view scheme;
        // The proxy next to us knows how it was asked itself; one before it, of that before.
        while (!lines.empty() && (!client || is_trusted(*client))) {
            if (lines.back().empty()) {
                lines.pop_back();
                continue;
            }
            const std::string_view hop = take_last(lines.back(), standard);
            if (hop.empty()) { continue; }
            const auto node = node_in(standard ? parameter_of(hop, "for") : hop);
            if (standard) { scheme = parameter_of(hop, "proto"); }
            if (!node) { break; }
            client = node;
        }
        if (!standard) {
            for (std::string_view line : asked.headers().values(field_name::x_forwarded_proto)) {
                scheme = take_last(line, false);
            }
        }
        if (client) { asked.set_peer(*client); }
        if (equal_ignoring_case(scheme, "https")) { asked.set_secure(true); }
        if (equal_ignoring_case(scheme, "http")) { asked.set_secure(false); }
    }

private:
    [[nodiscard]] bool is_from_proxy(const request& asked) const {
        const auto direct = asked.peer();
        // Another middleware may have found out who is beyond the socket.
        if (!direct) { return trusts_unix_ && asked.is_over_unix_socket(); }
        return is_trusted(*direct);
    }
    [[nodiscard]] bool is_trusted(const endpoint& one) const noexcept {
        const ip_address address = address_of(one);
        return std::ranges::any_of(
            networks_, [&](const detail::ip_network& each) { return each.has(address); });
    }

    std::vector<detail::ip_network> networks_;
    forwarded_by header_;
    bool trusts_unix_ = false;
};

}  // namespace

middleware trusted_proxies(trusted_proxies_options options) {
    return [shared = std::make_shared<const proxy_policy>(options)](request& asked,
                                                                    next_handler next) {
        shared->apply(asked);
        return next(asked);
    };
}

}  // namespace heph::http
