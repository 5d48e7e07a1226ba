#pragma once

// Who a node is, by a certificate.

#include <utility>

#include <heph/rt/tls/certificate.hpp>

namespace heph::remote {

/// Proves a node's name, and says who is believed about the names of others.
///
///     auto own = rt::tls::certificate::load("a.pem", "a.key");
///     auto cluster = rt::tls::trust_store::load("cluster-authority.pem");
///     remote::options settings("a", remote::node_certificate(*own, *cluster));
///
/// Both ends of a link show a certificate, and the name by which a node links has to be among its
/// DNS names (subjectAltName), letter by letter and in lower case: a wildcard names no node. So a
/// node can take its own name only, whatever else it knows. A certificate that restricts its use
/// (extendedKeyUsage) has to allow both that of servers and that of clients, as a node is both. An
/// authority is changed without a gap by trusting both, the old one and the new one, meanwhile.
///
/// *Thread safety*: distinct objects: safe. Shared objects: reading is safe.
class node_certificate {
public:
    node_certificate(rt::tls::certificate own, rt::tls::trust_store authorities) noexcept
        : own_(std::move(own)), authorities_(std::move(authorities)) {}

    [[nodiscard]] const rt::tls::certificate& own() const noexcept { return own_; }
    [[nodiscard]] const rt::tls::trust_store& authorities() const noexcept { return authorities_; }

private:
    rt::tls::certificate own_;
    rt::tls::trust_store authorities_;
};

}  // namespace heph::remote
