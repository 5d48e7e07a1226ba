#include <algorithm>
#include <span>

#include <heph/http/h1/head_lines.hpp>

#include "../chars.hpp"
#include "head_reader.hpp"

namespace heph::http::h1 {

namespace {

// Positions in a head are 32 bits wide.
constexpr std::size_t head_bytes_most = std::size_t{1} << 30;

constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

// A head ends in an empty line, so that there is a byte behind all other line ends.
void unfold(std::span<char> head) noexcept {
    for (std::size_t at = 0; at + 2 < head.size(); ++at) {
        if (head[at] == '\r' && is_blank(head[at + 2])) { head[at] = head[at + 1] = ' '; }
    }
}

}  // namespace

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
    if (!scan(text, limits, check_start, head_end)) { return progress::refused; }
    if (head_end == 0) {
        if (text.size() > most) {
            return refuse(lines_ == 0 ? error::target_too_long : error::head_too_large);
        }
        if (before == 0) { gathered.append(part.data(), part.size()); }
        input.remove_prefix(part.size());
        return progress::need_input;
    }
    if (head_end > most) { return refuse(error::head_too_large); }
    if (before == 0) {
        gathered.append(part.data(), head_end);
    } else {
        gathered.truncate(head_end);
    }
    input.remove_prefix(head_end - before);
    if (folded_) { unfold({gathered.data(), gathered.size()}); }
    return progress::complete;
}

// Sets `head_end` behind the empty line once that is there.
bool head_lines::scan(std::string_view text, const limits& limits, start_line_check check_start,
                      std::size_t& head_end) noexcept {
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
        if (*stop != '\r' || stop[1] != '\n') {
            failure_ = error::bad_line_ending;
            return false;
        }
        const std::string_view line(base + line_at_, scan_at_ - line_at_);
        scan_at_ += 2;
        line_at_ = scan_at_;
        if (line.empty() && lines_ > 0) {
            head_end = scan_at_;
            return true;
        }
        if (!check_line(line, check_start)) { return false; }
    }
}

bool head_lines::check_line(std::string_view line, start_line_check check_start) noexcept {
    // Not behind the start line: there is nothing yet that could go on.
    if (unfolds_ && lines_ > 1 && is_blank(line.front())) {
        folded_ = true;
        ++lines_;
        return true;
    }
    const auto checked = lines_++ == 0 ? check_start(line) : check_header_line(line);
    if (!checked) { failure_ = checked.error(); }
    return checked.has_value();
}

}  // namespace heph::http::h1
