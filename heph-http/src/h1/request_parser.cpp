#include <heph/http/h1/request_parser.hpp>

#include "../chars.hpp"
#include "head_reader.hpp"
#include "known_length.hpp"

namespace heph::http::h1 {

namespace {

// RFC 9112, 2.2 asks for at least one empty line before a request line to be passed over.
constexpr std::uint32_t empty_lines_max = 2;

// The first byte of a TLS record that carries a handshake.
constexpr char tls_handshake = 0x16;

}  // namespace

event request_parser::next(std::string_view& input, request_head& head) {
    switch (state_) {
        case state::idle:
            if (auto refused = pass_empty_lines(input)) {
                head.clear();
                return refuse_head(*refused, {}, head);
            }
            if (input.empty()) { return event(event_kind::need_input); }
            head.clear();
            lines_.start();
            state_ = state::head;
            return next_head(input, head);
        case state::head: return next_head(input, head);
        case state::length_body: return next_in_length(input);
        case state::chunked_body: return next_in_chunks(input, head);
        case state::message_end: state_ = state::idle; return event(event_kind::end);
        case state::failed: break;
    }
    return event(failure_);
}

// Who asked by HEAD gets no body, not even when the request is refused (RFC 9110, 9.3.2). Other
// methods make no difference for that. `start` is what has come of the request.
event request_parser::refuse_head(error what, std::string_view start, request_head& head) noexcept {
    head.method_ = start.starts_with("HEAD ") ? method::head : method::get;
    return fail(what);
}

event request_parser::give_up(error why, request_head& head) noexcept {
    const auto& gathered = head.headers_.text_;
    return refuse_head(why, {gathered.data(), gathered.size()}, head);
}

std::string_view request_parser::first_line(std::string_view input,
                                            const request_head& head) noexcept {
    const auto& gathered = head.headers_.text_;
    const std::string_view start =
        gathered.empty() ? input : std::string_view(gathered.data(), gathered.size());
    return start.substr(0, start.find_first_of("\r\n"));
}

event request_parser::fail(error what) noexcept {
    state_ = state::failed;
    failure_ = what;
    return event(what);
}

// Empty lines are no part of the request: a connection is idle behind them as well.
std::optional<error> request_parser::pass_empty_lines(std::string_view& input) noexcept {
    while (!input.empty() && (half_line_ || input.front() == '\r')) {
        if (half_line_ && input.front() != '\n') { return error::bad_line_ending; }
        if (half_line_ && ++empty_lines_ > empty_lines_max) { return error::bad_request_line; }
        half_line_ = !half_line_;
        input.remove_prefix(1);
    }
    if (empty_lines_ == 0 && input.starts_with(tls_handshake)) { return error::tls_on_plain_port; }
    return std::nullopt;
}

event request_parser::next_head(std::string_view& input, request_head& head) {
    switch (lines_.take(input, head.headers_, *limits_, check_request_line)) {
        case head_lines::progress::need_input: return event(event_kind::need_input);
        case head_lines::progress::refused:
            // Bytes that came at once are not gathered before they are good.
            return head.headers_.text_.empty() ? refuse_head(lines_.failure(), input, head)
                                               : give_up(lines_.failure(), head);
        case head_lines::progress::complete: break;
    }
    head_reader reader(head, *limits_);
    if (auto done = reader.read(lines_.start_line(head.headers_), nullptr); !done) {
        return give_up(done.error(), head);
    }
    return begin_body(head);
}

// All of the head was gathered before its method was looked at.
event request_parser::take_extension(request_head& head, const extension_methods& known) {
    if (state_ != state::failed || failure_ != error::unknown_method) { return event(failure_); }
    head_reader reader(head, *limits_);
    if (auto done = reader.read(lines_.start_line(head.headers_), &known); !done) {
        return give_up(done.error(), head);
    }
    return begin_body(head);
}

event request_parser::begin_body(request_head& head) noexcept {
    empty_lines_ = 0;
    remaining_ = head.content_length_;
    if (head.framing_ == body_framing::chunked) {
        chunks_.start();
        state_ = state::chunked_body;
    } else {
        state_ = remaining_ > 0 ? state::length_body : state::message_end;
    }
    return event(event_kind::head);
}

event request_parser::next_in_length(std::string_view& input) noexcept {
    if (input.empty()) { return event(event_kind::need_input); }
    const std::string_view piece = take_known_length(input, remaining_);
    if (remaining_ == 0) { state_ = state::message_end; }
    return event(piece);
}

event request_parser::next_in_chunks(std::string_view& input, request_head& head) {
    const event found = chunks_.next(input, *limits_, head.trailers_);
    if (found.kind == event_kind::end) { state_ = state::idle; }
    if (found.kind == event_kind::error) { return fail(found.failure); }
    return found;
}

}  // namespace heph::http::h1
