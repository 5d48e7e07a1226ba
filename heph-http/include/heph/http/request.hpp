#pragma once

#include <charconv>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/http/detail/inline_vector.hpp>
#include <heph/http/detail/value_store.hpp>
#include <heph/http/error.hpp>
#include <heph/http/exchange.hpp>
#include <heph/http/limits.hpp>
#include <heph/http/request_head.hpp>
#include <heph/http/secure_session.hpp>
#include <heph/rt/net/endpoint.hpp>

namespace heph::rt::net {
class tcp_stream;
}  // namespace heph::rt::net

namespace heph::http {

class response;
class secure_channel;

/// How slowly bytes may go: not at all for `pause`, and from then on so many a second on average.
struct transfer_pace {
    transfer_pace() noexcept = default;
    transfer_pace(std::chrono::milliseconds longest, std::uint64_t least) noexcept
        : pause(longest), bytes_per_second_min(least) {}

    std::chrono::milliseconds pause{0};
    std::uint64_t bytes_per_second_min = 0;  ///< 0 for any.
};

/// What a request's body is read from.
class body_reader {
public:
    /// Gives the next piece of the body; an empty one is its end, given each time from then on.
    /// Nothing is received before it is asked for, beyond what a few buffers hold: a slow handler
    /// slows the client down.
    ///
    /// *Errors*: what is wrong with the body or the connection, each time from then on.
    /// *Cancellation*: loses nothing.
    /// *Lifetime*: the piece is valid until the next call, or the end of the handler.
    virtual task<std::expected<std::string_view, error>> next() = 0;

protected:
    ~body_reader() = default;
};

/// What interim responses are sent by.
class interim_sender {
public:
    virtual task<std::expected<void, error>> send_interim(http::status status,
                                                          const http::headers& fields) = 0;

protected:
    ~interim_sender() = default;
};

/// What notices that the client has gone.
class client_watcher {
public:
    /// As `request::client_gone`.
    virtual task<void> gone() = 0;

protected:
    ~client_watcher() = default;
};

/// What the server does about a request that it cannot answer as it should.
class failure_handler {
public:
    /// Writes a line of the log about what was thrown.
    virtual void report_failure(const std::exception_ptr& failure) noexcept = 0;
    /// Gives the server's answer to an error.
    virtual response answer_error(error failure) = 0;

protected:
    ~failure_handler() = default;
};

/// Holds the parameters that a router took from a path, percent-decoded.
class path_params {
public:
    /// Gives the value of a parameter, or an empty text when the pattern has none of this name.
    [[nodiscard]] std::string_view get(std::string_view name) const noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return values_.size(); }

    /// Adds a parameter. *Lifetime*: `name` must outlive it; `value` is copied.
    void add(std::string_view name, std::string_view value);
    /// Removes the parameters behind the first `count`.
    void truncate(std::size_t count) noexcept;
    void clear() noexcept { truncate(0); }

private:
    struct entry {
        const char* name;
        std::uint32_t name_size;
        std::uint32_t value_at;
        std::uint32_t value_size;
    };

    detail::inline_vector<entry, 2> values_;
    detail::inline_vector<char, 48> text_;
};

/// A request as its handler sees it.
///
/// *Thread safety*: unsafe: it belongs to its connection's worker.
/// *Lifetime*: until the response is sent, a streamed body included. Its views as well.
class request {
public:
    /// Makes a request without a body that is not from a connection, for tests.
    request() noexcept;

    [[nodiscard]] http::method method() const noexcept { return head_.method(); }
    /// Gives the method as it was sent, also an `extension`.
    [[nodiscard]] std::string_view method_name() const noexcept { return head_.method_name(); }
    [[nodiscard]] http::version version() const noexcept { return head_.version(); }
    /// Gives the target as it was sent.
    [[nodiscard]] std::string_view target() const noexcept { return head_.target(); }
    /// Gives the path, still percent-encoded.
    [[nodiscard]] std::string_view path() const noexcept { return head_.path(); }

    /// Gives a parameter of the path, percent-decoded; empty when the pattern has none of this
    /// name.
    [[nodiscard]] std::string_view param(std::string_view name) const noexcept {
        return params_.get(name);
    }

    /// Gives a parameter of the path as a number; nothing when it is none, or does not fit. With
    /// `{name:int}` in the pattern it always is one of 64 bits.
    template <std::integral Number>
        requires(!std::same_as<Number, bool> && !std::same_as<Number, char>)
    [[nodiscard]] std::optional<Number> param_as(std::string_view name) const noexcept {
        const std::string_view text = param(name);
        Number value = 0;
        const auto [at, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (failure != std::errc() || at != text.data() + text.size()) { return std::nullopt; }
        return value;
    }

    /// Gives the query without its question mark, still percent-encoded.
    [[nodiscard]] std::string_view query() const noexcept { return head_.query(); }
    /// Gives the decoded value of the first parameter of this name in the query.
    [[nodiscard]] std::optional<std::string> query(std::string_view name) const {
        return query_parameter(head_.query(), name);
    }

    [[nodiscard]] const http::headers& headers() const noexcept { return head_.headers(); }
    /// Gives the value of the first header of this name.
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept {
        return head_.headers().get(name);
    }

    /// Gives the address of the client, or of the proxy before us; nothing when it is unknown, or
    /// is at the other end of a Unix socket. For the client behind a proxy see
    /// `<heph/http/middleware/trusted_proxies.hpp>`.
    [[nodiscard]] std::optional<rt::net::endpoint> peer() const;
    /// Tells whether it came over a Unix socket.
    [[nodiscard]] bool is_over_unix_socket() const noexcept { return over_unix_; }

    /// Tells whether it came over a secured connection (https).
    [[nodiscard]] bool is_secure() const noexcept { return secure_; }

    /// Gives what the handshake of a secured connection has settled: version, cipher, ALPN, SNI and
    /// the client's certificate; nothing over a plain one. It is put together by this call.
    [[nodiscard]] std::optional<http::secure_session> secure_session() const;

    /// Waits until the client has gone, for a handler that does something else meanwhile:
    ///
    ///     auto first = co_await heph::either(compute(asked), request.client_gone());
    ///     if (first.index() == 1) { co_return http::response(http::client_closed_request); }
    ///
    /// What is dropped by `either` is destroyed where it waits. For whole handlers see
    /// `<heph/http/middleware/drop_when_gone.hpp>`. Nothing is done for it before it is called.
    ///
    /// A client that ends its side of the connection has gone, as far as anybody can tell. It is
    /// noticed from when the request's body was read to its end, or breaks off; not while there are
    /// bytes of a further request. Of a request that is from no connection nobody goes.
    ///
    /// *Cancellation*: loses nothing; it may be waited for again, by one at a time.
    task<void> client_gone();

    /// Says how slowly the client may take the answer, in the place of `limits::send_timeout` and
    /// `limits::send_bytes_per_second_min`. For many routes see
    /// `<heph/http/middleware/transfer_limit.hpp>`.
    void set_send_pace(transfer_pace slowest) noexcept { send_pace_ = slowest; }
    [[nodiscard]] transfer_pace send_pace() const noexcept { return send_pace_; }
    /// Says how slowly the body may come, in the place of `limits::body_grace` and
    /// `limits::body_bytes_per_second_min`.
    void set_receive_pace(transfer_pace slowest) noexcept { receive_pace_ = slowest; }
    [[nodiscard]] transfer_pace receive_pace() const noexcept { return receive_pace_; }

    /// Gives the body, to be read bit by bit, up to `body_limit()`: beyond it `next` gives
    /// `body_too_large`, which is answered with 413, and the connection ends. An announced length
    /// beyond it is refused before anything is received.
    [[nodiscard]] body_reader& body() noexcept { return *body_; }

    /// Tells how large a body may be: `limits::body_bytes_max` unless something else was set.
    [[nodiscard]] std::uint64_t body_limit() const noexcept { return body_bytes_max_; }
    /// Sets how large the body may be, less or more than the server's `limits::body_bytes_max`, but
    /// never more than its `streamed_body_bytes_max`. A handler that streams sets it before it
    /// reads; for many routes see `<heph/http/middleware/body_limit.hpp>`.
    void set_body_limit(std::uint64_t bytes_max) noexcept { body_bytes_max_ = bytes_max; }

    /// Reads all of the body, up to `body_limit()`, or up to `bytes_max`, which then is the limit.
    /// *Errors*: `body_too_large`, and what `body_reader::next` gives.
    task<std::expected<std::string, error>> read_body();
    task<std::expected<std::string, error>> read_body(std::uint64_t bytes_max);

    /// Gives the fields behind a chunked body, once it was read to its end; see
    /// `request_head::trailers`.
    [[nodiscard]] const http::headers& trailers() const noexcept { return head_.trailers(); }

    /// Sends an interim response ahead of the answer, at once: a 103 (Early Hints, RFC 8297) whose
    /// `Link` fields let a browser fetch what the page will need, or a 102 (Processing). Nothing is
    /// sent to a client that speaks HTTP/1.0.
    ///
    /// *Errors*: `bad_response`: a status that is not 102 to 199, a header that would break the
    /// framing, or a response that has begun already; `connection_lost`. *Cancellation*: it may
    /// still be sent. *Lifetime*: `fields` must stay valid until it completes.
    task<std::expected<void, error>> send_interim(http::status status, const http::headers& fields);

    /// Keeps a value for whoever has to do with the request, in the place of an earlier one of this
    /// type: what a middleware found out, for the handler, and for the middleware around it.
    ///
    ///     request.set(session(id));                        // In a middleware.
    ///     const auto* own = request.get<session>();        // In a handler.
    ///
    /// It is destroyed with the request, before the next one of the connection begins.
    template <typename T>
    T& set(T value) {
        return values_.set<T>(std::move(value));
    }
    /// Gives the value of this type, or null. *Lifetime*: the request's, or until `set`.
    template <typename T>
    [[nodiscard]] T* get() noexcept {
        return values_.find<T>();
    }
    template <typename T>
    [[nodiscard]] const T* get() const noexcept {
        return values_.find<T>();
    }
    /// Destroys all these values.
    void clear_values() noexcept { values_.clear(); }

    /// Writes a line of the log about what was thrown while it was answered, as the server does:
    /// with what was asked and by whom, and within the limit of lines.
    void report_failure(const std::exception_ptr& failure) noexcept;
    /// Does so, and gives the answer that the server would give: 500, without details.
    response answer_failure(const std::exception_ptr& failure);

    /// Lets `observer` be told what became of the request, once that is known: how it was answered,
    /// how much of the answer was sent, and how long that took. Called before it is answered.
    ///
    /// Gives false, and keeps nothing, for a request that is not from a connection, as in a test.
    /// *Lifetime*: the router's handlers and middleware are still there when it is called, and the
    /// request with its values.
    bool when_done(exchange_observer observer);

    /// Gives the whole head, with what the server made of it.
    [[nodiscard]] request_head& head() noexcept { return head_; }
    [[nodiscard]] const request_head& head() const noexcept { return head_; }
    /// Gives the parameters of the path, for a router to fill.
    [[nodiscard]] path_params& params() noexcept { return params_; }
    /// Says over which connection it came, which may be over a Unix socket.
    /// *Lifetime*: `stream` must outlive the request.
    void set_stream(const rt::net::tcp_stream& stream, bool over_unix = false) noexcept {
        stream_ = &stream;
        over_unix_ = over_unix;
        told_peer_.reset();
    }
    /// Says who is at the other end of that connection, where it is known already.
    /// *Lifetime*: `peer` must outlive the request.
    void set_connected_peer(const std::optional<rt::net::endpoint>& peer) noexcept {
        connected_peer_ = &peer;
    }
    /// Tells whether somebody waits for what becomes of it.
    [[nodiscard]] bool is_observed() const noexcept { return !observers_.empty(); }
    /// Tells those who wait, and forgets them. `told.took` is set when nobody has measured it.
    /// *Errors*: throws what they throw, when all were told.
    void tell_done(exchange told);
    /// Says who sends interim responses; nobody does for a request that a test made.
    /// *Lifetime*: `sender` must outlive the request.
    void set_interim_sender(interim_sender& sender) noexcept { interim_sender_ = &sender; }
    /// Says who takes care of failures; without one they are just logged.
    /// *Lifetime*: `handler` must outlive the request.
    void set_failure_handler(failure_handler& handler) noexcept { failure_handler_ = &handler; }
    /// Says who notices that the client has gone; nobody does for a request that a test made.
    /// *Lifetime*: `watcher` must outlive the request.
    void set_client_watcher(client_watcher& watcher) noexcept { client_watcher_ = &watcher; }
    /// Says whether that connection is secured.
    void set_secure(bool secure) noexcept { secure_ = secure; }
    /// Says by what it is secured; null for a plain one.
    /// *Lifetime*: `channel` must outlive the request.
    void set_secure_channel(const secure_channel* channel) noexcept {
        channel_ = channel;
        secure_ = channel != nullptr;
    }
    /// Says who the client is, where it is not who sent the request.
    void set_peer(const rt::net::endpoint& client) noexcept { told_peer_ = client; }
    /// Says where the body comes from, and how much of it is taken.
    /// *Lifetime*: `reader` must outlive the request.
    void set_body(body_reader& reader, std::uint64_t bytes_max) noexcept {
        body_ = &reader;
        body_bytes_max_ = bytes_max;
    }

private:
    request_head head_;
    path_params params_;
    body_reader* body_;
    interim_sender* interim_sender_ = nullptr;
    failure_handler* failure_handler_ = nullptr;
    client_watcher* client_watcher_ = nullptr;
    const secure_channel* channel_ = nullptr;
    transfer_pace send_pace_;
    transfer_pace receive_pace_;
    detail::value_store values_;
    std::vector<exchange_observer> observers_;
    std::chrono::steady_clock::time_point observed_since_;
    const rt::net::tcp_stream* stream_ = nullptr;
    const std::optional<rt::net::endpoint>* connected_peer_ = nullptr;
    std::optional<rt::net::endpoint> told_peer_;
    std::uint64_t body_bytes_max_ = limits().body_bytes_max;
    bool secure_ = false;
    bool over_unix_ = false;
};

}  // namespace heph::http
