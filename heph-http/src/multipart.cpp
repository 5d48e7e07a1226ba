#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heph/http/multipart.hpp>
#include <heph/http/uri.hpp>
#include <heph/http/ws/utf8_validator.hpp>

#include "chars.hpp"

namespace heph::http {

namespace {

constexpr std::size_t boundary_bytes_max = 70;

// RFC 2046, 5.1.1.
bool is_boundary(std::string_view text) noexcept {
    constexpr std::string_view more = "'()+_,-./:=? ";
    return !text.empty() && text.size() <= boundary_bytes_max && text.back() != ' ' &&
           std::ranges::all_of(text, [more](char c) {
               return detail::is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      more.find(c) != std::string_view::npos;
           });
}

/// What a backslash means in a value in quotes.
enum class backslash {
    escapes,  ///< A quote, or itself, and nothing else: those of Windows are kept.
    is_data,  ///< As browsers write it, for whom a quote is `%22`.
};

// A token; or one that has what boundaries may have, and what ends no value even without quotes.
bool is_bare_value(std::string_view text) {
    constexpr std::string_view more = "/:=?";
    std::string rest(text);
    std::erase_if(rest, [more](char c) { return more.find(c) != std::string_view::npos; });
    return is_token(rest);
}

/// Takes a value in quotes, or up to the next semicolon, off the front of a text.
std::optional<std::string> take_value(std::string_view& text, backslash meaning) {
    std::string value;
    if (!text.starts_with('"')) {
        const std::string_view bare = text.substr(0, text.find(';'));
        text.remove_prefix(bare.size());
        value = detail::trim(bare);
        return is_bare_value(value) ? std::optional(value) : std::nullopt;
    }
    text.remove_prefix(1);
    while (!text.empty() && text.front() != '"') {
        const bool escape = meaning == backslash::escapes && text.size() > 1 && text[0] == '\\' &&
                            (text[1] == '"' || text[1] == '\\');
        if (escape) { text.remove_prefix(1); }
        value += text.front();
        text.remove_prefix(1);
    }
    if (text.empty()) { return std::nullopt; }
    text.remove_prefix(1);
    return value;
}

using disposition_parameters = std::vector<std::pair<std::string_view, std::string>>;

std::optional<disposition_parameters> read_parameters(std::string_view text, backslash meaning) {
    disposition_parameters all;
    while (true) {
        text = detail::trim(text);
        if (text.empty()) { return all; }
        if (text.front() != ';') { return std::nullopt; }
        text = detail::trim(text.substr(1));
        if (text.empty()) { return all; }
        const std::size_t equals = text.find('=');
        if (equals == std::string_view::npos) { return std::nullopt; }
        const std::string_view name = detail::trim(text.substr(0, equals));
        text = detail::trim(text.substr(equals + 1));
        if (!is_token(name)) { return std::nullopt; }
        auto value = take_value(text, meaning);
        if (!value) { return std::nullopt; }
        all.emplace_back(name, std::move(*value));
    }
}

/// Calls `take` with the parameters behind a value such as `form-data; name="x"`. Gives false when
/// they are malformed, or `take` does.
template <typename Take>
bool for_each_parameter(std::string_view text, Take take) {
    auto all = read_parameters(text, backslash::escapes);
    // A browser writes a name that ends with a backslash so that it seems to escape the last quote,
    // of which no other then is the end.
    if (!all) { all = read_parameters(text, backslash::is_data); }
    return all && std::ranges::all_of(*all, [&take](auto& each) {
               return take(each.first, std::move(each.second));
           });
}

/// Reads `utf-8'en'%C3%A4.txt` (RFC 8187, 3.2.1). Nothing when it is malformed, or of another
/// charset.
std::optional<std::string> extended_value(std::string_view text) {
    const std::size_t charset_end = text.find('\'');
    if (charset_end == std::string_view::npos ||
        !equal_ignoring_case(text.substr(0, charset_end), "utf-8")) {
        return std::nullopt;
    }
    const std::size_t language_end = text.find('\'', charset_end + 1);
    if (language_end == std::string_view::npos) { return std::nullopt; }
    auto decoded = percent_decode(text.substr(language_end + 1));
    ws::utf8_validator valid;
    if (!decoded || !valid.feed(*decoded) || !valid.is_complete()) { return std::nullopt; }
    return std::move(*decoded);
}

/// Takes a line off the front of a head, of which each begins with a line end; with those that
/// continue it, as mail programs write them (RFC 5322, 2.2.3).
std::string take_field_line(std::string_view& head) {
    std::string line;
    do {
        head.remove_prefix(2);
        const std::string_view piece = head.substr(0, head.find("\r\n"));
        line += piece;
        head.remove_prefix(piece.size());
    } while (head.size() > 2 && (head[2] == ' ' || head[2] == '\t'));
    return line;
}

}  // namespace

std::optional<std::string> multipart_boundary(std::string_view content_type) {
    const std::size_t end = content_type.find(';');
    if (end == std::string_view::npos ||
        !equal_ignoring_case(detail::trim(content_type.substr(0, end)), "multipart/form-data")) {
        return std::nullopt;
    }
    std::optional<std::string> found;
    const bool good = for_each_parameter(content_type.substr(end),
                                         [&found](std::string_view name, std::string value) {
                                             if (!equal_ignoring_case(name, "boundary")) {
                                                 return true;
                                             }
                                             if (found) { return false; }
                                             found = std::move(value);
                                             return true;
                                         });
    if (!good || !found || !is_boundary(*found)) { return std::nullopt; }
    return found;
}

multipart_parser::multipart_parser(std::string_view boundary, const multipart_limits& bounds)
    : limits_(bounds), delimiter_("\r\n--" + std::string(boundary)), held_("\r\n") {}

multipart_parser::event multipart_parser::fail(http::error why) noexcept {
    state_ = state::failed;
    failure_ = why;
    return {event_kind::error, {}, why};
}

multipart_parser::event multipart_parser::next(std::string_view& input) {
    if (state_ == state::failed) { return fail(failure_); }
    if (state_ == state::end) {
        input = {};
        return {};
    }
    for (;;) {
        if (auto found = step()) { return *found; }
        if (input.empty()) { return {}; }
        held_.erase(0, at_);
        at_ = 0;
        held_.append(input);
        input = {};
    }
}

// Gives nothing when it takes more bytes to go on.
std::optional<multipart_parser::event> multipart_parser::step() {
    for (;;) {
        const state before = state_;
        std::optional<event> found;
        switch (state_) {
            case state::preamble:
            case state::data: found = find_delimiter(); break;
            case state::line: found = take_line(); break;
            case state::head: found = take_head(); break;
            case state::data_begin: begin_data(); break;
            case state::part_end: state_ = state::line; return event{event_kind::part_end, {}, {}};
            default: return std::nullopt;
        }
        if (found || state_ == before) { return found; }
    }
}

std::optional<multipart_parser::event> multipart_parser::find_delimiter() {
    const std::string_view text = rest();
    const std::size_t found = text.find(delimiter_);
    // Its beginning may be there already, and the rest is to come.
    const std::size_t certain = found != std::string_view::npos ? found
                                : text.size() < delimiter_.size()
                                    ? 0
                                    : text.size() - delimiter_.size() + 1;
    const std::string_view piece = text.substr(0, certain);
    drop(certain);
    if (state_ == state::data && !piece.empty()) { return event{event_kind::data, piece, {}}; }
    if (found != std::string_view::npos) {
        drop(delimiter_.size());
        state_ = state_ == state::data ? state::part_end : state::line;
    }
    return std::nullopt;
}

// Behind a delimiter: the end, or blanks that somebody on the way added, and a line end.
std::optional<multipart_parser::event> multipart_parser::take_line() {
    const std::string_view text = rest();
    if (text.starts_with("--")) {
        state_ = state::end;
        return event{event_kind::end, {}, {}};
    }
    const std::size_t end = text.find_first_not_of(" \t");
    if (std::min(end, text.size()) > limits_.part_head_bytes_max) {
        return fail(error::bad_multipart);
    }
    if (end == std::string_view::npos || text.substr(end) == "\r" || text == "-") {
        return std::nullopt;
    }
    if (!text.substr(end).starts_with("\r\n")) { return fail(error::bad_multipart); }
    // The line end stays: it stands before the first line of the head.
    drop(end);
    state_ = state::head;
    return std::nullopt;
}

std::optional<multipart_parser::event> multipart_parser::take_head() {
    constexpr std::string_view head_end = "\r\n\r\n";
    const std::string_view text = rest();
    const std::size_t end = text.find(head_end);
    // What may be the beginning of the end does not count, however the bytes come.
    const std::size_t certain = text.size() - std::min(text.size(), head_end.size() - 1);
    if (std::min(end, certain) > limits_.part_head_bytes_max) { return fail(error::bad_multipart); }
    if (end == std::string_view::npos) { return std::nullopt; }
    if (++parts_ > limits_.parts_max) { return fail(error::too_many_fields); }
    if (!read_head(text.substr(0, end))) { return fail(error::bad_multipart); }
    // The second line end stays: it may be that of a delimiter.
    drop(end + head_end.size() / 2);
    state_ = state::data_begin;
    return event{event_kind::part, {}, {}};
}

// A part may have no body: its delimiter is then the first line behind the head, and shares the
// line end with it (RFC 2046, 5.1.1, `body-part`).
void multipart_parser::begin_data() noexcept {
    const std::string_view text = rest();
    if (text.starts_with(delimiter_)) {
        drop(delimiter_.size());
        state_ = state::part_end;
    } else if (!std::string_view(delimiter_).starts_with(text)) {
        drop(2);
        state_ = state::data;
    }
}

bool multipart_parser::read_head(std::string_view head) {
    part_ = form_part();
    part_.content_type = "text/plain";
    bool named = false;
    std::optional<std::string> extended;  // Of `filename*`.
    while (!head.empty()) {
        const std::string unfolded = take_field_line(head);
        const std::string_view line = unfolded;
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos) { return false; }
        const std::string_view name = line.substr(0, colon);
        const std::string_view value = detail::trim(line.substr(colon + 1));
        if (!is_token(name) || !is_field_value(value)) { return false; }
        part_.headers.append(name, value);
        if (equal_ignoring_case(name, "content-type") && !value.empty()) {
            part_.content_type = value;
        }
        if (!equal_ignoring_case(name, "content-disposition")) { continue; }
        const std::size_t end = std::min(value.find(';'), value.size());
        if (named || !equal_ignoring_case(detail::trim(value.substr(0, end)), "form-data")) {
            return false;
        }
        const bool good = for_each_parameter(
            value.substr(end), [&](std::string_view parameter, std::string text) {
                if (equal_ignoring_case(parameter, "name")) {
                    if (named) { return false; }
                    named = true;
                    part_.name = std::move(text);
                } else if (equal_ignoring_case(parameter, "filename")) {
                    if (part_.filename) { return false; }
                    part_.filename = std::move(text);
                } else if (equal_ignoring_case(parameter, "filename*") && !extended) {
                    extended = extended_value(text);
                }
                return true;
            });
        if (!good) { return false; }
    }
    // RFC 7578, 4.2, wants none sent; who does may send one that is encoded otherwise beside it, or
    // none at all, which then is no field.
    if (extended) { part_.filename = std::move(extended); }
    return named;
}

std::expected<multipart_reader, error> multipart_reader::of(request& from,
                                                            const multipart_limits& bounds) {
    const auto type = from.header("Content-Type");
    const auto boundary = type && from.headers().count("Content-Type") == 1
                              ? multipart_boundary(*type)
                              : std::nullopt;
    if (!boundary) { return std::unexpected(error::bad_multipart); }
    return multipart_reader(from, *boundary, bounds);
}

task<multipart_reader::event> multipart_reader::next_event() {
    using kind = multipart_parser::event_kind;
    for (;;) {
        const event found = parser_.next(input_);
        if (found.kind != kind::need_input) { co_return found; }
        const auto piece = co_await from_->body().next();
        event failed;
        failed.kind = kind::error;
        failed.failure = piece ? error::bad_multipart : piece.error();
        // The body ends before the form does.
        if (!piece || piece->empty()) { co_return failed; }
        input_ = *piece;
    }
}

task<std::expected<const form_part*, error>> multipart_reader::next_part() {
    using result = std::expected<const form_part*, error>;
    using kind = multipart_parser::event_kind;
    while (!parser_.is_done()) {
        const event found = co_await next_event();
        if (found.kind == kind::error) { co_return result(std::unexpect, found.failure); }
        in_part_ = found.kind == kind::part;
        if (in_part_) { co_return result(&parser_.part()); }
    }
    co_return result(nullptr);
}

task<std::expected<std::string_view, error>> multipart_reader::next() {
    using result = std::expected<std::string_view, error>;
    using kind = multipart_parser::event_kind;
    if (!in_part_) { co_return result(std::string_view()); }
    const event found = co_await next_event();
    if (found.kind == kind::error) { co_return result(std::unexpect, found.failure); }
    in_part_ = found.kind == kind::data;
    co_return result(found.data);
}

task<std::expected<std::string, error>> multipart_reader::read_part(std::size_t bytes_max) {
    using result = std::expected<std::string, error>;
    std::string all;
    for (;;) {
        const auto piece = co_await next();
        if (!piece) { co_return result(std::unexpect, piece.error()); }
        if (piece->empty()) { co_return result(std::move(all)); }
        if (piece->size() > bytes_max - all.size()) {
            co_return result(std::unexpect, error::body_too_large);
        }
        all += *piece;
    }
}

}  // namespace heph::http
