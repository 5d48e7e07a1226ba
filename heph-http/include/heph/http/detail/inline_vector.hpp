#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

namespace heph::http::detail {

/// A vector of trivial values whose first `Inline` elements need no allocation.
///
/// `clear()` keeps the memory, so that an object that is used again and again stops allocating.
/// *Errors*: growing throws `std::bad_alloc`.
template <typename T, std::uint32_t Inline>
class inline_vector {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

public:
    inline_vector() noexcept = default;

    inline_vector(const inline_vector& other) { append(other.data(), other.size()); }
    inline_vector(inline_vector&& other) noexcept { take(other); }
    inline_vector& operator=(const inline_vector& other) {
        if (this != &other) {
            clear();
            append(other.data(), other.size());
        }
        return *this;
    }
    inline_vector& operator=(inline_vector&& other) noexcept {
        if (this != &other) {
            release();
            take(other);
        }
        return *this;
    }
    ~inline_vector() { release(); }

    [[nodiscard]] T* data() noexcept { return heap_ != nullptr ? heap_ : inline_data(); }
    [[nodiscard]] const T* data() const noexcept {
        return heap_ != nullptr ? heap_ : reinterpret_cast<const T*>(inline_);
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] T& operator[](std::size_t index) noexcept { return data()[index]; }
    [[nodiscard]] const T& operator[](std::size_t index) const noexcept { return data()[index]; }

    /// Forgets the elements and keeps the memory.
    void clear() noexcept { size_ = 0; }

    /// Forgets the elements and gives memory beyond the inline part back.
    void reset() noexcept {
        release();
        heap_ = nullptr;
        size_ = 0;
        capacity_ = Inline;
    }

    /// Cuts to the first `size` elements. *Requires*: `size <= size()`.
    void truncate(std::size_t size) noexcept { size_ = static_cast<std::uint32_t>(size); }

    void push_back(const T& value) {
        const T copy = value;
        reserve(std::size_t{size_} + 1);
        data()[size_++] = copy;
    }

    /// Appends a copy of `count` elements, which are not this vector's own.
    void append(const T* values, std::size_t count) {
        if (count == 0) { return; }
        reserve(size_ + count);
        std::memcpy(data() + size_, values, count * sizeof(T));
        size_ += static_cast<std::uint32_t>(count);
    }

    /// Removes the element at `index`, keeping the order of the others.
    void erase(std::size_t index) noexcept {
        T* at = data() + index;
        std::memmove(at, at + 1, (size_ - index - 1) * sizeof(T));
        --size_;
    }

private:
    T* inline_data() noexcept { return reinterpret_cast<T*>(inline_); }

    void reserve(std::size_t wanted) {
        if (wanted <= capacity_) { return; }
        if (wanted > std::numeric_limits<std::uint32_t>::max() / 2) { throw std::bad_alloc(); }
        std::size_t grown = std::size_t{capacity_} * 2;
        if (grown < wanted) { grown = wanted; }
        T* memory = static_cast<T*>(::operator new(grown * sizeof(T)));
        if (size_ != 0) { std::memcpy(static_cast<void*>(memory), data(), size_ * sizeof(T)); }
        release();
        heap_ = memory;
        capacity_ = static_cast<std::uint32_t>(grown);
    }

    void release() noexcept {
        if (heap_ != nullptr) { ::operator delete(heap_); }
    }

    void take(inline_vector& other) noexcept {
        heap_ = std::exchange(other.heap_, nullptr);
        size_ = std::exchange(other.size_, 0);
        capacity_ = std::exchange(other.capacity_, Inline);
        if (heap_ == nullptr && size_ != 0) {
            std::memcpy(inline_, other.inline_, size_ * sizeof(T));
        }
    }

    T* heap_ = nullptr;
    std::uint32_t size_ = 0;
    std::uint32_t capacity_ = Inline;
    alignas(T) std::byte inline_[Inline * sizeof(T)];
};

}  // namespace heph::http::detail
