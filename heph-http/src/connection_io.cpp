#include "connection_io.hpp"

namespace heph::http::detail {

void connection_io::set_deadline(std::chrono::milliseconds after) {
    const std::uint64_t now = now_ms();
    deadline_ms_ = now + static_cast<std::uint64_t>(after.count() > 0 ? after.count() : 0);
    if (deadline_ms_ < armed_ms_) {
        armed_ms_ = deadline_ms_;
        timer_.reset(after);
    }
}

bool connection_io::deadline_passed(const waker& waker) {
    while (timer_.poll(waker).is_ready()) {
        const std::uint64_t now = now_ms();
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
    if (io_->deadline_passed(waker)) { return value_type(std::unexpect, io_failure::timed_out); }
    return pending;
}

polled<connection_io::send_future::value_type> connection_io::send_future::poll(
    const waker& waker) {
    auto sent = sending_.poll(waker);
    if (sent.is_ready()) {
        auto& outcome = sent.value();
        if (!outcome) { return value_type(std::unexpect, io_failure::lost); }
        return value_type(std::move(*outcome));
    }
    if (io_->deadline_passed(waker)) { return value_type(std::unexpect, io_failure::timed_out); }
    return pending;
}

}  // namespace heph::http::detail
