// What observers are told of a connection's requests.

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include <heph/http/exchange.hpp>

#include "connection.hpp"
#include "failure_text.hpp"

namespace heph::http::detail {

namespace {

using std::chrono::steady_clock;

}  // namespace

// A head was written, and what of the body goes with it.
void connection::note_answer(status answered) noexcept {
    work_->told.status = answered;
    work_->told.body_at =
        io_.handed() + (work_->out.size() - work_->out_sent) - work_->writer.body_written();
}

// What is gathered behind a whole answer is as good as sent; of one that was cut, what the kernel
// has taken counts.
std::uint64_t connection::body_bytes_sent(bool complete) noexcept {
    if (!work_->told.status) { return 0; }
    const std::uint64_t sent =
        complete ? io_.handed() + (work_->out.size() - work_->out_sent) : io_.taken();
    return sent > work_->told.body_at ? sent - work_->told.body_at : 0;
}

// Sends the answer before it is told of, unless the next request is there, with whose answer it
// shall leave.
task<void> connection::finish_exchange() {
    bool complete = !io_.send_failed();
    if (complete && (work_->input.empty() || !work_->writer.keeps_alive())) {
        complete = co_await flush();
    }
    end_exchange(complete);
}

void connection::end_exchange(bool complete) noexcept {
    exchange what;
    what.asked = &work_->request;
    what.status = work_->told.status;
    what.why = work_->told.why ? work_->told.why : body_failure_;
    if (!what.why && io_.send_failed()) { what.why = error::connection_lost; }
    what.body_bytes_sent = body_bytes_sent(complete);
    what.handled = work_->told.handled;
    what.complete = complete;
    work_->told.open = false;
    tell(std::move(what));
}

void connection::tell_refused(error why, std::string_view first_line,
                              std::optional<http::status> answered, bool complete) noexcept {
    if (!share_->observed) { return; }
    exchange what;
    what.first_line = first_line;
    what.status = answered;
    what.why = why;
    what.body_bytes_sent = answered ? body_bytes_sent(complete) : 0;
    what.complete = complete;
    tell(std::move(what));
}

void connection::tell(exchange what) noexcept {
    std::exception_ptr failure;
    try {
        what.peer = peer_;
        const auto began = std::exchange(work_->began, steady_clock::time_point());
        if (began != steady_clock::time_point()) { what.took = steady_clock::now() - began; }
        share_->routes->tell(what);
    } catch (...) { failure = std::current_exception(); }
    try {
        work_->request.tell_done(std::move(what));
    } catch (...) { failure = std::current_exception(); }
    if (!failure) { return; }
    share_->log(log_level::error,
                [&] { return "http: an observer failed: " + failure_text(failure); });
}

}  // namespace heph::http::detail
