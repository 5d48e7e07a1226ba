#include <heph/http/request_head.hpp>

namespace heph::http {

std::string_view request_head::method_name() const noexcept {
    if (method_ != http::method::extension) { return to_string(method_); }
    // The text begins with it, and a blank follows.
    return headers_.text(0, target_.at - 1);
}

std::string_view request_head::path() const noexcept {
    // An absolute target may have no path; that means the root (RFC 9110, 4.2.3).
    if (path_.size == 0 && form_ == target_form::absolute) { return "/"; }
    return text(path_);
}

std::string_view request_head::authority() const noexcept {
    if (authority_.size != 0) { return text(authority_); }
    return headers_.get("host").value_or(std::string_view());
}

std::optional<std::uint64_t> request_head::content_length() const noexcept {
    if (framing_ != body_framing::length) { return std::nullopt; }
    return content_length_;
}

void request_head::clear() noexcept {
    headers_.clear();
    trailers_.clear();
    target_ = path_ = query_ = authority_ = slice();
    content_length_ = 0;
    method_ = http::method::get;
    version_ = http::version::http_1_1;
    form_ = http::target_form::origin;
    framing_ = body_framing::none;
    keep_alive_ = true;
    expects_continue_ = false;
}

void request_head::reset() noexcept {
    clear();
    headers_.text_.reset();
    headers_.fields_.reset();
    trailers_.text_.reset();
    trailers_.fields_.reset();
}

}  // namespace heph::http
