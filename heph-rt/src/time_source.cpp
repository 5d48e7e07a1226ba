#include <heph/rt/time_source.hpp>
#include <heph/rt/timer_queue.hpp>

#include "worker_core.hpp"

namespace heph::rt {

timer_queue::~timer_queue() = default;

clock::time_point clock::now() noexcept {
    const detail::worker_core* worker = detail::current_worker();
    return worker != nullptr ? worker->now() : std::chrono::steady_clock::now();
}

namespace detail {

time_source::alarm::~alarm() = default;
time_source::~time_source() = default;

}  // namespace detail

}  // namespace heph::rt
