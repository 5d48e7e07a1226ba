#include <heph/rt/detail/io_call.hpp>

#include <cerrno>
#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/rt/error.hpp>

#include "worker_core.hpp"

namespace heph::rt::detail {

io_call::~io_call() = default;

void io_call::submit(io_uring_sqe& /*entry*/) noexcept { HEPH_ASSERT(false); }

bool io_call::note_completion(std::int32_t /*result*/, std::uint32_t /*flags*/) noexcept {
    return false;
}

bool io_call::again(std::int32_t& /*result*/) noexcept { return false; }

namespace {

// What becomes of an operation after a completion.
enum class next_step { take, repeat, await_readiness };

next_step after(slot& operation, std::int32_t& result) noexcept {
    io_call& call = *operation.call;
    const bool awaited = operation.request.code == request_code::await;
    if (result == -EINTR) { return next_step::repeat; }
    if (awaited && (result >= 0 || result == -ETIME)) { return next_step::repeat; }
    if (awaited) { return next_step::take; }
    // The descriptor is one that does not block, from elsewhere.
    if (result == -EAGAIN && call.polls()) { return next_step::await_readiness; }
    return call.again(result) ? next_step::repeat : next_step::take;
}

}  // namespace

polled<running_call::outcome> running_call::poll(const waker& waker) {
    worker_core* worker = current_worker();
    if (!operation_.started()) {
        if (failed_) { return outcome(std::unexpect, failed_); }
        if (worker == nullptr) { return outcome(std::unexpect, errc::no_worker); }
        slot& operation = acquire_slot(*worker, slot_kind::plain);
        operation.call = std::move(call_);
        operation_ = detail::operation(&operation);
        worker->driver().call(operation);
    }
    slot& operation = operation_.state();
    for (;;) {
        if (operation.state != slot_state::completed) {
            operation.waker = waker;
            return pending;
        }
        std::int32_t result = operation.result;
        const next_step step = after(operation, result);
        if (step == next_step::take) {
            call_ = std::move(operation.call);
            operation_.finish();
            if (result < 0) {
                return outcome(std::unexpect, std::error_code(-result, std::system_category()));
            }
            return outcome(result);
        }
        if (worker == nullptr || !worker->owns(operation)) {
            return outcome(std::unexpect, errc::wrong_worker);
        }
        operation.state = slot_state::in_flight;
        if (step == next_step::repeat) {
            worker->driver().call(operation);
        } else {
            worker->driver().await_readiness(operation);
        }
    }
}

}  // namespace heph::rt::detail
