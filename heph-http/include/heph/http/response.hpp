#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/http/error.hpp>
#include <heph/http/headers.hpp>
#include <heph/http/status.hpp>
#include <heph/http/upgrade.hpp>

namespace heph::rt::fs {
class file;
}  // namespace heph::rt::fs

namespace heph::http {

/// What the producer of a streamed body writes to.
class body_writer {
public:
    /// Sends a piece of the body. Completes when the connection can take more: a slow client
    /// slows the producer down. The first piece takes the response's head with it; an empty piece
    /// sends no more than that.
    ///
    /// *Errors*: `connection_lost`; the producer should return then.
    /// *Lifetime*: `piece` must stay valid until it completes.
    virtual task<std::expected<void, error>> write(std::string_view piece) = 0;

    /// Sends `size` bytes of a file, from `offset` on: from the file to a socket without passing
    /// through the program where that is possible, and piece by piece of 64 KiB elsewhere.
    /// Otherwise as `write`.
    ///
    /// *Errors*: `connection_lost`; `handler_failed`: the file cannot be read, or has fewer bytes.
    /// *Cancellation*: the connection is cut when it is dropped.
    /// *Lifetime*: `from` must stay until it completes.
    virtual task<std::expected<void, error>> write_file(const rt::fs::file& from,
                                                        std::uint64_t offset, std::uint64_t size);

    /// Waits until the client has gone, for a producer that waits for something else meanwhile:
    ///
    ///     auto first = co_await heph::either(news.receive(), to.gone());
    ///     if (first.index() == 1) { co_return std::unexpected(http::error::connection_lost); }
    ///
    /// One that ends its side of the connection has gone, as far as anybody can tell; who only does
    /// that, and still reads, is answered by writing on. Not noticed is who has left bytes that are
    /// unread here: of the request's body, or of a next request. `write` tells of these.
    ///
    /// *Cancellation*: loses nothing; it may be waited for again.
    virtual task<void> gone();

    /// Adds a field to those that are sent behind the body (trailers, RFC 9110, 6.5), such as
    /// a digest of it; a header `Trailer` should announce their names. A body that is not chunked
    /// has no place for them, and whoever is on the way may drop them.
    ///
    /// *Errors*: what would break the message, or may not stand there, such as `Content-Length`.
    virtual std::expected<void, error> add_trailer(std::string_view name, std::string_view value) {
        (void)name;
        (void)value;
        return {};
    }

protected:
    ~body_writer() = default;
};

/// Produces a streamed body. When it returns an error or throws, the connection is cut, so that the
/// client cannot take the part for the whole.
///
/// A coroutine lambda with captures is safe here: the response owns it while it runs.
using body_producer =
    std::move_only_function<task<std::expected<void, error>>(body_writer& writer)>;

/// What of a whole answer does not show in the 304 or 206 that stands for it, and decides what
/// middleware would have made of it.
struct whole_answer {
    std::string content_type;            ///< Empty where it has none.
    std::optional<std::uint64_t> bytes;  ///< Of its body; nothing when that is not known.
    bool is_encoded = false;             ///< It has a `Content-Encoding`.
};

/// A response to a request. Framing (`Content-Length`, `Transfer-Encoding`, `Connection`) and
/// `Date` are set by the server, and need not and cannot be set by hand.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class [[nodiscard]] response {
public:
    /// Makes a response without a body.
    explicit response(http::status status = http::status::ok) noexcept : status_(status) {}

    /// Makes a response with a plain text in UTF-8.
    static response text(std::string body, http::status status = http::status::ok);
    /// Makes a response with a page in UTF-8.
    static response html(std::string body, http::status status = http::status::ok);
    /// Makes a response with a JSON document that is already written out.
    static response json(std::string body, http::status status = http::status::ok);
    /// Makes a response with any bytes.
    static response bytes(std::string body, std::string_view content_type,
                          http::status status = http::status::ok);
    /// Makes a response without a body.
    static response empty(http::status status = http::status::no_content);
    /// Makes an `application/problem+json` response (RFC 9457).
    static response problem(http::status status, std::string_view detail = {});
    /// Makes the `problem` that answers an error.
    static response problem(error failure);
    /// Makes the 304 that stands for a 200: with the fields that RFC 9110, 15.4.5, has it repeat,
    /// and `Last-Modified` where there is no `ETag`.
    static response not_modified(const response& full);
    /// Makes a response whose body `producer` writes bit by bit.
    static response stream(std::string_view content_type, body_producer producer,
                           http::status status = http::status::ok);

    /// Makes a 101 (Switching Protocols), with `Upgrade: protocol`; `handler` uses the connection
    /// then. What is left of the request's body is read and dropped before.
    /// *Requires*: the request is HTTP/1.1 and asked for this protocol in `Upgrade`.
    static response upgrade(std::string_view protocol, upgrade_handler handler);

    [[nodiscard]] http::status status() const noexcept { return status_; }
    void set_status(http::status status) noexcept { status_ = status; }

    [[nodiscard]] const http::headers& headers() const noexcept { return headers_; }
    [[nodiscard]] http::headers& headers() noexcept { return headers_; }

    /// Sets a header. *Errors*: a value that would break the framing, such as one with a line
    /// break, makes the server answer 500 instead.
    response& set_header(std::string_view name, std::string_view value) & {
        headers_.set(name, value);
        return *this;
    }
    response&& set_header(std::string_view name, std::string_view value) && {
        headers_.set(name, value);
        return std::move(*this);
    }

    /// Says how many bytes a streamed body will have, so that it need not be chunked. A producer
    /// that writes more or less gets its connection cut.
    response& set_content_length(std::uint64_t length) & {
        stream_length_ = length;
        return *this;
    }
    response&& set_content_length(std::uint64_t length) && {
        stream_length_ = length;
        return std::move(*this);
    }

    /// Asks for the connection to be closed after this response.
    response& close_connection() & {
        closes_ = true;
        return *this;
    }
    response&& close_connection() && {
        closes_ = true;
        return std::move(*this);
    }
    [[nodiscard]] bool closes_connection() const noexcept { return closes_; }

    /// Gives the body of a response that is not streamed.
    [[nodiscard]] std::string_view body() const noexcept {
        return shared_body_ ? std::string_view(*shared_body_) : std::string_view(body_);
    }
    /// Replaces the body of a response that is not streamed.
    void set_body(std::string body) noexcept {
        body_ = std::move(body);
        shared_body_.reset();
    }
    /// Replaces the body by one that many responses share, such as a page that is kept ready: a
    /// large one is sent from where it is. *Requires*: `body` is not null.
    void set_body(std::shared_ptr<const std::string> body) noexcept {
        body_.clear();
        shared_body_ = std::move(body);
    }
    /// Takes the body out, for several to read it. *Errors*: throws `std::bad_alloc`.
    [[nodiscard]] std::shared_ptr<const std::string> take_body() {
        if (shared_body_) { return std::move(shared_body_); }
        return std::make_shared<const std::string>(std::move(body_));
    }
    /// Replaces the body by one that `producer` writes bit by bit.
    void set_stream(body_producer producer) noexcept {
        body_.clear();
        shared_body_.reset();
        stream_length_.reset();
        producer_ = std::move(producer);
    }
    [[nodiscard]] bool is_streamed() const noexcept { return static_cast<bool>(producer_); }
    /// Gives what was set by `set_content_length`.
    [[nodiscard]] std::optional<std::uint64_t> stream_length() const noexcept {
        return stream_length_;
    }
    /// Gives the producer of a streamed body. *Lifetime*: what it makes refers to it.
    [[nodiscard]] body_producer& producer() noexcept { return producer_; }
    /// Gives how many bytes the body has, without those of trailers; nothing when that is not
    /// known.
    [[nodiscard]] std::optional<std::uint64_t> body_bytes() const noexcept {
        return is_streamed() ? stream_length_ : std::optional<std::uint64_t>(body().size());
    }
    /// Gives what a 304 or 206 stands for; null when whoever made it did not say.
    [[nodiscard]] const whole_answer* stands_for() const noexcept { return whole_.get(); }
    /// Says so. `bytes` is the size of a body that is not in `full` yet.
    void set_stands_for(const response& full, std::optional<std::uint64_t> bytes);
    /// Tells whether the connection changes to another protocol behind this response.
    [[nodiscard]] bool is_upgrade() const noexcept { return upgrade_ != nullptr; }
    /// Gives what uses the connection then. *Requires*: `is_upgrade()`. *Lifetime*: what it makes
    /// refers to it.
    [[nodiscard]] upgrade_handler& upgraded() noexcept { return *upgrade_; }

private:
    http::headers headers_;
    std::string body_;
    std::shared_ptr<const std::string> shared_body_;  // In place of `body_` when it is there.
    body_producer producer_;
    std::unique_ptr<upgrade_handler> upgrade_;   // Null but for 101.
    std::unique_ptr<const whole_answer> whole_;  // Null but for 304 and 206.
    std::optional<std::uint64_t> stream_length_;
    http::status status_;
    bool closes_ = false;
};

/// Appends `text` as a JSON string, with its quotes. Bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& to, std::string_view text);

}  // namespace heph::http
