#pragma once

// A message's place in a channel.

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

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

/// A slot: what state it is in, and room for one message. They are side by side, so that one cache
/// line brings both from the sender's core to the receiver's.
template <typename T, typename Layout>
struct cell {
    template <typename V>
    using atomic = typename Layout::environment::template atomic<V>;

    explicit cell(std::uint32_t state) noexcept : sequence(state) {}

    /// Gives the message. *Requires*: there is one.
    [[nodiscard]] T* message() noexcept { return std::launder(reinterpret_cast<T*>(storage)); }

    static constexpr std::size_t alignment = alignof(atomic<std::uint32_t>) > Layout::cell_alignment
                                                 ? alignof(atomic<std::uint32_t>)
                                                 : Layout::cell_alignment;

    alignas(alignment) atomic<std::uint32_t> sequence;
    atomic<std::uint8_t> watch = 0;         // A bit for the receiver; see `channel_state`.
    atomic<std::uint8_t> senders_gone = 0;  // Whether none was left.
    alignas(T) std::byte storage[sizeof(T)];
};

}  // namespace heph::inbox::detail
