#include "rt_tls/authority.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace heph_tests {

namespace {

using key_ptr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using x509_ptr = std::unique_ptr<X509, decltype(&X509_free)>;

template <typename Write>
std::string to_pem(Write write) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new(BIO_s_mem()), BIO_free);
    REQUIRE(write(text.get()) == 1);
    char* data = nullptr;
    const long size = BIO_get_mem_data(text.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

x509_ptr begin_certificate(EVP_PKEY* key, const std::string& name, long from, long to) {
    static std::atomic<long> serial{1};
    x509_ptr made(X509_new(), X509_free);
    REQUIRE(X509_set_version(made.get(), 2) == 1);
    REQUIRE(ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial++) == 1);
    REQUIRE(X509_gmtime_adj(X509_getm_notBefore(made.get()), from) != nullptr);
    REQUIRE(X509_gmtime_adj(X509_getm_notAfter(made.get()), to) != nullptr);
    REQUIRE(X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8,
                                       reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                                       0) == 1);
    REQUIRE(X509_set_pubkey(made.get(), key) == 1);
    return made;
}

void extend(X509* certificate, int what, const std::string& value) {
    const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> made(
        X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str()), X509_EXTENSION_free);
    REQUIRE(made != nullptr);
    REQUIRE(X509_add_ext(certificate, made.get(), -1) == 1);
}

}  // namespace

struct authority::keys {
    key_ptr key{EVP_EC_gen("P-256"), EVP_PKEY_free};
    x509_ptr certificate{nullptr, X509_free};
};

authority::authority(const std::string& name) : keys_(std::make_unique<keys>()) {
    keys_->certificate = begin_certificate(keys_->key.get(), name, -7200, 7200);
    X509* own = keys_->certificate.get();
    REQUIRE(X509_set_issuer_name(own, X509_get_subject_name(own)) == 1);
    extend(own, NID_basic_constraints, "critical,CA:TRUE");
    REQUIRE(X509_sign(own, keys_->key.get(), EVP_sha256()) > 0);
    certificate_ = to_pem([own](BIO* out) { return PEM_write_bio_X509(out, own); });
}

authority::~authority() = default;

issued authority::issue(const certificate_order& order) const {
    const key_ptr key(
        order.rsa ? EVP_RSA_gen(static_cast<unsigned>(order.rsa_bits)) : EVP_EC_gen("P-256"),
        EVP_PKEY_free);
    const x509_ptr made = begin_certificate(key.get(), order.common_name, order.valid_from_seconds,
                                            order.valid_to_seconds);
    std::string names;
    for (const std::string& name : order.names) {
        names += (names.empty() ? "DNS:" : ",DNS:") + name;
    }
    for (const std::string& name : order.addresses) {
        names += (names.empty() ? "IP:" : ",IP:") + name;
    }
    for (const std::string& name : order.uris) {
        names += (names.empty() ? "URI:" : ",URI:") + name;
    }
    if (!names.empty()) { extend(made.get(), NID_subject_alt_name, names); }
    REQUIRE(X509_set_issuer_name(made.get(), X509_get_subject_name(keys_->certificate.get())) == 1);
    REQUIRE(X509_sign(made.get(), keys_->key.get(), EVP_sha256()) > 0);
    return {to_pem([&](BIO* out) { return PEM_write_bio_X509(out, made.get()); }),
            to_pem([&](BIO* out) {
                return PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr,
                                                nullptr);
            })};
}

issued authority::issue(const std::string& name) const {
    certificate_order order;
    order.names = {name};
    return issue(order);
}

std::string authority::revoke(const std::vector<issued>& revoked, long valid_to_seconds) const {
    const std::unique_ptr<X509_CRL, decltype(&X509_CRL_free)> made(X509_CRL_new(), X509_CRL_free);
    const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> from(
        X509_gmtime_adj(nullptr, -7200), ASN1_TIME_free);
    const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> to(
        X509_gmtime_adj(nullptr, valid_to_seconds), ASN1_TIME_free);
    REQUIRE(X509_CRL_set_version(made.get(), 1) == 1);
    REQUIRE(X509_CRL_set_issuer_name(made.get(), X509_get_subject_name(keys_->certificate.get())) ==
            1);
    REQUIRE(X509_CRL_set1_lastUpdate(made.get(), from.get()) == 1);
    REQUIRE(X509_CRL_set1_nextUpdate(made.get(), to.get()) == 1);
    for (const issued& each : revoked) {
        const std::unique_ptr<BIO, decltype(&BIO_free)> text(
            BIO_new_mem_buf(each.certificate.data(), static_cast<int>(each.certificate.size())),
            BIO_free);
        const x509_ptr read(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr), X509_free);
        REQUIRE(read != nullptr);
        X509_REVOKED* entry = X509_REVOKED_new();
        REQUIRE(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(read.get())) == 1);
        REQUIRE(X509_REVOKED_set_revocationDate(entry, from.get()) == 1);
        REQUIRE(X509_CRL_add0_revoked(made.get(), entry) == 1);
    }
    REQUIRE(X509_CRL_sort(made.get()) == 1);
    REQUIRE(X509_CRL_sign(made.get(), keys_->key.get(), EVP_sha256()) > 0);
    return to_pem([&](BIO* out) { return PEM_write_bio_X509_CRL(out, made.get()); });
}

temporary_file::temporary_file(const std::string& content) {
    path_ = (std::filesystem::temp_directory_path() / "heph-test-XXXXXX").string();
    const int file = ::mkstemp(path_.data());
    REQUIRE(file >= 0);
    ::close(file);
    std::ofstream(path_) << content;
}

temporary_file::~temporary_file() { ::unlink(path_.c_str()); }

}  // namespace heph_tests
