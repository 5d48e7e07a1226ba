#include "kernel_keys.hpp"

#include <linux/tls.h>

#include <algorithm>
#include <cstring>

namespace heph::rt::tls {

namespace {

constexpr int change_cipher_spec_record = 20;
constexpr std::size_t header_bytes = 5;
constexpr std::size_t nonce_bytes = 12;
constexpr std::size_t fixed_nonce_bytes = 4;  // Of AES-GCM; TLS 1.2 sends the other 8 along.

int value_of(char digit) noexcept {
    if (digit >= '0' && digit <= '9') { return digit - '0'; }
    if (digit >= 'a' && digit <= 'f') { return digit - 'a' + 10; }
    if (digit >= 'A' && digit <= 'F') { return digit - 'A' + 10; }
    return -1;
}

std::array<unsigned char, 8> big_endian(std::uint64_t number) noexcept {
    std::array<unsigned char, 8> bytes{};
    for (std::size_t i = bytes.size(); i-- > 0; number >>= 8) {
        bytes[i] = static_cast<unsigned char>(number & 0xff);
    }
    return bytes;
}

std::uint64_t number_of(const std::array<unsigned char, 8>& bytes) noexcept {
    std::uint64_t number = 0;
    for (const unsigned char byte : bytes) { number = number << 8 | byte; }
    return number;
}

// HKDF-Expand-Label of RFC 8446 section 7.1, without a context.
bool expand_label(const EVP_MD* digest, std::span<const unsigned char> secret,
                  std::string_view label, std::span<unsigned char> out) noexcept {
    std::array<unsigned char, 32> info{};
    std::size_t size = 0;
    info[size++] = 0;
    info[size++] = static_cast<unsigned char>(out.size());
    info[size++] = static_cast<unsigned char>(label.size());
    for (const char c : label) { info[size++] = static_cast<unsigned char>(c); }
    info[size++] = 0;
    const pkey_context_ptr kdf(EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr));
    std::size_t made = out.size();
    return kdf && EVP_PKEY_derive_init(kdf.get()) == 1 &&
           EVP_PKEY_CTX_set_hkdf_mode(kdf.get(), EVP_PKEY_HKDEF_MODE_EXPAND_ONLY) == 1 &&
           EVP_PKEY_CTX_set_hkdf_md(kdf.get(), digest) == 1 &&
           EVP_PKEY_CTX_set1_hkdf_key(kdf.get(), secret.data(), static_cast<int>(secret.size())) ==
               1 &&
           EVP_PKEY_CTX_add1_hkdf_info(kdf.get(), info.data(), static_cast<int>(size)) == 1 &&
           EVP_PKEY_derive(kdf.get(), out.data(), &made) == 1 && made == out.size();
}

// The key block of RFC 5246 section 6.3.
bool expand_master(SSL* connection, const EVP_MD* digest, std::span<unsigned char> out) noexcept {
    static constexpr std::string_view label = "key expansion";
    std::array<unsigned char, SSL_MAX_MASTER_KEY_LENGTH> master{};
    std::array<unsigned char, label.size() + 2 * SSL3_RANDOM_SIZE> seed{};
    std::copy(label.begin(), label.end(), seed.begin());
    unsigned char* const server_random = seed.data() + label.size();
    unsigned char* const client_random = server_random + SSL3_RANDOM_SIZE;
    const std::size_t master_size =
        SSL_SESSION_get_master_key(SSL_get_session(connection), master.data(), master.size());
    const pkey_context_ptr kdf(EVP_PKEY_CTX_new_id(EVP_PKEY_TLS1_PRF, nullptr));
    std::size_t made = out.size();
    const bool good =
        SSL_get_server_random(connection, server_random, SSL3_RANDOM_SIZE) == SSL3_RANDOM_SIZE &&
        SSL_get_client_random(connection, client_random, SSL3_RANDOM_SIZE) == SSL3_RANDOM_SIZE &&
        kdf && EVP_PKEY_derive_init(kdf.get()) == 1 &&
        EVP_PKEY_CTX_set_tls1_prf_md(kdf.get(), digest) == 1 &&
        EVP_PKEY_CTX_set1_tls1_prf_secret(kdf.get(), master.data(),
                                          static_cast<int>(master_size)) == 1 &&
        EVP_PKEY_CTX_add1_tls1_prf_seed(kdf.get(), seed.data(), static_cast<int>(seed.size())) ==
            1 &&
        EVP_PKEY_derive(kdf.get(), out.data(), &made) == 1 && made == out.size();
    OPENSSL_cleanse(master.data(), master.size());
    return good;
}

// What there is of the nonce before `iv` is the salt.
template <typename Info>
void set_keys(kernel_keys& keys, tls_crypto_info kind, std::span<const unsigned char> key,
              std::span<const unsigned char> nonce, std::uint64_t number) noexcept {
    Info made{};
    made.info = kind;
    std::copy_n(key.begin(), sizeof made.key, made.key);
    std::copy_n(nonce.begin(), nonce.size() - sizeof made.iv, made.salt);
    std::copy_n(nonce.end() - sizeof made.iv, sizeof made.iv, made.iv);
    const auto sequence = big_endian(number);
    std::copy_n(sequence.begin(), sizeof made.rec_seq, made.rec_seq);
    keys.set(made);
    OPENSSL_cleanse(&made, sizeof made);
}

}  // namespace

bool sent_records::note_key_line(std::string_view line, bool is_client) noexcept {
    // "CLIENT_TRAFFIC_SECRET_0 <the client's random> <the secret>", of later keys with an N.
    std::string_view label = is_client ? "CLIENT_TRAFFIC_SECRET_" : "SERVER_TRAFFIC_SECRET_";
    if (!line.starts_with(label)) { return false; }
    const std::string_view hex = line.substr(line.rfind(' ') + 1);
    if (hex.size() % 2 != 0 || hex.size() / 2 > secret_.size()) { return false; }
    for (std::size_t i = 0; i < hex.size(); i += 2) {
        const int high = value_of(hex[i]);
        const int low = value_of(hex[i + 1]);
        if (high < 0 || low < 0) {
            secret_size_ = 0;
            return false;
        }
        secret_[i / 2] = static_cast<unsigned char>(high << 4 | low);
    }
    secret_size_ = hex.size() / 2;
    count_ = 0;
    return true;
}

void sent_records::note_record(int type) noexcept {
    // TLS 1.2 begins with its keys here; 1.3 sends such a record, which means nothing, before it
    // has those that count.
    count_ = type == change_cipher_spec_record ? 0 : count_ + 1;
}

void sent_records::note_output(std::span<const std::byte> bytes) noexcept {
    while (!bytes.empty()) {
        if (head_size_ < header_bytes) {
            head_[head_size_++] = std::to_integer<unsigned char>(bytes.front());
            bytes = bytes.subspan(1);
            if (head_size_ == header_bytes) { left_ = std::size_t{head_[3]} << 8 | head_[4]; }
        } else {
            const std::size_t size = std::min(left_, bytes.size());
            for (std::size_t i = 0; i < size && head_size_ < head_.size(); ++i) {
                head_[head_size_++] = std::to_integer<unsigned char>(bytes[i]);
            }
            bytes = bytes.subspan(size);
            left_ -= size;
        }
        if (head_size_ < header_bytes || left_ != 0) { continue; }
        std::copy_n(head_.begin() + header_bytes, last_nonce_.size(), last_nonce_.begin());
        head_size_ = 0;
    }
}

bool sent_records::derive(SSL* connection, bool is_client, std::span<unsigned char> key,
                          std::span<unsigned char> nonce) const noexcept {
    const EVP_MD* digest = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(connection));
    if (digest == nullptr) { return false; }
    if (SSL_version(connection) == TLS1_3_VERSION) {
        const auto secret = std::span(secret_).first(secret_size_);
        return secret_size_ != 0 && expand_label(digest, secret, "tls13 key", key) &&
               expand_label(digest, secret, "tls13 iv", nonce);
    }
    // Both sides' keys, then what both sides' nonces begin with.
    std::array<unsigned char, 2 * (32 + nonce_bytes)> block{};
    const auto used = std::span(block).first(2 * (key.size() + nonce.size()));
    const bool good = expand_master(connection, digest, used);
    const std::size_t side = is_client ? 0 : 1;
    std::copy_n(used.begin() + static_cast<std::ptrdiff_t>(side * key.size()), key.size(),
                key.begin());
    std::copy_n(used.begin() + static_cast<std::ptrdiff_t>(2 * key.size() + side * nonce.size()),
                nonce.size(), nonce.begin());
    OPENSSL_cleanse(block.data(), block.size());
    return good;
}

bool sent_records::make_keys(SSL* connection, bool is_client, kernel_keys& keys) const noexcept {
    const SSL_CIPHER* cipher = SSL_get_current_cipher(connection);
    const int kind = cipher != nullptr ? SSL_CIPHER_get_cipher_nid(cipher) : NID_undef;
    const bool gcm = kind == NID_aes_128_gcm || kind == NID_aes_256_gcm;
    if (!gcm && kind != NID_chacha20_poly1305) { return false; }
    const bool sends_nonce = gcm && SSL_version(connection) == TLS1_2_VERSION;
    std::array<unsigned char, 32> room{};
    const auto key = std::span(room).first(kind == NID_aes_128_gcm ? 16 : 32);
    std::array<unsigned char, nonce_bytes> nonce{};
    const auto derived = std::span(nonce).first(sends_nonce ? fixed_nonce_bytes : nonce_bytes);
    bool good = derive(connection, is_client, key, derived);
    if (good && sends_nonce) {
        // The kernel goes on where OpenSSL stopped, as no nonce may be used twice with a key.
        const auto next = big_endian(number_of(last_nonce_) + 1);
        std::copy(next.begin(), next.end(), nonce.begin() + fixed_nonce_bytes);
    }
    const auto version = static_cast<std::uint16_t>(SSL_version(connection));
    if (!good) {
        ERR_clear_error();
    } else if (kind == NID_aes_128_gcm) {
        set_keys<tls12_crypto_info_aes_gcm_128>(keys, {version, TLS_CIPHER_AES_GCM_128}, key, nonce,
                                                count_);
    } else if (kind == NID_aes_256_gcm) {
        set_keys<tls12_crypto_info_aes_gcm_256>(keys, {version, TLS_CIPHER_AES_GCM_256}, key, nonce,
                                                count_);
    } else {
        set_keys<tls12_crypto_info_chacha20_poly1305>(keys, {version, TLS_CIPHER_CHACHA20_POLY1305},
                                                      key, nonce, count_);
    }
    OPENSSL_cleanse(room.data(), room.size());
    OPENSSL_cleanse(nonce.data(), nonce.size());
    return good;
}

}  // namespace heph::rt::tls
