#pragma once

// What is behind an engine, and how contexts make one.

#include <array>
#include <cstddef>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <vector>

#include <heph/rt/buffer.hpp>
#include <heph/rt/tls/config.hpp>
#include <heph/rt/tls/engine.hpp>

#include "kernel_keys.hpp"
#include "openssl.hpp"
#include "wire.hpp"

namespace heph::rt::tls {

inline constexpr std::size_t record_bytes_max = 5 + 16 * 1024 + 256;  // RFC 8446 section 5.2.

/// How an engine is to behave.
struct engine_traits {
    bool is_client = false;
    bool by_secret = false;  // The ends know each other by a secret, not by certificates.
    std::size_t unread_bytes_max = 0;
    std::size_t handshake_bytes_max = 0;
    kernel_offload offload = kernel_offload::off;
};

/// What OpenSSL wants to be sent while the kernel has the keys: a record that is not data, or other
/// keys for all that follows.
struct control_record {
    std::uint8_t type = 0;
    buffer bytes;
    std::unique_ptr<kernel_keys> keys;
};

struct engine::state {
    /// Makes an engine of a connection that is set up but for its role and its wire. `owner` keeps
    /// alive what the connection's callbacks refer to.
    [[nodiscard]] static std::expected<engine, std::error_code> make(
        ssl_ptr ssl, std::shared_ptr<const void> owner, const engine_traits& traits);

    state() = default;
    state(const state&) = delete;
    state& operator=(const state&) = delete;
    /// Who drops a connection without its announced end may resume its session all the same
    /// (RFC 5246, 7.2.1); OpenSSL would spoil it. After a failure it does.
    ~state() {
        if (done && !failure) {
            SSL_set_shutdown(ssl.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        }
    }

    std::shared_ptr<const void> owner;
    wire lines;  // Outlives `ssl`, whose BIO refers to it.
    ssl_ptr ssl;
    engine_traits traits;
    std::size_t fed_bytes = 0;  // Counted until the handshake is done.
    bool checked_first_bytes = false;
    std::array<unsigned char, 2> first_bytes{};
    bool done = false;
    bool peer_closed = false;
    bool write_closed = false;
    // Of a connection that the kernel may encrypt one day: what was sent; whether the kernel has
    // the keys, so that the output holds data as it is, and OpenSSL's records are of no use; what
    // is to be sent of other kinds, behind that data.
    sent_records sent;
    bool offloaded = false;
    bool offload_refused = false;
    std::vector<control_record> controls;
    std::optional<errc> failure;  // The first error, which every later call gives again.
    std::string detail;

    std::unexpected<std::error_code> fail(errc why) {
        if (!failure) { failure = why; }
        return std::unexpected(make_error_code(*failure));
    }
    /// Takes the reason from OpenSSL's queue for this thread, and empties the queue.
    int take_reason();
    /// Translates a reason for the end of a connection.
    [[nodiscard]] errc error_of(int reason, errc otherwise) const noexcept;
    std::expected<void, std::error_code> check_first_bytes(std::span<const std::byte> fed);
    std::expected<void, std::error_code> handshake();
    std::expected<void, std::error_code> take(std::span<const std::byte> input, bool in_place);
    std::expected<std::size_t, std::error_code> read(std::span<std::byte> out);

    /// Has connections of a context tell what `sent` needs.
    static void follow_keys(SSL_CTX* context, kernel_offload offload) noexcept;
    /// Does so for this connection.
    void follow_records() noexcept;
    /// Gives a socket the keys to send with, if that may be and the kernel takes them. *Requires*:
    /// nothing lies in the output.
    [[nodiscard]] bool hand_over(int socket) noexcept;
    /// Has OpenSSL make the new keys that the peer asked for, if it did: otherwise it would do so
    /// when it writes data next, which it does not any more.
    void answer_key_update() noexcept;
};

}  // namespace heph::rt::tls
