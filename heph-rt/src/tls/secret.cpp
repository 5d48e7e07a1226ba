#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include <heph/rt/tls/error.hpp>
#include <heph/rt/tls/secret.hpp>

#include "../system_call.hpp"

namespace heph::rt::tls {

std::expected<secret, std::error_code> secret::copy_of(std::span<const std::byte> bytes) {
    if (bytes.size() < bytes_min) {
        return std::unexpected(make_error_code(errc::secret_too_short));
    }
    if (bytes.size() > bytes_max) {
        return std::unexpected(make_error_code(errc::secret_too_long));
    }
    auto copy = std::make_unique_for_overwrite<std::byte[]>(bytes.size());
    std::ranges::copy(bytes, copy.get());
    return secret(std::move(copy), bytes.size());
}

secret::secret(std::unique_ptr<std::byte[]> bytes, std::size_t size) noexcept
    : bytes_(std::move(bytes)), size_(size) {}

secret::secret(const secret& other)
    : bytes_(std::make_unique_for_overwrite<std::byte[]>(other.size_)), size_(other.size_) {
    std::ranges::copy(other.bytes(), bytes_.get());
}

secret::secret(secret&& other) noexcept
    : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}

secret& secret::operator=(secret other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(size_, other.size_);
    return *this;
}

secret::~secret() {
    if (bytes_) { OPENSSL_cleanse(bytes_.get(), size_); }
}

namespace {

class open_file {
public:
    explicit open_file(const std::filesystem::path& path) noexcept
        : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {}
    open_file(const open_file&) = delete;
    open_file& operator=(const open_file&) = delete;
    ~open_file() {
        if (descriptor_ >= 0) { ::close(descriptor_); }
    }
    [[nodiscard]] int get() const noexcept { return descriptor_; }

private:
    int descriptor_;
};

// Holds what was read until it is wiped.
struct wiped_bytes {
    std::array<std::byte, secret::bytes_max + 2> bytes;
    wiped_bytes() noexcept {}  // NOLINT(modernize-use-equals-default): leaves `bytes` unset
    wiped_bytes(const wiped_bytes&) = delete;
    wiped_bytes& operator=(const wiped_bytes&) = delete;
    ~wiped_bytes() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
};

std::unexpected<error> refuse(const std::filesystem::path& path, std::error_code code) {
    return std::unexpected(error(code, path.string() + ": " + code.message()));
}

}  // namespace

std::expected<secret, error> load_secret(const std::filesystem::path& path) {
    const open_file file(path);
    if (file.get() < 0) { return refuse(path, rt::detail::last_error()); }
    struct stat status = {};
    if (::fstat(file.get(), &status) != 0) { return refuse(path, rt::detail::last_error()); }
    if (!S_ISREG(status.st_mode)) { return refuse(path, errc::secret_not_a_file); }
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) { return refuse(path, errc::secret_exposed); }

    wiped_bytes content;
    std::size_t size = 0;
    while (size < content.bytes.size()) {
        const ssize_t got =
            ::read(file.get(), content.bytes.data() + size, content.bytes.size() - size);
        if (got < 0 && errno == EINTR) { continue; }
        if (got < 0) { return refuse(path, rt::detail::last_error()); }
        if (got == 0) { break; }
        size += static_cast<std::size_t>(got);
    }
    if (size != 0 && content.bytes[size - 1] == std::byte{'\n'}) { --size; }
    auto made = secret::copy_of(std::span(content.bytes).first(size));
    if (!made) { return refuse(path, made.error()); }
    return std::move(*made);
}

}  // namespace heph::rt::tls
