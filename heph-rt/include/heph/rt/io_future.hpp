#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <system_error>
#include <utility>

#include <heph/inbox/future.hpp>
#include <heph/rt/detail/io_call.hpp>

namespace heph::rt {

/// Completes with what an operation of the system gives, or with its error.
///
/// It is started at the first poll. *Errors*: those of the operation; `errc::no_worker` outside of
/// a worker; `errc::wrong_worker` when it has to go on elsewhere than where it began.
/// *Cancellation*: it may be dropped at any time; memory, names and buffers that the kernel was
/// given stay with it until it is done. What the operation had done by then is its own matter.
/// *Lifetime*: what the operation works on (a socket, a file) must outlive it, unless it says
/// otherwise.
template <typename T>
class [[nodiscard]] io_future {
public:
    using value_type = std::expected<T, std::error_code>;
    using taker = value_type (*)(detail::io_call& call, std::int32_t result);

    io_future(std::unique_ptr<detail::io_call> call, taker take) noexcept
        : running_(std::move(call)), take_(take) {}
    /// Makes one that fails.
    explicit io_future(std::error_code failed) noexcept : running_(failed) {}

    polled<value_type> poll(const waker& waker) {
        auto done = running_.poll(waker);
        if (!done.is_ready()) { return pending; }
        const detail::running_call::outcome outcome = std::move(done).value();
        if (!outcome) { return polled<value_type>(std::in_place, std::unexpect, outcome.error()); }
        return polled<value_type>(std::in_place, take_(running_.call(), *outcome));
    }

private:
    detail::running_call running_;
    taker take_ = nullptr;
};

}  // namespace heph::rt
