#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <heph/http/headers.hpp>
#include <heph/http/method.hpp>
#include <heph/http/response.hpp>
#include <heph/http/response_head.hpp>
#include <heph/rt/net/unix.hpp>

namespace heph::http {

/// What is told of the interim responses to a request. *Lifetime*: the head is valid for the call.
using interim_handler = std::function<void(const response_head&)>;

/// A request for a client to send. `Host`, the framing and `Connection` are set by the client, and
/// so is `Proxy-Authorization`, which is left out when it was set by hand: see
/// `<heph/http/proxy.hpp>`.
///
///     http::client_request request(http::method::put, "http://127.0.0.1:8080/notes/1");
///     request.set_header("Content-Type", "text/plain").set_body("milk, eggs");
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class [[nodiscard]] client_request {
public:
    /// Makes a request without a body. What is wrong with the URL is told when it is sent.
    client_request(http::method method, std::string_view url) : url_(url), method_(method) {}

    /// Does so for a method by its name, also one that `method` has no value for: `BREW`. What is
    /// no token, or longer than `method_bytes_max`, is `bad_outgoing_request` when it is sent.
    client_request(std::string_view method_name, std::string_view url)
        : url_(url), method_(parse_method(method_name).value_or(http::method::extension)) {
        if (method_ == http::method::extension) { extension_ = method_name; }
    }

    [[nodiscard]] http::method method() const noexcept { return method_; }
    [[nodiscard]] std::string_view method_name() const noexcept {
        return method_ == http::method::extension ? std::string_view(extension_)
                                                  : to_string(method_);
    }
    [[nodiscard]] const std::string& url() const noexcept { return url_; }
    [[nodiscard]] const http::headers& headers() const noexcept { return headers_; }
    [[nodiscard]] http::headers& headers() noexcept { return headers_; }

    client_request& set_header(std::string_view name, std::string_view value) & {
        headers_.set(name, value);
        return *this;
    }
    client_request&& set_header(std::string_view name, std::string_view value) && {
        headers_.set(name, value);
        return std::move(*this);
    }

    /// Sets a body that is sent with its length.
    client_request& set_body(std::string body) & {
        body_ = std::make_shared<const std::string>(std::move(body));
        has_body_ = true;
        producer_ = nullptr;
        return *this;
    }
    client_request&& set_body(std::string body) && {
        set_body(std::move(body));
        return std::move(*this);
    }

    /// Sets a body that `producer` writes bit by bit: chunked, or with the length that is given.
    /// Such a request is never sent twice.
    client_request& set_stream(body_producer producer, std::optional<std::uint64_t> length = {}) & {
        producer_ = std::move(producer);
        stream_length_ = length;
        has_body_ = true;
        body_.reset();
        return *this;
    }

    /// Lets `handler` be told of each interim response (1xx) that comes before the answer, such as
    /// a 103 (Early Hints). They are passed over otherwise. What it throws ends the request.
    client_request& on_interim(http::interim_handler handler) & {
        interim_ = std::move(handler);
        return *this;
    }

    /// Sends it over a Unix socket, instead of where its URL is, and whatever the client's options
    /// say; and so what redirects make of it. See `client_options::unix_socket`.
    client_request& set_unix_socket(rt::net::unix_address at) & {
        unix_socket_ = std::move(at);
        return *this;
    }
    [[nodiscard]] const rt::net::unix_address& unix_socket() const noexcept { return unix_socket_; }

    [[nodiscard]] http::interim_handler& interim_handler() noexcept { return interim_; }
    [[nodiscard]] std::string_view body() const noexcept {
        return body_ ? std::string_view(*body_) : std::string_view();
    }
    /// Gives what holds the body, for those who read it while it is sent; null when it is empty,
    /// and was not set, or is streamed.
    [[nodiscard]] const std::shared_ptr<const std::string>& shared_body() const noexcept {
        return body_;
    }
    /// Tells whether a body was set, though it may be empty.
    [[nodiscard]] bool has_body() const noexcept { return has_body_; }
    [[nodiscard]] bool is_streamed() const noexcept { return static_cast<bool>(producer_); }
    [[nodiscard]] body_producer& producer() noexcept { return producer_; }
    [[nodiscard]] std::optional<std::uint64_t> stream_length() const noexcept {
        return stream_length_;
    }

    /// Tells whether the request can follow a redirect: not when it would have to send a body
    /// again that was streamed.
    [[nodiscard]] bool can_redirect(status answered) const noexcept;
    /// Turns the request into the one that follows a redirect (RFC 9110, 15.4): POST becomes GET
    /// for 301, 302 and 303; what is secret stays behind when the origin changes.
    /// *Requires*: `can_redirect(answered)`, and that the body's producer no longer runs.
    void redirect(status answered, bool same_origin);

private:
    [[nodiscard]] bool becomes_get(status answered) const noexcept;

    std::string url_;
    std::string extension_;
    http::headers headers_;
    std::shared_ptr<const std::string> body_;  // Null where none was set.
    body_producer producer_;
    http::interim_handler interim_;
    rt::net::unix_address unix_socket_;
    std::optional<std::uint64_t> stream_length_;
    http::method method_;
    bool has_body_ = false;
};

}  // namespace heph::http
