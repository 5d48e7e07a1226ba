#include <array>

#include <heph/http/method.hpp>

namespace heph::http {

namespace {

constexpr std::array<std::string_view, method_count> method_names = {
    "GET",       "HEAD",   "POST",       "PUT",        "DELETE",   "CONNECT", "OPTIONS",
    "TRACE",     "PATCH",  "ACL",        "BIND",       "CHECKOUT", "COPY",    "LINK",
    "LOCK",      "MERGE",  "MKACTIVITY", "MKCALENDAR", "MKCOL",    "MOVE",    "PROPFIND",
    "PROPPATCH", "REBIND", "REPORT",     "SEARCH",     "UNBIND",   "UNLINK",  "UNLOCK",
};

}  // namespace

std::string_view to_string(method value) noexcept {
    return method_names[static_cast<std::size_t>(value)];
}

std::optional<method> parse_method(std::string_view text) noexcept {
    for (std::size_t i = 0; i < method_names.size(); ++i) {
        if (method_names[i] == text) { return static_cast<method>(i); }
    }
    return std::nullopt;
}

}  // namespace heph::http
