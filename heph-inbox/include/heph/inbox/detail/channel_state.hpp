#pragma once

// A channel with its messages: one allocation.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <heph/inbox/detail/channel_core.hpp>

namespace heph::inbox::detail {

/// Refuses types that cannot be messages, in words.
template <typename T>
consteval bool check_message_type() {
    static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>,
                  "a message is a value: not a reference, not const, not an array");
    static_assert(std::is_nothrow_move_constructible_v<T>,
                  "a message's move constructor must be noexcept: an exception half-way through a "
                  "send would leave a hole in the channel; send a std::unique_ptr to it instead");
    static_assert(std::is_nothrow_destructible_v<T>, "a message's destructor must not throw");
    return true;
}

/// Refuses to put a message into a future that it would misalign.
template <typename T>
consteval bool check_awaited_type() {
    static_assert(alignof(T) <= alignof(std::max_align_t),
                  "futures live in coroutine frames, which are aligned to 16 bytes only: send a "
                  "std::unique_ptr to this message, or use the try_ and the blocking forms");
    return true;
}

/// The core, the sequence numbers and the slots, in this order.
template <typename T>
class channel_state : public channel_core {
    static_assert(check_message_type<T>());

public:
    /// Makes a channel with one sender and the receiver.
    [[nodiscard]] static channel_state* make(std::size_t capacity) {
        if (capacity == 0 || capacity > capacity_max) {
            throw std::invalid_argument("heph::inbox: a channel's capacity is 1 to 2^28");
        }
        const std::size_t slots = std::bit_ceil(capacity);
        void* memory = ::operator new(bytes(slots), alignment);
        auto* made = ::new (memory) channel_state(capacity, slots, slots_offset(slots));
        made->make_sequence();
        return made;
    }

    /// Moves a message into a claimed slot and hands it over.
    void put(const claim& claimed, T&& message) noexcept {
        std::construct_at(slot(claimed.position), std::move(message));
        publish(claimed);
    }

    /// Gives the message at `position`. *Requires*: it is published, and not taken.
    [[nodiscard]] T& at(std::uint64_t position) noexcept { return *slot(position); }

    /// Destroys the message at `position`, which was moved from or is not wanted.
    void destroy(std::uint64_t position) noexcept { std::destroy_at(slot(position)); }

    /// Closes the channel, and destroys what is in it, from `position` on.
    void close(std::uint64_t position) noexcept {
        const std::uint64_t end = close_to_senders();
        for (; position != end; ++position) {
            // Invariant 5: the sender of this message is half-way, a few instructions from done.
            backoff waiting;
            while (!is_published(position)) { waiting.wait(); }
            destroy(position);
        }
    }

    /// Frees the channel. *Requires*: nobody uses it any more.
    void free() noexcept {
        if (const last_word* left = word(); left != nullptr && left->drop != nullptr) {
            left->drop(*left);
        }
        this->~channel_state();
        ::operator delete(this, alignment);
    }

    /// Tells how much memory a channel with so many slots takes.
    static constexpr std::size_t bytes(std::size_t slots) noexcept {
        return slots_offset(slots) + slots * sizeof(T);
    }

private:
    static constexpr std::align_val_t alignment{alignof(T) > cache_line ? alignof(T) : cache_line};

    using channel_core::channel_core;
    ~channel_state() = default;

    using channel_core::slots_offset;

    static constexpr std::size_t slots_offset(std::size_t slots) noexcept {
        const std::size_t end = sequence_offset(slots) + slots * sizeof(std::uint32_t);
        // The slots of a large channel begin in a cache line of their own.
        const std::size_t align =
            slots <= capacity_small || alignof(T) > cache_line ? alignof(T) : cache_line;
        return (end + align - 1) / align * align;
    }

    [[nodiscard]] T* slot(std::uint64_t position) noexcept {
        std::byte* memory =
            reinterpret_cast<std::byte*>(this) + slots_offset() + index(position) * sizeof(T);
        return std::launder(reinterpret_cast<T*>(memory));
    }
};

}  // namespace heph::inbox::detail
