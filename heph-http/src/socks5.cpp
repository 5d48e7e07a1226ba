#include "socks5.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

namespace heph::http::detail {

namespace {

constexpr std::uint8_t socks_version = 5;
constexpr std::uint8_t without_authentication = 0;
constexpr std::uint8_t by_user = 2;
constexpr std::uint8_t no_method = 0xff;
constexpr std::size_t text_bytes_max = 255;

// Types of addresses (RFC 1928, 5).
constexpr std::uint8_t type_v4 = 1;
constexpr std::uint8_t type_name = 3;
constexpr std::uint8_t type_v6 = 4;

void append_byte(std::string& to, std::size_t value) { to.push_back(static_cast<char>(value)); }

void append_text(std::string& to, std::string_view text) {
    append_byte(to, text.size());
    to.append(text);
}

/// Appends the type of an address, and the address.
void append_host(std::string& to, const std::string& host) {
    std::array<char, 16> address{};
    if (::inet_pton(AF_INET, host.c_str(), address.data()) == 1) {
        append_byte(to, type_v4);
        to.append(address.data(), 4);
    } else if (::inet_pton(AF_INET6, host.c_str(), address.data()) == 1) {
        append_byte(to, type_v6);
        to.append(address.data(), 16);
    } else {
        append_byte(to, type_name);
        append_text(to, host);
    }
}

/// What a proxy's reply means (RFC 1928, 6).
error meaning_of(std::uint8_t reply) noexcept {
    switch (reply) {
        case 2: return error::socks_not_allowed;
        case 3: return error::socks_network_unreachable;
        case 4: return error::socks_host_unreachable;
        case 5: return error::socks_connection_refused;
        case 6: return error::socks_ttl_expired;
        case 7: return error::socks_command_unsupported;
        case 8: return error::socks_address_unsupported;
        default: return error::socks_failed;
    }
}

}  // namespace

std::expected<socks5_client, error> socks5_client::make(std::string_view user,
                                                        std::string_view password,
                                                        const std::string& host,
                                                        std::uint16_t port) {
    if (std::max({user.size(), password.size(), host.size()}) > text_bytes_max || host.empty()) {
        return std::unexpected(error::bad_outgoing_request);
    }
    socks5_client made;
    append_byte(made.output_, socks_version);
    append_byte(made.output_, user.empty() ? 1 : 2);
    append_byte(made.output_, without_authentication);
    if (!user.empty()) {
        append_byte(made.output_, by_user);
        append_byte(made.authentication_, 1);  // The version of this part (RFC 1929).
        append_text(made.authentication_, user);
        append_text(made.authentication_, password);
    }
    made.request_ = {static_cast<char>(socks_version), 1, 0};  // CONNECT, and a reserved byte.
    append_host(made.request_, host);
    append_byte(made.request_, port >> 8U);
    append_byte(made.request_, port & 0xffU);
    return made;
}

socks5_action socks5_client::next(std::string_view& input) {
    if (!output_.empty()) { return socks5_action::send; }
    switch (state_) {
        case state::greeting: return gather(input, 2) ? read_method() : socks5_action::receive;
        case state::authenticating:
            return gather(input, 2) ? read_verdict() : socks5_action::receive;
        case state::connecting: return read_reply(input);
        case state::connected: return socks5_action::connected;
        case state::failed: break;
    }
    return socks5_action::failed;
}

/// Takes input until there are `size` bytes of the answer.
bool socks5_client::gather(std::string_view& input, std::size_t size) {
    const std::size_t wanted = std::min(size - std::min(size, gathered_), input.size());
    std::copy_n(input.begin(), wanted, answer_.begin() + static_cast<std::ptrdiff_t>(gathered_));
    input.remove_prefix(wanted);
    gathered_ += wanted;
    return gathered_ >= size;
}

socks5_action socks5_client::read_method() {
    if (answer_[0] != socks_version) { return fail(error::bad_socks_answer); }
    const std::uint8_t method = answer_[1];
    if (method == without_authentication) { return send(state::connecting, std::move(request_)); }
    if (method == by_user && !authentication_.empty()) {
        return send(state::authenticating, std::move(authentication_));
    }
    return fail(method == no_method ? error::proxy_authentication_required
                                    : error::bad_socks_answer);
}

// The version of the answer is not looked at: some proxies have 5 there.
socks5_action socks5_client::read_verdict() {
    if (answer_[1] != 0) { return fail(error::proxy_authentication_required); }
    return send(state::connecting, std::move(request_));
}

socks5_action socks5_client::read_reply(std::string_view& input) {
    // A refusal is one as soon as it is there: some proxies send no address with it.
    if (!gather(input, 2)) { return socks5_action::receive; }
    if (answer_[0] != socks_version) { return fail(error::bad_socks_answer); }
    if (answer_[1] != 0) { return fail(meaning_of(answer_[1])); }
    if (!gather(input, 5)) { return socks5_action::receive; }
    // The address that the proxy connects from; it is of no use, but it has to be passed over.
    std::size_t size = 4 + 2;
    switch (answer_[3]) {
        case type_v4: size += 4; break;
        case type_v6: size += 16; break;
        case type_name: size += 1U + answer_[4]; break;
        default: return fail(error::bad_socks_answer);
    }
    if (!gather(input, size)) { return socks5_action::receive; }
    state_ = state::connected;
    return socks5_action::connected;
}

socks5_action socks5_client::send(state next, std::string bytes) noexcept {
    state_ = next;
    gathered_ = 0;
    output_ = std::move(bytes);
    return socks5_action::send;
}

socks5_action socks5_client::fail(error why) noexcept {
    state_ = state::failed;
    failure_ = why;
    return socks5_action::failed;
}

}  // namespace heph::http::detail
