#include "connection_io.hpp"

namespace heph::http::detail {

void patience::set(std::chrono::milliseconds after) {
    const std::uint64_t now = rt::detail::worker_now_ms();
    deadline_ms_ = now + static_cast<std::uint64_t>(after.count() > 0 ? after.count() : 0);
    if (deadline_ms_ < armed_ms_) {
        armed_ms_ = deadline_ms_;
        timer_.reset(after);
    }
}

bool patience::passed(const waker& waker) {
    while (timer_.poll(waker).is_ready()) {
        const std::uint64_t now = rt::detail::worker_now_ms();
        if (now >= deadline_ms_) { return true; }
        armed_ms_ = deadline_ms_;
        timer_.reset(std::chrono::milliseconds(deadline_ms_ - now));
    }
    return false;
}

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
    if (io_->receive_patience_.passed(waker)) {
        return value_type(std::unexpect, io_failure::timed_out);
    }
    return pending;
}

void connection_io::send(rt::buffer bytes, std::chrono::milliseconds limit) {
    sending_.emplace(stream_.send_all(std::move(bytes)));
    send_patience_.set(limit);
}

polled<bool> connection_io::sent_future::poll(const waker& waker) {
    if (!io_->sending_) { return !io_->send_failed_; }
    auto sent = io_->sending_->poll(waker);
    if (sent.is_ready()) {
        auto& outcome = sent.value();
        io_->send_failed_ = !outcome;
        if (outcome) {
            io_->spare_ = std::move(*outcome);
            io_->spare_.clear();
        }
    } else if (io_->send_patience_.passed(waker)) {
        io_->send_failed_ = true;
    } else {
        return pending;
    }
    io_->sending_.reset();
    return !io_->send_failed_;
}

}  // namespace heph::http::detail
