#pragma once

#include <string>
#include <string_view>

namespace heph::http::detail {

/// Compresses one body. *Thread safety*: unsafe. *Errors*: throws `std::bad_alloc`.
class content_encoder {
public:
    content_encoder() = default;
    content_encoder(const content_encoder&) = delete;
    content_encoder& operator=(const content_encoder&) = delete;
    virtual ~content_encoder() = default;

    /// Appends what stands for a piece, all of it.
    virtual void add(std::string_view piece, std::string& out) = 0;
    /// Appends what stands for the last piece, and the end.
    virtual void end(std::string_view piece, std::string& out) = 0;
};

}  // namespace heph::http::detail
