#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>

#include <heph/http/h1/response_parser.hpp>

#include "../chars.hpp"
#include "known_length.hpp"

namespace heph::http::h1 {

namespace {

// A server that sends more has nothing else to say.
constexpr std::uint32_t interim_max = 32;

/// The parts of a status line.
struct status_line {
    std::string_view version;
    std::string_view code;
    std::string_view reason;
};

// HTTP/1.1 SP 3DIGIT SP [reason]. The second blank is missing from what many servers send when
// there is no reason.
std::expected<status_line, error> split_status_line(std::string_view line) noexcept {
    constexpr std::size_t version_size = 8;
    constexpr std::size_t code_end = version_size + 4;
    if (line.size() < code_end || !line.starts_with("HTTP/") || line[version_size] != ' ' ||
        (line.size() > code_end && line[code_end] != ' ')) {
        return std::unexpected(error::bad_status_line);
    }
    status_line parts;
    parts.version = line.substr(0, version_size);
    parts.code = line.substr(version_size + 1, 3);
    parts.reason = line.size() > code_end ? line.substr(code_end + 1) : std::string_view();
    const std::string_view number = parts.version.substr(5);
    if (!detail::is_digit(number[0]) || number[1] != '.' || !detail::is_digit(number[2]) ||
        !std::ranges::all_of(parts.code, detail::is_digit) || parts.code[0] == '0') {
        return std::unexpected(error::bad_status_line);
    }
    if (number[0] != '1') { return std::unexpected(error::unsupported_version); }
    return parts;
}

std::expected<void, error> check_status_line(std::string_view line) noexcept {
    const auto parts = split_status_line(line);
    if (!parts) { return std::unexpected(parts.error()); }
    return {};
}

/// What the fields say about the framing.
struct framing_fields {
    std::optional<std::uint64_t> length;
    bool repeats = false;  // The length is there more than once.
    bool chunked = false;
    bool transfer_encoding = false;
};

std::expected<std::uint64_t, error> parse_length(std::string_view text) noexcept {
    std::uint64_t length = 0;
    const char* const end = text.data() + text.size();
    const auto [at, failure] = std::from_chars(text.data(), end, length);
    if (failure != std::errc() || at != end || text.empty()) {
        return std::unexpected(error::bad_content_length);
    }
    return length;
}

std::expected<framing_fields, error> find_framing(const headers& fields) {
    framing_fields found;
    for (const header field : fields) {
        if (equal_ignoring_case(field.name, "content-length")) {
            const auto length = parse_length(field.value);
            if (!length) { return std::unexpected(length.error()); }
            if (found.length && *found.length != *length) {
                return std::unexpected(error::repeated_content_length);
            }
            found.repeats = found.length.has_value();
            found.length = *length;
        } else if (equal_ignoring_case(field.name, "transfer-encoding")) {
            if (found.transfer_encoding) { return std::unexpected(error::bad_transfer_encoding); }
            found.transfer_encoding = true;
            found.chunked = equal_ignoring_case(field.value, "chunked");
            if (!found.chunked) { return std::unexpected(error::unknown_transfer_encoding); }
        }
    }
    return found;
}

}  // namespace

void response_parser::begin(method method) noexcept {
    if (state_ == state::failed) { return; }
    method_ = method;
    interim_ = 0;
    state_ = state::begun;
}

event response_parser::next(std::string_view& input, response_head& head) {
    switch (state_) {
        case state::begun:
            if (input.empty()) { return event(event_kind::need_input); }
            head.clear();
            lines_.start(true);
            state_ = state::head;
            return next_head(input, head);
        case state::head: return next_head(input, head);
        case state::length_body: return next_in_length(input);
        case state::chunked_body: return next_in_chunks(input, head);
        case state::open_body: {
            if (input.empty()) { return event(event_kind::need_input); }
            // Up to the limit it is given, however the bytes are cut.
            if (remaining_ == 0) { return fail(error::body_too_large); }
            return event(take_known_length(input, remaining_));
        }
        case state::message_end: state_ = state::idle; return event(event_kind::end);
        case state::idle:
        case state::tunnel: return event(event_kind::need_input);
        case state::failed: break;
    }
    return event(failure_);
}

event response_parser::end_of_input() noexcept {
    switch (state_) {
        case state::idle: return event(event_kind::need_input);
        case state::open_body: state_ = state::idle; return event(event_kind::end);
        case state::failed: return event(failure_);
        default: return fail(error::connection_lost);
    }
}

event response_parser::fail(error what) noexcept {
    state_ = state::failed;
    failure_ = what;
    return event(what);
}

event response_parser::next_head(std::string_view& input, response_head& head) {
    switch (lines_.take(input, head.headers_, *limits_, check_status_line)) {
        case head_lines::progress::need_input: return event(event_kind::need_input);
        case head_lines::progress::refused: return fail(lines_.failure());
        case head_lines::progress::complete: break;
    }
    sloppy_ = sloppy_ || lines_.is_sloppy();
    if (const auto done = read(head); !done) { return fail(done.error()); }
    return begin_body(head);
}

std::expected<void, error> response_parser::read(response_head& head) {
    const auto done = read_status_line(head);
    return done ? frame(head) : done;
}

std::expected<void, error> response_parser::read_status_line(response_head& head) {
    const auto line = split_status_line(lines_.start_line(head.headers_));
    if (!line) { return std::unexpected(line.error()); }
    const std::string_view digits = line->code;
    const int number = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
    head.status_ = static_cast<status>(number);
    head.version_ = line->version.back() == '0' ? version::http_1_0 : version::http_1_1;
    if (!line->reason.empty()) {
        head.reason_at_ =
            static_cast<std::uint32_t>(line->reason.data() - head.headers_.text_.data());
        head.reason_size_ = static_cast<std::uint32_t>(line->reason.size());
    }
    return {};
}

std::expected<void, error> response_parser::frame(response_head& head) const {
    const bool is_1_1 = head.version_ == version::http_1_1;
    const headers& fields = head.headers_;
    head.keep_alive_ = !sloppy_ && !fields.has_token("connection", "close") &&
                       (is_1_1 || fields.has_token("connection", "keep-alive"));
    const bool accepted = code(head.status_) >= 200 && code(head.status_) < 300;
    if (head.status_ == status::switching_protocols || (method_ == method::connect && accepted)) {
        head.framing_ = response_framing::tunnel;
        return {};
    }
    const bool bodiless = is_bodiless(head.status_) || method_ == method::head;
    const auto found = find_framing(fields);
    // A coding of a body that is not sent is none that has to be undone.
    if (!found && bodiless && found.error() == error::unknown_transfer_encoding) {
        head.framing_ = response_framing::none;
        return {};
    }
    if (!found) { return std::unexpected(found.error()); }
    if (found->length && found->transfer_encoding) {
        return std::unexpected(error::length_and_transfer_encoding);
    }
    // What is faulty, and yet can be read in one way only, ends the connection (RFC 9112, 6.1).
    if (found->repeats || (found->transfer_encoding && !is_1_1)) { head.keep_alive_ = false; }
    if (bodiless) {
        head.framing_ = response_framing::none;
    } else if (found->chunked) {
        head.framing_ = response_framing::chunked;
    } else if (found->length) {
        head.framing_ = response_framing::length;
        head.content_length_ = *found->length;
        if (*found->length > limits_->streamed_body_bytes_max) {
            return std::unexpected(error::body_too_large);
        }
    } else {
        head.framing_ = response_framing::until_close;
        head.keep_alive_ = false;
    }
    return {};
}

event response_parser::begin_body(response_head& head) noexcept {
    if (code(head.status_) < 200 && head.framing_ != response_framing::tunnel) {
        if (++interim_ > interim_max) { return fail(error::too_many_interim_responses); }
        state_ = state::begun;
        return event(event_kind::head);
    }
    remaining_ = head.content_length_;
    switch (head.framing_) {
        case response_framing::chunked:
            chunks_.start(true);
            state_ = state::chunked_body;
            break;
        case response_framing::length:
            state_ = remaining_ > 0 ? state::length_body : state::message_end;
            break;
        case response_framing::until_close:
            remaining_ = limits_->streamed_body_bytes_max;
            state_ = state::open_body;
            break;
        case response_framing::tunnel: state_ = state::tunnel; break;
        case response_framing::none: state_ = state::message_end; break;
    }
    return event(event_kind::head);
}

event response_parser::next_in_length(std::string_view& input) noexcept {
    if (input.empty()) { return event(event_kind::need_input); }
    const std::string_view piece = take_known_length(input, remaining_);
    if (remaining_ == 0) { state_ = state::message_end; }
    return event(piece);
}

event response_parser::next_in_chunks(std::string_view& input, response_head& head) {
    const event found = chunks_.next(input, *limits_, head.trailers_);
    if (found.kind == event_kind::end) {
        state_ = state::idle;
        sloppy_ = sloppy_ || chunks_.is_sloppy();
        if (sloppy_) { head.keep_alive_ = false; }
    }
    if (found.kind == event_kind::error) { return fail(found.failure); }
    return found;
}

}  // namespace heph::http::h1
