#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <heph/http/middleware/request_id.hpp>

#include "../chars.hpp"
#include "../random.hpp"

namespace heph::http {

namespace {

constexpr std::size_t given_bytes_max = 128;

bool is_name(std::string_view text) noexcept {
    constexpr std::string_view more = "-_.:+/=@";
    return !text.empty() && text.size() <= given_bytes_max &&
           std::ranges::all_of(text, [more](char c) {
               return detail::is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      more.find(c) != std::string_view::npos;
           });
}

task<response> run(const request_id_options* options, request& asked, next_handler next) {
    headers& fields = asked.head().headers();
    const auto given = fields.get(options->header);
    const bool keeps =
        options->keeps_given && given && fields.count(options->header) == 1 && is_name(*given);
    const std::string name = keeps ? std::string(*given) : detail::random_name();
    if (!keeps) { fields.set(options->header, name); }
    response answer = co_await next(asked);
    answer.set_header(options->header, name);
    co_return answer;
}

}  // namespace

middleware request_id(request_id_options options) {
    if (!is_token(options.header)) {
        throw std::invalid_argument("request_id: the header's name is none");
    }
    return [options = std::move(options)](request& asked, next_handler next) {
        return run(&options, asked, next);
    };
}

}  // namespace heph::http
