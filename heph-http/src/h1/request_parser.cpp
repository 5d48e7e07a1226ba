#include <algorithm>

#include <heph/http/h1/request_parser.hpp>

#include "../chars.hpp"
#include "head_reader.hpp"

namespace heph::http::h1 {

namespace {

// RFC 9112, 2.2 asks for at least one empty line before a request line to be passed over.
constexpr std::uint32_t empty_lines_max = 2;

// The first byte of a TLS record that carries a handshake.
constexpr char tls_handshake = 0x16;

// Positions in a head are 32 bits wide.
constexpr std::size_t head_bytes_most = std::size_t{1} << 30;

}  // namespace

event request_parser::next(std::string_view& input, request_head& head) {
    switch (state_) {
        case state::idle:
            if (auto refused = pass_empty_lines(input)) { return fail(*refused); }
            if (input.empty()) { return event(event_kind::need_input); }
            head.clear();
            line_at_ = scan_at_ = lines_ = 0;
            state_ = state::head;
            return next_head(input, head);
        case state::head: return next_head(input, head);
        case state::length_body: return next_in_length(input);
        case state::chunked_body: return next_in_chunks(input);
        case state::message_end: state_ = state::idle; return event(event_kind::end);
        case state::failed: break;
    }
    return event(failure_);
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

// The head is looked at where it lies when it comes in one piece; only then is it copied. What
// comes in pieces is gathered first.
event request_parser::next_head(std::string_view& input, request_head& head) {
    auto& gathered = head.headers_.text_;
    const std::size_t before = gathered.size();
    // One byte more than is allowed is enough to know that it is too much.
    const std::size_t most = std::min(limits_->head_bytes_max, head_bytes_most);
    const std::size_t room = most + 1 - before;
    const std::string_view part = input.substr(0, room);
    std::string_view text = part;
    if (before != 0) {
        gathered.append(part.data(), part.size());
        text = {gathered.data(), gathered.size()};
    }
    error failure{};
    std::size_t head_end = 0;
    if (!scan(text, head_end, failure)) { return fail(failure); }
    if (head_end == 0) {
        if (text.size() > most) {
            return fail(lines_ == 0 ? error::target_too_long : error::head_too_large);
        }
        if (before == 0) { gathered.append(part.data(), part.size()); }
        input.remove_prefix(part.size());
        return event(event_kind::need_input);
    }
    if (head_end > most) { return fail(error::head_too_large); }
    if (before == 0) {
        gathered.append(part.data(), head_end);
    } else {
        gathered.truncate(head_end);
    }
    input.remove_prefix(head_end - before);
    head_reader reader(head, *limits_);
    if (auto done = reader.read(); !done) { return fail(done.error()); }
    return begin_body(head);
}

// Checks each line as soon as it is complete, and each byte as soon as it is there, so that what
// is not HTTP is refused early. Sets `head_end` behind the empty line once that is there.
bool request_parser::scan(std::string_view text, std::size_t& head_end, error& failure) noexcept {
    const char* const base = text.data();
    const char* const end = base + text.size();
    for (;;) {
        const char* const stop = detail::find_line_end(base + scan_at_, end);
        scan_at_ = static_cast<std::uint32_t>(stop - base);
        if (lines_ == 0 && scan_at_ - line_at_ > limits_->request_line_bytes_max) {
            failure = error::target_too_long;
            return false;
        }
        if (stop == end || (*stop == '\r' && stop + 1 == end)) { return true; }
        if (*stop != '\r' || stop[1] != '\n') {
            failure = error::bad_line_ending;
            return false;
        }
        const std::string_view line(base + line_at_, scan_at_ - line_at_);
        scan_at_ += 2;
        line_at_ = scan_at_;
        if (line.empty() && lines_ > 0) {
            head_end = scan_at_;
            return true;
        }
        if (!check_line(line, failure)) { return false; }
    }
}

bool request_parser::check_line(std::string_view line, error& failure) noexcept {
    if (lines_++ == 0) {
        const auto parts = split_request_line(line);
        if (!parts) { failure = parts.error(); }
        return parts.has_value();
    }
    const auto checked = check_header_line(line);
    if (!checked) { failure = checked.error(); }
    return checked.has_value();
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
    const std::size_t size =
        static_cast<std::size_t>(std::min<std::uint64_t>(input.size(), remaining_));
    const std::string_view piece = input.substr(0, size);
    input.remove_prefix(size);
    remaining_ -= size;
    if (remaining_ == 0) { state_ = state::message_end; }
    return event(piece);
}

event request_parser::next_in_chunks(std::string_view& input) noexcept {
    const event found = chunks_.next(input, *limits_);
    if (found.kind == event_kind::end) { state_ = state::idle; }
    if (found.kind == event_kind::error) { return fail(found.failure); }
    return found;
}

}  // namespace heph::http::h1
