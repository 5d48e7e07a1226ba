#include "connection_io.hpp"

#include <algorithm>

namespace heph::http::detail {

polled<connection_io::receive_future::value_type> connection_io::receive_future::poll(
    const waker& waker) {
    auto received = next_.poll(waker);
    if (received.is_ready()) {
        auto& outcome = received.value();
        if (!outcome) { return value_type(std::unexpect, io_failure::lost); }
        return value_type(std::move(*outcome));
    }
    if (const auto ended = io_->wait_ended(heeds_stop_, waker)) {
        return value_type(std::unexpect, *ended);
    }
    return pending;
}

// Tells why nothing more is waited for, though nothing has come.
std::optional<io_failure> connection_io::wait_ended(bool heeds_stop, const waker& waker) {
    if (heeds_stop && stopping_.poll(waker).is_ready()) { return io_failure::stopping; }
    if (receive_patience_.passed(alarm_, waker)) { return io_failure::timed_out; }
    return std::nullopt;
}

arrival connection_io::arrival_of(io_failure failure) noexcept {
    switch (failure) {
        case io_failure::timed_out: return arrival::timed_out;
        case io_failure::stopping: return arrival::stopping;
        case io_failure::lost: break;
    }
    return arrival::lost;
}

void connection_io::send(rt::buffer&& bytes, send_bounds limit) {
    handed_ += bytes.size();
    send_->sending.emplace(stream_, std::move(bytes));
    send_->patience.begin(limit);
    send_->begun = false;
}

std::uint64_t connection_io::taken() noexcept {
    if (handed_ == taken_) { return taken_; }
    if (stream_.is_secured()) { return taken_ + (sending() ? send_->sending->taken() : 0); }
    // What it has taken was acknowledged, or waits for that.
    const std::uint64_t found = accepted_bytes(socket().descriptor()).value_or(taken_);
    return std::clamp(found, taken_, handed_);
}

polled<bool> connection_io::take_sent(const waker& waker) {
    if (!sending()) { return !send_failed_; }
    send_side& side = *send_;
    auto sent = side.sending->poll(waker);
    if (!sent.is_ready()) { return pending; }
    auto& outcome = sent.value();
    if (!outcome) {
        fail_sending();
        return false;
    }
    taken_ += outcome->size();
    side.spare = std::move(*outcome);
    side.spare.clear();
    side.sending.reset();
    return true;
}

// The kernel does not tell how much it has taken of what TLS has taken.
void connection_io::fail_sending() noexcept {
    send_failed_ = true;
    taken_ += send_->sending->taken();
    send_->sending.reset();
}

polled<bool> connection_io::poll_sent(const waker& waker) {
    auto sent = take_sent(waker);
    if (sent.is_ready()) { return sent; }
    if (!send_->patience.passed(socket().descriptor(), alarm_, waker)) { return pending; }
    fail_sending();
    return false;
}

bool connection_io::send_quietly(rt::buffer&& bytes, send_bounds limit) {
    send(std::move(bytes), limit);
    send_->begun = true;
    return take_sent(waker()).is_ready();
}

polled<bool> connection_io::poll_quiet(const waker& waker) {
    // It is not even handed to the kernel by then.
    if (std::exchange(send_->begun, false)) {
        (void)send_->patience.passed(socket().descriptor(), alarm_, waker);
        return pending;
    }
    return poll_sent(waker);
}

}  // namespace heph::http::detail
