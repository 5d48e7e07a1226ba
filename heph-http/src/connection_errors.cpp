// What a connection says when something went wrong, to the client and to the log.

#include <utility>

#include "connection.hpp"
#include "escaped.hpp"
#include "failure_text.hpp"

namespace heph::http::detail {

namespace {

// So much of a target stands in a line of the log.
constexpr std::size_t logged_target_bytes_max = 256;

// So much of the first line of what is no request is told to observers.
constexpr std::size_t first_line_bytes_max = 1024;

// What is answered without a page.
response plain_answer(error why) {
    response made = response::problem(why);
    if (made.status() == status::service_unavailable) { made.set_header("Retry-After", "1"); }
    return made;
}

}  // namespace

// Says so before anything was done for the request.
response connection::overloaded() {
    share_->log(log_level::warning, [] {
        return "http: there are more requests at once than limits::requests_max; they get 503";
    });
    return answer_error(error::too_many_requests_at_once);
}

// Nothing when there is none, or it failed.
std::optional<response> connection::page_for(error why, const response& plain,
                                             const request_head* asked) {
    if (!share_->routes->has_error_page()) { return {}; }
    refusal refused;
    refused.status = plain.status();
    refused.why = why;
    refused.detail = message(why);
    refused.asked = asked;
    std::exception_ptr failure;
    try {
        return share_->routes->render(refused, plain);
    } catch (...) { failure = std::current_exception(); }
    share_->log(log_level::error,
                [&] { return "http: the error page failed: " + failure_text(failure); });
    return {};
}

// What was asked, and by whom.
std::string connection::asked_for() {
    std::string text;
    std::optional<rt::net::endpoint> peer = peer_;
    if (work_) {
        const http::request& asked = work_->request;
        peer = asked.peer();
        text += asked.method_name();
        text += ' ';
        append_escaped(text, asked.target().substr(0, logged_target_bytes_max));
        if (asked.target().size() > logged_target_bytes_max) { text += "..."; }
        text += " for ";
    }
    text += peer ? peer->to_string() : std::string("a client");
    return text;
}

void connection::report_failure(const std::exception_ptr& failure) noexcept {
    share_->log(log_level::error, [&] {
        return "http: a handler failed: " + asked_for() + ": " + failure_text(failure);
    });
}

response connection::failed(const std::exception_ptr& failure) {
    report_failure(failure);
    return answer_error(error::handler_failed);
}

response connection::answer_error(error failure) {
    work_->told.why = failure;
    response plain = plain_answer(failure);
    auto page = page_for(failure, plain, &work_->request.head());
    return page ? std::move(*page) : std::move(plain);
}

// A reset tells the peer that what it got is not all.
void connection::abort() noexcept {
    aborted_ = true;
    (void)io_.socket().set_reset_on_close(true);
}

task<void> connection::refuse(error failure, method asked_by, bool in_head) {
    log_bad(failure);
    take_work_space();
    std::string first_line;
    if (is_observed()) {
        work_->told.why = failure;
    } else if (in_head && share_->observed) {
        // The bytes are not there any more when the answer is sent.
        first_line =
            parser_.first_line(work_->input, work_->request.head()).substr(0, first_line_bytes_max);
    }
    const response answer = plain_answer(failure);
    // The request is not known for certain; what is there may be an earlier one.
    const auto page = page_for(failure, answer, nullptr);
    bool written = false;
    if (page) {
        written =
            work_->writer.write(work_->out, *page, asked_by, version::http_1_1, false).has_value();
    }
    if (!written) {
        written =
            work_->writer.write(work_->out, answer, asked_by, version::http_1_1, false).has_value();
    }
    if (!written) { co_return; }
    if (is_observed()) {
        note_answer(answer.status());
        co_await finish_exchange();
    } else if (share_->observed) {
        note_answer(answer.status());
        const bool sent = co_await flush();
        tell_refused(failure, first_line, answer.status(), sent);
    }
    co_await linger(false);
}

// One line for each bad client.
void connection::log_bad(std::string_view what) noexcept {
    if (std::exchange(complained_, true)) { return; }
    share_->log(log_level::warning, [&] {
        std::string line = "http: ";
        line += peer_ ? peer_->to_string() : std::string("a client");
        line += ": ";
        line += what;
        return line;
    });
}

}  // namespace heph::http::detail
