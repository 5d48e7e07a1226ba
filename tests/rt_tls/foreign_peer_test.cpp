// The engine against plain OpenSSL ends that are set up otherwise than ours.

#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <catch2/catch.hpp>
#include <memory>

#include "rt_tls/pipe.hpp"

using namespace heph_tests;
using tls::errc;

namespace {

// A bare OpenSSL end over memory BIOs.
class foreign_end {
public:
    explicit foreign_end(bool is_client) : context_(SSL_CTX_new(TLS_method())) {
        ssl_ = SSL_new(context_);
        SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        is_client ? SSL_set_connect_state(ssl_) : SSL_set_accept_state(ssl_);
    }
    foreign_end(const foreign_end&) = delete;
    foreign_end& operator=(const foreign_end&) = delete;
    ~foreign_end() {
        SSL_free(ssl_);
        SSL_CTX_free(context_);
    }

    [[nodiscard]] SSL* get() const { return ssl_; }

    std::string step(std::string_view input) {
        (void)BIO_write(SSL_get_rbio(ssl_), input.data(), static_cast<int>(input.size()));
        (void)SSL_do_handshake(ssl_);
        std::string output(BIO_ctrl_pending(SSL_get_wbio(ssl_)), '\0');
        (void)BIO_read(SSL_get_wbio(ssl_), output.data(), static_cast<int>(output.size()));
        return output;
    }

    // Gives it a certificate signed by its own key, valid but for the missing authority.
    void self_sign() {
        const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"),
                                                                      EVP_PKEY_free);
        const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
        (void)X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
        (void)X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
        (void)X509_set_pubkey(certificate.get(), key.get());
        REQUIRE(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0);
        REQUIRE(SSL_use_certificate(ssl_, certificate.get()) == 1);
        REQUIRE(SSL_use_PrivateKey(ssl_, key.get()) == 1);
    }

private:
    SSL_CTX* context_;
    SSL* ssl_ = nullptr;
};

}  // namespace

TEST_CASE("tls: a client of TLS 1.2 is refused by version", "[rt][tls]") {
    foreign_end client(true);
    REQUIRE(SSL_set_max_proto_version(client.get(), TLS1_2_VERSION) == 1);
    auto server = make_server(make_context());
    CHECK(feed_text(server, client.step({})) == errc::protocol_version);
    CHECK(server.has_output());
}

TEST_CASE("tls: a server of TLS 1.2 is refused by version", "[rt][tls]") {
    foreign_end server(false);
    server.self_sign();
    REQUIRE(SSL_set_max_proto_version(server.get(), TLS1_2_VERSION) == 1);
    auto client = make_client(make_context());
    CHECK(feed_text(client, server.step(take_text(client))) == errc::protocol_version);
}

TEST_CASE("tls: a client without a shared secret is refused", "[rt][tls]") {
    foreign_end client(true);
    auto server = make_server(make_context());
    CHECK(feed_text(server, client.step({})) == errc::no_common_secret);
    CHECK_FALSE(server.handshake_done());
}

TEST_CASE("tls: a server that shows a certificate instead of the secret is refused", "[rt][tls]") {
    foreign_end server(false);
    server.self_sign();
    auto client = make_client(make_context());
    CHECK(feed_text(client, server.step(take_text(client))) == errc::no_common_secret);
    CHECK_FALSE(client.handshake_done());
}
