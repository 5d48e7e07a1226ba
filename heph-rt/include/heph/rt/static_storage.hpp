#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include <heph/rt/buffer.hpp>

namespace heph::rt {

/// Storage for one buffer, of a size that is known when the program is compiled: no memory is taken
/// while the program runs.
///
///     constinit static heph::rt::static_storage<4096> console_input;
///     auto bytes = console_input.take();  // nothing while another has it
///
/// *Thread safety*: safe.
/// *Lifetime*: it has to be static: the kernel may write to it after a receive was dropped.
template <std::size_t Bytes>
class static_storage {
public:
    constexpr static_storage() noexcept = default;
    static_storage(const static_storage&) = delete;
    static_storage& operator=(const static_storage&) = delete;

    /// Gives an empty buffer with room for `Bytes` bytes; nothing while another one is there. The
    /// storage is free again when that is destroyed.
    [[nodiscard]] std::optional<buffer> take() noexcept {
        // Acquires what the last owner's release in `deallocate` gave up.
        if (taken_.exchange(true, std::memory_order_acquire)) { return std::nullopt; }
        // The storage is free when the last that there is of the owner is gone: its count, too.
        std::shared_ptr<const void> owner(
            static_cast<const void*>(this), [](const void*) noexcept {},
            count_allocator<std::byte>(this));
        return buffer::in_memory(std::move(owner), std::span<std::byte>(bytes_));
    }

private:
    // So much a reference count of the standard library takes at most.
    static constexpr std::size_t count_bytes = 128;

    /// Puts the owner's reference count into the storage.
    template <typename T>
    struct count_allocator {
        using value_type = T;
        explicit count_allocator(static_storage* storage) noexcept : of(storage) {}
        template <typename U>
        count_allocator(const count_allocator<U>& other) noexcept : of(other.of) {}
        [[nodiscard]] T* allocate(std::size_t /*count*/) noexcept {
            static_assert(sizeof(T) <= count_bytes && alignof(T) <= alignof(std::max_align_t));
            return reinterpret_cast<T*>(of->count_.data());
        }
        void deallocate(T* /*at*/, std::size_t /*count*/) noexcept {
            of->taken_.store(false, std::memory_order_release);  // Pairs with `take`.
        }
        template <typename U>
        bool operator==(const count_allocator<U>& other) const noexcept {
            return of == other.of;
        }
        static_storage* of;
    };

    std::array<std::byte, Bytes> bytes_{};
    alignas(std::max_align_t) std::array<std::byte, count_bytes> count_{};
    std::atomic<bool> taken_{false};
};

}  // namespace heph::rt
