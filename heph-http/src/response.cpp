#include <array>
#include <cstdio>

#include <heph/core/detail/any_future.hpp>
#include <heph/http/response.hpp>

namespace heph::http {

response response::bytes(std::string body, std::string_view content_type, http::status status) {
    response made(status);
    made.headers_.append("Content-Type", content_type);
    made.body_ = std::move(body);
    return made;
}

response response::text(std::string body, http::status status) {
    return bytes(std::move(body), "text/plain; charset=utf-8", status);
}

response response::html(std::string body, http::status status) {
    return bytes(std::move(body), "text/html; charset=utf-8", status);
}

response response::json(std::string body, http::status status) {
    return bytes(std::move(body), "application/json", status);
}

response response::empty(http::status status) { return response(status); }

response response::problem(http::status status, std::string_view detail) {
    std::string body = "{\"status\":";
    body.append(std::to_string(code(status)));
    body.append(",\"title\":");
    const std::string_view title = reason(status);
    append_json_string(body, title.empty() ? std::string_view("Error") : title);
    if (!detail.empty()) {
        body.append(",\"detail\":");
        append_json_string(body, detail);
    }
    body.append("}\n");
    return bytes(std::move(body), "application/problem+json", status);
}

response response::problem(error failure) { return problem(status_of(failure), message(failure)); }

response response::not_modified(const response& full) {
    response made(http::status::not_modified);
    for (const char* name :
         {"Cache-Control", "Content-Location", "ETag", "Expires", "Last-Modified", "Vary"}) {
        // It guides the update of a cache that has no tag to go by.
        if (std::string_view(name) == "Last-Modified" && full.headers().contains("ETag")) {
            continue;
        }
        for (const header each : full.headers()) {
            if (equal_ignoring_case(each.name, name)) { made.headers_.append(name, each.value); }
        }
    }
    made.set_stands_for(full, full.body_bytes());
    return made;
}

void response::set_stands_for(const response& full, std::optional<std::uint64_t> bytes) {
    whole_answer whole;
    whole.content_type = full.headers().get("Content-Type").value_or("");
    whole.bytes = bytes;
    whole.is_encoded = full.headers().contains("Content-Encoding");
    whole_ = std::make_unique<const whole_answer>(std::move(whole));
}

response response::stream(std::string_view content_type, body_producer producer,
                          http::status status) {
    response made(status);
    made.headers_.append("Content-Type", content_type);
    made.producer_ = std::move(producer);
    return made;
}

response response::upgrade(std::string_view protocol, upgrade_handler handler) {
    response made(http::status::switching_protocols);
    made.headers_.append("Upgrade", protocol);
    made.upgrade_ = std::make_unique<upgrade_handler>(std::move(handler));
    return made;
}

namespace {

// The length of the well-formed UTF-8 sequence that `text` begins with, or 0 (RFC 3629).
std::size_t utf8_length(std::string_view text) noexcept {
    const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto is_tail = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xc0) == 0x80; };
    const unsigned first = byte(0);
    if (first < 0x80) { return 1; }
    if (first >= 0xc2 && first < 0xe0) { return is_tail(1) ? 2 : 0; }
    if (first >= 0xe0 && first < 0xf0) {
        if (!is_tail(1) || !is_tail(2)) { return 0; }
        const bool overlong = first == 0xe0 && byte(1) < 0xa0;
        const bool surrogate = first == 0xed && byte(1) >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    if (first >= 0xf0 && first < 0xf5) {
        if (!is_tail(1) || !is_tail(2) || !is_tail(3)) { return 0; }
        const bool overlong = first == 0xf0 && byte(1) < 0x90;
        const bool too_large = first == 0xf4 && byte(1) >= 0x90;
        return overlong || too_large ? 0 : 4;
    }
    return 0;
}

}  // namespace

void append_json_string(std::string& to, std::string_view text) {
    to.push_back('"');
    while (!text.empty()) {
        const char c = text.front();
        const std::size_t length = utf8_length(text);
        if (length == 0) {
            to.append("\\ufffd");
        } else if (c == '"' || c == '\\') {
            to.push_back('\\');
            to.push_back(c);
        } else if (static_cast<unsigned char>(c) < 0x20) {
            std::array<char, 7> escaped{};
            (void)std::snprintf(escaped.data(), escaped.size(), "\\u%04x", c);
            to.append(escaped.data());
        } else {
            to.append(text.substr(0, length));
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    to.push_back('"');
}

// Who knows of no client waits for ever.
task<void> body_writer::gone() { co_await heph::detail::never_future<void>(); }

}  // namespace heph::http
