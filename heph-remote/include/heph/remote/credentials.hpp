#pragma once

// By what nodes know each other: secrets and certificates.

#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include <heph/remote/node_certificate.hpp>
#include <heph/rt/tls/secret.hpp>

namespace heph::remote {

/// Is what a node proves that it belongs to the group by, and what it accepts of others, for
/// `node::set_credentials`.
///
///     remote::credentials next(fresh_secret);
///     next.also_accept(former_secret);
///     auto done = node.set_credentials(next);
///
/// *Thread safety*: distinct objects: safe. Shared objects: reading is safe.
class credentials {
public:
    using credential = std::variant<rt::tls::secret, node_certificate>;

    /// Dials with a secret, and accepts it.
    explicit credentials(rt::tls::secret shared) { all_.emplace_back(std::move(shared)); }
    /// Dials with a certificate, and accepts those of the same authorities.
    explicit credentials(node_certificate proof) { all_.emplace_back(std::move(proof)); }

    /// Accepts another one as well, as `options::also_accept` does.
    credentials& also_accept(rt::tls::secret other) {
        all_.emplace_back(std::move(other));
        return *this;
    }
    credentials& also_accept(node_certificate other) {
        all_.emplace_back(std::move(other));
        return *this;
    }

    /// Gives them: the first one to dial with, all of them to accept.
    [[nodiscard]] const std::vector<credential>& all() const noexcept { return all_; }

private:
    std::vector<credential> all_;
};

/// Says what becomes of links that are up when a node gets other credentials.
enum class links_that_are_up : std::uint8_t {
    stay,  ///< They stay until their connections break.
    /// Their connections are ended, and made anew by the new credentials. Their sessions go on:
    /// nothing is lost with those who have them too. The others are lost after the grace.
    renewed,
};

}  // namespace heph::remote
