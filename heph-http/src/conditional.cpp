#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/http/conditional.hpp>
#include <heph/http/date.hpp>
#include <heph/http/range.hpp>

#include "conditional_answers.hpp"
#include "random.hpp"

namespace heph::http {

namespace {

/// Gives the date of a field that is there once and well-formed.
std::optional<std::chrono::sys_seconds> date_of(const headers& from, std::string_view name) {
    if (from.count(name) != 1) { return {}; }
    return parse_date(*from.get(name));
}

/// Tells whether a list of tags, over all fields of this name, has one that `matches`; a `*` does
/// when there is any representation.
template <typename Matches>
bool any_tag(const headers& from, std::string_view name, bool exists, Matches matches) {
    for (const header each : from) {
        if (!equal_ignoring_case(each.name, name)) { continue; }
        if (each.value == "*") {
            if (exists) { return true; }
            continue;
        }
        std::string_view list = each.value;
        while (const auto tag = next_entity_tag(list)) {
            if (matches(*tag)) { return true; }
        }
    }
    return false;
}

bool if_match_holds(const headers& from, const validators& current) {
    return any_tag(from, "If-Match", current.exists, [&current](const entity_tag& tag) {
        return current.exists && current.tag && current.tag->matches_strongly(tag);
    });
}

bool if_none_match_holds(const headers& from, const validators& current) {
    return !any_tag(from, "If-None-Match", current.exists, [&current](const entity_tag& tag) {
        return current.exists && current.tag && current.tag->matches_weakly(tag);
    });
}

bool has_conditions(method method) noexcept {
    return method != method::connect && method != method::options && method != method::trace;
}

bool reads(method method) noexcept { return method == method::get || method == method::head; }

}  // namespace

validators validators::of(const headers& headers) {
    validators found;
    if (const auto tag = headers.get("ETag")) { found.tag = entity_tag::parse(*tag); }
    if (const auto date = headers.get("Last-Modified")) { found.modified = parse_date(*date); }
    return found;
}

precondition evaluate_conditions(method method, const headers& request, const validators& current) {
    if (!has_conditions(method)) { return precondition::proceed; }
    if (request.contains("If-Match")) {
        if (!if_match_holds(request, current)) { return precondition::failed; }
    } else if (const auto since = date_of(request, "If-Unmodified-Since")) {
        if (current.modified && *current.modified > *since) { return precondition::failed; }
    }
    if (request.contains("If-None-Match")) {
        if (!if_none_match_holds(request, current)) {
            return reads(method) ? precondition::not_modified : precondition::failed;
        }
    } else if (reads(method)) {
        const auto since = date_of(request, "If-Modified-Since");
        if (since && current.modified && *current.modified <= *since) {
            return precondition::not_modified;
        }
    }
    return precondition::proceed;
}

bool range_condition_holds(const headers& request, const validators& current,
                           std::chrono::sys_seconds now) {
    const auto value = request.get("If-Range");
    if (!value) { return true; }
    if (request.count("If-Range") != 1) { return false; }
    if (const auto tag = entity_tag::parse(*value)) {
        return current.tag && current.tag->matches_strongly(*tag);
    }
    const auto date = parse_date(*value);
    return date && current.modified && *current.modified == *date &&
           now - *date >= std::chrono::seconds(1);
}

namespace {

/// Gives a boundary that does not occur in the body.
std::string choose_boundary(std::string_view body) {
    for (;;) {
        std::string boundary = detail::unforeseeable_boundary();
        if (body.find("--" + boundary) == std::string_view::npos) { return boundary; }
    }
}

response one_part(response full, byte_range part) {
    const std::uint64_t size = full.body().size();
    std::string piece(full.body().substr(part.first, part.size()));
    full.set_stands_for(full, size);
    response answer = std::move(full);
    answer.set_body(std::move(piece));
    answer.set_status(status::partial_content);
    answer.set_header("Content-Range", content_range(part, size));
    return answer;
}

response many_parts(response full, const std::vector<byte_range>& parts) {
    const std::string_view body = full.body();
    const std::string boundary = choose_boundary(body);
    const std::string type(full.headers().get("Content-Type").value_or(""));
    std::string text;
    for (const byte_range& part : parts) {
        text += detail::part_head(boundary, type, part, body.size());
        text += body.substr(part.first, part.size());
        text += "\r\n";
    }
    text += detail::parts_end(boundary);
    full.set_stands_for(full, body.size());
    response answer = std::move(full);
    answer.set_body(std::move(text));
    answer.set_status(status::partial_content);
    answer.set_header("Content-Type", "multipart/byteranges; boundary=" + boundary);
    return answer;
}

}  // namespace

namespace detail {

std::optional<response> conditional_answer(const request& asked, const response& full) {
    const validators current = validators::of(full.headers());
    switch (evaluate_conditions(asked.method(), asked.headers(), current)) {
        case precondition::not_modified: return response::not_modified(full);
        case precondition::failed: return response::problem(status::precondition_failed);
        case precondition::proceed: break;
    }
    return std::nullopt;
}

std::expected<std::vector<byte_range>, range_error> ranges_asked_for(const request& asked,
                                                                     const validators& current,
                                                                     std::uint64_t size) {
    const auto value = asked.header("Range");
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    // `Range` has a meaning for GET only (RFC 9110, 14.2).
    if (!value || asked.method() != method::get || asked.headers().count("Range") != 1 ||
        !range_condition_holds(asked.headers(), current, now)) {
        return std::unexpected(range_error::ignored);
    }
    return parse_ranges(*value, size);
}

response beyond_end(std::uint64_t size) {
    return response::problem(status::range_not_satisfiable)
        .set_header("Content-Range", unsatisfied_range(size));
}

std::string part_head(const std::string& boundary, std::string_view type, byte_range part,
                      std::uint64_t size) {
    std::string text = "--" + boundary + "\r\n";
    if (!type.empty()) { text.append("Content-Type: ").append(type).append("\r\n"); }
    text += "Content-Range: " + content_range(part, size) + "\r\n\r\n";
    return text;
}

std::string parts_end(const std::string& boundary) { return "--" + boundary + "--\r\n"; }

std::string unforeseeable_boundary() { return "heph-" + random_name(); }

}  // namespace detail

response apply_conditions(const request& request, response full) {
    if (!reads(request.method()) || full.status() != status::ok) { return full; }
    if (auto instead = detail::conditional_answer(request, full)) { return std::move(*instead); }
    if (full.is_streamed()) { return full; }
    full.set_header("Accept-Ranges", "bytes");
    const std::uint64_t size = full.body().size();
    const auto parts = detail::ranges_asked_for(request, validators::of(full.headers()), size);
    if (!parts) {
        return parts.error() == range_error::ignored ? std::move(full) : detail::beyond_end(size);
    }
    return parts->size() == 1 ? one_part(std::move(full), parts->front())
                              : many_parts(std::move(full), *parts);
}

}  // namespace heph::http
