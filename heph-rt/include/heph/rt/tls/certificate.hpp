#pragma once

// Certificates: one's own with its private key, those that are trusted, and the peer's.

#include <expected>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/rt/error.hpp>

namespace heph::rt::tls {

/// A certificate with its private key and the chain that leads to an authority.
///
/// *Thread safety*: distinct objects: safe. Shared objects: reading is safe. Copies share the key.
class certificate {
public:
    /// Reads PEM files: the certificate first, then the intermediate ones, as authorities give them
    /// ("fullchain"); and the key, decrypted with `password` when it is encrypted. Both may be the
    /// same file. Blocks the thread.
    ///
    /// *Errors*: the system's, `bad_certificate_file`, `bad_key_file`, `key_mismatch`. The message
    /// names the file and what to do.
    [[nodiscard]] static std::expected<certificate, error> load(const std::filesystem::path& chain,
                                                                const std::filesystem::path& key,
                                                                std::string_view password = {});

    /// Reads PEM texts. *Errors*: as `load`.
    [[nodiscard]] static std::expected<certificate, error> from_pem(std::string_view chain,
                                                                    std::string_view key,
                                                                    std::string_view password = {});

    /// Gives the DNS names it is valid for, in lower case; `*.` stands for one label.
    [[nodiscard]] const std::vector<std::string>& names() const noexcept;

    struct state;
    /// Gives what OpenSSL made of it, for this library.
    [[nodiscard]] const state& inner() const noexcept { return *state_; }

private:
    explicit certificate(std::shared_ptr<const state> made) noexcept : state_(std::move(made)) {}
    std::shared_ptr<const state> state_;
};

/// The authorities whose certificates are believed.
///
/// *Thread safety*: distinct objects: safe. Shared objects: reading is safe.
class trust_store {
public:
    /// Trusts what the system trusts: on Debian, the package ca-certificates;
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name others. *Errors*: `internal`.
    [[nodiscard]] static std::expected<trust_store, error> system();

    /// Trusts the certificates of a PEM file, and nothing else. Blocks the thread.
    /// *Errors*: the system's, `bad_certificate_file`.
    [[nodiscard]] static std::expected<trust_store, error> load(const std::filesystem::path& file);

    /// Trusts the certificates of a PEM text, and nothing else. *Errors*: `bad_certificate_file`.
    [[nodiscard]] static std::expected<trust_store, error> from_pem(std::string_view text);

    /// Gives a store that trusts the same authorities, and believes none of their certificates that
    /// the lists of a PEM file revoke, besides those of earlier calls (CRL, RFC 5280). Blocks the
    /// thread.
    ///
    /// Each authority of a peer's chain has to have a list, which is not out of date: without one
    /// nobody knows, and the peer is refused with `revocation_unknown`. Lists are not fetched: read
    /// them again before they expire, and give a server the new store by `server_context::reload`.
    /// A session that is resumed was verified when it began.
    ///
    /// *Errors*: the system's, `bad_revocation_file`, `internal`.
    [[nodiscard]] std::expected<trust_store, error> with_revocations(
        const std::filesystem::path& file) const;

    /// As `with_revocations`, of a PEM text. *Errors*: `bad_revocation_file`, `internal`.
    [[nodiscard]] std::expected<trust_store, error> with_revocations_from_pem(
        std::string_view text) const;

    struct state;
    /// Gives what OpenSSL made of it, for this library.
    [[nodiscard]] const state& inner() const noexcept { return *state_; }

private:
    explicit trust_store(std::shared_ptr<const state> made) noexcept : state_(std::move(made)) {}
    std::shared_ptr<const state> state_;
};

/// Tells what a peer's certificate says. It was verified, unless verification is off.
class peer_certificate {
public:
    peer_certificate(std::string subject, std::vector<std::string> names,
                     std::vector<std::string> dns_names, std::string fingerprint)
        : subject_(std::move(subject)),
          names_(std::move(names)),
          dns_names_(std::move(dns_names)),
          fingerprint_(std::move(fingerprint)) {}

    /// Gives the subject in the form of RFC 2253, such as `CN=alice,O=Example`.
    [[nodiscard]] const std::string& subject() const noexcept { return subject_; }
    /// Gives its alternative names: DNS names, URIs and mail addresses.
    [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
    /// Gives those of them that are DNS names, in lower case; `*.` stands for one label.
    [[nodiscard]] const std::vector<std::string>& dns_names() const noexcept { return dns_names_; }
    /// Gives the SHA-256 of the certificate, as 64 lower-case hexadecimal digits.
    [[nodiscard]] const std::string& fingerprint() const noexcept { return fingerprint_; }

private:
    std::string subject_;
    std::vector<std::string> names_;
    std::vector<std::string> dns_names_;
    std::string fingerprint_;
};

}  // namespace heph::rt::tls
