#pragma once

// A peer that is plain OpenSSL over a socket of TCP, in a thread of its own.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "rt_tls/authority.hpp"

namespace heph_tests {

/// What the two ends are to agree on.
struct tls_choice {
    int version;
    const char* cipher;  // As TLS 1.3 or 1.2 names it.
};

inline int loopback_socket(bool listens, std::uint16_t& port) {
    const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{30, 0};
    ::setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    where.sin_port = htons(port);
    socklen_t size = sizeof where;
    auto* name = reinterpret_cast<sockaddr*>(&where);
    if (listens) {
        ::bind(made, name, size);
        ::listen(made, 1);
        ::getsockname(made, name, &size);
        port = ntohs(where.sin_port);
    } else {
        ::connect(made, name, size);
    }
    return made;
}

/// One connection of OpenSSL's, which blocks.
class foreign_connection {
public:
    foreign_connection(int socket, bool is_client, const tls_choice& choice, const issued& own)
        : socket_(socket), context_(SSL_CTX_new(TLS_method())) {
        SSL_CTX_set_min_proto_version(context_, choice.version);
        SSL_CTX_set_max_proto_version(context_, choice.version);
        choice.version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(context_, choice.cipher)
                                         : SSL_CTX_set_cipher_list(context_, choice.cipher);
        if (!is_client) { show(own); }
        ssl_ = SSL_new(context_);
        SSL_set_fd(ssl_, socket);
        shaken_ = (is_client ? SSL_connect(ssl_) : SSL_accept(ssl_)) == 1;
    }
    foreign_connection(const foreign_connection&) = delete;
    foreign_connection& operator=(const foreign_connection&) = delete;
    ~foreign_connection() {
        SSL_free(ssl_);
        SSL_CTX_free(context_);
        ::close(socket_);
        ERR_clear_error();
    }

    [[nodiscard]] bool shaken() const { return shaken_; }
    [[nodiscard]] int socket() const { return socket_; }
    [[nodiscard]] SSL* ssl() const { return ssl_; }

    bool write(std::string_view text) {
        return SSL_write(ssl_, text.data(), static_cast<int>(text.size())) ==
               static_cast<int>(text.size());
    }
    /// Reads until there are so many bytes, or the end.
    std::string read(std::size_t size) {
        std::string text;
        std::string part(64 * 1024, '\0');
        while (text.size() < size) {
            const int got = SSL_read(ssl_, part.data(),
                                     static_cast<int>(std::min(part.size(), size - text.size())));
            if (got <= 0) {
                error_ = SSL_get_error(ssl_, got);
                reason_ = ERR_GET_REASON(ERR_peek_error());
                break;
            }
            text.append(part.data(), static_cast<std::size_t>(got));
        }
        return text;
    }
    /// Tells whether reading came to the announced end.
    [[nodiscard]] bool ended() const { return error_ == SSL_ERROR_ZERO_RETURN; }
    [[nodiscard]] int reason() const { return reason_; }

private:
    void show(const issued& own) {
        BIO* certificate = BIO_new_mem_buf(own.certificate.data(), -1);
        X509* parsed = PEM_read_bio_X509(certificate, nullptr, nullptr, nullptr);
        SSL_CTX_use_certificate(context_, parsed);
        X509_free(parsed);
        BIO_free(certificate);
        BIO* key = BIO_new_mem_buf(own.key.data(), -1);
        EVP_PKEY* read = PEM_read_bio_PrivateKey(key, nullptr, nullptr, nullptr);
        SSL_CTX_use_PrivateKey(context_, read);
        EVP_PKEY_free(read);
        BIO_free(key);
    }

    int socket_;
    SSL_CTX* context_;
    SSL* ssl_ = nullptr;
    bool shaken_ = false;
    int error_ = SSL_ERROR_NONE;
    int reason_ = 0;
};

}  // namespace heph_tests
