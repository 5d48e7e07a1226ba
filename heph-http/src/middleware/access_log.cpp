#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
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

/// What is known of a request once it is answered.
struct entry {
    request* asked;
    unsigned status;
    const response* answer;  // Null when the handler threw.
    std::chrono::sys_seconds time;
    std::chrono::microseconds took;
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

std::string request_line(const request& asked) {
    std::string line(to_string(asked.method()));
    line += ' ';
    line += asked.target();
    line += ' ';
    line += to_string(asked.version());
    return line;
}

std::string address_of(const request& asked) {
    const auto peer = asked.peer();
    return peer ? peer->address_string() : std::string("-");
}

std::string_view user_of(const request& asked) noexcept {
    const auto* const user = asked.get<authenticated_user>();
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

std::string text_line(const entry& what, bool combined) {
    std::string line = address_of(*what.asked) + " - ";
    append_user(line, user_of(*what.asked));
    line += " [" + log_time(what.time) + "] ";
    append_quoted(line, request_line(*what.asked));
    line += ' ' + std::to_string(what.status) + ' ';
    line += what.answer == nullptr || what.answer->is_streamed()
                ? std::string("-")
                : std::to_string(what.answer->body().size());
    if (combined) {
        line += ' ';
        append_quoted(line, what.asked->header("Referer").value_or("-"));
        line += ' ';
        append_quoted(line, what.asked->header("User-Agent").value_or("-"));
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
    append_member(line, "address", address_of(*what.asked));
    if (const std::string_view user = user_of(*what.asked); !user.empty()) {
        append_member(line, "user", user);
    }
    append_member(line, "method", to_string(what.asked->method()));
    append_member(line, "target", what.asked->target());
    append_member(line, "version", to_string(what.asked->version()));
    line += ",\"status\":" + std::to_string(what.status);
    if (what.answer != nullptr && !what.answer->is_streamed()) {
        line += ",\"bytes\":" + std::to_string(what.answer->body().size());
    }
    line += ",\"microseconds\":" + std::to_string(what.took.count());
    if (const auto agent = what.asked->header("User-Agent")) {
        append_member(line, "user_agent", *agent);
    }
    line += '}';
    return line;
}

class logger {
public:
    logger(access_log_format format, access_log_sink sink)
        : format_(format), sink_(std::move(sink)) {}

    void write(request& asked, const response* answer, steady_clock::time_point began) const {
        const entry what{
            &asked, answer == nullptr ? 500U : code(answer->status()), answer,
            std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()),
            std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - began)};
        const std::string line = format_ == access_log_format::json
                                     ? json_line(what)
                                     : text_line(what, format_ == access_log_format::combined);
        if (sink_) {
            sink_(line);
        } else {
            log(log_level::info, line);
        }
    }

    task<response> run(request& asked, next_handler next) const {
        const auto began = steady_clock::now();
        std::exception_ptr failure;
        response answer;
        try {
            answer = co_await next(asked);
        } catch (...) { failure = std::current_exception(); }
        write(asked, failure ? nullptr : &answer, began);
        if (failure) { std::rethrow_exception(std::move(failure)); }
        co_return answer;
    }

private:
    access_log_format format_;
    access_log_sink sink_;
};

}  // namespace

middleware access_log(access_log_format format, access_log_sink sink) {
    return [shared = std::make_shared<const logger>(format, std::move(sink))](
               request& asked, next_handler next) { return shared->run(asked, next); };
}

}  // namespace heph::http
