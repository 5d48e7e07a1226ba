#pragma once

// A future of any type, in pooled memory.

#include <cstddef>
#include <memory>
#include <utility>

#include <heph/core/detail/frame_pool.hpp>
#include <heph/inbox/future.hpp>

namespace heph::detail {

/// Hides the type of a future that gives a `T`. It lives in the memory that coroutine frames use,
/// so making one costs no system allocation once a thread is warm.
template <typename T>
class [[nodiscard]] any_future {
public:
    using value_type = T;

    template <future F>
        requires std::same_as<future_value_t<F>, T>
    explicit any_future(F hidden) : erased_(new holder<F>(std::move(hidden))) {}

    polled<T> poll(const waker& waker) { return erased_->poll(waker); }

private:
    struct erased {
        erased() = default;
        erased(const erased&) = delete;
        erased& operator=(const erased&) = delete;
        virtual ~erased() = default;
        virtual polled<T> poll(const waker& waker) = 0;

        static void* operator new(std::size_t size) { return allocate_frame(size); }
        static void operator delete(void* memory, std::size_t size) noexcept {
            free_frame(memory, size);
        }
    };

    template <typename F>
    struct holder final : erased {
        explicit holder(F&& hidden) : held(std::move(hidden)) {}
        polled<T> poll(const waker& waker) override { return held.poll(waker); }
        F held;
    };

    std::unique_ptr<erased> erased_;
};

/// Is ready at its first poll.
template <typename T>
class [[nodiscard]] ready_future {
public:
    using value_type = T;
    explicit ready_future(T value) : value_(std::move(value)) {}
    polled<T> poll(const waker&) { return polled<T>(std::in_place, std::move(value_)); }

private:
    T value_;
};

/// Is never ready.
template <typename T>
class [[nodiscard]] never_future {
public:
    using value_type = T;
    constexpr never_future() noexcept = default;
    polled<T> poll(const waker&) noexcept { return pending; }
};

}  // namespace heph::detail
