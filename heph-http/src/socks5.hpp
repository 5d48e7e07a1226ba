#pragma once

// The client's side of SOCKS 5 (RFC 1928, RFC 1929), up to the tunnel: bytes in, actions out.
//
// States
//     greeting --0 (no authentication)--> connecting     greeting --2 (user)--> authenticating
//     authenticating --0-->               connecting
//     connecting --0 and an address-->    connected
//     any --another answer-->             failed, for good
//
// Each of the first three sends first, and waits for its answer then. An answer is read up to its
// end and no further; what stands behind the last one is the tunnel's.

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include <heph/http/error.hpp>

namespace heph::http::detail {

/// What is to be done next for a tunnel.
enum class socks5_action : std::uint8_t {
    send,       ///< Send `take_output()`.
    receive,    ///< Give more input.
    connected,  ///< What is sent and received now is the host's.
    failed,     ///< See `failure()`.
};

/// Asks a SOCKS 5 proxy for a connection to a host. No answer takes more than 262 bytes of memory.
class socks5_client {
public:
    /// Connects to a host by its address, or lets the proxy find that of a name. An empty user is
    /// nobody: a proxy that wants to know refuses then.
    /// *Errors*: `bad_outgoing_request` for a name, a user or a password that is longer than 255
    /// bytes, and for no name.
    [[nodiscard]] static std::expected<socks5_client, error> make(std::string_view user,
                                                                  std::string_view password,
                                                                  const std::string& host,
                                                                  std::uint16_t port);

    /// Uses up the front of `input`, and tells what to do.
    socks5_action next(std::string_view& input);

    /// Gives the bytes to send. *Requires*: `next` said `send`.
    [[nodiscard]] std::string take_output() noexcept { return std::exchange(output_, {}); }

    /// Tells why it failed: `proxy_authentication_required`, `bad_socks_answer`, or one of the
    /// `socks_…` for what the proxy says.
    [[nodiscard]] error failure() const noexcept { return failure_; }

private:
    enum class state : std::uint8_t { greeting, authenticating, connecting, connected, failed };

    socks5_client() = default;

    bool gather(std::string_view& input, std::size_t size);
    socks5_action read_method();
    socks5_action read_verdict();
    socks5_action read_reply(std::string_view& input);
    socks5_action send(state next, std::string bytes) noexcept;
    socks5_action fail(error why) noexcept;

    std::string output_;
    std::string authentication_;  // Empty when there is no user.
    std::string request_;
    std::array<std::uint8_t, 262> answer_{};
    std::size_t gathered_ = 0;  // Of `answer_`.
    state state_ = state::greeting;
    error failure_{};
};

}  // namespace heph::http::detail
