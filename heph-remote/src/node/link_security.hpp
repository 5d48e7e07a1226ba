#pragma once

// How the connections of a node are secured: by secrets, by certificates, by either; or not at all,
// where plain text was asked for by name.

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <variant>
#include <vector>

#include <heph/remote/options.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/tls/config.hpp>

#include "record_layer.hpp"

namespace heph::remote::detail {

/// Tells whether a certificate's DNS names have that of a node. A node's name has one spelling, in
/// lower case, as others compare it byte by byte; a certificate's has any, and is no pattern.
[[nodiscard]] bool proves(const std::vector<std::string>& dns_names, std::string_view node);

class link_security {
public:
    /// *Errors*: those of TLS, and a certificate that is not for the node's name, and with one a
    /// name that is not in lower case; plain text together with a secret or a certificate, or
    /// neither of the three.
    [[nodiscard]] static std::expected<link_security, rt::error> make(const options& settings);
    /// Makes what a node of that name does by these. *Errors*: likewise.
    [[nodiscard]] static std::expected<link_security, rt::error> make(
        const std::string& node, const std::vector<credentials::credential>& all);

    /// Makes the end that dials a node.
    [[nodiscard]] std::expected<record_layer, std::error_code> dial(const std::string& peer) const;
    /// Tells how many ways there are to accept. Secrets come first: who does not know one is found
    /// out by the first flight, and can be given another way; who has a bad certificate cannot.
    [[nodiscard]] std::size_t ways() const noexcept {
        return is_plain_text() ? 1 : secrets_.size() + (certified_ ? 1U : 0U);
    }
    [[nodiscard]] std::expected<record_layer, std::error_code> accept(std::size_t way) const;
    [[nodiscard]] bool is_plain_text() const noexcept { return !dialing_; }

    /// Says what is wrong with a connection, and what may be the reason.
    [[nodiscard]] std::string explain(const std::error_code& failure, bool dialed) const;
    /// Says what may be the reason that a connection ended before it was a link; empty: any.
    [[nodiscard]] std::string explain_end(bool dialed) const;
    /// Says what may be wrong with who was dialed and says nothing.
    [[nodiscard]] std::string explain_silence() const;

    /// Tells whether the other end may be the node of that name: if it showed a certificate, only
    /// one that is among its DNS names.
    [[nodiscard]] static bool may_be(const record_layer& peer, std::string_view name);

private:
    link_security() = default;
    std::expected<void, rt::error> add(const rt::tls::secret& shared);
    std::expected<void, rt::error> add(const node_certificate& proof, std::string_view own_name);

    // Null: plain text.
    std::optional<std::variant<rt::tls::context, rt::tls::client_context>> dialing_;
    std::vector<rt::tls::context> secrets_;
    std::optional<rt::tls::server_context> certified_;
};

}  // namespace heph::remote::detail
