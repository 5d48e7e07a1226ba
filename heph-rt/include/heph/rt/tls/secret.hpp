#pragma once

// The secret that two ends share, and the file it comes from.

#include <cstddef>
#include <expected>
#include <filesystem>
#include <memory>
#include <span>
#include <system_error>

#include <heph/rt/error.hpp>

namespace heph::rt::tls {

/// Owns the bytes of a shared secret, and wipes them from memory when it is destroyed.
///
/// Whoever knows the secret can join; it should be random: `head -c 32 /dev/urandom | base64`.
///
/// *Thread safety*: distinct objects: safe. Shared objects: reading is safe.
class secret {
public:
    static constexpr std::size_t bytes_min = 16;
    static constexpr std::size_t bytes_max = 4096;

    /// Copies the bytes. The caller's copy stays the caller's to wipe.
    /// *Errors*: `secret_too_short`, `secret_too_long`.
    [[nodiscard]] static std::expected<secret, std::error_code> copy_of(
        std::span<const std::byte> bytes);

    secret(const secret& other);
    secret(secret&& other) noexcept;
    secret& operator=(secret other) noexcept;
    ~secret();

    /// Gives the bytes; they are never to be logged.
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return {bytes_.get(), size_};
    }

private:
    secret(std::unique_ptr<std::byte[]> bytes, std::size_t size) noexcept;

    std::unique_ptr<std::byte[]> bytes_;
    std::size_t size_ = 0;
};

/// Reads a secret from a file: its bytes without one newline at the end. Blocks the thread.
///
/// *Errors*: the file cannot be read; it may be read or written by others than its owner
/// (`chmod 600` it); it is shorter than 16 bytes or longer than 4,096. The message names the file
/// and what to do.
[[nodiscard]] std::expected<secret, error> load_secret(const std::filesystem::path& path);

}  // namespace heph::rt::tls
