#pragma once

// A future of any type, in place when it is small, in pooled memory otherwise.

#include <concepts>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include <heph/core/detail/frame_pool.hpp>
#include <heph/inbox/future.hpp>

namespace heph::detail {

/// Hides the type of a future that gives a `T`. One of at most `Bytes` bytes lives inside; a larger
/// one in the memory that coroutine frames use, so that making it costs no system allocation once
/// a thread is warm. Like any future, it may be moved until its first poll.
template <typename T, std::size_t Bytes = (std::is_void_v<T> ? 64 : 128)>
class [[nodiscard]] any_future {
public:
    using value_type = T;

    template <future F>
        requires(std::same_as<future_value_t<F>, T> && !std::same_as<F, any_future>)
    explicit any_future(F hidden) : operations_(&operations_of<F>) {
        if constexpr (fits<F>) {
            std::construct_at(reinterpret_cast<F*>(memory_), std::move(hidden));
        } else {
            void* frame = allocate_frame(sizeof(F));
            try {
                std::construct_at(static_cast<F*>(frame), std::move(hidden));
            } catch (...) {
                free_frame(frame, sizeof(F));
                throw;
            }
            std::construct_at(reinterpret_cast<void**>(memory_), frame);
        }
    }
    any_future(any_future&& other) noexcept : operations_(other.operations_) {
        if (operations_ != nullptr) { operations_->move(other.memory_, memory_); }
        other.operations_ = nullptr;
    }
    any_future& operator=(any_future&& other) noexcept {
        if (this != &other) {
            std::destroy_at(this);
            std::construct_at(this, std::move(other));
        }
        return *this;
    }
    ~any_future() {
        if (operations_ != nullptr) { operations_->destroy(memory_); }
    }

    polled<T> poll(const waker& waker) { return operations_->poll(memory_, waker); }

    /// Tells whether a future lives inside.
    template <typename F>
    static constexpr bool fits = sizeof(F) <= Bytes && alignof(F) <= alignof(std::max_align_t) &&
                                 std::is_nothrow_move_constructible_v<F>;

private:
    static_assert(Bytes >= sizeof(void*));

    // `move` ends the life of what it moves from.
    struct operations {
        polled<T> (*poll)(std::byte* memory, const waker& waker);
        void (*move)(std::byte* from, std::byte* to) noexcept;
        void (*destroy)(std::byte* memory) noexcept;
    };

    template <typename F>
    static F& held(std::byte* memory) noexcept {
        if constexpr (fits<F>) {
            return *std::launder(reinterpret_cast<F*>(memory));
        } else {
            return *static_cast<F*>(*std::launder(reinterpret_cast<void**>(memory)));
        }
    }

    template <typename F>
    static constexpr operations operations_of{
        [](std::byte* memory, const waker& waker) { return held<F>(memory).poll(waker); },
        [](std::byte* from, std::byte* to) noexcept {
            if constexpr (fits<F>) {
                std::construct_at(reinterpret_cast<F*>(to), std::move(held<F>(from)));
                std::destroy_at(&held<F>(from));
            } else {
                std::construct_at(reinterpret_cast<void**>(to), &held<F>(from));
            }
        },
        [](std::byte* memory) noexcept {
            F* const future = &held<F>(memory);
            std::destroy_at(future);
            if constexpr (!fits<F>) { free_frame(future, sizeof(F)); }
        }};

    const operations* operations_;
    alignas(std::max_align_t) std::byte memory_[Bytes];
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
