#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <heph/core/log.hpp>
#include <heph/http/date.hpp>
#include <heph/http/middleware/access_log.hpp>
#include <heph/http/middleware/auth.hpp>

#include "../escaped.hpp"

namespace heph::http {

namespace {

using std::chrono::steady_clock;

/// What a line says.
struct entry {
    const request* asked = nullptr;  // Null when it was none.
    std::string_view first_line;
    std::optional<rt::net::endpoint> peer;
    std::optional<unsigned> status;
    std::optional<std::uint64_t> bytes;
    std::optional<error> why;
    bool complete = true;
    std::chrono::sys_seconds time;
    std::chrono::microseconds took{0};
};

// `25/Nov/2026:12:00:00 +0000`
std::string log_time(std::chrono::sys_seconds time) {
    // The same parts as in `Sun, 06 Nov 1994 08:49:37 GMT`.
    const auto date = format_date(time);
    const std::string_view text(date.data(), date.size());
    std::string made(text.substr(5, 2));
    made += '/';
    made += text.substr(8, 3);
    made += '/';
    made += text.substr(12, 4);
    made += ':';
    made += text.substr(17, 8);
    made += " +0000";
    return made;
}

void append_quoted(std::string& to, std::string_view text) {
    to += '"';
    detail::append_escaped(to, text);
    to += '"';
}

std::string request_line(const entry& what) {
    if (what.asked == nullptr) {
        return std::string(what.first_line.empty() ? std::string_view("-") : what.first_line);
    }
    std::string line(what.asked->method_name());
    line += ' ';
    line += what.asked->target();
    line += ' ';
    line += to_string(what.asked->version());
    return line;
}

std::string address_of(const entry& what) {
    const auto peer = what.asked == nullptr ? what.peer : what.asked->peer();
    return peer ? peer->address_string() : std::string("-");
}

std::string_view user_of(const request* asked) noexcept {
    if (asked == nullptr) { return {}; }
    const auto* const user = asked->get<authenticated_user>();
    return user == nullptr ? std::string_view() : std::string_view(user->name);
}

// It stands without quotes, and so cannot have spaces.
void append_user(std::string& to, std::string_view user) {
    const std::size_t from = to.size();
    detail::append_escaped(to, user.empty() ? std::string_view("-") : user);
    for (std::size_t at = from; (at = to.find(' ', at)) != std::string::npos;) {
        to.replace(at, 1, "\\x20");
    }
}

std::string_view header_of(const request* asked, std::string_view name) noexcept {
    if (asked == nullptr) { return "-"; }
    return asked->header(name).value_or("-");
}

std::string text_line(const entry& what, bool combined) {
    std::string line = address_of(what) + " - ";
    append_user(line, user_of(what.asked));
    line += " [" + log_time(what.time) + "] ";
    append_quoted(line, request_line(what));
    line += ' ' + (what.status ? std::to_string(*what.status) : std::string("-")) + ' ';
    line += what.bytes ? std::to_string(*what.bytes) : std::string("-");
    if (combined) {
        line += ' ';
        append_quoted(line, header_of(what.asked, "Referer"));
        line += ' ';
        append_quoted(line, header_of(what.asked, "User-Agent"));
    }
    return line;
}

void append_member(std::string& to, std::string_view name, std::string_view value) {
    to += ",\"";
    to += name;
    to += "\":";
    append_json_string(to, value);
}

std::string json_line(const entry& what) {
    std::string line = "{\"time\":" + std::to_string(what.time.time_since_epoch().count());
    append_member(line, "address", address_of(what));
    if (const std::string_view user = user_of(what.asked); !user.empty()) {
        append_member(line, "user", user);
    }
    if (what.asked != nullptr) {
        append_member(line, "method", what.asked->method_name());
        append_member(line, "target", what.asked->target());
        append_member(line, "version", to_string(what.asked->version()));
    } else {
        append_member(line, "first_line", what.first_line);
    }
    if (what.status) { line += ",\"status\":" + std::to_string(*what.status); }
    if (what.bytes) { line += ",\"bytes\":" + std::to_string(*what.bytes); }
    line += ",\"microseconds\":" + std::to_string(what.took.count());
    if (what.asked != nullptr) {
        const auto agent = what.asked->header("User-Agent");
        if (agent) { append_member(line, "user_agent", *agent); }
    }
    if (!what.complete) { line += ",\"complete\":false"; }
    if (what.why) { append_member(line, "error", message(*what.why)); }
    line += '}';
    return line;
}

std::chrono::microseconds in_microseconds(steady_clock::duration took) {
    return std::chrono::duration_cast<std::chrono::microseconds>(took);
}

class logger {
public:
    logger(access_log_format format, access_log_sink sink)
        : format_(format), sink_(std::move(sink)) {}

    void write(const exchange& told) const {
        entry what;
        what.asked = told.asked;
        what.first_line = told.first_line;
        what.peer = told.peer;
        if (told.status) { what.status = code(*told.status); }
        what.bytes = told.body_bytes_sent;
        what.why = told.why;
        what.complete = told.complete;
        what.took = in_microseconds(told.took);
        write(what);
    }

    // Nobody tells what becomes of a request that is from no connection.
    task<response> run(request& asked, next_handler next) const {
        const auto began = steady_clock::now();
        entry what;
        what.asked = &asked;
        std::exception_ptr failure;
        response answer;
        try {
            answer = co_await next(asked);
        } catch (...) { failure = std::current_exception(); }
        what.status = failure ? 500U : code(answer.status());
        if (!failure && !answer.is_streamed()) { what.bytes = answer.body().size(); }
        what.took = in_microseconds(steady_clock::now() - began);
        write(what);
        if (failure) { std::rethrow_exception(std::move(failure)); }
        co_return answer;
    }

private:
    void write(entry& what) const {
        what.time = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        const std::string line = format_ == access_log_format::json
                                     ? json_line(what)
                                     : text_line(what, format_ == access_log_format::combined);
        if (sink_) {
            sink_(line);
        } else {
            log(log_level::info, line);
        }
    }

    access_log_format format_;
    access_log_sink sink_;
};

}  // namespace

exchange_observer log_exchanges(access_log_format format, access_log_sink sink) {
    return [shared = std::make_shared<const logger>(format, std::move(sink))](
               const exchange& told) { shared->write(told); };
}

middleware access_log(access_log_format format, access_log_sink sink) {
    return [shared = std::make_shared<const logger>(format, std::move(sink))](request& asked,
                                                                              next_handler next) {
        // The router keeps the logger for longer than the request is there.
        const logger* const to = shared.get();
        if (asked.when_done([to](const exchange& told) { to->write(told); })) {
            return next(asked);
        }
        return shared->run(asked, next);
    };
}

}  // namespace heph::http
