#include <utility>

#include <heph/http/ws/socket.hpp>

#include "session.hpp"

namespace heph::http::ws {

polled<std::optional<message>> receive_future::poll(const waker& waker) {
    return from_->poll_receive(waker);
}

polled<bool> send_future::poll(const waker& waker) {
    to_->poll_write(waker);
    if (until_ == 0) {
        if (!to_->is_open()) { return false; }
        if (!to_->has_room()) { return pending; }
        to_->queue(message_.kind(), message_.payload());
        until_ = to_->queued();
        to_->poll_write(waker);
    }
    if (to_->is_over()) { return false; }
    if (to_->sent() >= until_) { return true; }
    return pending;
}

polled<void> close_future::poll(const waker& waker) {
    closed_->begin_close(code_, reason_);
    for (;;) {
        const auto got = closed_->poll_receive(waker);
        if (!got.is_ready()) { return pending; }
        if (closed_->is_over()) { return ready; }
    }
}

socket::socket(std::unique_ptr<detail::session> session, std::string subprotocol,
               std::shared_ptr<void> owner) noexcept
    : owner_(std::move(owner)),
      session_(std::move(session)),
      subprotocol_(std::move(subprotocol)) {}
socket::socket(socket&&) noexcept = default;
socket::~socket() = default;

bool socket::try_send(message_kind kind, std::string_view payload) {
    if (!session_->is_open() || !session_->has_room()) { return false; }
    session_->queue(kind, payload);
    return true;
}

bool socket::is_open() const noexcept { return session_->is_open(); }

const ws::ending& socket::end() const noexcept { return session_->end(); }

}  // namespace heph::http::ws
