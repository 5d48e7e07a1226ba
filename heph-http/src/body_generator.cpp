#include <heph/http/body_generator.hpp>

#include <expected>

#include <heph/core/task.hpp>

namespace heph::http {

bool body_generator::promise_type::run(const waker& waker) {
    if (leaf_ != nullptr) {
        if (!leaf_->poll(waker)) { return false; }
        leaf_ = nullptr;
    }
    has_piece_ = false;
    waker_ = &waker;
    ready_awaits_ = 0;
    const auto self = std::coroutine_handle<promise_type>::from_promise(*this);
    self.resume();
    return has_piece_ || self.done();
}

body_generator::~body_generator() {
    if (handle_) { handle_.destroy(); }
}

polled<std::optional<std::string_view>> body_generator::next_future::poll(const waker& waker) {
    if (!of_->handle_) { return value_type(); }
    promise_type& promise = of_->handle_.promise();
    if (!promise.run(waker)) { return pending; }
    if (promise.has_piece_) { return value_type(promise.piece_); }
    const std::exception_ptr failure = std::move(promise.failure_);
    std::exchange(of_->handle_, nullptr).destroy();
    if (failure) { std::rethrow_exception(failure); }
    return value_type();
}

namespace {

task<std::expected<void, error>> write_pieces(body_generator* pieces, body_writer* to) {
    using outcome = std::expected<void, error>;
    for (;;) {
        const auto piece = co_await pieces->next();
        if (!piece) { co_return outcome(); }
        if (piece->empty()) { continue; }
        const outcome written = co_await to->write(*piece);
        if (!written) { co_return written; }
    }
}

}  // namespace

response stream_of(std::string_view content_type, body_generator pieces, http::status status) {
    return response::stream(
        content_type,
        [kept = std::move(pieces)](body_writer& to) mutable { return write_pieces(&kept, &to); },
        status);
}

}  // namespace heph::http
