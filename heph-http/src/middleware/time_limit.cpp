#include <stdexcept>
#include <utility>

#include <heph/http/middleware/time_limit.hpp>
#include <heph/rt/timer.hpp>

namespace heph::http {

namespace {

task<response> run(std::chrono::milliseconds limit, request& asked, next_handler next) {
    auto answer = co_await rt::deadline(limit, next(asked));
    if (answer) { co_return std::move(*answer); }
    co_return response::problem(status::service_unavailable, "The answer took too long.")
        .set_header("Retry-After", "1");
}

}  // namespace

middleware time_limit(std::chrono::milliseconds limit) {
    if (limit.count() <= 0) { throw std::invalid_argument("a time limit is more than 0"); }
    return [limit](request& asked, next_handler next) { return run(limit, asked, next); };
}

}  // namespace heph::http
