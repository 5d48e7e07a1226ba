#pragma once

// What can go wrong in the runtime itself; I/O errors are the system's own codes.

#include <expected>
#include <string>
#include <system_error>
#include <utility>

namespace heph::rt {

/// Names errors that no errno describes.
enum class errc {
    /// The future was polled outside of a runtime's worker.
    no_worker = 1,
    /// The descriptor's pending receives belong to another worker.
    wrong_worker,
    /// Two operations were started that exclude each other, such as `recv` while `next` is armed.
    conflicting_operation,
    /// An address such as `127.0.0.1:80` or `[::1]:80` was expected.
    bad_address,
    /// The file or stream was closed or moved from.
    closed,
    /// The peer ended the stream before as many bytes came as were asked for.
    unexpected_end,
};

/// Gives the category of `errc`, named "heph.rt".
[[nodiscard]] const std::error_category& error_category() noexcept;

/// Makes an error code of an `errc`.
[[nodiscard]] std::error_code make_error_code(errc error) noexcept;

/// Says why a runtime could not be set up or ended badly: a code for programs, and a text for
/// people that names the reason and what to do.
class [[nodiscard]] error {
public:
    error(std::error_code code, std::string message) : code_(code), message_(std::move(message)) {}

    [[nodiscard]] const std::error_code& code() const noexcept { return code_; }
    [[nodiscard]] const std::string& message() const noexcept { return message_; }

private:
    std::error_code code_;
    std::string message_;
};

/// Prints the error to standard error and gives the exit code for `main`, 1.
int report(const error& failure) noexcept;

/// Gives 0, or prints the error and gives 1.
int report(const std::expected<void, error>& outcome) noexcept;

}  // namespace heph::rt

template <>
struct std::is_error_code_enum<heph::rt::errc> : std::true_type {};
