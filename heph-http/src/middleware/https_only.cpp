#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <heph/http/middleware/https_only.hpp>

namespace heph::http {

namespace {

// Gives the host of a Host header, which the parser has checked, without its port.
std::string_view host_of(std::string_view authority) noexcept {
    const std::size_t bracket = authority.rfind(']');
    const std::size_t colon = authority.rfind(':');
    const bool has_port =
        colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
    return has_port ? authority.substr(0, colon) : authority;
}

response lead_to_https(const https_only_options& options, const request& asked) {
    const std::string_view host =
        options.host.empty() ? host_of(asked.head().authority()) : options.host;
    // A whole URL may be asked for as well (RFC 9112, 3.2.2); it names the host itself.
    const target_form form = asked.head().target_form();
    if (host.empty() || (form != target_form::origin && form != target_form::absolute)) {
        return response::problem(status::bad_request, "This is served over https only.");
    }
    std::string to = "https://";
    to += host;
    if (options.port != 443) { to += ':' + std::to_string(options.port); }
    to += asked.path();
    if (const std::size_t query = asked.target().find('?'); query != std::string_view::npos) {
        to += asked.target().substr(query);
    }
    response moved = response::empty(status::permanent_redirect);
    moved.set_header("Location", to);
    return moved;
}

task<response> run(std::shared_ptr<const https_only_options> options, request& asked,
                   next_handler next) {
    if (!asked.is_secure()) { co_return lead_to_https(*options, asked); }
    response answer = co_await next(asked);
    if (options->remember.count() > 0) {
        answer.set_header("Strict-Transport-Security",
                          "max-age=" + std::to_string(options->remember.count()));
    }
    co_return answer;
}

}  // namespace

middleware https_only(https_only_options options) {
    return [shared = std::make_shared<const https_only_options>(std::move(options))](
               request& asked, next_handler next) { return run(shared, asked, next); };
}

}  // namespace heph::http
