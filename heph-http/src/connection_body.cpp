// The bodies of a connection's requests and responses.

#include <algorithm>
#include <string>
#include <utility>

#include "connection.hpp"
#include "file_pieces.hpp"
#include "first_poll.hpp"

namespace heph::http::detail {

namespace {

// A wait without a limit is cut into these.
constexpr std::chrono::milliseconds gone_patience = std::chrono::hours(1);

}  // namespace

task<std::expected<std::string_view, error>> connection::next() {
    for (;;) {
        if (body_failure_) { co_return std::unexpected(*body_failure_); }
        if (body_done_) { co_return std::string_view(); }
        if (!skips_body_ && announces_too_much()) {
            // Before a byte of it was asked for.
            body_failure_ = error::body_too_large;
            continue;
        }
        const h1::event event = parser_.next(work_->input, work_->request.head());
        switch (event.kind) {
            case h1::event_kind::body:
                owes_continue_ = false;
                work_->body_received += event.data.size();
                if (skips_body_ || work_->body_received <= work_->request.body_limit()) {
                    co_return event.data;
                }
                body_failure_ = error::body_too_large;
                break;
            case h1::event_kind::need_input: {
                const auto received = co_await receive_body_bytes();
                if (!received) { body_failure_ = received.error(); }
                if (body_failure_ == error::connection_lost) {
                    client_gone_ = true;
                    wake_watcher();
                }
                break;
            }
            case h1::event_kind::error: body_failure_ = event.failure; break;
            default: body_done_ = true; wake_watcher();
        }
    }
}

void connection::wake_watcher() noexcept {
    if (work_->watcher) { std::exchange(work_->watcher, waker()).wake(); }
}

bool connection::announces_too_much() const noexcept {
    return work_->request.head().content_length().value_or(0) > work_->request.body_limit();
}

// Allows for the grace, and for as long as the bytes so far may have taken at the least rate. Only
// the time in which we waited counts: a slow handler is not the client's fault.
std::chrono::milliseconds connection::body_patience() const noexcept {
    const auto idle = static_cast<std::uint64_t>(bounds().idle_timeout.count());
    const transfer_pace pace = work_->request.receive_pace();
    const auto grace = static_cast<std::uint64_t>(pace.pause.count());
    const std::uint64_t rate = std::max<std::uint64_t>(1, pace.bytes_per_second_min);
    // In whole units first, as a long body's bytes times a thousand may not fit.
    const std::uint64_t earned =
        work_->body_received / rate * 1000 + work_->body_received % rate * 1000 / rate;
    const std::uint64_t allowed = grace + earned;
    const std::uint64_t left =
        allowed > work_->body_waited_ms ? allowed - work_->body_waited_ms : 0;
    return std::chrono::milliseconds(std::min(left, idle));
}

task<std::expected<void, error>> connection::receive_body_bytes() {
    if (owes_continue_) {
        work_->out.append(h1::continue_response);
        owes_continue_ = false;
    }
    // What was answered before must not wait for this body.
    if (has_output()) {
        const bool flushed = co_await flush();
        if (!flushed) { co_return std::unexpected(error::connection_lost); }
    }
    work_->received = rt::net::chunk();
    const std::uint64_t begin = connection_io::now_ms();
    io_.set_receive_deadline(body_patience());
    auto received = co_await io_.receive(false);
    work_->body_waited_ms += connection_io::now_ms() - begin;
    if (!received) {
        co_return std::unexpected(received.error() == io_failure::timed_out
                                      ? error::body_timed_out
                                      : error::connection_lost);
    }
    work_->received = std::move(*received);
    work_->input = work_->received.view();
    if (work_->input.empty()) { co_return std::unexpected(error::connection_lost); }
    co_return std::expected<void, error>();
}

// Reads what the handler left of the body, so that the next request can be found.
task<connection::step> connection::skip_body() {
    const std::uint64_t before = work_->body_received;
    skips_body_ = true;  // What a handler may have does not count for what nobody keeps.
    while (!body_done_ && work_->body_received - before <= bounds().unread_body_bytes_max) {
        const auto piece = co_await next();
        if (!piece) {
            log_bad(piece.error());
            co_return step::close;
        }
    }
    co_return body_done_ ? step::go_on : step::close;
}

task<std::expected<void, error>> connection::write(std::string_view piece) {
    holds_head_ = false;
    const auto added = work_->writer.write_piece(work_->out, piece);
    if (!added) { co_return added; }
    const bool flushed = co_await flush();
    if (!flushed) { co_return std::unexpected(error::connection_lost); }
    co_return std::expected<void, error>();
}

namespace {

// What is given up in the middle of a piece must not be gone on with.
class cut_if_dropped {
public:
    explicit cut_if_dropped(connection_io& io) noexcept : io_(&io) {}
    cut_if_dropped(const cut_if_dropped&) = delete;
    cut_if_dropped& operator=(const cut_if_dropped&) = delete;
    ~cut_if_dropped() {
        if (io_ != nullptr) { io_->give_up_sending(); }
    }
    void piece_is_whole() noexcept { io_ = nullptr; }

private:
    connection_io* io_;
};

}  // namespace

task<std::expected<void, error>> connection::write_file(const rt::fs::file& from,
                                                        std::uint64_t offset, std::uint64_t size) {
    using outcome = std::expected<void, error>;
    if (size == 0) {
        const outcome begun = co_await write({});
        co_return begun;
    }
    holds_head_ = false;
    const outcome begun = work_->writer.begin_piece(work_->out, size);
    if (!begun) { co_return begun; }
    const bool flushed = co_await flush();
    if (!flushed) { co_return outcome(std::unexpect, error::connection_lost); }
    cut_if_dropped guard(io_);
    const bool taken = io_.stream().takes_file(size);
    task<outcome> sending =
        taken ? send_file(&from, offset, size) : send_file_pieces(&from, offset, size);
    const outcome sent = co_await std::move(sending);
    if (!sent && sent.error() == error::handler_failed) {
        share_->log(log_level::error, [] {
            return "http: a file that is being sent cannot be read, or has become shorter";
        });
    }
    if (!sent) { co_return sent; }
    guard.piece_is_whole();
    work_->writer.end_piece(work_->out);
    co_return outcome();
}

// The kernel takes the bytes from the file.
task<std::expected<void, error>> connection::send_file(const rt::fs::file* from,
                                                       std::uint64_t offset, std::uint64_t size) {
    using outcome = std::expected<void, error>;
    while (size != 0) {
        const std::uint64_t now = std::min<std::uint64_t>(size, io_.block_bytes_max());
        auto sending = io_.bounded_send(io_.stream().send_file(*from, offset, now), slowest());
        io_.count_handed(now);
        const auto sent = co_await sending;
        if (sent && *sent) { io_.count_taken(**sent); }
        if (!sent || (!*sent && sent->error() != std::errc::io_error)) {
            co_return outcome(std::unexpect, error::connection_lost);
        }
        // The file has become shorter, or cannot be read.
        if (!*sent || **sent != now) { co_return outcome(std::unexpect, error::handler_failed); }
        offset += now;
        size -= now;
    }
    co_return outcome();
}

// A connection that is secured by OpenSSL has to see the bytes.
task<std::expected<void, error>> connection::send_file_pieces(const rt::fs::file* from,
                                                              std::uint64_t offset,
                                                              std::uint64_t size) {
    using outcome = std::expected<void, error>;
    const std::size_t most = std::min(file_piece_bytes, io_.block_bytes_max());
    while (size != 0) {
        const auto now = static_cast<std::size_t>(std::min<std::uint64_t>(size, most));
        auto reading = read_file_piece(from, io_.take_spare(), offset, now);
        auto piece = co_await std::move(reading);
        if (!piece) { co_return outcome(std::unexpect, piece.error()); }
        io_.send(std::move(*piece), slowest());
        const bool sent = co_await io_.sent();
        if (!sent) { co_return outcome(std::unexpect, error::connection_lost); }
        offset += now;
        size -= now;
    }
    io_.trim_spare(0);
    co_return outcome();
}

// Waits until the client can be watched: nobody else receives, and all that came was used.
class connection::watch_future {
public:
    using value_type = void;
    explicit watch_future(connection& watched) noexcept : watched_(&watched) {}
    polled<void> poll(const waker& waker) noexcept {
        if (watched_->client_gone_ || (watched_->body_done_ && watched_->work_->input.empty())) {
            return ready;
        }
        watched_->work_->watcher = waker;
        return pending;
    }

private:
    connection* watched_;
};

task<void> connection::gone() {
    for (;;) {
        watch_future watchable(*this);
        co_await watchable;
        if (client_gone_) { co_return; }
        work_->received = rt::net::chunk();
        io_.set_receive_deadline(gone_patience);
        auto received = co_await io_.receive(false);
        if (!received && received.error() == io_failure::timed_out) { continue; }
        client_gone_ = !received || received->empty();
        if (client_gone_) { co_return; }
        // The next request, which waits for the end of this one's answer.
        work_->received = std::move(*received);
        work_->input = work_->received.view();
    }
}

std::expected<void, error> connection::add_trailer(std::string_view name, std::string_view value) {
    return h1::response_writer::add_trailer(work_->trailers, name, value);
}

task<std::expected<void, error>> connection::send_interim(http::status status,
                                                          const http::headers& fields) {
    if (answered_) { co_return std::unexpected(error::bad_response); }
    const auto written =
        h1::response_writer::write_interim(work_->out, status, fields, work_->request.version());
    if (!written || !has_output()) { co_return written; }
    const bool flushed = co_await flush();
    if (!flushed) { co_return std::unexpected(error::connection_lost); }
    co_return std::expected<void, error>();
}

// Runs the producer of a streamed body to its end.
task<std::expected<void, error>> connection::produce(response& reply) {
    using outcome = std::expected<void, error>;
    std::exception_ptr failure;
    try {
        task<outcome> producing = reply.producer()(*this);
        if (has_output()) {
            // What was answered before must not wait for a producer that waits.
            const std::optional<outcome> early = co_await first_poll<outcome>(producing);
            if (early) { co_return *early; }
            const bool flushed = co_await flush();
            if (!flushed) { co_return std::unexpected(error::connection_lost); }
            const outcome produced = co_await producing;
            co_return produced;
        }
        const outcome produced = co_await std::move(producing);
        co_return produced;
    } catch (...) { failure = std::current_exception(); }
    report_failure(failure);
    co_return std::unexpected(error::handler_failed);
}

task<connection::step> connection::stream_body(response& reply) {
    holds_head_ = true;
    ends_body_by_closing_ = work_->writer.ends_with_connection();
    std::expected<void, error> produced = co_await produce(reply);
    const bool held = std::exchange(holds_head_, false);
    if (produced) { produced = work_->writer.write_end(work_->out, work_->trailers); }
    if (produced) { co_return step::go_on; }
    work_->told.why = produced.error();
    if (produced.error() == error::bad_response) {
        share_->log(log_level::error, [] {
            return "http: a streamed body does not have the length that was announced";
        });
    }
    if (held && !io_.send_failed()) {
        // Nothing of it was sent yet, so that the error can still be told.
        work_->out.resize(work_->head_at);
        ends_body_by_closing_ = false;
        response instead = answer_error(produced.error());
        write_head(instead);
        const std::size_t left = work_->writer.left_out();
        if (left == 0) { co_return step::go_on; }
        const bool sent = co_await send_rest(instead.take_body(), left);
        co_return sent ? step::go_on : step::close;
    }
    if (body_failure_) {
        log_bad(*body_failure_);
    } else if (!io_.send_failed() && !client_gone_ && produced.error() != error::bad_response) {
        share_->log(log_level::error, [&] {
            return "http: a streamed response is cut short: " +
                   std::string(message(produced.error()));
        });
    }
    abort();
    co_return step::close;
}

}  // namespace heph::http::detail
