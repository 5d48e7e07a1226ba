#include "connection.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "first_poll.hpp"
#include "large_body.hpp"

namespace heph::http::detail {

namespace {

// So much is sent without a wait for its end.
constexpr std::size_t quiet_bytes_max = 16 * 1024;

// Memory for sending beyond this is given back when all is sent.
constexpr std::size_t kept_bytes_max = 4 * 1024;

// At a stop, what was sent over a new connection before may not have arrived yet.
constexpr std::chrono::milliseconds last_arrival_grace(250);

// Counts one for as long as it lives.
class counted {
public:
    explicit counted(std::size_t& count) noexcept : count_(&count) { ++*count_; }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;
    ~counted() { --*count_; }

private:
    std::size_t* count_;
};

// What a peer may still send to a connection that is about to be closed.
constexpr std::size_t linger_bytes_max = 1024 * 1024;

}  // namespace

connection::connection(rt::net::tcp_stream stream, worker_share& share,
                       std::optional<rt::net::endpoint> peer)
    : share_(&share),
      io_(std::move(stream), share.over_unix),
      peer_(peer),
      parser_(*share.limits) {}

// Dropped half-way, a body that ends with the connection would look whole.
connection::~connection() {
    if (work_ && is_observed()) { end_exchange(false); }
    const bool unfinished = work_ && (work_->writer.ends_with_connection() || has_output());
    if (ends_body_by_closing_ && unfinished) { abort(); }
    if (makes_room_) { --share_->making_room; }
    end_quiet();
}

void connection::take_work_space() {
    if (work_) { return; }
    work_ = share_->work_spaces.take();
    io_.send_by(&work_->sending);
    work_->fresh = true;
    take_default_paces();
}

// The server's, until a handler or a middleware says otherwise.
void connection::take_default_paces() noexcept {
    work_->request.set_send_pace(
        transfer_pace(bounds().send_timeout, bounds().send_bytes_per_second_min));
    work_->request.set_receive_pace(
        transfer_pace(bounds().body_grace, bounds().body_bytes_per_second_min));
}

// The wait for a request sees the end as if it were the client's. A request that is there already
// is answered, as the last one.
void connection::make_room() noexcept {
    leave();
    makes_room_ = true;
    ++share_->making_room;
    (void)io_.socket().shutdown(rt::net::shutdown_how::receive);
}

// Leaves nothing of a request in it.
void connection::clear_work_space() {
    work_->out.clear();
    work_->out_sent = 0;
    work_->request.clear_values();
    work_->told = exchange_state();
    work_->watcher = waker();
    work_->began = {};
}

void connection::give_work_space_back() {
    if (!work_) { return; }
    clear_work_space();
    io_.send_by(nullptr);
    share_->work_spaces.give_back(std::move(work_));
}

task<void> connection::run() {
    for (;;) {
        // An idle parser has nothing to say about no input.
        h1::event_kind kind = h1::event_kind::need_input;
        if (work_) {
            h1::event event = parser_.next(work_->input, work_->request.head());
            if (event.kind == h1::event_kind::error) { take_extension(event); }
            kind = event.kind;
            if (kind == h1::event_kind::error) {
                co_await refuse(event.failure, work_->request.method(), true);
                co_return;
            }
        }
        step next_step = step::go_on;
        if (kind == h1::event_kind::need_input) {
            // Awaited here: while a connection is idle, it has no frame besides this one.
            if (work_ && has_output() && !send_quietly()) {
                const bool flushed = co_await flush();
                if (!flushed) { co_return; }
            }
            begin_to_receive();
            const arrival came = co_await io_.receive_for(*this, parser_.is_idle());
            leave();
            if (came == arrival::bytes) { continue; }
            next_step = co_await nothing_received(came);
        } else {
            std::optional<task<step>> rest = begin_answer();
            if (rest) { next_step = co_await std::move(*rest); }
        }
        if (next_step == step::close) { break; }
    }
    // What was sent last may be on its way still, or have failed.
    if (sends_quietly_) { (void)co_await flush(); }
}

// The parser knows no methods but those of HTTP; routes may be for others.
void connection::take_extension(h1::event& refused) {
    if (refused.failure != error::unknown_method || share_->extensions == nullptr) { return; }
    refused = parser_.take_extension(work_->request.head(), *share_->extensions);
}

void connection::take_received(rt::net::chunk&& bytes) {
    if (sends_quietly_ && !io_.sending()) { end_quiet(); }
    take_work_space();
    if (parser_.is_idle() && share_->observed) { work_->began = std::chrono::steady_clock::now(); }
    work_->received = std::move(bytes);
    work_->input = work_->received.view();
}

// Sets how long the next bytes are waited for. A connection without a request keeps next to
// nothing.
void connection::begin_to_receive() {
    if (work_ && !work_->received.empty()) { work_->received = rt::net::chunk(); }
    if (parser_.is_idle()) {
        if (sends_quietly_) {
            clear_work_space();
        } else {
            give_work_space_back();
        }
        head_deadline_ = false;
        io_.set_receive_deadline(bounds().idle_timeout);
    } else if (!head_deadline_) {
        // The time for a head counts from its first bytes: later ones do not extend it.
        head_deadline_ = true;
        io_.set_receive_deadline(bounds().head_timeout);
    }
    if (parser_.is_idle()) { (asked_before_ ? share_->idle : share_->silent).add(*this); }
}

bool connection::has_been_silent(std::chrono::milliseconds grace) const {
    return io_.receive_time_left() <= bounds().idle_timeout - grace;
}

task<connection::step> connection::nothing_received(arrival came) {
    const bool idle = parser_.is_idle();
    if (came == arrival::stopping && !asked_before_) {
        io_.set_receive_deadline(last_arrival_grace);
        came = co_await io_.receive_for(*this, false);
        if (came == arrival::bytes) { co_return step::go_on; }
    }
    if (idle) { co_return step::close; }
    if (came == arrival::timed_out) {
        const h1::event late = parser_.give_up(error::head_timed_out, work_->request.head());
        co_await refuse(late.failure, work_->request.method(), true);
    } else {
        log_bad(error::connection_lost);
        tell_refused(error::connection_lost,
                     parser_.first_line(work_->input, work_->request.head()), {}, false);
    }
    co_return step::close;
}

void connection::begin_request() {
    const request_head& head = work_->request.head();
    asked_before_ = true;
    head_deadline_ = false;
    work_->body_received = 0;
    work_->body_waited_ms = 0;
    body_failure_.reset();
    body_done_ = false;
    skips_body_ = false;
    owes_continue_ = head.expects_continue();
    answered_ = false;
    work_->request.params().clear();
    work_->request.set_connected_peer(peer_);
    work_->request.set_interim_sender(*this);
    work_->request.set_failure_handler(*this);
    work_->request.set_client_watcher(*this);
    if (!std::exchange(work_->fresh, false)) {
        // What was left by the last request, whose handler may have changed the paces.
        work_->request.clear_values();
        work_->told = exchange_state();
        take_default_paces();
    }
    work_->told.open = true;
    if (share_->observed && work_->began == std::chrono::steady_clock::time_point()) {
        work_->began = std::chrono::steady_clock::now();
    }
    work_->request.set_stream(io_.socket(), share_->over_unix);
    work_->request.set_secure_channel(io_.stream().channel());
    work_->request.set_body(*this, bounds().body_bytes_max);
    const bool empty = head.framing() == body_framing::none ||
                       (head.framing() == body_framing::length && parser_.remaining() == 0);
    if (empty) {
        body_done_ = parser_.next(work_->input, work_->request.head()).kind == h1::event_kind::end;
        owes_continue_ = false;
    }
    // The handler may take long; the buffer is wanted elsewhere.
    if (work_->input.empty()) { work_->received = rt::net::chunk(); }
}

bool connection::may_keep_alive(const response& reply) const noexcept {
    if (!work_->request.head().keep_alive() || body_failure_ || makes_room_ ||
        rt::stop_requested()) {
        return false;
    }
    if (body_done_) { return true; }
    // Whether a client that still waits for a 100 will send the body is up to it: nobody could
    // tell the body from the next request.
    if (owes_continue_) { return false; }
    // What a streamed response leaves unread is known only later.
    return reply.is_streamed() || parser_.remaining() <= bounds().unread_body_bytes_max;
}

// Answers at once where there is nothing to wait for, which is the way of most requests; gives what
// is left to do otherwise.
std::optional<task<connection::step>> connection::begin_answer() {
    begin_request();
    if (work_->request.head().target_form() != target_form::origin) {
        return is_misdirected() ? finish(misdirected()) : answer(nullptr);
    }
    const bool is_extension = work_->request.method() == method::extension;
    const router::match route =
        is_extension ? share_->routes->find(work_->request.method_name(), work_->request.path(),
                                            work_->request.params())
                     : share_->routes->find(work_->request.method(), work_->request.path(),
                                            work_->request.params());
    if (route.found != nullptr && !route.found->is_direct()) { return answer(route.found); }
    if (route.unmatched != nullptr) { return answer(route.unmatched); }
    response reply = route.found != nullptr ? call(*route.found)
                                            : share_->routes->error_answer(work_->request, route);
    if (reply.is_streamed() || reply.is_upgrade() || reply.body().size() > copied_body_bytes_max) {
        return finish(std::move(reply));
    }
    write_head(reply);
    if (body_done_ && work_->writer.keeps_alive() && !has_gathered_enough() && !is_observed()) {
        return std::nullopt;
    }
    return end_request();
}

response connection::call(const handler& direct) {
    work_->told.handled = true;
    try {
        return direct.call(work_->request);
    } catch (...) { return failed(std::current_exception()); }
}

// Tells whether a URL of https is asked for in plain text (RFC 9110, 7.4). A proxy before the
// server that is spoken to in TLS asks by path.
bool connection::is_misdirected() noexcept {
    constexpr std::string_view secure = "https://";
    return !io_.stream().is_secured() &&
           equal_ignoring_case(work_->request.target().substr(0, secure.size()), secure);
}

response connection::misdirected() {
    return response::problem(status::misdirected_request,
                             "What is at an https URL is given over TLS only.");
}

task<connection::step> connection::answer(const handler* found) {
    if (share_->answering >= bounds().requests_max) {
        const step refused = co_await finish(overloaded());
        co_return refused;
    }
    work_->told.handled = found != nullptr || share_->routes->has_middleware();
    response reply;
    std::exception_ptr failure;
    std::optional<counted> one(std::in_place, share_->answering);
    try {
        task<response> waiting = found != nullptr ? found->start(work_->request)
                                                  : share_->routes->handle(work_->request);
        if (has_output()) {
            // What was answered before must not wait for a handler that waits.
            std::optional<response> early = co_await first_poll<response>(waiting);
            if (early) {
                reply = std::move(*early);
            } else {
                (void)co_await flush();
                reply = co_await waiting;
            }
        } else {
            reply = co_await std::move(waiting);
        }
    } catch (...) { failure = std::current_exception(); }
    one.reset();
    if (failure) { reply = failed(failure); }
    const step done = co_await finish(std::move(reply));
    co_return done;
}

task<connection::step> connection::finish(response reply) {
    if (reply.is_streamed() && owes_continue_ && !announces_too_much() &&
        code(reply.status()) < 300) {
        // The producer may read the body; behind the head it would be too late for a 100.
        work_->out.append(h1::continue_response);
        owes_continue_ = false;
    }
    if (reply.is_upgrade() && !body_done_) {
        // The other protocol begins behind the request (RFC 9110, 7.8).
        const step skipped = co_await skip_body();
        if (skipped == step::close) {
            // What was answered before has to leave all the same.
            if (body_failure_ && *body_failure_ != error::connection_lost) {
                co_await refuse(*body_failure_, work_->request.method());
            } else {
                co_await linger(false);
            }
            co_return step::close;
        }
    }
    write_head(reply);
    if (reply.is_upgrade()) {
        const step ended = co_await run_upgraded(reply);
        co_return ended;
    }
    if (work_->writer.expects_body()) {
        const step streamed = co_await stream_body(reply);
        if (streamed == step::close) { co_return step::close; }
    } else if (const std::size_t left = work_->writer.left_out(); left != 0) {
        const bool sent = co_await send_rest(reply.take_body(), left);
        if (!sent) { co_return step::close; }
    }
    const step ended = co_await end_request();
    co_return ended;
}

void connection::write_head(response& reply) {
    const method method = work_->request.method();
    const version version = work_->request.version();
    work_->head_at = work_->out.size();
    answered_ = true;
    work_->trailers.clear();
    const bool keep_alive = may_keep_alive(reply);
    const std::size_t copied = bytes_with_head(reply.body().size());
    auto written = work_->writer.write(work_->out, reply, method, version, keep_alive, copied);
    if (!written) {
        share_->log(log_level::error,
                    [] { return "http: a handler's response has a header that cannot be sent"; });
        reply = answer_error(error::bad_response);
        written = work_->writer.write(work_->out, reply, method, version, keep_alive);
        if (!written) {
            reply = response::problem(error::bad_response);
            written = work_->writer.write(work_->out, reply, method, version, keep_alive);
        }
    }
    owes_continue_ = false;
    if (is_observed()) { note_answer(reply.status()); }
}

task<connection::step> connection::end_request() {
    if (is_observed()) { co_await finish_exchange(); }
    if (body_failure_ && *body_failure_ != error::body_too_large) { log_bad(*body_failure_); }
    if (work_->writer.keeps_alive() && !body_failure_) {
        if (!body_done_) {
            const step skipped = co_await skip_body();
            if (skipped == step::go_on) { co_return step::go_on; }
        } else if (!has_gathered_enough()) {
            co_return step::go_on;
        } else {
            const bool flushed = co_await flush();
            co_return flushed ? step::go_on : step::close;
        }
    }
    co_await linger(body_done_ && work_->input.empty());
    co_return step::close;
}

// Sends a whole answer without a wait for its end, where the next thing to do is to wait for a
// request: one poll does for a request then. Gives whether it does so. The work space has what is
// being sent, and is kept until that is known to be gone: hence not for any number of connections.
bool connection::send_quietly() {
    if (io_.sending() || io_.stream().is_secured() || !parser_.is_idle() ||
        share_->quiet >= worker_share::quiet_max) {
        return false;
    }
    const std::string_view left = std::string_view(work_->out).substr(work_->out_sent);
    if (left.size() > quiet_bytes_max) { return false; }
    rt::buffer bytes = io_.take_spare();
    bytes.append(left);
    work_->out_sent = work_->out.size();
    const bool gone = io_.send_quietly(std::move(bytes), slowest());
    if (io_.send_failed()) { return false; }
    note_flushed();
    sends_quietly_ = !gone;
    if (!gone) { ++share_->quiet; }
    return true;
}

void connection::end_quiet() noexcept {
    if (std::exchange(sends_quietly_, false)) { --share_->quiet; }
}

void connection::note_sent() {
    if (!sends_quietly_) { return; }
    end_quiet();
    if (parser_.is_idle()) { give_work_space_back(); }
}

// *Requires*: all that may leave is on its way.
void connection::note_flushed() {
    if (work_->out_sent == work_->out.size()) {
        work_->out.clear();
        work_->out_sent = 0;
        if (work_->out.capacity() > kept_bytes_max) { std::string().swap(work_->out); }
    }
    io_.trim_spare(kept_bytes_max);
}

task<bool> connection::flush() {
    while (!io_.send_failed()) {
        if (io_.sending()) {
            (void)co_await io_.sent();
            continue;
        }
        const std::size_t end = out_end();
        if (work_->out_sent == end) {
            end_quiet();
            note_flushed();
            co_return true;
        }
        const std::size_t size = std::min(end - work_->out_sent, io_.block_bytes_max());
        rt::buffer bytes = io_.take_spare();
        bytes.append(std::string_view(work_->out).substr(work_->out_sent, size));
        work_->out_sent += size;
        io_.send(std::move(bytes), slowest());
    }
    // What the peer did not take in time is not worth keeping in the kernel.
    abort();
    work_->out.clear();
    work_->out_sent = 0;
    co_return false;
}

// Sends the last `size` bytes of a body behind what is gathered, without copying them.
task<bool> connection::send_rest(std::shared_ptr<const std::string> body, std::size_t size) {
    bool flushed = co_await flush();
    while (flushed && size != 0) {
        const std::string_view all(*body);
        const std::string_view piece = all.substr(all.size() - size, io_.block_bytes_max());
        size -= piece.size();
        io_.send(rt::buffer::of_shared(body, piece), slowest());
        flushed = co_await flush();
    }
    co_return flushed;
}

task<bool> connection::secure(const server_security& security) {
    std::error_code failed = io_.stream().secure(security);
    if (!failed) {
        io_.set_receive_deadline(bounds().handshake_timeout);
        auto shaken = co_await io_.bounded(io_.stream().handshake(), true);
        if (!shaken && shaken.error() == std::errc::operation_canceled) {
            io_.set_receive_deadline(last_arrival_grace);
            shaken = co_await io_.bounded(io_.stream().handshake(), false);
            if (!shaken) { co_return false; }
        }
        if (shaken && *shaken) { co_return true; }
        failed = shaken ? shaken->error() : shaken.error();
    }
    if (failed == make_error_code(error::plain_on_tls_port)) {
        io_.stream().give_security_up();
        co_await refuse(error::plain_on_tls_port);
    } else {
        log_bad("TLS handshake: " + failed.message());
    }
    co_return false;
}

task<void> connection::close() {
    if (!io_.stream().is_secured() || aborted_ || io_.send_failed()) { co_return; }
    io_.set_receive_deadline(bounds().linger_timeout);
    // Who is gone already cannot be told.
    (void)co_await io_.bounded(io_.stream().shutdown(), false);
}

// Closing a socket with unread bytes sends a reset, which can reach the client before it has read
// the answer (RFC 9112, 9.6): end our direction first, and read on for a while.
task<void> connection::linger(bool all_read) {
    const bool flushed = co_await flush();
    if (!flushed) { co_return; }
    // A client that asked for the end sends no more.
    if (all_read && !work_->request.head().keep_alive()) { co_return; }
    work_->received = rt::net::chunk();
    io_.set_receive_deadline(bounds().linger_timeout);
    const auto ended = co_await io_.bounded(io_.stream().shutdown(), false);
    if (!ended || *ended) { co_return; }
    std::size_t dropped = 0;
    while (dropped < linger_bytes_max) {
        auto received = co_await io_.receive(all_read);
        if (!received || received->empty()) { co_return; }
        dropped += received->size();
    }
}

}  // namespace heph::http::detail
