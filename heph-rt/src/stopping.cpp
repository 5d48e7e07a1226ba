#include <heph/rt/stopping.hpp>

#include <system_error>

#include <heph/rt/error.hpp>

#include "runtime_core.hpp"
#include "worker_core.hpp"

namespace heph::rt {

void detail::stop_node::unlink() noexcept {
    if (owner == nullptr) { return; }
    owner->unlink_stop_node(*this);
    holder = pin();
}

polled<void> stopping::poll(const waker& waker) {
    detail::worker_core* worker = detail::current_worker();
    if (worker == nullptr) { throw std::system_error(make_error_code(errc::no_worker)); }
    if (worker->runtime().stop_requested()) { return ready; }
    if (!node_.waker.will_wake(waker)) { node_.waker = waker; }
    if (node_.owner == nullptr) {
        node_.holder = detail::pin(worker->polled_process());
        worker->link_stop_node(node_);
    }
    return pending;
}

bool stop_requested() noexcept {
    detail::worker_core* worker = detail::current_worker();
    return worker != nullptr && worker->runtime().stop_requested();
}

}  // namespace heph::rt
