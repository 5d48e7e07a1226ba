#include "resp.hpp"

#include <charconv>
#include <system_error>
#include <utility>

namespace key_value {

namespace {

// A length, as written: no sign, no blanks.
std::optional<std::size_t> to_length(std::string_view text) {
    std::size_t value = 0;
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, value);
    if (parsed.ec != std::errc() || parsed.ptr != end) { return std::nullopt; }
    return value;
}

request words_of(std::string_view line) {
    request words;
    while (!line.empty()) {
        const std::size_t begin = line.find_first_not_of(" \t");
        if (begin == std::string_view::npos) { break; }
        const std::size_t end = line.find_first_of(" \t", begin);
        words.emplace_back(line.substr(begin, end - begin));
        line.remove_prefix(end == std::string_view::npos ? line.size() : end);
    }
    return words;
}

}  // namespace

void request_reader::feed(std::string_view bytes) {
    if (!failed_.empty()) { return; }
    if (read_ != 0) {
        bytes_.erase(0, read_);
        searched_ -= read_;
        read_ = 0;
    }
    bytes_.append(bytes);
}

std::optional<std::string_view> request_reader::take_line() {
    const std::size_t end = bytes_.find('\n', searched_);
    if (end == std::string::npos) {
        searched_ = bytes_.size();
        return std::nullopt;
    }
    std::string_view line = std::string_view(bytes_).substr(read_, end - read_);
    if (line.ends_with('\r')) { line.remove_suffix(1); }
    read_ = end + 1;
    searched_ = read_;
    return line;
}

// Tells whether the request is complete.
std::expected<bool, std::string> request_reader::begin_request(std::string_view line) {
    if (!line.starts_with('*')) {
        request_ = words_of(line);
        return !request_.empty();
    }
    const auto count = to_length(line.substr(1));
    if (!count || *count > strings_max) {
        return std::unexpected(std::string("Protocol error: invalid multibulk length"));
    }
    strings_left_ = *count;
    request_bytes_ = 0;
    return false;
}

std::expected<std::optional<request>, std::string> request_reader::next() {
    const auto fail = [this](std::string why) {
        failed_ = std::move(why);
        return std::unexpected(failed_);
    };
    for (;;) {
        if (!failed_.empty()) { return std::unexpected(failed_); }
        if (string_bytes_) {
            if (bytes_.size() - read_ < *string_bytes_ + 2) { return std::nullopt; }
            if (bytes_.compare(read_ + *string_bytes_, 2, "\r\n") != 0) {
                return fail("Protocol error: a string is longer than it says");
            }
            request_.push_back(bytes_.substr(read_, *string_bytes_));
            read_ += *string_bytes_ + 2;
            searched_ = read_;
            string_bytes_.reset();
            if (--strings_left_ == 0) { return std::exchange(request_, {}); }
            continue;
        }
        const auto line = take_line();
        if (!line) {
            if (bytes_.size() - read_ > line_bytes_max) {
                return fail("Protocol error: too big inline request");
            }
            return std::nullopt;
        }
        if (strings_left_ == 0) {
            const auto complete = begin_request(*line);
            if (!complete) { return fail(complete.error()); }
            if (*complete) { return std::exchange(request_, {}); }
            continue;
        }
        const auto length =
            line->starts_with('$') ? to_length(line->substr(1)) : std::optional<std::size_t>();
        if (!length || *length > string_bytes_max ||
            (request_bytes_ += *length) > request_bytes_max) {
            return fail("Protocol error: invalid bulk length");
        }
        string_bytes_ = *length;
    }
}

void append_simple(std::string& out, std::string_view text) {
    out.append("+").append(text).append("\r\n");
}
void append_error(std::string& out, std::string_view text) {
    out.append("-").append(text).append("\r\n");
}
void append_integer(std::string& out, std::int64_t value) {
    out.append(":").append(std::to_string(value)).append("\r\n");
}
void append_bulk(std::string& out, std::string_view bytes) {
    out.append("$").append(std::to_string(bytes.size())).append("\r\n");
    out.append(bytes).append("\r\n");
}
void append_nothing(std::string& out) { out.append("$-1\r\n"); }
void append_array(std::string& out, std::size_t count) {
    out.append("*").append(std::to_string(count)).append("\r\n");
}

}  // namespace key_value
