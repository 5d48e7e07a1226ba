#include "head_reader.hpp"

#include <charconv>
#include <cstddef>

#include "../chars.hpp"

namespace heph::http::h1 {

// METHOD SP target SP HTTP/1.1
constexpr std::size_t version_bytes = 8;

std::expected<void, error> check_request_line(std::string_view line) noexcept {
    std::size_t method = 0;
    while (method < line.size() && detail::is_char(line[method], detail::token_char)) { ++method; }
    // A blank, a byte of target, and another blank.
    if (method == 0 || line.size() < method + 3 + version_bytes || line[method] != ' ') {
        return std::unexpected(error::bad_request_line);
    }
    const std::size_t target_end = line.size() - version_bytes - 1;
    const std::string_view version = line.substr(target_end + 1);
    if (line[target_end] != ' ' || line.find(' ', method + 1) != target_end ||
        !version.starts_with("HTTP/") || !detail::is_digit(version[5]) || version[6] != '.' ||
        !detail::is_digit(version[7])) {
        return std::unexpected(error::bad_request_line);
    }
    if (version[5] != '1') { return std::unexpected(error::unsupported_version); }
    return {};
}

request_head::slice head_reader::slice_of(std::string_view part) const noexcept {
    request_head::slice made;
    if (part.empty()) { return made; }
    made.at = static_cast<std::uint32_t>(part.data() - head_->headers_.text_.data());
    made.size = static_cast<std::uint32_t>(part.size());
    return made;
}

std::expected<void, error> head_reader::read(std::string_view request_line,
                                             const extension_methods* extensions) {
    const auto done = read_request_line(request_line, extensions);
    return done ? check_fields() : done;
}

std::expected<void, error> head_reader::read_request_line(std::string_view line,
                                                          const extension_methods* extensions) {
    const std::size_t method_end = line.find(' ');
    const std::string_view name = line.substr(0, method_end);
    const std::string_view target =
        line.substr(method_end + 1, line.size() - version_bytes - 2 - method_end);
    auto method = parse_method(name);
    if (!method) [[unlikely]] {
        if (extensions == nullptr || !extensions->contains(name)) {
            return std::unexpected(error::unknown_method);
        }
        method = method::extension;
    }
    const auto parts = parse_target(*method, target);
    if (!parts) { return std::unexpected(parts.error()); }

    head_->method_ = *method;
    head_->version_ = line.back() == '0' ? version::http_1_0 : version::http_1_1;
    head_->form_ = parts->form;
    head_->target_ = slice_of(target);
    head_->authority_ = slice_of(parts->authority);
    head_->path_ = slice_of(parts->path);
    head_->query_ = slice_of(parts->query);
    return {};
}

std::expected<void, error> head_reader::check_fields() {
    for (const header field : head_->headers_) {
        if (auto checked = check_field(field); !checked) { return checked; }
    }
    const bool is_1_1 = head_->version_ == version::http_1_1;
    if (!has_host_ && is_1_1) { return std::unexpected(error::missing_host); }
    if (has_transfer_encoding_) {
        if (has_length_) { return std::unexpected(error::length_and_transfer_encoding); }
        if (!is_1_1) { return std::unexpected(error::transfer_encoding_in_http_1_0); }
        head_->framing_ = body_framing::chunked;
    } else if (has_length_) {
        head_->framing_ = body_framing::length;
    }
    if (head_->content_length_ > limits_->streamed_body_bytes_max) {
        return std::unexpected(error::body_too_large);
    }
    head_->keep_alive_ = !wants_close_ && (is_1_1 || wants_keep_alive_);
    // A 1.0 client cannot know of interim responses (RFC 9110, 10.1.1).
    if (!is_1_1) { head_->expects_continue_ = false; }
    return {};
}

std::expected<void, error> head_reader::check_field(const header& field) {
    switch (field.name.size()) {
        case 4:
            if (!equal_ignoring_case(field.name, "host")) { return {}; }
            if (has_host_) { return std::unexpected(error::repeated_host); }
            has_host_ = true;
            // Empty is what a target without an authority asks for (RFC 9112, 3.2), and beside a
            // whole URL it counts for nothing (3.2.2). Behind a path it would name the host of a
            // URL, which has none only by mistake (RFC 9110, 4.2.1).
            if (field.value.empty() &&
                (head_->form_ == target_form::asterisk || head_->form_ == target_form::absolute)) {
                return {};
            }
            if (!is_host(field.value)) { return std::unexpected(error::bad_host); }
            return {};
        case 6:
            if (!equal_ignoring_case(field.name, "expect")) { return {}; }
            return check_expectations(field.value);
        case 10:
            if (!equal_ignoring_case(field.name, "connection")) { return {}; }
            return check_connection(field.value);
        case 14: {
            if (!equal_ignoring_case(field.name, "content-length")) { return {}; }
            if (has_length_) { return std::unexpected(error::repeated_content_length); }
            has_length_ = true;
            const char* end = field.value.data() + field.value.size();
            const auto [at, failure] =
                std::from_chars(field.value.data(), end, head_->content_length_);
            // No sign passes here, as the type is unsigned.
            if (failure != std::errc() || at != end) {
                return std::unexpected(error::bad_content_length);
            }
            return {};
        }
        case 17:
            if (!equal_ignoring_case(field.name, "transfer-encoding")) { return {}; }
            if (has_transfer_encoding_) { return std::unexpected(error::bad_transfer_encoding); }
            has_transfer_encoding_ = true;
            return check_transfer_encoding(field.value);
        default: return {};
    }
}

// RFC 9112, 6.1 and 6.3: what does not end in `chunked`, or has it twice, has no known end.
std::expected<void, error> head_reader::check_transfer_encoding(std::string_view value) {
    if (equal_ignoring_case(value, "chunked")) { return {}; }
    const std::size_t comma = value.rfind(',');
    if (comma == std::string_view::npos ||
        !equal_ignoring_case(detail::trim(value.substr(comma + 1)), "chunked")) {
        return std::unexpected(error::bad_transfer_encoding);
    }
    std::string_view before = value.substr(0, comma);
    do {
        const std::string_view coding = detail::next_element(before);
        if (!is_token(coding) || equal_ignoring_case(coding, "chunked")) {
            return std::unexpected(error::bad_transfer_encoding);
        }
    } while (!before.empty());
    return std::unexpected(error::unknown_transfer_encoding);
}

// RFC 9110, 10.1.1: a list, of which one element is known.
std::expected<void, error> head_reader::check_expectations(std::string_view value) {
    while (!value.empty()) {
        const std::string_view expectation = detail::next_element(value);
        if (expectation.empty()) { continue; }
        if (!equal_ignoring_case(expectation, "100-continue")) {
            return std::unexpected(error::unknown_expectation);
        }
        head_->expects_continue_ = true;
    }
    return {};
}

std::expected<void, error> head_reader::check_connection(std::string_view value) {
    while (!value.empty()) {
        const std::string_view option = detail::next_element(value);
        if (equal_ignoring_case(option, "close")) { wants_close_ = true; }
        if (equal_ignoring_case(option, "keep-alive")) { wants_keep_alive_ = true; }
    }
    return {};
}

}  // namespace heph::http::h1
