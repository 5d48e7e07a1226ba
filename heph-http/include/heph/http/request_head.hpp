#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <heph/http/headers.hpp>
#include <heph/http/method.hpp>
#include <heph/http/uri.hpp>
#include <heph/http/version.hpp>

namespace heph::http {

/// Names how the end of a request's body is found.
enum class body_framing : std::uint8_t {
    none,     ///< There is no body.
    length,   ///< `Content-Length` tells.
    chunked,  ///< `Transfer-Encoding: chunked`.
};

/// Holds a request's line and header fields, all text in the memory of its `headers`.
///
/// It is filled by `h1::request_parser`, and may be filled again and again without allocating.
/// *Thread safety*: distinct objects: safe. Shared objects: only reading is.
/// *Lifetime*: the views it gives are valid until it, or its headers, are changed.
class request_head {
public:
    [[nodiscard]] http::method method() const noexcept { return method_; }
    /// Gives the method as it was sent, also an `extension`.
    [[nodiscard]] std::string_view method_name() const noexcept;
    [[nodiscard]] http::version version() const noexcept { return version_; }

    /// Gives the target as it was sent.
    [[nodiscard]] std::string_view target() const noexcept { return text(target_); }
    [[nodiscard]] http::target_form target_form() const noexcept { return form_; }
    /// Gives the path, still percent-encoded: begins with `/`, or is empty for `*` and CONNECT.
    [[nodiscard]] std::string_view path() const noexcept;
    /// Gives the query without its question mark, still percent-encoded.
    [[nodiscard]] std::string_view query() const noexcept { return text(query_); }
    /// Gives the host, and port, that the request is for: the target's, or else that of `Host`.
    [[nodiscard]] std::string_view authority() const noexcept;

    [[nodiscard]] const http::headers& headers() const noexcept { return headers_; }
    [[nodiscard]] http::headers& headers() noexcept { return headers_; }
    /// Gives the fields behind a chunked body (RFC 9112, 7.1.2), once it was read to its end. They
    /// are no headers: anybody on the way may have dropped them, and none that would change how the
    /// message is understood is among them.
    [[nodiscard]] const http::headers& trailers() const noexcept { return trailers_; }

    [[nodiscard]] body_framing framing() const noexcept { return framing_; }
    /// Gives the `Content-Length`, when there is one.
    [[nodiscard]] std::optional<std::uint64_t> content_length() const noexcept;
    /// Tells whether the client wants to go on using the connection.
    [[nodiscard]] bool keep_alive() const noexcept { return keep_alive_; }
    /// Tells whether the client waits for a 100 (Continue) before it sends the body.
    [[nodiscard]] bool expects_continue() const noexcept { return expects_continue_; }

    /// Forgets everything and keeps the memory.
    void clear() noexcept;
    /// Forgets everything and gives the memory beyond the object's own back.
    void reset() noexcept;

private:
    friend class h1::request_parser;
    friend class h1::head_reader;

    struct slice {
        std::uint32_t at = 0;
        std::uint32_t size = 0;
    };
    [[nodiscard]] std::string_view text(slice part) const noexcept {
        return headers_.text(part.at, part.size);
    }

    http::headers headers_;
    http::headers trailers_;
    slice target_;
    slice path_;
    slice query_;
    slice authority_;
    std::uint64_t content_length_ = 0;
    http::method method_ = http::method::get;
    http::version version_ = http::version::http_1_1;
    http::target_form form_ = http::target_form::origin;
    body_framing framing_ = body_framing::none;
    bool keep_alive_ = true;
    bool expects_continue_ = false;
};

}  // namespace heph::http
