#include <algorithm>

#include <heph/http/h1/chunked_decoder.hpp>

#include "../chars.hpp"

namespace heph::http::h1 {

event chunked_decoder::next(std::string_view& input, const limits& limits) noexcept {
    while (!input.empty() && state_ != state::done) {
        if (state_ == state::data) { return take_data(input); }
        const char c = input.front();
        input.remove_prefix(1);
        error failure = error::bad_chunk;
        bool good = false;
        if (state_ < state::data) {
            good = take_size(c, limits, failure);
        } else if (state_ < state::trailer_begin) {
            good = take_data_end(c);
        } else {
            if (++line_ > limits.trailer_bytes_max + 2) { return event(error::trailers_too_large); }
            good = take_trailer(c);
        }
        if (!good) { return event(failure); }
    }
    return event(state_ == state::done ? event_kind::end : event_kind::need_input);
}

event chunked_decoder::take_data(std::string_view& input) noexcept {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(input.size(), left_));
    const std::string_view piece = input.substr(0, size);
    input.remove_prefix(size);
    left_ -= size;
    if (left_ == 0) { state_ = state::data_cr; }
    return event(piece);
}

// The line of a size, up to its LF.
bool chunked_decoder::take_size(char c, const limits& limits, error& failure) noexcept {
    constexpr std::size_t digits_max = 16;
    const int digit = detail::hex_digit(c);
    switch (state_) {
        case state::size_begin:
            left_ = 0;
            line_ = 0;
            if (digit < 0) { return false; }
            state_ = state::size;
            [[fallthrough]];
        case state::size:
            if (digit >= 0) {
                left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
                return ++line_ <= digits_max;
            }
            line_ = 0;
            [[fallthrough]];
        case state::size_blank:
            if (c == ';') { return go(state::extension); }
            if (c == '\r' && state_ == state::size) { return go(state::size_line_end); }
            failure = ++line_ > limits.chunk_extension_bytes_max ? error::chunk_extension_too_long
                                                                 : error::bad_chunk;
            return (c == ' ' || c == '\t') && failure == error::bad_chunk && go(state::size_blank);
        case state::extension:
            if (c == '\r') { return go(state::size_line_end); }
            if (++line_ > limits.chunk_extension_bytes_max) {
                failure = error::chunk_extension_too_long;
                return false;
            }
            return detail::is_text_char(c);
        default:
            if (c != '\n') { return false; }
            if (left_ > limits.streamed_body_bytes_max - total_) {
                failure = error::body_too_large;
                return false;
            }
            total_ += left_;
            line_ = 0;
            return go(left_ == 0 ? state::trailer_begin : state::data);
    }
}

bool chunked_decoder::take_data_end(char c) noexcept {
    if (state_ == state::data_cr) { return c == '\r' && go(state::data_lf); }
    return c == '\n' && go(state::size_begin);
}

bool chunked_decoder::take_trailer(char c) noexcept {
    switch (state_) {
        case state::trailer_begin:
            if (c == '\r') { return go(state::last_lf); }
            return detail::is_char(c, detail::token_char) && go(state::trailer_name);
        case state::trailer_name:
            if (c == ':') { return go(state::trailer_value); }
            return detail::is_char(c, detail::token_char);
        case state::trailer_value:
            if (c == '\r') { return go(state::trailer_lf); }
            return detail::is_text_char(c);
        case state::trailer_lf: return c == '\n' && go(state::trailer_begin);
        default: return c == '\n' && go(state::done);
    }
}

}  // namespace heph::http::h1
