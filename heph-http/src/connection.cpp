#include "connection.hpp"

#include <algorithm>
#include <utility>

#include <heph/core/log.hpp>

namespace heph::http::detail {

namespace {

// So much is handed to the kernel at once; the send time-out counts for each.
constexpr std::size_t send_bytes_max = 256 * 1024;

// Memory for sending beyond this is given back when a connection waits.
constexpr std::size_t kept_bytes_max = 4 * 1024;

// What a peer may still send to a connection that is about to be closed.
constexpr std::size_t linger_bytes_max = 1024 * 1024;

}  // namespace

connection::connection(rt::net::tcp_stream stream, const router& routes, const limits& limits)
    : routes_(&routes), limits_(&limits), io_(std::move(stream)), parser_(limits) {}

task<void> connection::run() {
    for (;;) {
        const h1::event event = parser_.next(input_, request_.head());
        step next_step = step::go_on;
        if (event.kind == h1::event_kind::need_input) {
            next_step = co_await receive_head_bytes();
        } else if (event.kind == h1::event_kind::head) {
            next_step = co_await answer();
        } else if (event.kind == h1::event_kind::error) {
            co_await refuse(event.failure);
            co_return;
        }
        if (next_step == step::close) { co_return; }
    }
}

task<connection::step> connection::receive_head_bytes() {
    if (!out_.empty()) {
        const bool flushed = co_await flush();
        if (!flushed) { co_return step::close; }
    }
    chunk_ = rt::net::chunk();
    const bool idle = parser_.is_idle();
    // The time for a head counts from its first byte: later bytes do not extend it.
    if (idle) { io_.set_deadline(limits_->idle_timeout); }
    auto received = co_await io_.receive(idle);
    if (!received) {
        if (received.error() == io_failure::timed_out && !idle) {
            co_await refuse(error::head_timed_out);
        }
        co_return step::close;
    }
    chunk_ = std::move(*received);
    input_ = chunk_.view();
    if (input_.empty()) {
        if (!idle) { log_bad(error::connection_lost); }
        co_return step::close;
    }
    if (idle) { io_.set_deadline(limits_->head_timeout); }
    co_return step::go_on;
}

void connection::begin_request() {
    const request_head& head = request_.head();
    body_received_ = 0;
    body_waited_ms_ = 0;
    body_failure_.reset();
    body_done_ = false;
    owes_continue_ = head.expects_continue();
    request_.set_body(*this, limits_->body_bytes_max);
    const bool empty = head.framing() == body_framing::none ||
                       (head.framing() == body_framing::length && parser_.remaining() == 0);
    if (empty) {
        body_done_ = parser_.next(input_, request_.head()).kind == h1::event_kind::end;
        owes_continue_ = false;
    }
}

bool connection::may_keep_alive(const response& answer) const noexcept {
    if (!request_.head().keep_alive() || body_failure_ || rt::stop_requested()) { return false; }
    if (body_done_) { return true; }
    // What a streamed response leaves unread is known only later.
    if (answer.is_streamed()) { return !owes_continue_; }
    // Whether a client that still waits for a 100 will send the body is up to it: nobody could
    // tell the body from the next request.
    return !owes_continue_ && parser_.remaining() <= limits_->unread_body_bytes_max;
}

task<connection::step> connection::answer() {
    begin_request();
    response answer = co_await handle();
    if (answer.is_streamed() && owes_continue_ && code(answer.status()) < 300) {
        // The producer may read the body; behind the head it would be too late for a 100.
        out_.append(h1::continue_response);
        owes_continue_ = false;
    }
    const method method = request_.method();
    const version version = request_.version();
    auto written = writer_.write(out_, answer, method, version, may_keep_alive(answer));
    if (!written) {
        log(log_level::error, "http: a handler's response has a header that cannot be sent");
        answer = response::problem(error::bad_response);
        written = writer_.write(out_, answer, method, version, may_keep_alive(answer));
    }
    if (writer_.expects_body()) {
        const step streamed = co_await stream_body(answer);
        if (streamed == step::close) { co_return step::close; }
    }
    const bool keeps = writer_.keeps_alive() && !body_failure_;
    if (body_failure_ && *body_failure_ != error::body_too_large) { log_bad(*body_failure_); }
    if (keeps && body_done_) {
        if (out_.size() < limits_->gathered_bytes_max) { co_return step::go_on; }
        const bool flushed = co_await flush();
        co_return flushed ? step::go_on : step::close;
    }
    if (keeps) {
        const step skipped = co_await skip_body();
        if (skipped == step::go_on) { co_return step::go_on; }
    }
    co_await linger();
    co_return step::close;
}

task<response> connection::handle() {
    std::exception_ptr failure;
    try {
        request_.params().clear();
        if (request_.head().target_form() == target_form::origin) {
            // The way that nearly all requests go, with as few coroutines as can be.
            const router::match route =
                routes_->find(request_.method(), request_.path(), request_.params());
            if (route.found == nullptr) {
                co_return router::answer_unmatched(request_.method(), route);
            }
            if (route.found->is_direct()) { co_return route.found->call(request_); }
            response answer = co_await route.found->start(request_);
            co_return answer;
        }
        response answer = co_await routes_->handle(request_);
        co_return answer;
    } catch (...) { failure = std::current_exception(); }
    co_return failed(std::move(failure));
}

response connection::failed(std::exception_ptr failure) const noexcept {
    try {
        std::rethrow_exception(std::move(failure));
    } catch (const std::exception& exception) {
        log(log_level::error, std::string("http: a handler failed: ") + exception.what());
    } catch (...) {
        log(log_level::error, "http: a handler failed with something that is no std::exception");
    }
    return response::problem(error::handler_failed);
}

task<connection::step> connection::stream_body(response& answer) {
    std::exception_ptr failure;
    std::expected<void, error> produced;
    try {
        produced = co_await answer.producer()(*this);
    } catch (...) { failure = std::current_exception(); }
    if (failure) {
        (void)failed(std::move(failure));
        produced = std::unexpected(error::handler_failed);
    }
    if (produced) { produced = writer_.write_end(out_); }
    if (produced) { co_return step::go_on; }
    if (produced.error() == error::bad_response) {
        log(log_level::error, "http: a streamed body does not have the length that was announced");
    }
    // A reset tells the client that what it got is not all.
    (void)io_.stream().set_reset_on_close(true);
    co_return step::close;
}

task<std::expected<void, error>> connection::write(std::string_view piece) {
    const auto added = writer_.write_piece(out_, piece);
    if (!added) { co_return added; }
    const bool flushed = co_await flush();
    if (!flushed) { co_return std::unexpected(error::connection_lost); }
    co_return std::expected<void, error>();
}

task<std::expected<std::string_view, error>> connection::next() {
    for (;;) {
        if (body_failure_) { co_return std::unexpected(*body_failure_); }
        if (body_done_) { co_return std::string_view(); }
        const h1::event event = parser_.next(input_, request_.head());
        switch (event.kind) {
            case h1::event_kind::body:
                owes_continue_ = false;
                body_received_ += event.data.size();
                co_return event.data;
            case h1::event_kind::need_input: {
                const auto received = co_await receive_body_bytes();
                if (!received) { body_failure_ = received.error(); }
                break;
            }
            case h1::event_kind::error: body_failure_ = event.failure; break;
            default: body_done_ = true;
        }
    }
}

// Allows for the grace, and for as long as the bytes so far may have taken at the least rate. Only
// the time in which we waited counts: a slow handler is not the client's fault.
std::chrono::milliseconds connection::body_patience() const noexcept {
    const auto idle = static_cast<std::uint64_t>(limits_->idle_timeout.count());
    const auto grace = static_cast<std::uint64_t>(limits_->body_grace.count());
    const std::uint64_t rate = std::max<std::uint64_t>(1, limits_->body_bytes_per_second_min);
    // In whole units first, as a long body's bytes times a thousand may not fit.
    const std::uint64_t earned = body_received_ / rate * 1000 + body_received_ % rate * 1000 / rate;
    const std::uint64_t allowed = grace + earned;
    const std::uint64_t left = allowed > body_waited_ms_ ? allowed - body_waited_ms_ : 0;
    return std::chrono::milliseconds(std::min(left, idle));
}

task<std::expected<void, error>> connection::receive_body_bytes() {
    if (owes_continue_) {
        out_.append(h1::continue_response);
        owes_continue_ = false;
    }
    // What was answered before must not wait for this body.
    if (!out_.empty()) {
        const bool flushed = co_await flush();
        if (!flushed) { co_return std::unexpected(error::connection_lost); }
    }
    chunk_ = rt::net::chunk();
    const std::uint64_t begin = connection_io::now_ms();
    io_.set_deadline(body_patience());
    auto received = co_await io_.receive(false);
    body_waited_ms_ += connection_io::now_ms() - begin;
    if (!received) {
        co_return std::unexpected(received.error() == io_failure::timed_out
                                      ? error::body_timed_out
                                      : error::connection_lost);
    }
    chunk_ = std::move(*received);
    input_ = chunk_.view();
    if (input_.empty()) { co_return std::unexpected(error::connection_lost); }
    co_return std::expected<void, error>();
}

// Reads what the handler left of the body, so that the next request can be found.
task<connection::step> connection::skip_body() {
    const std::uint64_t before = body_received_;
    while (!body_done_ && body_received_ - before <= limits_->unread_body_bytes_max) {
        const auto piece = co_await next();
        if (!piece) {
            log_bad(piece.error());
            co_return step::close;
        }
    }
    co_return body_done_ ? step::go_on : step::close;
}

task<bool> connection::flush() {
    std::size_t sent = 0;
    while (sent < out_.size()) {
        const std::string_view part = std::string_view(out_).substr(sent, send_bytes_max);
        rt::buffer bytes = std::move(sending_);
        bytes.clear();
        bytes.append(part);
        sent += part.size();
        io_.set_deadline(limits_->send_timeout);
        auto outcome = co_await io_.send(std::move(bytes));
        if (!outcome) {
            // What the peer did not take in time is not worth keeping in the kernel.
            (void)io_.stream().set_reset_on_close(true);
            out_.clear();
            co_return false;
        }
        sending_ = std::move(*outcome);
    }
    out_.clear();
    if (out_.capacity() > kept_bytes_max) { std::string().swap(out_); }
    if (sending_.capacity() > kept_bytes_max) { sending_ = rt::buffer(); }
    co_return true;
}

task<void> connection::refuse(error failure) {
    log_bad(failure);
    const response answer = response::problem(failure);
    const auto written = writer_.write(out_, answer, method::get, version::http_1_1, false);
    if (written) { co_await linger(); }
}

// Closing a socket with unread bytes sends a reset, which can reach the client before it has read
// the answer (RFC 9112, 9.6): end our direction first, and read on for a while.
task<void> connection::linger() {
    const bool flushed = co_await flush();
    if (!flushed) { co_return; }
    chunk_ = rt::net::chunk();
    if (io_.stream().shutdown(rt::net::shutdown_how::send)) { co_return; }
    io_.set_deadline(limits_->linger_timeout);
    std::size_t dropped = 0;
    while (dropped < linger_bytes_max) {
        auto received = co_await io_.receive(true);
        if (!received || received->empty()) { co_return; }
        dropped += received->size();
    }
}

void connection::log_bad(error failure) const noexcept {
    try {
        const auto peer = const_cast<connection*>(this)->io_.stream().peer_endpoint();
        std::string line = "http: ";
        line += peer ? peer->to_string() : std::string("a client");
        line += ": ";
        line += message(failure);
        log(log_level::warning, line);
    } catch (...) { log(log_level::warning, message(failure)); }
}

}  // namespace heph::http::detail
