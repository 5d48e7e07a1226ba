#pragma once

// Asking a router as a connection does, from bytes.

#include <string>
#include <string_view>
#include <utility>

#include <heph/http/h1/request_parser.hpp>
#include <heph/http/router.hpp>

namespace heph::http::test {

/// Gives a handler that answers with its name and a parameter.
inline handler named(std::string name, std::string parameter = {}) {
    return [name = std::move(name), parameter = std::move(parameter)](request& asked) {
        std::string text = name;
        if (!parameter.empty()) { text += ":" + std::string(asked.param(parameter)); }
        return response::text(std::move(text));
    };
}

/// Parses the head of a request without a body into `into`. `fields` are more header lines, each
/// with its line end.
inline h1::event parse_head(request& into, std::string_view method, std::string_view target,
                            std::string_view fields = {}) {
    const limits bounds;
    h1::request_parser parser(bounds);
    const std::string bytes = std::string(method) + " " + std::string(target) +
                              " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
    std::string_view input = bytes;
    return parser.next(input, into.head());
}

/// Gives the body of a response with 200, and the status of any other as a number.
inline std::string body_or_status(const response& answer) {
    if (answer.status() != status::ok) { return std::to_string(code(answer.status())); }
    return std::string(answer.body());
}

}  // namespace heph::http::test
