#pragma once

// One end of a TLS connection, as a machine that does no I/O: bytes from the network go in, bytes
// for the network come out. `stream.hpp` drives it over a connection; here is also the set-up for
// two ends that share a secret, `config.hpp` has the one with certificates.
//
// States
//     handshaking --enough good input-->          open
//     open        --the peer's close_notify-->    open, and peer_closed(): read() gives no more
//     open        --close_notify()-->             open, and write() is refused
//     handshaking, open --bad input-->            failed, and every call gives that error again
//
// How it is driven
//     1. Send `take_output()` whenever `has_output()`, first of all after making the engine: a
//        client's first flight is there from the start.
//     2. Give what arrives to `feed()`, then `read()` until it gives 0.
//     3. When the connection ends, call `feed_end()`: only that tells an end from an attack.
//     4. After an error, send `take_output()` once more (it tells the peer why), then close.
//
// Protocol of a shared secret
//     RFC 8446 with an external pre-shared key, `psk_dhe_ke` (a fresh Diffie-Hellman exchange, so
//     that a secret that leaks later opens no old recording), TLS_AES_128_GCM_SHA256. No
//     certificates, no early data, no tickets, no older version. The key is HKDF-SHA256 (RFC 5869)
//     of the secret, with the identity as salt and a label of our own as info.
//
// What it does not do
//     A secret shared by a group proves membership, not which member it is: the protocol on top
//     has to exchange names, and has to refuse a connection that leads back to itself (RFC 9257).
//     Deadlines for a handshake that does not get on are the caller's.

#include <cstddef>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <heph/rt/buffer.hpp>
#include <heph/rt/tls/certificate.hpp>
#include <heph/rt/tls/error.hpp>
#include <heph/rt/tls/secret.hpp>

namespace heph::rt::tls {

/// Says what both ends must have in common.
struct psk_config {
    explicit psk_config(secret shared, std::string name = "heph")
        : shared_secret(std::move(shared)), identity(std::move(name)) {}

    secret shared_secret;
    std::string identity;  ///< Names the secret. Sent in the clear; 1 to 128 bytes.
    /// Bytes that may lie unread before `feed` refuses more; at least one record, 16,645 bytes.
    std::size_t unread_bytes_max = 256 * 1024;
};

class engine;

/// Makes the engines of connections that use the same secret. Copies share what is behind it.
///
/// *Thread safety*: safe.
class context {
public:
    /// Derives the key. *Errors*: `bad_identity`, `internal`.
    [[nodiscard]] static std::expected<context, std::error_code> make(const psk_config& config);

    /// Makes the end that connects. Its first flight is in `take_output()`.
    /// *Errors*: `internal`.
    [[nodiscard]] std::expected<engine, std::error_code> client() const;

    /// Makes the end that accepts. *Errors*: `internal`.
    [[nodiscard]] std::expected<engine, std::error_code> server() const;

private:
    struct state;
    explicit context(std::shared_ptr<const state> made) noexcept : state_(std::move(made)) {}
    std::shared_ptr<const state> state_;
};

/// Is one end of one secured connection. See the top of the file for how to drive it.
///
/// *Thread safety*: unsafe, but it may move between threads.
class [[nodiscard]] engine {
public:
    engine(engine&&) noexcept;
    engine& operator=(engine&&) noexcept;
    ~engine();

    /// Takes bytes that came from the network, and goes on with the handshake.
    ///
    /// *Errors*: `unread_input`: nothing was taken, `read()` first. All others end the connection:
    /// `plain_text_peer`, `not_tls`, `protocol_version`, `handshake_failed`, `handshake_too_large`,
    /// `internal`; with a secret `wrong_secret`, `no_common_secret`; with certificates those that
    /// say what is wrong with one, `no_shared_protocol`, `no_shared_cipher`.
    [[nodiscard]] std::expected<void, std::error_code> feed(std::span<const std::byte> input);

    /// Takes bytes as `feed` does, without a copy of those that are read at once: for who reads
    /// until there is nothing more before he does anything else.
    /// *Lifetime*: borrows them until the next call of `read` that gives 0, or an error.
    [[nodiscard]] std::expected<void, std::error_code> feed_in_place(
        std::span<const std::byte> input);

    /// Says that the connection's input has ended.
    /// *Errors*: `truncated`, unless the peer announced the end and `read()` came to it.
    [[nodiscard]] std::expected<void, std::error_code> feed_end();

    /// Decrypts received data into `out`, as much as is there; 0 is nothing more for now, or, when
    /// `peer_closed()`, ever. *Errors*: `bad_record`, which ends the connection; in TLS 1.3 a
    /// client learns here that its certificate was refused.
    [[nodiscard]] std::expected<std::size_t, std::error_code> read(std::span<std::byte> out);

    /// Encrypts all of `data` into the output.
    /// *Errors*: `handshake_pending`, `closed`, `internal`.
    [[nodiscard]] std::expected<void, std::error_code> write(std::span<const std::byte> data);

    /// Announces the end of what this side sends. The peer's data may still be read.
    void close_notify();

    /// Tells whether there are bytes to send.
    [[nodiscard]] bool has_output() const noexcept { return output_size() != 0; }
    /// Tells how many bytes there are to send; the caller's measure to stop writing.
    [[nodiscard]] std::size_t output_size() const noexcept;
    /// Gives the bytes to send, in a buffer of their size.
    [[nodiscard]] buffer take_output();
    /// Appends the bytes to send to `out`, which is how its memory is used again.
    void take_output(buffer& out);

    /// Tells how many bytes `read()` could give at the most; a part of a record counts.
    [[nodiscard]] std::size_t readable_bytes_max() const noexcept;
    /// Tells whether the handshake is done, the peer verified, and data can flow.
    [[nodiscard]] bool handshake_done() const noexcept;
    /// Tells whether `read()` came to the peer's announced end.
    [[nodiscard]] bool peer_closed() const noexcept;
    /// Tells whether an error ended the connection.
    [[nodiscard]] bool failed() const noexcept;
    /// Gives OpenSSL's word for the error, for a log; empty when there is none.
    [[nodiscard]] std::string_view detail() const noexcept;

    /// Gives the protocol that both ends agreed on (ALPN); empty when there is none.
    [[nodiscard]] std::string_view protocol() const noexcept;
    /// Gives the name that the client asked for (SNI); empty when it named none.
    [[nodiscard]] std::string_view server_name() const noexcept;
    /// Gives the version of the protocol, such as "TLSv1.3".
    [[nodiscard]] std::string_view version_name() const noexcept;
    /// Gives the name of the cipher; empty before the handshake is done.
    [[nodiscard]] std::string_view cipher_name() const noexcept;
    /// Tells whether an earlier session was resumed, so that no certificate was sent.
    [[nodiscard]] bool is_resumed() const noexcept;
    /// Gives what the peer's certificate says; nothing when it showed none.
    [[nodiscard]] std::optional<peer_certificate> peer() const;

    struct state;
    /// Takes over what a context of this library made.
    explicit engine(std::unique_ptr<state> made) noexcept;
    /// Gives what is behind it, for this library.
    [[nodiscard]] state& inner() noexcept { return *state_; }
    [[nodiscard]] const state& inner() const noexcept { return *state_; }

private:
    std::unique_ptr<state> state_;
};

}  // namespace heph::rt::tls
