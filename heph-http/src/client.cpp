#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <heph/http/client.hpp>
#include <heph/http/cookie_jar.hpp>
#include <heph/rt/timer.hpp>

#include "client_pool.hpp"
#include "client_route.hpp"

namespace heph::http {

namespace {

using detail::client_lease;
using detail::client_pool;

// What is left of an answer that nobody reads is read up to here, to keep the connection.
constexpr std::size_t skipped_bytes_max = 64 * 1024;
// … and for this long: a new connection is worth no longer wait.
constexpr std::chrono::nanoseconds skipping_time_max = std::chrono::seconds(1);

/// Tells whether sending it twice comes to the same as once (RFC 9110, 9.2.2).
bool is_idempotent(method method) noexcept {
    switch (method) {
        case method::get:
        case method::head:
        case method::put:
        case method::delete_:
        case method::options:
        case method::trace: return true;
        default: return false;
    }
}

bool is_success(status status) noexcept { return code(status) >= 200 && code(status) < 300; }

/// Tells whether an answer asks to go elsewhere, and may be followed by itself.
bool is_redirect(status status) noexcept {
    return status == status::moved_permanently || status == status::found ||
           status == status::see_other || status == status::temporary_redirect ||
           status == status::permanent_redirect;
}

/// Tells whether reading an answer to its end lets its connection be kept.
bool is_worth_reading(const response_head& answer) noexcept {
    return answer.keep_alive() && answer.content_length().value_or(0) <= skipped_bytes_max;
}

void set_cookies(client_request& request, const std::string& line) {
    if (line.empty()) {
        (void)request.headers().remove("Cookie");
    } else {
        request.set_header("Cookie", line);
    }
}

}  // namespace

client_response::client_response(std::unique_ptr<client_lease> lease, response_head head,
                                 http::url url, std::uint64_t body_bytes_max) noexcept
    : lease_(std::move(lease)),
      head_(std::move(head)),
      url_(std::move(url)),
      body_bytes_max_(body_bytes_max) {}

client_response::client_response(client_response&&) noexcept = default;
client_response& client_response::operator=(client_response&&) noexcept = default;
client_response::~client_response() = default;

// The bytes of an answer without a body, and of a part, are no content that could be decoded.
void client_response::decode(const decoding_limits& within) {
    if (head_.framing() == response_framing::none || head_.framing() == response_framing::tunnel ||
        head_.status() == status::partial_content) {
        return;
    }
    content_decoder decoder(head_.headers(), within);
    if (decoder.is_identity()) { return; }
    decompressed_ = decoder.is_good();
    decoder_.emplace(std::move(decoder));
    if (!decompressed_) { return; }
    (void)head_.headers().remove("Content-Encoding");
    (void)head_.headers().remove("Content-Length");
}

std::error_code client_response::fail(std::error_code why) noexcept {
    failure_ = why;
    lease_.reset();
    return why;
}

task<std::expected<std::string_view, std::error_code>> client_response::next() {
    using result = std::expected<std::string_view, std::error_code>;
    while (decoder_) {
        const h1::event event = decoder_->next(encoded_);
        if (event.kind == h1::event_kind::body) { co_return result(event.data); }
        if (event.kind == h1::event_kind::error) {
            co_return result(std::unexpect, fail(make_error_code(event.failure)));
        }
        const auto piece = co_await next_received();
        if (!piece) { co_return piece; }
        encoded_ = *piece;
        if (!piece->empty()) { continue; }
        const h1::event end = decoder_->end_of_input();
        if (end.kind == h1::event_kind::error) {
            co_return result(std::unexpect, fail(make_error_code(end.failure)));
        }
        decoder_.reset();
    }
    auto piece = co_await next_received();
    co_return piece;
}

// Gives the next bytes as the server sent them.
task<std::expected<std::string_view, std::error_code>> client_response::next_received() {
    using result = std::expected<std::string_view, std::error_code>;
    if (failure_) { co_return result(std::unexpect, failure_); }
    if (!lease_) { co_return result(std::string_view()); }
    auto piece = co_await lease_->connection()->next_piece();
    if (!piece) { failure_ = piece.error(); }
    // The connection goes back before the last answer is given: the next request may use it.
    if (piece && piece->empty()) { lease_->connection()->give_trailers(head_); }
    if (!piece || piece->empty()) { lease_.reset(); }
    co_return piece;
}

upgraded_stream* client_response::upgraded() noexcept {
    return lease_ ? lease_->connection()->tunnel() : nullptr;
}

task<std::expected<std::string, std::error_code>> client_response::read_body() {
    return read_body(body_bytes_max_);
}

task<std::expected<std::string, std::error_code>> client_response::read_body(
    std::uint64_t bytes_max) {
    using result = std::expected<std::string, std::error_code>;
    std::string body;
    for (;;) {
        const auto piece = co_await next();
        if (!piece) { co_return result(std::unexpect, piece.error()); }
        if (piece->empty()) { co_return result(std::move(body)); }
        if (piece->size() > bytes_max - body.size()) {
            co_return result(std::unexpect, fail(make_error_code(error::body_too_large)));
        }
        body += *piece;
    }
}

client::client(rt::worker worker, client_options options)
    : pool_(std::make_shared<client_pool>(worker, std::move(options))) {}

task<std::expected<client_response, std::error_code>> client::send(client_request request) {
    if (!pool_->options().user_agent.empty() && !request.headers().contains("User-Agent")) {
        request.set_header("User-Agent", pool_->options().user_agent);
    }
    // It is for a proxy, which this client has or has not: nobody else is to read it.
    (void)request.headers().remove("Proxy-Authorization");
    // Who asks for a coding, or for a part of what may be encoded, is given what there is.
    const bool decodes = pool_->options().decompress &&
                         !request.headers().contains("Accept-Encoding") &&
                         !request.headers().contains("Range");
    if (decodes) { request.set_header("Accept-Encoding", "gzip, deflate, br"); }
    return follow(pool_, std::make_shared<client_request>(std::move(request)), decodes);
}

// Sends a request, and again wherever the answers point to.
task<client::answer> client::follow(std::shared_ptr<client_pool> pool,
                                    std::shared_ptr<client_request> request, bool decodes) {
    auto to = url::parse(request->url());
    if (!to) { co_return answer(std::unexpect, make_error_code(to.error())); }
    cookie_jar* const jar = pool->options().cookies.get();
    const bool has_own = request->headers().contains("Cookie");
    for (unsigned redirects = 0;; ++redirects) {
        if (jar != nullptr && !has_own) { set_cookies(*request, jar->header_for(*to)); }
        answer got = co_await ask(pool, request, *to, decodes);
        if (jar != nullptr && got) { jar->store(*to, got->headers()); }
        if (!got || redirects == pool->options().redirects_max || !is_redirect(got->status())) {
            co_return got;
        }
        const auto location = got->header("Location");
        if (!location) { co_return got; }
        const auto next = to->resolve(*location);
        // What was asked for in secret is not asked for in plain text.
        if (next && to->scheme == "https" && next->scheme != "https") { co_return got; }
        if (!next || !request->can_redirect(got->status())) { co_return got; }
        // Whatever comes of it: it is not the answer. With it ends what still sends the request.
        if (got->lease_) { got->lease_->connection()->stop_sending(); }
        if (!is_worth_reading(got->head())) {
            (void)got->fail(make_error_code(error::connection_lost));
        }
        const std::chrono::nanoseconds patience =
            std::min<std::chrono::nanoseconds>(skipping_time_max, pool->options().response_timeout);
        const auto skipped = co_await rt::deadline(patience, got->read_body(skipped_bytes_max));
        if (!skipped) { (void)got->fail(make_error_code(std::errc::timed_out)); }
        request->redirect(got->status(), next->origin() == to->origin());
        *to = *next;
    }
}

// Sends a request to one place; once more, when a kept connection turns out to have ended.
task<client::answer> client::ask(const std::shared_ptr<client_pool>& pool,
                                 const std::shared_ptr<client_request>& request, const url& to,
                                 bool decodes) {
    if (to.scheme != "http" && !pool->options().tls) {
        co_return answer(std::unexpect, make_error_code(error::unsupported_scheme));
    }
    if (request->method() == method::connect) {
        co_return answer(std::unexpect, make_error_code(error::bad_outgoing_request));
    }
    const client_options& options = pool->options();
    const detail::client_route by(options, *request, to);
    for (bool may_be_kept = true;; may_be_kept = false) {
        auto borrowing = pool->borrow(by.key(to));
        auto lease = std::make_unique<client_lease>();
        *lease = co_await std::move(borrowing);
        if (!lease->is_held()) {
            co_return answer(std::unexpect, make_error_code(error::no_free_connection));
        }
        // The second time, what else is kept may have ended in the same way.
        if (!may_be_kept) { lease->connection().reset(); }
        const bool kept = lease->connection() != nullptr;
        if (!kept) {
            auto connected = co_await by.connect(options, to);
            if (!connected) { co_return answer(std::unexpect, connected.error()); }
            lease->connection() = std::make_unique<detail::client_connection>(
                std::move(*connected), options, by.relay(), by.block_bytes_max());
        }
        detail::client_connection& connection = *lease->connection();
        const std::error_code failed = co_await connection.exchange(request, to);
        if (failed) {
            const bool ended = failed != std::make_error_code(std::errc::timed_out);
            if (kept && ended && connection.was_silent() && is_idempotent(request->method()) &&
                !request->is_streamed()) {
                continue;
            }
            co_return answer(std::unexpect, failed);
        }
        response_head head = connection.take_head();
        if (by.relay() != nullptr && head.status() == status::proxy_authentication_required) {
            co_return answer(std::unexpect, make_error_code(error::proxy_authentication_required));
        }
        // A tunnel may last for days: nobody who has a request is to wait for its end.
        if (connection.tunnel() != nullptr) { lease->leave_pool(); }
        client_response made(std::move(lease), std::move(head), to, options.limits.body_bytes_max);
        if (decodes) { made.decode(options.decoding); }
        // Where nobody waits for the answer to go on, a good one lets the request be sent entirely.
        const bool may_finish =
            !connection.is_sending() || (!request->is_streamed() && is_success(made.status()));
        if (made.head().content_length() == std::uint64_t{0} && may_finish) {
            // There is nothing to wait for: the connection is free already.
            const auto end = co_await made.next();
            if (!end) { co_return answer(std::unexpect, end.error()); }
        }
        co_return answer(std::move(made));
    }
}

std::size_t client::idle_connections() const noexcept { return pool_->idle_count(); }

void client::close_idle() noexcept { pool_->close_idle(); }

}  // namespace heph::http
