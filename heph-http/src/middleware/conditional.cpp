#include <utility>

#include <heph/http/conditional.hpp>
#include <heph/http/middleware/conditional.hpp>

namespace heph::http {

namespace {

task<response> run(request& asked, next_handler next) {
    response answer = co_await next(asked);
    const bool reads = asked.method() == method::get || asked.method() == method::head;
    if (reads && answer.status() == status::ok && !answer.is_streamed() &&
        !answer.headers().contains("ETag")) {
        answer.set_header("ETag", entity_tag::of_content(answer.body()).to_string());
    }
    co_return apply_conditions(asked, std::move(answer));
}

}  // namespace

middleware conditional() { return run; }

}  // namespace heph::http
