#include <algorithm>
#include <span>

#include <heph/http/h1/head_lines.hpp>

#include "../chars.hpp"

namespace heph::http::h1 {

namespace {

// Positions in a head are 32 bits wide.
constexpr std::size_t head_bytes_most = std::size_t{1} << 30;

constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

// A head ends in an empty line, so that there is a byte behind all other line ends.
void unfold(std::span<char> head) noexcept {
    for (std::size_t at = 1; at + 1 < head.size(); ++at) {
        if (head[at] != '\n' || !is_blank(head[at + 1])) { continue; }
        if (head[at - 1] == '\r') { head[at - 1] = ' '; }
        head[at] = ' ';
    }
}

// Tells what is wrong with a line that does not begin with a name, of `name` bytes, and a colon.
error fault_of_field(std::string_view line, std::size_t name) noexcept {
    if (name == line.size() || !is_blank(line[name])) { return error::bad_header_name; }
    if (name == 0) { return error::folded_header; }
    const std::size_t behind = line.find_first_not_of(" \t", name);
    return behind != std::string_view::npos && line[behind] == ':' ? error::space_before_colon
                                                                   : error::bad_header_name;
}

}  // namespace

head_lines::progress head_lines::refuse(error what, headers& into) noexcept {
    failure_ = what;
    into.fields_.clear();
    return progress::refused;
}

head_lines::progress head_lines::take(std::string_view& input, headers& into, const limits& limits,
                                      start_line_check check_start) {
    auto& gathered = into.text_;
    const std::size_t before = gathered.size();
    // One byte more than is allowed is enough to know that it is too much.
    const std::size_t most = std::min(limits.head_bytes_max, head_bytes_most);
    const std::size_t room = most + 1 - before;
    const std::string_view part = input.substr(0, room);
    std::string_view text = part;
    if (before != 0) {
        gathered.append(part.data(), part.size());
        text = {gathered.data(), gathered.size()};
    }
    std::size_t head_end = 0;
    if (!scan(text, into, limits, check_start, head_end)) { return refuse(failure_, into); }
    if (head_end == 0) {
        if (text.size() > most) {
            return refuse(lines_ == 0 ? error::target_too_long : error::head_too_large, into);
        }
        if (before == 0) { gathered.append(part.data(), part.size()); }
        input.remove_prefix(part.size());
        return progress::need_input;
    }
    if (head_end > most) { return refuse(error::head_too_large, into); }
    if (before == 0) {
        gathered.append(part.data(), head_end);
    } else {
        gathered.truncate(head_end);
    }
    input.remove_prefix(head_end - before);
    if (folded_) { unfold_values(into); }
    return progress::complete;
}

// Sets `head_end` behind the empty line once that is there.
bool head_lines::scan(std::string_view text, headers& into, const limits& limits,
                      start_line_check check_start, std::size_t& head_end) {
    const char* const base = text.data();
    const char* const end = base + text.size();
    for (;;) {
        const char* const stop = detail::find_line_end(base + scan_at_, end);
        scan_at_ = static_cast<std::uint32_t>(stop - base);
        if (lines_ == 0 && scan_at_ - line_at_ > limits.request_line_bytes_max) {
            failure_ = error::target_too_long;
            return false;
        }
        if (stop == end || (*stop == '\r' && stop + 1 == end)) { return true; }
        const bool bare = *stop == '\n' && lenient_;
        if (!bare && (*stop != '\r' || stop[1] != '\n')) {
            failure_ = error::bad_line_ending;
            return false;
        }
        if (bare) { sloppy_ = true; }
        const std::uint32_t end_bytes = bare ? 1 : 2;
        const std::string_view line(base + line_at_, scan_at_ - line_at_);
        if (line.empty() && lines_ > 0) {
            head_end = std::size_t{scan_at_} + end_bytes;
            return true;
        }
        if (!take_line(line, into, limits, check_start)) { return false; }
        scan_at_ += end_bytes;
        line_at_ = scan_at_;
        ++lines_;
    }
}

bool head_lines::take_line(std::string_view line, headers& into, const limits& limits,
                           start_line_check check_start) {
    if (lines_ == 0) {
        const auto checked = check_start(line);
        if (!checked) { failure_ = checked.error(); }
        start_size_ = static_cast<std::uint32_t>(line.size());
        return checked.has_value();
    }
    // Not behind the start line: there is nothing yet that could go on.
    if (lenient_ && lines_ > 1 && is_blank(line.front())) {
        headers::field& last = into.fields_[into.fields_.size() - 1];
        last.value_size = scan_at_ - last.value_at;
        folded_ = true;
        return true;
    }
    return take_field(line, into, limits);
}

bool head_lines::take_field(std::string_view line, headers& into, const limits& limits) {
    std::size_t name = 0;
    while (name < line.size() && detail::is_char(line[name], detail::token_char)) { ++name; }
    std::size_t colon = name;
    if (lenient_) {
        while (colon < line.size() && is_blank(line[colon])) { ++colon; }
    }
    if (name == 0 || colon == line.size() || line[colon] != ':') {
        failure_ = fault_of_field(line, name);
        return false;
    }
    if (into.fields_.size() >= limits.headers_max) {
        failure_ = error::too_many_headers;
        return false;
    }
    if (colon != name) { sloppy_ = true; }
    const std::string_view value = detail::trim(line.substr(colon + 1));
    headers::field found{};
    found.name_at = line_at_;
    found.name_size = static_cast<std::uint32_t>(name);
    found.value_at = line_at_ + static_cast<std::uint32_t>(value.data() - line.data());
    found.value_size = static_cast<std::uint32_t>(value.size());
    into.fields_.push_back(found);
    return true;
}

// What goes on in further lines was taken with all that is between.
void head_lines::unfold_values(headers& fields) noexcept {
    unfold({fields.text_.data(), fields.text_.size()});
    for (std::size_t i = 0; i < fields.fields_.size(); ++i) {
        headers::field& each = fields.fields_[i];
        const std::string_view value = detail::trim(fields.text(each.value_at, each.value_size));
        each.value_at = static_cast<std::uint32_t>(value.data() - fields.text_.data());
        each.value_size = static_cast<std::uint32_t>(value.size());
    }
}

}  // namespace heph::http::h1
