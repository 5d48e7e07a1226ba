#include "session.hpp"

#include <algorithm>
#include <utility>

#include <heph/http/error.hpp>

namespace heph::http::ws::detail {

namespace {

// Memory for sending beyond this is given back when all is sent.
constexpr std::size_t kept_bytes_max = 4 * 1024;

// Without pings, the timer looks after nothing; it still has to be set to something. It is also
// the longest interval: one that the clock cannot hold is compared with its times.
constexpr std::chrono::milliseconds no_ping_interval = std::chrono::hours(24 * 365);

// So often the worker looks for what has arrived already, before a peer counts as too slow: when
// the worker itself was held up, its timers may fire before what came meanwhile has been read.
constexpr int looks_max = 16;
constexpr std::chrono::milliseconds look_time{1};

}  // namespace

session::session(upgraded_stream& stream, role side, const socket_options& options,
                 std::optional<deflate_parameters> deflate)
    : stream_(&stream),
      ping_interval_(options.ping_interval.count() > 0
                         ? std::min(options.ping_interval, no_ping_interval)
                         : no_ping_interval),
      pong_timeout_(options.pong_timeout),
      close_timeout_(options.close_timeout),
      decoder_(side, options.limits, deflate),
      encoder_(side, options.sending, deflate),
      heard_at_(rt::clock::now()),
      timer_(ping_interval_),
      side_(side) {}

polled<std::optional<message>> session::poll_receive(const waker& waker) {
    for (;;) {
        poll_write(waker);
        watch_time(waker);
        if (state_ == state::open && stopping_.poll(waker).is_ready()) {
            begin_close(close_code::going_away, {});
            continue;
        }
        if (state_ == state::draining) { drain(waker); }
        if (state_ == state::over) { return std::optional<message>(); }
        if (state_ == state::draining || !has_room()) { return pending; }
        const event found = decoder_.next_slice(input_);
        if (found.kind == event_kind::need_input) {
            if (!poll_read(waker)) { return pending; }
        } else if (found.kind == event_kind::busy) {
            waker.wake();
            return pending;
        } else if (auto got = take(found)) {
            return polled<std::optional<message>>(std::in_place, std::move(got));
        }
    }
}

std::optional<message> session::take(const event& found) {
    switch (found.kind) {
        case event_kind::message:
            // What the peer sent before it saw our close frame is too late.
            if (state_ == state::open) { return decoder_.take_message(); }
            break;
        case event_kind::ping:
            if (state_ == state::open) { encoder_.pong(out_, found.data); }
            break;
        case event_kind::close: take_close(found); break;
        case event_kind::error:
            ending_ = ws::ending(found.code, std::string(found.data), false);
            if (state_ == state::open) { encoder_.close(out_, found.code, found.data); }
            finish(state::draining);
            break;
        default: break;
    }
    return std::nullopt;
}

void session::take_close(const event& found) {
    ending_ = ws::ending(found.code, std::string(found.data), true);
    if (state_ == state::open) { encoder_.close(out_, found.code); }
    finish(state::draining);
}

// The server ends the connection below, once both have said that they end it (RFC 6455, 7.1.1).
void session::drain(const waker& waker) {
    poll_write(waker);
    if (state_ != state::draining || has_output()) { return; }
    if (side_ == role::server) {
        state_ = state::over;
        return;
    }
    while (state_ == state::draining && poll_read(waker)) { input_ = {}; }
}

// Gives false when there is nothing to read yet.
bool session::poll_read(const waker& waker) {
    if (!reading_) { reading_.emplace(stream_->read()); }
    auto read = reading_->poll(waker);
    if (!read.is_ready()) { return false; }
    const read_result outcome = std::move(read).value();
    reading_.reset();
    if (!outcome || outcome->empty()) {
        end(outcome ? make_error_code(error::connection_lost) : outcome.error());
        return true;
    }
    input_ = *outcome;
    heard_at_ = rt::clock::now();
    if (std::exchange(pinged_, false) && state_ == state::open) { timer_.reset(ping_interval_); }
    return true;
}

void session::poll_write(const waker& waker) {
    for (;;) {
        if (writing_) {
            auto written = writing_->poll(waker);
            if (!written.is_ready()) { return; }
            const write_result outcome = std::move(written).value();
            writing_.reset();
            sent_ += in_flight_.size();
            in_flight_.clear();
            if (!outcome) { end(outcome.error()); }
        }
        if (out_.empty() || state_ == state::over) {
            if (in_flight_.capacity() > kept_bytes_max) { std::string().swap(in_flight_); }
            if (out_.empty() && out_.capacity() > kept_bytes_max) { std::string().swap(out_); }
            return;
        }
        std::swap(in_flight_, out_);
        writing_.emplace(stream_->write(in_flight_));
    }
}

void session::watch_time(const waker& waker) {
    while (state_ != state::over && timer_.poll(waker).is_ready()) {
        if (state_ != state::open) {
            look_again();
            continue;
        }
        const auto silent = rt::clock::now() - heard_at_;
        if (silent < ping_interval_) {
            timer_.reset(ping_interval_ - silent);
        } else if (pinged_) {
            // What was read before the ping is the owner's to take: the answer may be behind it.
            if (!input_.empty() && has_room()) {
                timer_.reset(look_time);
            } else {
                look_again();
            }
        } else {
            pinged_ = true;
            looks_ = 0;
            encoder_.ping(out_);
            poll_write(waker);
            timer_.reset(pong_timeout_);
        }
    }
}

// The time is over. Each look is at least a turn of the worker, and there are only so many, so that
// a peer that sends without end does not keep a connection that is being closed.
void session::look_again() {
    if (looks_ == looks_max) {
        end(std::make_error_code(std::errc::timed_out));
        return;
    }
    ++looks_;
    timer_.reset(look_time);
}

void session::queue(message_kind kind, std::string_view payload) {
    encoder_.message(out_, kind, payload);
}

void session::begin_close(close_code code, std::string_view reason) {
    if (state_ != state::open) { return; }
    encoder_.close(out_, code, reason);
    finish(state::closing);
}

// From now on the time counts.
void session::finish(state next) {
    if (state_ == state::open) {
        timer_.reset(close_timeout_);
        looks_ = 0;
    }
    state_ = next;
}

void session::end(std::error_code why) noexcept {
    if (state_ == state::over) { return; }
    // Whatever becomes of the connection, once both have closed it.
    if (state_ != state::draining) {
        ending_ = ws::ending(close_code::abnormal, std::string(), false, why);
    }
    state_ = state::over;
    input_ = {};
}

}  // namespace heph::http::ws::detail
