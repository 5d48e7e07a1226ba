#pragma once

// What is behind the certificates of the public headers.

#include <string>
#include <vector>

#include <heph/rt/tls/certificate.hpp>

#include "openssl.hpp"

namespace heph::rt::tls {

struct certificate::state {
    x509_ptr leaf;
    pkey_ptr key;
    chain_ptr intermediates;
    std::vector<std::string> names;
};

struct trust_store::state {
    store_ptr store;
    bool of_system = false;
};

/// Gives the alternative names of a certificate of the kinds asked for.
[[nodiscard]] std::vector<std::string> alternative_names(const X509* leaf, bool only_dns);

}  // namespace heph::rt::tls
