#include <heph/http/h1/chunked_decoder.hpp>

#include "../chars.hpp"
#include "field_writer.hpp"
#include "known_length.hpp"

namespace heph::http::h1 {

event chunked_decoder::next(std::string_view& input, const limits& limits, headers& trailers) {
    while (!input.empty() && state_ != state::done) {
        if (state_ == state::data) { return take_data(input); }
        const char c = input.front();
        input.remove_prefix(1);
        error failure = error::bad_chunk;
        bool good = false;
        if (state_ < state::ext_before) {
            good = take_size(c, limits, failure);
        } else if (state_ < state::data) {
            good = take_extension(c, limits, failure);
        } else if (state_ < state::trailer_begin) {
            good = take_data_end(c);
        } else {
            // The empty line behind the trailers does not count.
            if (++line_ > 2 && line_ - 2 > limits.trailer_bytes_max) {
                return event(error::trailers_too_large);
            }
            good = take_trailer(c, limits, trailers, failure);
        }
        if (!good) { return event(failure); }
    }
    return event(state_ == state::done ? event_kind::end : event_kind::need_input);
}

event chunked_decoder::take_data(std::string_view& input) noexcept {
    const std::string_view piece = take_known_length(input, left_);
    if (left_ == 0) { state_ = state::data_cr; }
    return event(piece);
}

// The size itself, and what may stand directly behind it.
bool chunked_decoder::take_size(char c, const limits& limits, error& failure) noexcept {
    constexpr std::size_t digits_max = 16;
    const int digit = detail::hex_digit(c);
    if (state_ == state::size_line_end) { return c == '\n' && end_size(limits, failure); }
    if (state_ == state::size_begin) {
        left_ = 0;
        line_ = 0;
        state_ = state::size;
        if (digit < 0) { return false; }
    }
    if (digit >= 0) {
        if ((left_ >> 60U) != 0) { return false; }
        left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
        // More of them are zeros in front, which cost as much as extensions.
        return ++line_ <= digits_max || line_ - digits_max <= limits.chunk_extension_bytes_max;
    }
    if (line_ > digits_max) { extensions_ += line_ - digits_max; }
    line_ = 0;
    if (c == '\r') { return go(state::size_line_end); }
    if (is_bare_end(c)) { return end_size(limits, failure); }
    return (c == ' ' || c == '\t' || c == ';') && take_extension(c, limits, failure);
}

// RFC 9112, 7.1.1: any number of `;name`, `;name=token` and `;name="quoted text"`, with white space
// around the semicolon and the equals sign, and nowhere else; where it is lenient, at the end, too.
bool chunked_decoder::take_extension(char c, const limits& limits, error& failure) noexcept {
    const bool blank = c == ' ' || c == '\t';
    const bool token = detail::is_char(c, detail::token_char);
    const bool closes = (c == '\r' || (c == '\n' && lenient_)) && may_end_extension();
    if (!closes && ++line_ > limits.chunk_extension_bytes_max) {
        failure = error::chunk_extension_too_long;
        return false;
    }
    if (closes) {
        extensions_ += line_;
        return is_bare_end(c) ? end_size(limits, failure) : go(state::size_line_end);
    }
    switch (state_) {
        case state::size:
        case state::ext_before:
            if (c == ';') { return go(state::ext_semicolon); }
            return blank && go(state::ext_before);
        case state::ext_semicolon: return blank || (token && go(state::ext_name));
        case state::ext_name:
            if (token) { return true; }
            [[fallthrough]];
        case state::ext_name_end:
            if (c == '=') { return go(state::ext_equals); }
            if (c == ';') { return go(state::ext_semicolon); }
            return blank && go(state::ext_name_end);
        case state::ext_equals:
            if (c == '"') { return go(state::ext_quoted); }
            return blank || (token && go(state::ext_token));
        case state::ext_token:
            if (token) { return true; }
            [[fallthrough]];
        case state::ext_quoted_end:
            if (c == ';') { return go(state::ext_semicolon); }
            return blank && go(state::ext_before);
        case state::ext_quoted:
            if (c == '"') { return go(state::ext_quoted_end); }
            if (c == '\\') { return go(state::ext_escape); }
            return detail::is_text_char(c);
        default: return detail::is_text_char(c) && go(state::ext_quoted);
    }
}

bool chunked_decoder::may_end_extension() const noexcept {
    return state_ == state::ext_name || state_ == state::ext_token ||
           state_ == state::ext_quoted_end ||
           (lenient_ && (state_ == state::ext_before || state_ == state::ext_semicolon ||
                         state_ == state::ext_name_end));
}

// All of a size's line is there.
bool chunked_decoder::end_size(const limits& limits, error& failure) noexcept {
    // Sent with each byte of a body, extensions would cost far more than the body's limit tells.
    constexpr std::uint64_t full_extensions_max = 64;
    if (extensions_ > total_ &&
        (extensions_ - total_) / full_extensions_max > limits.chunk_extension_bytes_max) {
        failure = error::chunk_extension_too_long;
        return false;
    }
    if (left_ > limits.streamed_body_bytes_max - total_) {
        failure = error::body_too_large;
        return false;
    }
    total_ += left_;
    line_ = 0;
    return go(left_ == 0 ? state::trailer_begin : state::data);
}

bool chunked_decoder::take_data_end(char c) noexcept {
    if (state_ == state::data_cr && !is_bare_end(c)) { return c == '\r' && go(state::data_lf); }
    return c == '\n' && go(state::size_begin);
}

// Where a line may end: at an LF without its CR.
bool chunked_decoder::is_bare_end(char c) noexcept {
    if (c != '\n' || !lenient_) { return false; }
    sloppy_ = true;
    return true;
}

bool chunked_decoder::take_trailer(char c, const limits& limits, headers& trailers,
                                   error& failure) {
    const auto here = [&trailers] { return static_cast<std::uint32_t>(trailers.text_.size()); };
    switch (state_) {
        case state::trailer_begin:
            if (pending_) {
                if (lenient_ && (c == ' ' || c == '\t')) {
                    trailers.text_.push_back(' ');
                    return go(state::trailer_value);
                }
                if (!end_trailer(limits, trailers, failure)) { return false; }
            }
            if (c == '\r') { return go(state::last_lf); }
            if (is_bare_end(c)) { return go(state::done); }
            name_at_ = here();
            state_ = state::trailer_name;
            break;
        case state::trailer_name:
            if (c == ':') {
                value_at_ = here();
                return go(state::trailer_value);
            }
            break;
        case state::trailer_value:
            if (c == '\r' || is_bare_end(c)) {
                pending_ = true;
                return go(c == '\r' ? state::trailer_lf : state::trailer_begin);
            }
            if (!detail::is_text_char(c)) { return false; }
            trailers.text_.push_back(c);
            return true;
        case state::trailer_lf: return c == '\n' && go(state::trailer_begin);
        default: return c == '\n' && go(state::done);
    }
    if (!detail::is_char(c, detail::token_char)) { return false; }
    trailers.text_.push_back(c);
    return true;
}

// All of a trailer is there: it becomes a field, or is forgotten.
bool chunked_decoder::end_trailer(const limits& limits, headers& trailers, error& failure) {
    pending_ = false;
    const char* const text = trailers.text_.data();
    const std::string_view name(text + name_at_, value_at_ - name_at_);
    if (!may_be_trailer(name)) {
        trailers.text_.truncate(name_at_);
        return true;
    }
    if (trailers.size() >= limits.headers_max) {
        failure = error::too_many_headers;
        return false;
    }
    const std::string_view value =
        detail::trim({text + value_at_, trailers.text_.size() - value_at_});
    headers::field added{};
    added.name_at = name_at_;
    added.name_size = value_at_ - name_at_;
    added.value_at = static_cast<std::uint32_t>(value.data() - text);
    added.value_size = static_cast<std::uint32_t>(value.size());
    trailers.fields_.push_back(added);
    return true;
}

}  // namespace heph::http::h1
