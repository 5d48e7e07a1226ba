#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <heph/http/headers.hpp>
#include <heph/http/status.hpp>
#include <heph/http/version.hpp>

namespace heph::http {

namespace h1 {
class response_parser;
}  // namespace h1

/// Names how the end of a response's body is found (RFC 9112, 6.3).
enum class response_framing : std::uint8_t {
    none,         ///< There is no body.
    length,       ///< `Content-Length` tells.
    chunked,      ///< `Transfer-Encoding: chunked`.
    until_close,  ///< It ends with the connection.
    tunnel,       ///< What follows is no HTTP: CONNECT, or 101 (Switching Protocols).
};

/// Holds a response's status line and header fields, all text in the memory of its `headers`.
///
/// It is filled by `h1::response_parser`, and may be filled again and again without allocating.
/// *Thread safety*: distinct objects: safe. Shared objects: only reading is.
/// *Lifetime*: the views it gives are valid until it, or its headers, are changed.
class response_head {
public:
    [[nodiscard]] http::status status() const noexcept { return status_; }
    [[nodiscard]] http::version version() const noexcept { return version_; }
    /// Gives the reason phrase, which may be empty and has no meaning.
    [[nodiscard]] std::string_view reason() const noexcept {
        return headers_.text(reason_at_, reason_size_);
    }

    [[nodiscard]] const http::headers& headers() const noexcept { return headers_; }
    [[nodiscard]] http::headers& headers() noexcept { return headers_; }
    /// Gives the fields behind a chunked body (RFC 9112, 7.1.2), once it was read to its end. They
    /// are no headers: anybody on the way may have dropped them, and none that would change how the
    /// message is understood is among them.
    [[nodiscard]] const http::headers& trailers() const noexcept { return trailers_; }

    [[nodiscard]] response_framing framing() const noexcept { return framing_; }
    /// Gives the length of the body that follows, when it is known.
    [[nodiscard]] std::optional<std::uint64_t> content_length() const noexcept;
    /// Tells whether the connection can be used again once the body has ended. The end of a chunked
    /// body may change that to no.
    [[nodiscard]] bool keep_alive() const noexcept { return keep_alive_; }

    /// Takes the trailers of another head: of the same message, for which it was parsed further.
    void take_trailers(response_head& from) noexcept { trailers_ = std::move(from.trailers_); }

    /// Forgets everything and keeps the memory.
    void clear() noexcept;

private:
    friend class h1::response_parser;

    http::headers headers_;
    http::headers trailers_;
    std::uint64_t content_length_ = 0;
    std::uint32_t reason_at_ = 0;
    std::uint32_t reason_size_ = 0;
    http::status status_ = http::status::ok;
    http::version version_ = http::version::http_1_1;
    response_framing framing_ = response_framing::none;
    bool keep_alive_ = true;
};

}  // namespace heph::http
