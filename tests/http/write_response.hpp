#pragma once

// Responses as the bytes that a connection would send.

#include <string>
#include <utility>

#include <heph/http/h1/response_writer.hpp>

namespace heph::http::test {

/// Writes a response whose date is fixed; gives the reason when it is refused.
inline std::string write(h1::response_writer& writer, response answer, method asked = method::get,
                         version spoken = version::http_1_1, bool keep_alive = true) {
    answer.set_header("Date", "D");
    std::string out;
    const auto written = writer.write(out, answer, asked, spoken, keep_alive);
    return written ? out : std::string(message(written.error()));
}

/// Gives a streamed response whose producer is not run.
inline response streamed(status answered = status::ok) {
    return response::stream(
        "text/plain", [](body_writer& writer) { return writer.write("never run here"); }, answered);
}

}  // namespace heph::http::test
