#pragma once

// TLS with certificates: what a server and a client are set up with.
//
//     auto own = tls::certificate::load("fullchain.pem", "key.pem");
//     auto context = tls::server_context::make(tls::server_config(*own));
//     auto stream = co_await tls::accept(std::move(tcp), *context);
//
// Defaults
//     TLS 1.2 and 1.3; ECDHE with AES-GCM or ChaCha20 only; no compression, no renegotiation, no
//     early data. A client verifies the server's chain and name. Sessions are resumed with a
//     Diffie-Hellman exchange of their own where TLS 1.3 is spoken.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/rt/error.hpp>
#include <heph/rt/tls/certificate.hpp>
#include <heph/rt/tls/engine.hpp>

namespace heph::rt::tls {

/// A version of the protocol.
enum class version : std::uint8_t { tls_1_2, tls_1_3 };

/// Says whether a server asks its clients for a certificate.
enum class client_certificates : std::uint8_t {
    ignored,   ///< They are not asked for.
    optional,  ///< They are asked for, and verified when they are shown.
    required,  ///< A client without a valid one is refused.
};

/// Says whether the kernel encrypts what a connection sends, once a file is sent over it. It takes
/// Linux with the module `tls`, TCP, and AES-GCM or ChaCha20; where any of that is missing nothing
/// changes.
///
/// It pays for files: they leave from the page cache, without a way through the program. All else
/// is encrypted as fast by OpenSSL, without a change of hands for each connection: hence not before
/// the first file of 128 KiB. What is received is always left to OpenSSL.
enum class kernel_offload : std::uint8_t {
    off,        ///< Never.
    automatic,  ///< Where nothing is lost: TLS 1.2, and TLS 1.3 if keys can change (Linux 6.14).
    /// Also where the kernel keeps the keys it was given: a peer that asks for new ones, which few
    /// ever do, gets none, and the connection ends (`errc::key_update_refused`).
    always,
};

/// How a server secures its connections.
struct server_config {
    server_config() = default;
    explicit server_config(certificate own) { certificates.push_back(std::move(own)); }

    /// At least one. A client gets those whose names fit the name it asks for (SNI, RFC 6066), the
    /// first one otherwise. Certificates of different key types may have the same names.
    std::vector<certificate> certificates;
    /// Protocols to speak above TLS, best first (ALPN, RFC 7301), each of 1 to 255 bytes. A client
    /// that offers some, and none of these, is refused; empty takes whatever comes.
    std::vector<std::string> protocols;
    client_certificates clients = client_certificates::ignored;
    /// Who vouches for the clients. Needed unless `clients` is `ignored`; there is no default, as
    /// the system's authorities vouch for servers.
    std::optional<trust_store> client_authorities;
    version version_min = version::tls_1_2;
    /// Gives clients tickets to resume their sessions with.
    bool tickets = true;
    /// Bytes that may lie unread before an engine's `feed` refuses more.
    std::size_t unread_bytes_max = 256 * 1024;
    kernel_offload offload = kernel_offload::automatic;
};

/// How a client secures its connections.
struct client_config {
    /// Who vouches for servers; the system's authorities when nothing is set.
    std::optional<trust_store> authorities;
    /// What to show to servers that ask for a certificate.
    std::optional<certificate> own;
    /// Protocols to offer, best first (ALPN).
    std::vector<std::string> protocols;
    version version_min = version::tls_1_2;
    /// Connects to anybody, whatever the certificate says: an attacker on the way reads everything.
    /// For tests only.
    bool accept_any_certificate = false;
    /// Sessions that are remembered, to resume them; 0 remembers none.
    std::size_t sessions_max = 64;
    /// Bytes that may lie unread before an engine's `feed` refuses more.
    std::size_t unread_bytes_max = 256 * 1024;
    kernel_offload offload = kernel_offload::automatic;
};

/// Makes the servers' ends of connections. Copies share what is behind it: a `reload` of one counts
/// for all.
///
/// *Thread safety*: safe.
class server_context {
public:
    /// *Errors*: `no_certificate`, `no_client_authority`, `bad_protocol_name`, `internal`.
    [[nodiscard]] static std::expected<server_context, error> make(const server_config& config);

    /// Makes the end that accepts. *Errors*: `internal`.
    [[nodiscard]] std::expected<engine, std::error_code> accept() const;

    /// Replaces the configuration for the connections to come; those that are there go on as they
    /// began. Tickets of earlier sessions are no longer known: those clients shake hands in full.
    /// *Errors*: as `make`; the old configuration stays then.
    [[nodiscard]] std::expected<void, error> reload(const server_config& config);

private:
    struct state;
    struct current;
    explicit server_context(std::shared_ptr<current> made) noexcept : current_(std::move(made)) {}
    std::shared_ptr<current> current_;
};

/// Makes the clients' ends of connections. Copies share what is behind it.
///
/// *Thread safety*: safe.
class client_context {
public:
    /// *Errors*: `bad_protocol_name`, `internal`.
    [[nodiscard]] static std::expected<client_context, error> make(const client_config& config);

    /// Makes the end that connects, to a host of this name or address: the server has to show a
    /// certificate for it. Its first flight is in `take_output()`.
    /// *Errors*: `bad_host_name`, `internal`.
    [[nodiscard]] std::expected<engine, std::error_code> connect(std::string_view host) const;

private:
    struct state;
    explicit client_context(std::shared_ptr<state> made) noexcept : state_(std::move(made)) {}
    std::shared_ptr<state> state_;
};

}  // namespace heph::rt::tls
