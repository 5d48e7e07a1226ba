#include "nested_channel.hpp"

#include <algorithm>

namespace heph::http {

namespace {

// So much is encrypted at once: four full records.
constexpr std::size_t nested_encrypted_bytes_max = 64 * 1024;
constexpr std::size_t nested_record_bytes_max = 16 * 1024;

}  // namespace

polled<secure_channel::done> nested_channel::poll_flush(const waker& waker) {
    for (;;) {
        if (send_failure_) { return done(std::unexpect, send_failure_); }
        if (!sending_) {
            if (!engine_.has_output()) { return done(); }
            output_.clear();
            engine_.take_output(output_);
            output_taken_ = 0;
            sending_ = true;
        }
        const auto sent = outer_->poll_send(output_, output_taken_, waker);
        if (!sent.is_ready()) { return pending; }
        sending_ = false;
        if (!sent.value()) { send_failure_ = sent.value().error(); }
    }
}

// Receives once, and gives what came to the engine.
polled<secure_channel::done> nested_channel::poll_fill(const waker& waker) {
    if (ended_) { return engine_.feed_end(); }
    auto received = outer_->poll_next(waker);
    if (!received.is_ready()) { return pending; }
    const auto& outcome = received.value();
    if (!outcome) { return done(std::unexpect, outcome.error()); }
    ended_ = outcome->empty();
    return ended_ ? engine_.feed_end() : engine_.feed(outcome->bytes());
}

polled<secure_channel::done> nested_channel::poll_handshake(const waker& waker) {
    std::error_code refused;
    for (;;) {
        if (engine_.failed()) { refused = engine_.feed({}).error(); }
        // After an error this tells the peer why.
        auto flushed = poll_flush(waker);
        if (!flushed.is_ready()) { return pending; }
        if (refused) { return done(std::unexpect, refused); }
        if (!flushed.value() || engine_.handshake_done()) { return flushed; }
        auto filled = poll_fill(waker);
        if (!filled.is_ready()) { return pending; }
        if (!filled.value() && !engine_.failed()) { return filled; }
    }
}

polled<std::expected<rt::net::chunk, std::error_code>> nested_channel::poll_next(
    const waker& waker) {
    using result = std::expected<rt::net::chunk, std::error_code>;
    for (;;) {
        if (!engine_.handshake_done()) {
            auto shaken = poll_handshake(waker);
            if (!shaken.is_ready()) { return pending; }
            if (!shaken.value()) { return result(std::unexpect, shaken.value().error()); }
        }
        // Answers to key updates; what the peer sent before the connection broke can still be read,
        // and a peer that takes nothing gets no more of them.
        auto flushed = poll_flush(waker);
        if (!flushed.is_ready() && engine_.output_size() > nested_encrypted_bytes_max) {
            return pending;
        }
        const std::size_t most = std::min(engine_.readable_bytes_max(), nested_record_bytes_max);
        if (most != 0) {
            rt::buffer text = rt::buffer::with_capacity(most);
            const auto got = engine_.read(text.spare_bytes());
            if (!got) { return result(std::unexpect, got.error()); }
            text.commit(*got);
            if (*got != 0) { return result(std::in_place, std::move(text)); }
        } else if (engine_.failed()) {
            return result(std::unexpect, engine_.feed({}).error());
        }
        if (engine_.peer_closed()) { return result(std::in_place); }
        auto filled = poll_fill(waker);
        if (!filled.is_ready()) { return pending; }
        if (!filled.value()) { return result(std::unexpect, filled.value().error()); }
    }
}

polled<secure_channel::done> nested_channel::poll_send(const rt::buffer& bytes, std::size_t& taken,
                                                       const waker& waker) {
    if (!engine_.handshake_done()) {
        auto shaken = poll_handshake(waker);
        if (!shaken.is_ready() || !shaken.value()) { return shaken; }
    }
    for (;;) {
        auto flushed = poll_flush(waker);
        if (!flushed.is_ready() || !flushed.value() || taken == bytes.size()) { return flushed; }
        const std::size_t size = std::min(bytes.size() - taken, nested_encrypted_bytes_max);
        const auto written = engine_.write(bytes.bytes().subspan(taken, size));
        if (!written) { return done(std::unexpect, written.error()); }
        taken += size;
    }
}

polled<secure_channel::done> nested_channel::poll_shutdown(const waker& waker) {
    engine_.close_notify();
    auto flushed = poll_flush(waker);
    if (!flushed.is_ready() || !flushed.value()) { return flushed; }
    return outer_->poll_shutdown(waker);
}

}  // namespace heph::http
