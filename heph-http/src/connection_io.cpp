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
    if (heeds_stop_ && io_->stopping_.poll(waker).is_ready()) {
        return value_type(std::unexpect, io_failure::stopping);
    }
    if (io_->receive_patience_.passed(io_->alarm_, waker)) {
        return value_type(std::unexpect, io_failure::timed_out);
    }
    return pending;
}

arrival connection_io::arrival_of(io_failure failure) noexcept {
    switch (failure) {
        case io_failure::timed_out: return arrival::timed_out;
        case io_failure::stopping: return arrival::stopping;
        case io_failure::lost: break;
    }
    return arrival::lost;
}

void connection_io::send(rt::buffer bytes, send_bounds limit) {
    handed_ += bytes.size();
    send_->sending.emplace(stream_.send_all(std::move(bytes)));
    send_->patience.begin(limit);
}

std::uint64_t connection_io::taken() noexcept {
    if (handed_ == taken_) { return taken_; }
    if (stream_.is_secured()) { return taken_ + (sending() ? send_->sending->taken() : 0); }
    // What it has taken was acknowledged, or waits for that.
    const std::uint64_t found = accepted_bytes(socket().descriptor()).value_or(taken_);
    return std::clamp(found, taken_, handed_);
}

polled<bool> connection_io::sent_future::poll(const waker& waker) {
    if (!io_->sending()) { return !io_->send_failed_; }
    send_side& side = *io_->send_;
    auto sent = side.sending->poll(waker);
    if (sent.is_ready()) {
        auto& outcome = sent.value();
        io_->send_failed_ = !outcome;
        if (outcome) {
            io_->taken_ += outcome->size();
            side.spare = std::move(*outcome);
            side.spare.clear();
        }
    } else if (side.patience.passed(io_->socket().descriptor(), io_->alarm_, waker)) {
        io_->send_failed_ = true;
    } else {
        return pending;
    }
    // The kernel does not tell how much it has taken of what TLS has taken.
    if (io_->send_failed_) { io_->taken_ += side.sending->taken(); }
    side.sending.reset();
    return !io_->send_failed_;
}

}  // namespace heph::http::detail
