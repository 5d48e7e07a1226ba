#include <exception>

#include <heph/http/middleware/recover.hpp>

namespace heph::http {

namespace {

task<response> answer_thrown(request& asked, next_handler next) {
    std::exception_ptr failure;
    response answer;
    try {
        answer = co_await next(asked);
    } catch (...) { failure = std::current_exception(); }
    if (failure) { answer = asked.answer_failure(failure); }
    co_return answer;
}

}  // namespace

middleware recover() { return answer_thrown; }

}  // namespace heph::http
