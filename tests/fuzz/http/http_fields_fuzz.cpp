// Feeds any text to what reads the values of fields, URLs and forms, and checks what has to hold of
// all that they give.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <heph/http/conditional.hpp>
#include <heph/http/cookie.hpp>
#include <heph/http/date.hpp>
#include <heph/http/form.hpp>
#include <heph/http/negotiation.hpp>
#include <heph/http/range.hpp>
#include <heph/http/uri.hpp>
#include <heph/http/url.hpp>

namespace {

namespace http = heph::http;

void require(bool condition) {
    if (!condition) { std::abort(); }
}

void check_url(std::string_view text) {
    const auto base = http::url::parse("http://a/b/c?d");
    for (const auto& parsed : {http::url::parse(text), base->resolve(text)}) {
        if (!parsed) { continue; }
        // What is written reads back as itself, and can stand in a request.
        require(http::url::parse(parsed->to_string()) == *parsed);
        require(http::is_host(parsed->authority()));
        const bool has_nul = parsed->target.find("%00") != std::string::npos;
        require(has_nul || http::parse_target(http::method::get, parsed->target).has_value());
    }
}

void check_ranges(std::string_view text, std::uint64_t size) {
    const auto parts = http::parse_ranges(text, size);
    if (!parts) { return; }
    require(!parts->empty());
    std::uint64_t total = 0;
    for (const http::byte_range& part : *parts) {
        require(part.first <= part.last && part.last < size);
        total += part.size();
    }
    require(total <= size);
}

void check_cookies(std::string_view text) {
    http::headers request;
    request.append("Cookie", text);
    std::string_view list = text;
    while (const auto found = http::next_cookie(list)) {
        require(http::is_token(found->name));
        require(http::find_cookie(request, found->name).has_value());
    }
    http::set_cookie cookie;
    const std::size_t equals = std::min(text.find('='), text.size());
    cookie.name = text.substr(0, equals);
    cookie.value = text.substr(std::min(equals + 1, text.size()));
    cookie.path = text;
    cookie.domain = text;
    cookie.secure = true;
    if (const auto line = cookie.to_string()) { require(http::is_field_value(*line)); }
}

void check_form(std::string_view text) {
    const auto form = http::form::parse(text);
    if (!form) { return; }
    const auto again = http::form::parse(form->to_string());
    require(again && std::ranges::equal(*form, *again));
    for (const auto& [name, value] : *form) {
        require(form->get(name).has_value());
        require(http::query_parameter(text, name) == form->get(name));
    }
}

void check_negotiation(std::string_view text) {
    constexpr std::array<std::string_view, 3> offers{"text/html", "gzip", "en-GB"};
    http::headers request;
    for (const char* name : {"Accept", "Accept-Encoding", "Accept-Language", "If-Match",
                             "If-None-Match", "If-Modified-Since", "If-Range"}) {
        request.append(name, text);
    }
    for (const auto chosen :
         {http::choose_media_type(request, offers), http::choose_encoding(request, offers),
          http::choose_language(request, offers)}) {
        require(!chosen || *chosen < offers.size());
    }
    http::validators current;
    current.tag = http::entity_tag::of_content(text);
    (void)http::evaluate_conditions(http::method::get, request, current);
    if (const auto tag = http::entity_tag::parse(text)) { require(tag->to_string() == text); }
}

void check_date(std::string_view text) {
    const auto time = http::parse_date(text, std::chrono::sys_seconds());
    if (!time || *time < std::chrono::sys_days(std::chrono::year(0) / 1 / 1)) { return; }
    const auto written = http::format_date(*time);
    const std::string_view fixed(written.data(), written.size());
    // A leap second may lead beyond the last year that can be written.
    require(http::parse_date(fixed, std::chrono::sys_seconds()) == *time ||
            text.find(":60") != std::string_view::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) { return 0; }
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    check_url(text);
    check_ranges(text, data[0]);
    check_cookies(text);
    check_form(text);
    check_negotiation(text);
    check_date(text);
    return 0;
}
