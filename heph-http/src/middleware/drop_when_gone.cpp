#include <utility>

#include <heph/core/either.hpp>
#include <heph/http/middleware/drop_when_gone.hpp>

namespace heph::http {

namespace {

task<response> answer_while_there(request& asked, next_handler next) {
    auto first = co_await heph::either(next(asked), asked.client_gone());
    if (auto* const answer = std::get_if<0>(&first)) { co_return std::move(*answer); }
    co_return response(client_closed_request).close_connection();
}

}  // namespace

middleware drop_when_gone() {
    return [](request& asked, next_handler next) { return answer_while_there(asked, next); };
}

}  // namespace heph::http
