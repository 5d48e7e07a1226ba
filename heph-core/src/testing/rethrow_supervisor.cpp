#include <mutex>
#include <utility>

#include <heph/core/testing/rethrow_supervisor.hpp>

namespace heph::testing {

struct rethrow_supervisor::state {
    std::mutex mutex;
    std::exception_ptr first;  // Guarded by the mutex.
};

namespace {

std::exception_ptr to_exception(const failure& why) noexcept {
    if (why.is_exception()) { return why.exception(); }
    try {
        std::string text = "actor ";
        text += why.actor_name().empty() ? std::string_view("without a name") : why.actor_name();
        text += why.stage() == failure_stage::running ? " failed: " : " could not be restarted: ";
        text += why.message();
        return std::make_exception_ptr(actor_failed(text));
    } catch (...) { return std::current_exception(); }
}

}  // namespace

rethrow_supervisor::rethrow_supervisor() : state_(std::make_shared<state>()) {}

stop_t rethrow_supervisor::decide(const failure& why) const noexcept {
    std::exception_ptr kept = to_exception(why);
    const std::scoped_lock lock(state_->mutex);
    if (!state_->first) { state_->first = std::move(kept); }
    return stop;
}

bool rethrow_supervisor::has_failed() const noexcept {
    const std::scoped_lock lock(state_->mutex);
    return state_->first != nullptr;
}

void rethrow_supervisor::rethrow() const {
    std::exception_ptr thrown;
    {
        const std::scoped_lock lock(state_->mutex);
        std::swap(thrown, state_->first);
    }
    if (thrown) { std::rethrow_exception(std::move(thrown)); }
}

}  // namespace heph::testing
