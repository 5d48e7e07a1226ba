#pragma once

// Owners of what OpenSSL allocates.

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace heph::rt::tls {

template <auto Free>
struct freed_by {
    template <typename T>
    void operator()(T* object) const noexcept {
        Free(object);
    }
};
using ssl_context_ptr = std::unique_ptr<SSL_CTX, freed_by<SSL_CTX_free>>;
using ssl_ptr = std::unique_ptr<SSL, freed_by<SSL_free>>;
using session_ptr = std::unique_ptr<SSL_SESSION, freed_by<SSL_SESSION_free>>;
using bio_ptr = std::unique_ptr<BIO, freed_by<BIO_free>>;
using pkey_ptr = std::unique_ptr<EVP_PKEY, freed_by<EVP_PKEY_free>>;
using pkey_context_ptr = std::unique_ptr<EVP_PKEY_CTX, freed_by<EVP_PKEY_CTX_free>>;
using x509_ptr = std::unique_ptr<X509, freed_by<X509_free>>;
using crl_ptr = std::unique_ptr<X509_CRL, freed_by<X509_CRL_free>>;
using store_ptr = std::unique_ptr<X509_STORE, freed_by<X509_STORE_free>>;

inline void unlock_store(X509_STORE* store) noexcept { X509_STORE_unlock(store); }
using store_lock = std::unique_ptr<X509_STORE, freed_by<unlock_store>>;

inline void free_chain(STACK_OF(X509) * chain) noexcept { sk_X509_pop_free(chain, X509_free); }
using chain_ptr = std::unique_ptr<STACK_OF(X509), freed_by<free_chain>>;

inline void free_names(GENERAL_NAMES* names) noexcept { GENERAL_NAMES_free(names); }
using names_ptr = std::unique_ptr<GENERAL_NAMES, freed_by<free_names>>;

/// Takes OpenSSL's word for the first error of this thread, and forgets them all.
inline std::string take_reason_text() {
    const char* reason = ERR_reason_error_string(ERR_peek_error());
    std::string text = reason != nullptr ? reason : "";
    ERR_clear_error();
    return text;
}

}  // namespace heph::rt::tls
