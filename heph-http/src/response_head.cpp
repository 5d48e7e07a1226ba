#include <heph/http/response_head.hpp>

namespace heph::http {

std::optional<std::uint64_t> response_head::content_length() const noexcept {
    if (framing_ == response_framing::none) { return 0; }
    if (framing_ != response_framing::length) { return std::nullopt; }
    return content_length_;
}

void response_head::clear() noexcept {
    headers_.clear();
    trailers_.clear();
    content_length_ = 0;
    reason_at_ = reason_size_ = 0;
    status_ = http::status::ok;
    version_ = http::version::http_1_1;
    framing_ = response_framing::none;
    keep_alive_ = true;
}

}  // namespace heph::http
