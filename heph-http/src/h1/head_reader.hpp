#pragma once

#include <expected>
#include <string_view>

#include <heph/http/error.hpp>
#include <heph/http/limits.hpp>
#include <heph/http/request_head.hpp>

namespace heph::http::h1 {

/// Checks a request line: exactly one blank between its three parts.
[[nodiscard]] std::expected<void, error> check_request_line(std::string_view line) noexcept;

/// Fills a `request_head` whose text and fields, up to the empty line, are complete and have passed
/// the checks of their lines.
class head_reader {
public:
    head_reader(request_head& head, const limits& limits) noexcept
        : head_(&head), limits_(&limits) {}

    /// Reads it. `request_line` is the first line of its text. Of methods without a value of their
    /// own it takes those among `extensions`; null for none.
    std::expected<void, error> read(std::string_view request_line,
                                    const extension_methods* extensions);

private:
    std::expected<void, error> read_request_line(std::string_view line,
                                                 const extension_methods* extensions);
    std::expected<void, error> check_fields();
    std::expected<void, error> check_field(const header& field);
    std::expected<void, error> check_transfer_encoding(std::string_view value);
    std::expected<void, error> check_expectations(std::string_view value);
    std::expected<void, error> check_connection(std::string_view value);
    request_head::slice slice_of(std::string_view part) const noexcept;

    request_head* head_;
    const limits* limits_;
    bool has_host_ = false;
    bool has_length_ = false;
    bool has_transfer_encoding_ = false;
    bool wants_close_ = false;
    bool wants_keep_alive_ = false;
};

}  // namespace heph::http::h1
