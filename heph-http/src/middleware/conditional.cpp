#include <cstddef>
#include <string_view>
#include <utility>

#include <heph/core/yield.hpp>
#include <heph/http/conditional.hpp>
#include <heph/http/entity_tag.hpp>
#include <heph/http/middleware/conditional.hpp>

#include "../content_hash.hpp"

namespace heph::http {

namespace {

// What is hashed in less than a millisecond.
constexpr std::size_t slice_bytes = 256 * 1024;

task<response> run(request& asked, next_handler next) {
    response answer = co_await next(asked);
    const bool reads = asked.method() == method::get || asked.method() == method::head;
    if (reads && answer.status() == status::ok && !answer.is_streamed() &&
        !answer.headers().contains("ETag")) {
        const std::string_view body = answer.body();
        detail::content_hash hash(body.size());
        for (std::size_t at = 0; at < body.size(); at += slice_bytes) {
            // Hashing all of a large body would hold up everybody else.
            if (at != 0) { co_await heph::yield(); }
            hash.add(body.substr(at, slice_bytes));
        }
        const auto tag = entity_tag::make(hash.text());
        answer.set_header("ETag", tag->to_string());
    }
    co_return apply_conditions(asked, std::move(answer));
}

}  // namespace

middleware conditional() { return run; }

}  // namespace heph::http
