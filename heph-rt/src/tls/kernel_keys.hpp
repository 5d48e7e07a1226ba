#pragma once

// The keys that one side of a connection sends with, in the form in which the kernel takes them.
//
// OpenSSL tells a program what TLS 1.3 derives keys of, in lines meant for a log
// (`SSL_CTX_set_keylog_callback`), and each record that it makes (`SSL_set_msg_callback`). That is
// all that it takes: the keys follow from the former (RFC 8446 section 7.3), and how many records
// were sent with them from the latter. With TLS 1.2 the session has what keys are made of (RFC 5246
// section 6.3). OpenSSL's own way to the kernel takes a socket, is not built in everywhere, and
// cannot go back when the kernel refuses.

#include <openssl/crypto.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "openssl.hpp"

namespace heph::rt::tls {

/// Holds one of the kernel's `tls12_crypto_info_…`. Its memory is cleared in the end.
class kernel_keys {
public:
    kernel_keys() noexcept = default;
    kernel_keys(const kernel_keys&) = delete;
    kernel_keys& operator=(const kernel_keys&) = delete;
    ~kernel_keys() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return std::as_bytes(std::span(bytes_).first(size_));
    }
    template <typename Info>
    void set(const Info& info) noexcept {
        static_assert(sizeof info <= bytes_max);
        const auto from = std::as_bytes(std::span(&info, 1));
        std::copy(from.begin(), from.end(), std::as_writable_bytes(std::span(bytes_)).begin());
        size_ = sizeof info;
    }

private:
    static constexpr std::size_t bytes_max = 64;
    alignas(std::uint64_t) std::array<unsigned char, bytes_max> bytes_{};
    std::size_t size_ = 0;
};

/// Follows what one side sends with: what its keys are made of, and the records made with them.
class sent_records {
public:
    sent_records() noexcept = default;
    sent_records(const sent_records&) = delete;
    sent_records& operator=(const sent_records&) = delete;
    ~sent_records() { OPENSSL_cleanse(secret_.data(), secret_.size()); }

    /// Takes a line of OpenSSL's log of keys. Gives true when it is about keys to send data with,
    /// which count from now on.
    bool note_key_line(std::string_view line, bool is_client) noexcept;
    /// Takes note of a record of that type (RFC 8446 section 5.1).
    void note_record(int type) noexcept;
    /// Looks at bytes as they leave: with TLS 1.2, AES-GCM's records say how far their nonces are.
    void note_output(std::span<const std::byte> bytes) noexcept;

    /// Makes the keys for what is sent next. Gives false when the cipher is none that kernels know.
    [[nodiscard]] bool make_keys(SSL* connection, bool is_client, kernel_keys& keys) const noexcept;

private:
    [[nodiscard]] bool derive(SSL* connection, bool is_client, std::span<unsigned char> key,
                              std::span<unsigned char> nonce) const noexcept;

    std::array<unsigned char, 64> secret_{};  // TLS 1.3's traffic secret.
    std::size_t secret_size_ = 0;
    std::uint64_t count_ = 0;
    // Of the record that is leaving: its first bytes, and how much of it is still to come.
    std::array<unsigned char, 5 + 8> head_{};
    std::size_t head_size_ = 0;
    std::size_t left_ = 0;
    std::array<unsigned char, 8> last_nonce_{};
};

}  // namespace heph::rt::tls
