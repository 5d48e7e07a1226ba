#include <algorithm>
#include <span>
#include <utility>

#include <heph/rt/error.hpp>
#include <heph/rt/tls/stream.hpp>

#include "engine_state.hpp"
#include "kernel_part.hpp"

namespace heph::rt::tls {

namespace detail {

namespace {

// So much is encrypted at once: four full records.
constexpr std::size_t encrypted_bytes_max = 64 * 1024;
// Receiving waits for what it makes the engine say, such as answers to key updates, beyond this.
constexpr std::size_t unsent_bytes_max = 64 * 1024;
// Memory for sending beyond this is not kept.
constexpr std::size_t kept_bytes_max = 4 * 1024;
constexpr std::size_t record_text_bytes_max = 16 * 1024;

}  // namespace

session::session(engine secured) noexcept : engine_(std::move(secured)) {}
session::~session() = default;

polled<session::done> session::poll_flush(const waker& waker) {
    for (;;) {
        if (send_failure_) { return done(std::unexpect, send_failure_); }
        if (!is_sending() && !begin_sending()) {
            if (send_failure_) { continue; }
            return done();
        }
        if (!shaking_.empty()) { driver_ = waker; }
        auto sent = poll_sending(waker);
        if (!sent.is_ready()) {
            if (!flusher_.will_wake(waker)) { flusher_ = waker; }
            return pending;
        }
        auto outcome = std::move(sent).value();
        wake_writer(waker);
        if (!shaking_.empty()) { wake_shaking(); }
        if (!outcome) {
            send_failure_ = outcome.error();
            continue;
        }
        outcome->clear();
        if (outcome->capacity() <= kept_bytes_max) { spare_ = std::move(*outcome); }
    }
}

// Receives once, and gives what came to the engine.
polled<session::done> session::poll_fill(const waker& waker) {
    if (ended_) { return engine_.feed_end(); }
    auto next = transport().next();
    auto received = next.poll(waker);
    if (!received.is_ready()) { return pending; }
    auto outcome = std::move(received).value();
    if (!outcome) { return done(std::unexpect, outcome.error()); }
    if (outcome->empty()) {
        ended_ = true;
        return engine_.feed_end();
    }
    return engine_.feed(outcome->bytes());
}

polled<session::done> session::poll_handshake(const waker& waker) {
    auto driven = drive_handshake(waker);
    std::erase_if(shaking_, [&waker](const heph::waker& each) { return each.will_wake(waker); });
    // What is left to be sent when the handshake is done may become another one's to send.
    if (driven.is_ready() || engine_.handshake_done()) { wake_shaking(); }
    if (!driven.is_ready()) {
        shaking_.push_back(waker);
        driver_ = waker;
    }
    return driven;
}

void session::wait_as_writer(const waker& who) {
    if (!writer_.will_wake(who)) { writer_ = who; }
}

void session::wake_writer(const waker& unless) noexcept {
    if (writer_.will_wake(unless)) { return; }
    std::exchange(writer_, waker()).wake();
}

void session::wake_others() noexcept {
    std::erase_if(shaking_, [this](const heph::waker& each) {
        if (each.will_wake(driver_)) { return false; }
        each.wake();
        return true;
    });
}

void session::wake_shaking() noexcept {
    for (const waker& each : std::exchange(shaking_, {})) { each.wake(); }
}

polled<session::done> session::drive_handshake(const waker& waker) {
    std::error_code refused;
    for (;;) {
        if (engine_.failed()) { refused = engine_.feed({}).error(); }
        // After an error this tells the peer why.
        auto flushed = poll_flush(waker);
        if (!flushed.is_ready()) { return pending; }
        if (refused) { return done(std::unexpect, refused); }
        if (!flushed.value()) { return flushed; }
        if (engine_.handshake_done()) { return done(); }
        auto filled = poll_fill(waker);
        if (!filled.is_ready()) { return pending; }
        if (!filled.value() && !engine_.failed()) { return filled; }
    }
}

// Waits until the engine may have something to read, or has come to the end.
polled<session::done> session::poll_readable(const waker& waker) {
    if (!engine_.handshake_done()) {
        auto shaken = poll_handshake(waker);
        if (shaken.is_ready() && !shaken.value()) { return shaken; }
        // Done, if not sent to its end: what has come can be read.
        if (!engine_.handshake_done()) { return pending; }
    }
    if (!has_sender_ && has_unsent()) {
        auto flushed = poll_flush(waker);
        // What the peer sent before the connection broke can still be read.
        if (!flushed.is_ready() && engine_.output_size() > unsent_bytes_max) { return pending; }
    }
    return done();
}

polled<std::expected<buffer, std::error_code>> session::poll_recv(buffer& into,
                                                                  const waker& waker) {
    using result = std::expected<buffer, std::error_code>;
    if (into.spare() == 0) {
        return result(std::unexpect, std::make_error_code(std::errc::invalid_argument));
    }
    for (;;) {
        auto readable = poll_readable(waker);
        if (!readable.is_ready()) { return pending; }
        if (!readable.value()) { return result(std::unexpect, readable.value().error()); }
        const auto got = engine_.read(into.spare_bytes());
        if (!got) { return result(std::unexpect, got.error()); }
        if (*got != 0 || engine_.peer_closed()) {
            into.commit(*got);
            return result(std::move(into));
        }
        auto filled = poll_fill(waker);
        if (!filled.is_ready()) { return pending; }
        if (!filled.value()) { return result(std::unexpect, filled.value().error()); }
    }
}

polled<std::expected<net::chunk, std::error_code>> session::poll_next(const waker& waker) {
    using result = std::expected<net::chunk, std::error_code>;
    for (;;) {
        auto readable = poll_readable(waker);
        if (!readable.is_ready()) { return pending; }
        if (!readable.value()) { return result(std::unexpect, readable.value().error()); }
        const std::size_t most = std::min(engine_.readable_bytes_max(), record_text_bytes_max);
        if (most != 0) {
            if (scratch_.capacity() < most) { scratch_ = buffer::with_capacity(most); }
            const auto got = engine_.read(scratch_.spare_bytes());
            if (!got) { return result(std::unexpect, got.error()); }
            scratch_.commit(*got);
            if (*got != 0) { return result(std::in_place, std::exchange(scratch_, buffer())); }
        } else if (engine_.failed()) {
            return result(std::unexpect, engine_.feed({}).error());
        }
        if (engine_.peer_closed()) { return result(std::in_place); }
        auto filled = poll_fill(waker);
        if (!filled.is_ready()) {
            if (engine_.readable_bytes_max() == 0) { scratch_ = buffer(); }
            return pending;
        }
        if (!filled.value()) { return result(std::unexpect, filled.value().error()); }
    }
}

polled<session::done> session::poll_send(const buffer& bytes, std::size_t& taken,
                                         const waker& waker) {
    if (!engine_.handshake_done()) {
        auto shaken = poll_handshake(waker);
        if (shaken.is_ready() && !shaken.value()) { return shaken; }
        if (!engine_.handshake_done()) { return pending; }
    }
    for (;;) {
        auto flushed = poll_flush(waker);
        if (!flushed.is_ready()) {
            wait_as_writer(waker);
            return pending;
        }
        writer_ = heph::waker();
        if (!flushed.value()) { return flushed; }
        if (taken == bytes.size()) { return done(); }
        const std::size_t size = std::min(bytes.size() - taken, encrypted_bytes_max);
        const auto written = engine_.write(bytes.bytes().subspan(taken, size));
        if (!written) { return done(std::unexpect, written.error()); }
        taken += size;
    }
}

polled<session::done> session::poll_shutdown(const waker& waker) {
    // Before the handshake is done there is nothing to announce, and nobody to announce it to.
    engine_.close_notify();
    auto flushed = poll_flush(waker);
    if (!flushed.is_ready() || !flushed.value()) { return flushed; }
    const std::error_code failed = transport().shutdown(net::shutdown_how::send);
    return failed ? done(std::unexpect, failed) : done();
}

}  // namespace detail

polled<shutdown_future::value_type> shutdown_future::poll(const waker& waker) {
    active_ = true;
    session_->set_sender(true);
    auto done = session_->poll_shutdown(waker);
    if (!done.is_ready()) { return pending; }
    active_ = false;
    session_->set_sender(false);
    return done;
}

polled<send_future::value_type> send_future::poll(const waker& waker) {
    active_ = true;
    session_->set_sender(true);
    auto sent = session_->poll_send(buffer_, taken_, waker);
    if (!sent.is_ready()) { return pending; }
    active_ = false;
    session_->set_sender(false);
    if (!sent.value()) { return value_type(std::unexpect, sent.value().error()); }
    return value_type(std::move(buffer_));
}

}  // namespace heph::rt::tls
