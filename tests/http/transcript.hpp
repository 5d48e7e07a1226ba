#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <heph/http/h1/request_parser.hpp>

namespace heph::http::test {

/// Feeds a parser and writes down what it says, one line per event; pieces of a body are joined.
class transcriber {
public:
    explicit transcriber(const limits& limits = default_limits()) : parser_(limits) {}

    void feed(std::string_view bytes) {
        for (;;) {
            const auto event = parser_.next(bytes, head_);
            if (event.kind == h1::event_kind::need_input || failed_) { return; }
            write(event);
        }
    }

    [[nodiscard]] std::string text() const {
        std::string all = text_;
        if (!body_.empty()) { all += "body " + body_ + "\n"; }
        if (!failed_ && !parser_.is_idle()) { all += "waits\n"; }
        return all;
    }
    [[nodiscard]] bool failed() const noexcept { return failed_; }
    [[nodiscard]] error failure() const noexcept { return failure_; }

    static const limits& default_limits() {
        static const limits defaults;
        return defaults;
    }

private:
    void write(const h1::event& event) {
        if (event.kind == h1::event_kind::body) {
            body_.append(event.data);
            return;
        }
        if (!body_.empty()) { text_ += "body " + std::exchange(body_, {}) + "\n"; }
        if (event.kind == h1::event_kind::head) { write_head(); }
        if (event.kind == h1::event_kind::end) {
            text_ += "end\n";
            for (const header field : head_.trailers()) {
                text_ += "~" + std::string(field.name) + "=" + std::string(field.value) + "\n";
            }
        }
        if (event.kind == h1::event_kind::error) {
            text_ += "error " + std::string(message(event.failure)) + "\n";
            failed_ = true;
            failure_ = event.failure;
        }
    }

    void write_head() {
        text_ += std::string(to_string(head_.method())) + " " + std::string(head_.target()) + " " +
                 std::string(to_string(head_.version()));
        if (head_.keep_alive()) { text_ += " keep-alive"; }
        if (head_.expects_continue()) { text_ += " expects-continue"; }
        if (head_.framing() == body_framing::chunked) { text_ += " chunked"; }
        if (const auto length = head_.content_length()) {
            text_ += " length=" + std::to_string(*length);
        }
        text_ += "\n";
        for (const header field : head_.headers()) {
            text_ += " " + std::string(field.name) + "=" + std::string(field.value) + "\n";
        }
    }

    h1::request_parser parser_;
    request_head head_;
    std::string text_;
    std::string body_;
    bool failed_ = false;
    error failure_{};
};

}  // namespace heph::http::test
