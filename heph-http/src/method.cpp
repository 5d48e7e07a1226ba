#include <algorithm>
#include <array>
#include <functional>
#include <stdexcept>

#include <heph/http/headers.hpp>
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
    const auto which = static_cast<std::size_t>(value);
    return which < method_count ? method_names[which] : "extension";
}

std::optional<method> parse_method(std::string_view text) noexcept {
    if (text == "GET") { return method::get; }
    for (std::size_t i = 0; i < method_names.size(); ++i) {
        if (method_names[i] == text) { return static_cast<method>(i); }
    }
    return std::nullopt;
}

void extension_methods::add(std::string_view name) {
    if (!is_token(name) || name.size() > method_bytes_max || parse_method(name)) {
        throw std::invalid_argument("\"" + std::string(name.substr(0, method_bytes_max)) +
                                    "\" is no name of an extension method");
    }
    const auto at = std::ranges::lower_bound(names_, name, std::less<>());
    if (at == names_.end() || *at != name) { names_.emplace(at, name); }
}

bool extension_methods::contains(std::string_view name) const noexcept {
    return std::ranges::binary_search(names_, name, std::less<>());
}

}  // namespace heph::http
