#pragma once

// Sending requests to other servers.
//
//     heph::task<> poll_status(heph::rt::local_context<heph::no_message> ctx) {
//         heph::http::client client(ctx.runtime());
//         auto answer = co_await client.get("http://127.0.0.1:8080/status");
//         if (!answer) { … answer.error().message() … }
//         auto body = co_await answer->read_body();
//     }

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/http/client_request.hpp>
#include <heph/http/content_decoder.hpp>
#include <heph/http/error.hpp>
#include <heph/http/limits.hpp>
#include <heph/http/proxy.hpp>
#include <heph/http/response_head.hpp>
#include <heph/http/security.hpp>
#include <heph/http/upgrade.hpp>
#include <heph/http/url.hpp>
#include <heph/rt/net/endpoint.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/worker.hpp>

namespace heph::http {

namespace detail {
class client_lease;
class client_pool;
}  // namespace detail

class cookie_jar;

/// Finds the addresses of a host, best first. An empty list is "no such host".
using resolver = std::function<task<std::expected<std::vector<rt::net::endpoint>, std::error_code>>(
    std::string host, std::uint16_t port)>;

/// How a client treats servers.
struct client_options {
    /// What a server may send; `body_bytes_max` is what `read_body()` takes.
    http::limits limits = {};
    /// Connections to one origin that may be open at a time; requests wait for one, up to
    /// `pool_timeout`. An answer has its connection until its body was read to the end, or it is
    /// dropped: who holds so many answers and waits for a further one waits for itself. What became
    /// a connection of another protocol (101) is none of these any more.
    std::size_t connections_per_origin_max = 8;
    /// Connections without a request that are kept, for all origins together.
    std::size_t idle_connections_max = 64;
    /// How long a connection is kept without a request; less when the server tells a shorter time
    /// (`Keep-Alive: timeout=5`). Servers close theirs after about a minute.
    std::chrono::milliseconds idle_timeout{30'000};
    /// How long a request may wait until one of its origin's connections is free:
    /// `error::no_free_connection`.
    std::chrono::milliseconds pool_timeout{30'000};
    /// How long finding the host's addresses and connecting to one of them may take; through a
    /// proxy, until there is a tunnel, with the handshake of one that is spoken to in TLS.
    std::chrono::milliseconds connect_timeout{10'000};
    /// How long a TLS handshake may take.
    std::chrono::milliseconds handshake_timeout{10'000};
    /// How long the server may take for its answer, from when the request is sent to its head.
    std::chrono::milliseconds response_timeout{30'000};
    /// How long the server may pause while it sends a body, or while it takes one.
    std::chrono::milliseconds pause_timeout{30'000};
    /// Redirects that are followed, but never from https to http; then the last one is given as the
    /// answer.
    unsigned redirects_max = 0;
    /// What `User-Agent` says, unless the request says something else; empty leaves it out.
    std::string user_agent = "heph-http";
    /// Asks for compressed bodies (`Accept-Encoding: gzip, deflate, br`), and gives them
    /// decompressed; not for requests that have an `Accept-Encoding` or a `Range` of their own.
    bool decompress = false;
    /// What a compressed body may grow to.
    decoding_limits decoding = {};
    /// Keeps the cookies that servers set, and sends them back; none are kept without it. A request
    /// with a `Cookie` of its own is sent as it is. See `<heph/http/cookie_jar.hpp>`.
    std::shared_ptr<cookie_jar> cookies = {};
    /// Which requests go through a proxy. It gets those to http URLs to pass them on, and opens
    /// tunnels for https, whose bytes it cannot read, and for requests with an `Upgrade`; one that
    /// speaks SOCKS opens tunnels for all.
    proxy_rules proxies = {};
    /// Finds addresses; `rt::net::resolve` does by default. Numeric addresses and `localhost` are
    /// taken as they are.
    resolver resolve = {};
    /// Secures connections to https URLs; without it they are refused. See `<heph/http/tls.hpp>`.
    std::shared_ptr<const client_security> tls = {};
    /// Secures connections to `https://` proxies, which have to prove that they are who the rules
    /// name; `tls` does when there is none here.
    std::shared_ptr<const client_security> proxy_tls = {};
    /// Where all requests are sent, whatever host their URLs name: a Unix socket, as by `curl
    /// --unix-socket`. `Host`, the target, cookies, and the name that TLS has to prove are still
    /// the URL's. Nothing is looked up, and no proxy is used. Unnamed for none; a request may name
    /// one for itself (`client_request::set_unix_socket`).
    rt::net::unix_address unix_socket = {};
};

/// A server's answer. Its body is still on its way: read it, or drop the answer.
///
/// Once the body was read to its end, the connection is used for other requests, for as long and as
/// often as the server's `Keep-Alive` allows. One that is dropped before is closed, and with it
/// ends what still sends the request.
/// *Thread safety*: unsafe: used on the worker of its client. *Lifetime*: it may outlive its
/// client.
class [[nodiscard]] client_response {
public:
    client_response(client_response&&) noexcept;
    client_response& operator=(client_response&&) noexcept;
    ~client_response();

    [[nodiscard]] http::status status() const noexcept { return head_.status(); }
    [[nodiscard]] const http::headers& headers() const noexcept { return head_.headers(); }
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept {
        return head_.headers().get(name);
    }
    /// Gives version, reason and framing, which is that of the bytes on their way.
    [[nodiscard]] const response_head& head() const noexcept { return head_; }
    /// Tells whether the body came compressed and is given decompressed. `Content-Encoding` and
    /// `Content-Length`, which tell about other bytes then, are not among the headers.
    [[nodiscard]] bool is_decompressed() const noexcept { return decompressed_; }
    /// Gives the fields behind a chunked body, once it was read to its end; see
    /// `response_head::trailers`.
    [[nodiscard]] const http::headers& trailers() const noexcept { return head_.trailers(); }
    /// Gives the URL that answered: the last one, when redirects were followed.
    [[nodiscard]] const http::url& url() const noexcept { return url_; }

    /// Gives the next piece of the body; an empty one is its end, given each time from then on.
    /// *Errors*: `std::errc::timed_out` when the server pauses too long, `error::connection_lost`
    /// when the connection ends too early, what is wrong with the framing, what `content_decoder`
    /// finds wrong with compressed bytes; each time from then on.
    /// *Cancellation*: loses nothing. *Lifetime*: valid until the next call, or the answer's end.
    task<std::expected<std::string_view, std::error_code>> next();

    /// Reads all of the body, up to `limits::body_bytes_max` or `bytes_max`.
    /// *Errors*: `error::body_too_large`, and what `next` gives.
    task<std::expected<std::string, std::error_code>> read_body();
    task<std::expected<std::string, std::error_code>> read_body(std::uint64_t bytes_max);

    /// Gives the connection behind a 101 (Switching Protocols), for the protocol that the request
    /// asked for in `Upgrade`; null behind any other answer. *Lifetime*: the answer's.
    [[nodiscard]] upgraded_stream* upgraded() noexcept;

private:
    friend class client;

    client_response(std::unique_ptr<detail::client_lease> lease, response_head head, http::url url,
                    std::uint64_t body_bytes_max) noexcept;

    task<std::expected<std::string_view, std::error_code>> next_received();
    void decode(const decoding_limits& within);
    std::error_code fail(std::error_code why) noexcept;

    std::unique_ptr<detail::client_lease> lease_;  // Null once the body has ended.
    response_head head_;
    std::optional<content_decoder> decoder_;
    std::string_view encoded_;  // What was received and is not decoded yet.
    bool decompressed_ = false;
    http::url url_;
    std::uint64_t body_bytes_max_;
    std::error_code failure_;
};

/// Sends requests, over connections that it keeps and uses again, one pool for each origin.
///
/// Requests to one origin beyond `connections_per_origin_max` wait, first come first served, for
/// `pool_timeout` at most. A request is sent a second time, over a new connection, only when the
/// server closed a kept connection before it answered anything, and only when the request is
/// idempotent and has no streamed body (RFC 9112, 9.3.1); else the caller gets the error.
///
/// *Errors*: `std::error_code`: of the system (`connection_refused`, …), `std::errc::timed_out`,
/// those of `http::error` for what is wrong with a message, `bad_target` for what is no URL,
/// `no_free_connection` after `pool_timeout`, `unsupported_scheme` for https without TLS,
/// `unasked_upgrade` for a 101 without an `Upgrade`, `proxy_authentication_required` for the 407 of
/// a proxy, and the like of SOCKS, `proxy_refused` for another answer than a tunnel, `socks_…` for
/// what a SOCKS proxy refuses; `rt::net::resolve_errc`, `rt::tls::errc`. *Thread safety*: unsafe:
/// used on the worker it was made for. Copies share their connections. *Cancellation*: dropping a
/// request closes its connection.
class client {
public:
    explicit client(rt::worker worker, client_options options = {});

    /// Sends a request and waits for the head of the answer. Interim answers are passed over.
    ///
    /// An answer may come before the request is sent entirely. An error (4xx, 5xx) ends the
    /// sending: what produces the body gets `connection_lost` from its `write`, or is told by
    /// `gone`, and is dropped when it does not return then. Behind any other answer the rest is
    /// sent while the answer's body is read, whose end is given when the request is sent, too, and
    /// earlier only when the server closes the connection. A 2xx without a body, to a request whose
    /// body is no stream, is given when that was sent.
    task<std::expected<client_response, std::error_code>> send(client_request request);

    task<std::expected<client_response, std::error_code>> get(std::string_view url) {
        return send(client_request(method::get, url));
    }

    /// Tells how many connections are kept without a request.
    [[nodiscard]] std::size_t idle_connections() const noexcept;
    /// Closes the connections that are kept without a request.
    void close_idle() noexcept;

private:
    using answer = std::expected<client_response, std::error_code>;

    static task<answer> follow(std::shared_ptr<detail::client_pool> pool,
                               std::shared_ptr<client_request> request, bool decodes);
    static task<answer> ask(const std::shared_ptr<detail::client_pool>& pool,
                            const std::shared_ptr<client_request>& request, const url& to,
                            bool decodes);

    std::shared_ptr<detail::client_pool> pool_;
};

}  // namespace heph::http
