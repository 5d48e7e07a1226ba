#include "client_connection.hpp"

#include <heph/core/either.hpp>
#include <heph/rt/timer.hpp>

#include "large_body.hpp"

namespace heph::http::detail {

namespace {

std::error_code timed_out() noexcept { return std::make_error_code(std::errc::timed_out); }

/// Waits until a flag is set; whoever sets it polls.
class flag_future {
public:
    using value_type = void;
    explicit flag_future(const bool& flag) noexcept : flag_(&flag) {}
    polled<void> poll(const waker& /*waker*/) {
        if (*flag_) { return ready; }
        return pending;
    }

private:
    const bool* flag_;
};

}  // namespace

/// Sends bytes, unless sending is given up.
class client_connection::send_step {
public:
    using value_type = std::expected<rt::buffer, std::error_code>;
    send_step(client_connection& owner, rt::buffer bytes) noexcept
        : owner_(&owner), sending_(owner.stream_.send_all(std::move(bytes))) {}
    polled<value_type> poll(const waker& waker) {
        if (owner_->given_up_) {
            return value_type(std::unexpect, std::make_error_code(std::errc::operation_canceled));
        }
        return sending_.poll(waker);
    }

private:
    client_connection* owner_;
    peer_stream::send_future sending_;
};

task<std::error_code> client_connection::exchange(std::shared_ptr<client_request> request,
                                                  const url& to) {
    parser_.begin(request->method());
    peer_refused_ = false;
    given_up_ = false;
    silent_ = true;
    if (terms_.uses) { --*terms_.uses; }
    trailers_.clear();
    const std::shared_ptr<client_request> asked = request;
    upgrades_ = asked->headers().contains("Upgrade");
    on_interim_ = asked->interim_handler() ? &asked->interim_handler() : nullptr;
    request_ = std::move(request);
    sending_.emplace(send_request(to));
    task<std::error_code> receiving = receive_head();
    auto first = co_await either(*sending_, receiving);
    if (first.index() == 1) {
        const std::error_code received = std::get<1>(first);
        // An error makes the rest of the request pointless, and so does the end of its connection.
        const bool goes_on = !received && code(head_.status()) < 400;
        if (!goes_on) { stop_sending(); }
        if (goes_on && tunnel_) {
            // The other protocol begins behind the whole request (RFC 9110, 7.8).
            auto rest = co_await either(*sending_);
            end_sending(std::get<0>(rest));
            co_return std::get<0>(rest);
        }
        co_return received;
    }
    const std::error_code sent = std::get<0>(first);
    end_sending(sent);
    if (sent && !peer_refused_) { co_return sent; }
    // A server that takes no more may have answered before: that says more than a broken pipe.
    auto received = co_await with_deadline(receiving, rt::timer(options_->response_timeout));
    if (!received) { co_return refuse(sent ? sent : timed_out()); }
    co_return *received&& sent ? sent : *received;
}

void client_connection::end_sending(std::error_code sent) noexcept {
    if (sent) { reusable_ = false; }
    sending_.reset();
    request_.reset();
}

void client_connection::stop_sending() noexcept {
    if (!sending_) { return; }
    reusable_ = false;
    given_up_ = true;
    try {
        // A producer that writes, or waits in `gone`, learns now why it ends.
        (void)sending_->poll(waker());
    } catch (...) {
        // What it says to that is of no use: there is an answer, or an error of the connection.
    }
    end_sending({});
}

// Sends the rest of a request whose answer has come to its end.
task<void> client_connection::finish_sending() {
    while (sending_) {
        // RFC 9112, 9.6: behind such an answer the server reads nothing.
        if (!reusable_ || !bytes_.empty()) {
            stop_sending();
            break;
        }
        std::exception_ptr thrown;
        try {
            auto next = stream_.next();
            auto first = co_await either(*sending_, next);
            if (first.index() == 0) {
                end_sending(std::get<0>(first));
            } else {
                // The end of the connection, or what was not asked for.
                stop_sending();
            }
        } catch (...) { thrown = std::current_exception(); }
        if (thrown) { fail_sending(std::move(thrown)); }
    }
}

// What a producer threw is given out once: it has ended, and must not be asked again.
void client_connection::fail_sending(std::exception_ptr thrown) {
    reusable_ = false;
    end_sending({});
    std::rethrow_exception(std::move(thrown));
}

task<void> client_connection::gone() { co_await flag_future(given_up_); }

task<std::error_code> client_connection::send_request(const url& to) {
    std::string head;
    const std::size_t copied = bytes_with_head(request_->body().size());
    const auto written = through_ == nullptr
                             ? writer_.write(head, *request_, to.target, to.authority(), {}, copied)
                             : writer_.write(head, *request_, to.to_string(), to.authority(),
                                             through_->authorization(), copied);
    if (!written) { co_return make_error_code(written.error()); }
    std::error_code sent = co_await send_bytes(head);
    if (const std::size_t left = writer_.left_out(); !sent && left != 0) {
        sent = co_await send_rest(request_->shared_body(), left);
    }
    if (sent || !writer_.expects_body()) { co_return sent; }
    const auto produced = co_await request_->producer()(*this);
    if (!produced) { co_return make_error_code(produced.error()); }
    std::string last;
    const auto ended = writer_.write_end(last, trailers_);
    if (!ended) { co_return make_error_code(ended.error()); }
    if (!last.empty()) { sent = co_await send_bytes(last); }
    co_return sent;
}

task<std::expected<void, error>> client_connection::write(std::string_view piece) {
    using result = std::expected<void, error>;
    if (given_up_) { co_return result(std::unexpect, error::connection_lost); }
    std::string out;
    const auto written = writer_.write_piece(out, piece);
    if (!written) { co_return written; }
    if (out.empty()) { co_return result(); }
    const std::error_code sent = co_await send_bytes(out);
    if (sent) { co_return result(std::unexpect, error::connection_lost); }
    co_return result();
}

task<std::error_code> client_connection::send_bytes(std::string_view bytes) {
    std::error_code failed;
    while (!bytes.empty() && !failed) {
        const std::string_view piece = bytes.substr(0, block_bytes_max_);
        bytes.remove_prefix(piece.size());
        failed = co_await send_block(rt::buffer::copy_of(piece));
    }
    co_return failed;
}

// Sends the last `size` bytes of a body behind its head, without copying them.
task<std::error_code> client_connection::send_rest(std::shared_ptr<const std::string> body,
                                                   std::size_t size) {
    std::error_code failed;
    while (size != 0 && !failed) {
        const std::string_view all(*body);
        const std::string_view piece = all.substr(all.size() - size, block_bytes_max_);
        size -= piece.size();
        failed = co_await send_block(rt::buffer::of_shared(body, piece));
    }
    co_return failed;
}

task<std::error_code> client_connection::send_block(rt::buffer bytes) {
    send_patience_.begin({options_->pause_timeout});
    send_step step(*this, std::move(bytes));
    patient_future sending(send_patience_, send_alarm_, stream_.socket().descriptor(),
                           std::move(step));
    auto sent = co_await sending;
    if (!sent) { co_return refuse(timed_out()); }
    if (!*sent) {
        peer_refused_ = true;
        co_return refuse(sent->error());
    }
    co_return std::error_code();
}

std::error_code client_connection::take(std::expected<rt::net::chunk, std::error_code> received) {
    if (!received) { return refuse(received.error()); }
    bytes_ = std::move(*received);
    at_end_ = bytes_.empty();
    if (at_end_) { reusable_ = false; }
    silent_ = silent_ && at_end_;
    return {};
}

// Waits without end: who awaits it knows how long the server may take.
task<std::error_code> client_connection::receive_head() {
    for (;;) {
        std::string_view input = bytes_.view();
        const h1::event event = at_end_ ? parser_.end_of_input() : parser_.next(input, head_);
        bytes_.consume(bytes_.size() - input.size());
        switch (event.kind) {
            case h1::event_kind::need_input: break;
            case h1::event_kind::error: co_return refuse(make_error_code(event.failure));
            default:
                // What comes before the final one only tells that it is on its way.
                if (code(head_.status()) < 200 && head_.framing() != response_framing::tunnel) {
                    if (on_interim_ != nullptr) { (*on_interim_)(head_); }
                    continue;
                }
                tunnel_ = head_.framing() == response_framing::tunnel;
                if (tunnel_ && !upgrades_) {
                    co_return refuse(make_error_code(error::unasked_upgrade));
                }
                terms_.add(read_keep_alive(head_.headers()));
                head_status_ = head_.status();
                reusable_ = reusable_ && head_.keep_alive() && !tunnel_;
                co_return std::error_code();
        }
        const std::error_code failed = take(co_await stream_.next());
        if (failed) { co_return failed; }
    }
}

// Receives more of a body, and sends more of the request meanwhile.
task<std::error_code> client_connection::receive_body() {
    for (;;) {
        if (!sending_) {
            auto received = co_await rt::deadline(options_->pause_timeout, stream_.next());
            co_return received ? take(std::move(*received)) : refuse(timed_out());
        }
        // Sending has its own limit, and a server may wait for what is sent.
        std::exception_ptr thrown;
        try {
            auto next = stream_.next();
            auto first = co_await either(*sending_, next);
            if (first.index() == 1) { co_return take(std::get<1>(std::move(first))); }
            end_sending(std::get<0>(first));
        } catch (...) { thrown = std::current_exception(); }
        if (thrown) { fail_sending(std::move(thrown)); }
    }
}

task<std::expected<std::string_view, std::error_code>> client_connection::next_piece() {
    using result = std::expected<std::string_view, std::error_code>;
    for (;;) {
        if (tunnel_) { co_return result(std::string_view()); }
        if (parser_.is_done()) {
            co_await finish_sending();
            co_return result(std::string_view());
        }
        std::string_view input = bytes_.view();
        const h1::event event = at_end_ ? parser_.end_of_input() : parser_.next(input, head_);
        // The memory of what is consumed stays until the next chunk.
        bytes_.consume(bytes_.size() - input.size());
        switch (event.kind) {
            case h1::event_kind::body: co_return result(event.data);
            case h1::event_kind::error:
                co_return result(std::unexpect, refuse(make_error_code(event.failure)));
            case h1::event_kind::need_input: {
                const std::error_code failed = co_await receive_body();
                if (failed) { co_return result(std::unexpect, failed); }
                break;
            }
            case h1::event_kind::end: reusable_ = reusable_ && head_.keep_alive(); break;
            default: break;
        }
    }
}

task<std::expected<std::string_view, std::error_code>> client_connection::tunnel_stream::read() {
    using result = std::expected<std::string_view, std::error_code>;
    rt::net::chunk& bytes = owner_->bytes_;
    if (bytes.empty()) {
        const std::error_code failed = owner_->take(co_await owner_->stream_.next());
        if (failed) { co_return result(std::unexpect, failed); }
    }
    // The memory of what is consumed stays until the next chunk.
    const std::string_view all = bytes.view();
    bytes.consume(all.size());
    co_return result(all);
}

task<std::expected<void, std::error_code>> client_connection::tunnel_stream::write(
    std::string_view bytes) {
    using result = std::expected<void, std::error_code>;
    const std::error_code failed = co_await owner_->send_bytes(bytes);
    if (failed) { co_return result(std::unexpect, failed); }
    co_return result();
}

bool client_connection::has_ended() {
    auto next = stream_.next();
    // Nobody waits: whatever is there already is too much.
    return next.poll(waker()).is_ready();
}

}  // namespace heph::http::detail
