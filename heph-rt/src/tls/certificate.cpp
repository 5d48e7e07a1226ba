#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <heph/rt/descriptor.hpp>
#include <heph/rt/tls/certificate.hpp>
#include <heph/rt/tls/error.hpp>

#include "../system_call.hpp"
#include "certificate_state.hpp"
#include "engine_state.hpp"

namespace heph::rt::tls {

namespace {

// No honest file of certificates is larger; the system's own has some 200 KiB.
constexpr std::size_t file_bytes_max = 8 * 1024 * 1024;

error say(errc what, std::string_view where, std::string_view detail = {}) {
    std::string text;
    if (!where.empty()) {
        text += where;
        text += ": ";
    }
    text += make_error_code(what).message();
    if (!detail.empty()) {
        text += " (";
        text += detail;
        text += ')';
    }
    return {make_error_code(what), std::move(text)};
}

// Wipes what it holds, which may be a key, also where it grows out of.
class wiped_text {
public:
    wiped_text() = default;
    wiped_text(wiped_text&& other) noexcept
        : text_(std::move(other.text_)), size_(std::exchange(other.size_, 0)) {}
    wiped_text& operator=(wiped_text&&) = delete;
    ~wiped_text() { OPENSSL_cleanse(text_.data(), text_.size()); }

    [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), size_}; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    /// Gives room for more bytes behind those that there are.
    [[nodiscard]] std::span<char> room() {
        if (size_ == text_.size()) {
            std::vector<char> larger(std::max(text_.size() * 2, least));
            std::ranges::copy(text_, larger.begin());
            OPENSSL_cleanse(text_.data(), text_.size());
            text_ = std::move(larger);
        }
        return std::span(text_).subspan(size_);
    }
    void commit(std::size_t bytes) noexcept { size_ += bytes; }

private:
    static constexpr std::size_t least = 16 * 1024;
    std::vector<char> text_;
    std::size_t size_ = 0;
};

std::expected<wiped_text, error> read_file(const std::filesystem::path& path) {
    const auto refuse = [&path](std::error_code code) {
        return std::unexpected(error(code, path.string() + ": " + code.message()));
    };
    // No child has it.
    const descriptor_handle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!file.is_open()) { return refuse(rt::detail::last_error()); }
    wiped_text text;
    for (;;) {
        const auto room = text.room();
        const std::int32_t got =
            rt::detail::retry([&] { return ::read(file.get(), room.data(), room.size()); });
        if (got < 0) { return refuse(rt::detail::system_error(-got)); }
        if (got == 0) { return text; }
        text.commit(static_cast<std::size_t>(got));
        if (text.size() > file_bytes_max) { return refuse(rt::detail::system_error(EFBIG)); }
    }
}

bio_ptr open_text(std::string_view text) {
    return bio_ptr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Answers for OpenSSL, which would ask on the terminal otherwise.
int give_password(char* out, int size, int /*writing*/, void* asked) {
    const auto& password = *static_cast<const std::string_view*>(asked);
    if (password.size() > static_cast<std::size_t>(size)) { return -1; }
    std::memcpy(out, password.data(), password.size());
    return static_cast<int>(password.size());
}

x509_ptr read_certificate(BIO* text) {
    std::string_view none;
    return x509_ptr(PEM_read_bio_X509(text, nullptr, give_password, &none));
}

// Tells the end of a PEM text from a certificate that is broken.
bool is_at_end() {
    const unsigned long code = ERR_peek_last_error();
    const bool at_end =
        ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    return at_end;
}

std::string lower(std::string_view text) {
    std::string made(text);
    std::ranges::transform(made, made.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    return made;
}

std::string common_name(const X509* leaf) {
    std::array<char, 256> text{};
    const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName,
                                               text.data(), text.size());
    return size > 0 ? lower({text.data(), static_cast<std::size_t>(size)}) : std::string();
}

std::expected<std::shared_ptr<certificate::state>, error> parse(std::string_view chain_text,
                                                                std::string_view chain_name,
                                                                std::string_view key_text,
                                                                std::string_view key_name,
                                                                std::string_view password) {
    ERR_clear_error();
    auto made = std::make_shared<certificate::state>();
    const bio_ptr chain = open_text(chain_text);
    const bio_ptr key = open_text(key_text);
    made->intermediates.reset(sk_X509_new_null());
    if (!chain || !key || !made->intermediates) { return std::unexpected(say(errc::internal, {})); }
    made->leaf = read_certificate(chain.get());
    if (!made->leaf) {
        return std::unexpected(say(errc::bad_certificate_file, chain_name, take_reason_text()));
    }
    while (x509_ptr next = read_certificate(chain.get())) {
        if (sk_X509_push(made->intermediates.get(), next.get()) == 0) {
            return std::unexpected(say(errc::internal, {}));
        }
        (void)next.release();
    }
    if (!is_at_end()) {
        return std::unexpected(say(errc::bad_certificate_file, chain_name, "one is damaged"));
    }
    made->key.reset(PEM_read_bio_PrivateKey(key.get(), nullptr, give_password, &password));
    if (!made->key) {
        return std::unexpected(say(errc::bad_key_file, key_name, take_reason_text()));
    }
    if (X509_check_private_key(made->leaf.get(), made->key.get()) != 1) {
        ERR_clear_error();
        return std::unexpected(say(errc::key_mismatch, key_name));
    }
    made->names = alternative_names(made->leaf.get(), true);
    if (made->names.empty()) {
        if (std::string name = common_name(made->leaf.get()); !name.empty()) {
            made->names.push_back(std::move(name));
        }
    }
    return made;
}

std::expected<std::shared_ptr<trust_store::state>, error> parse_trusted(std::string_view text,
                                                                        std::string_view name) {
    ERR_clear_error();
    auto made = std::make_shared<trust_store::state>();
    made->store.reset(X509_STORE_new());
    const bio_ptr source = open_text(text);
    if (!made->store || !source) { return std::unexpected(say(errc::internal, {})); }
    std::size_t count = 0;
    while (const x509_ptr next = read_certificate(source.get())) {
        if (X509_STORE_add_cert(made->store.get(), next.get()) != 1) {
            return std::unexpected(say(errc::internal, {}, take_reason_text()));
        }
        ++count;
    }
    if (!is_at_end() || count == 0) {
        return std::unexpected(say(errc::bad_certificate_file, name));
    }
    return made;
}

// Makes a store with the authorities and lists of another one.
store_ptr copy_of(const trust_store::state& from) {
    store_ptr made(X509_STORE_new());
    if (!made) { return made; }
    if (from.of_system && X509_STORE_set_default_paths(made.get()) != 1) { return nullptr; }
    // Verifying, on other threads, may add to it and sort it.
    const store_lock locked(X509_STORE_lock(from.store.get()) == 1 ? from.store.get() : nullptr);
    STACK_OF(X509_OBJECT)* objects = X509_STORE_get0_objects(from.store.get());
    for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
        X509_OBJECT* each = sk_X509_OBJECT_value(objects, i);
        X509* authority = X509_OBJECT_get0_X509(each);
        X509_CRL* list = X509_OBJECT_get0_X509_CRL(each);
        const bool added =
            (authority == nullptr || X509_STORE_add_cert(made.get(), authority) == 1) &&
            (list == nullptr || X509_STORE_add_crl(made.get(), list) == 1);
        if (!added) { return nullptr; }
    }
    return made;
}

std::expected<std::shared_ptr<trust_store::state>, error> parse_revocations(
    const trust_store::state& authorities, std::string_view text, std::string_view name) {
    ERR_clear_error();
    auto made = std::make_shared<trust_store::state>();
    made->of_system = authorities.of_system;
    made->store = copy_of(authorities);
    const bio_ptr source = open_text(text);
    if (!made->store || !source) {
        return std::unexpected(say(errc::internal, {}, take_reason_text()));
    }
    std::size_t count = 0;
    std::string_view none;
    while (const crl_ptr next{PEM_read_bio_X509_CRL(source.get(), nullptr, give_password, &none)}) {
        if (X509_STORE_add_crl(made->store.get(), next.get()) != 1) {
            return std::unexpected(say(errc::internal, {}, take_reason_text()));
        }
        ++count;
    }
    if (!is_at_end() || count == 0) {
        return std::unexpected(say(errc::bad_revocation_file, name));
    }
    if (X509_STORE_set_flags(made->store.get(),
                             X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) != 1) {
        return std::unexpected(say(errc::internal, {}, take_reason_text()));
    }
    return made;
}

}  // namespace

std::vector<std::string> alternative_names(const X509* leaf, bool only_dns) {
    std::vector<std::string> found;
    const names_ptr names(static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr)));
    ERR_clear_error();
    if (!names) { return found; }
    for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
        const bool text = name->type == GEN_DNS || name->type == GEN_URI || name->type == GEN_EMAIL;
        if (!text || (only_dns && name->type != GEN_DNS)) { continue; }
        const ASN1_IA5STRING* value = name->d.ia5;
        const std::string_view view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                                    static_cast<std::size_t>(ASN1_STRING_length(value)));
        found.push_back(name->type == GEN_DNS ? lower(view) : std::string(view));
    }
    return found;
}

const std::vector<std::string>& certificate::names() const noexcept { return state_->names; }

std::expected<certificate, error> certificate::load(const std::filesystem::path& chain,
                                                    const std::filesystem::path& key,
                                                    std::string_view password) {
    const auto chain_text = read_file(chain);
    if (!chain_text) { return std::unexpected(chain_text.error()); }
    const auto key_text = read_file(key);
    if (!key_text) { return std::unexpected(key_text.error()); }
    auto made = parse(chain_text->view(), chain.string(), key_text->view(), key.string(), password);
    if (!made) { return std::unexpected(made.error()); }
    return certificate(std::move(*made));
}

std::expected<certificate, error> certificate::from_pem(std::string_view chain,
                                                        std::string_view key,
                                                        std::string_view password) {
    auto made = parse(chain, "the certificate", key, "the key", password);
    if (!made) { return std::unexpected(made.error()); }
    return certificate(std::move(*made));
}

std::expected<trust_store, error> trust_store::system() {
    ERR_clear_error();
    auto made = std::make_shared<state>();
    made->store.reset(X509_STORE_new());
    if (!made->store || X509_STORE_set_default_paths(made->store.get()) != 1) {
        return std::unexpected(say(errc::internal, {}, take_reason_text()));
    }
    made->of_system = true;
    ERR_clear_error();
    return trust_store(std::move(made));
}

std::expected<trust_store, error> trust_store::load(const std::filesystem::path& file) {
    const auto text = read_file(file);
    if (!text) { return std::unexpected(text.error()); }
    auto made = parse_trusted(text->view(), file.string());
    if (!made) { return std::unexpected(made.error()); }
    return trust_store(std::move(*made));
}

std::expected<trust_store, error> trust_store::from_pem(std::string_view text) {
    auto made = parse_trusted(text, "the authorities");
    if (!made) { return std::unexpected(made.error()); }
    return trust_store(std::move(*made));
}

std::expected<trust_store, error> trust_store::with_revocations(
    const std::filesystem::path& file) const {
    const auto text = read_file(file);
    if (!text) { return std::unexpected(text.error()); }
    auto made = parse_revocations(*state_, text->view(), file.string());
    if (!made) { return std::unexpected(made.error()); }
    return trust_store(std::move(*made));
}

std::expected<trust_store, error> trust_store::with_revocations_from_pem(
    std::string_view text) const {
    auto made = parse_revocations(*state_, text, "the revocations");
    if (!made) { return std::unexpected(made.error()); }
    return trust_store(std::move(*made));
}

std::optional<peer_certificate> engine::peer() const {
    const x509_ptr leaf(SSL_get1_peer_certificate(state_->ssl.get()));
    if (!leaf) { return std::nullopt; }
    std::string subject;
    const bio_ptr text(BIO_new(BIO_s_mem()));
    if (text && X509_NAME_print_ex(text.get(), X509_get_subject_name(leaf.get()), 0,
                                   XN_FLAG_RFC2253) >= 0) {
        char* data = nullptr;
        const long size = BIO_get_mem_data(text.get(), &data);
        subject.assign(data, static_cast<std::size_t>(size));
    }
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned digest_size = 0;
    std::string fingerprint;
    if (X509_digest(leaf.get(), EVP_sha256(), digest.data(), &digest_size) == 1) {
        constexpr std::string_view digits = "0123456789abcdef";
        for (unsigned i = 0; i < digest_size; ++i) {
            fingerprint += digits[digest[i] >> 4U];
            fingerprint += digits[digest[i] & 15U];
        }
    }
    ERR_clear_error();
    return peer_certificate(std::move(subject), alternative_names(leaf.get(), false),
                            alternative_names(leaf.get(), true), std::move(fingerprint));
}

}  // namespace heph::rt::tls
