#pragma once

// Bytes that are handed to the kernel and come back with the result.

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace heph::rt {

/// Owns bytes: a size, a capacity, and no initialisation of what is not used yet.
///
/// It is moved into an operation and comes back with the operation's result, so that the kernel is
/// never left with memory that the program has freed. Receives append to it, within its capacity.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class buffer {
public:
    /// Makes an empty buffer without memory.
    buffer() noexcept = default;

    buffer(buffer&& other) noexcept
        : bytes_(std::move(other.bytes_)),
          size_(std::exchange(other.size_, 0)),
          capacity_(std::exchange(other.capacity_, 0)) {}
    buffer& operator=(buffer&& other) noexcept {
        bytes_ = std::move(other.bytes_);
        size_ = std::exchange(other.size_, 0);
        capacity_ = std::exchange(other.capacity_, 0);
        return *this;
    }
    ~buffer() = default;

    /// Makes an empty buffer with room for `capacity` bytes. *Errors*: throws `std::bad_alloc`.
    [[nodiscard]] static buffer with_capacity(std::size_t capacity) {
        buffer made;
        made.reserve(capacity);
        return made;
    }

    /// Makes a buffer that holds a copy of `text`. *Errors*: throws `std::bad_alloc`.
    [[nodiscard]] static buffer copy_of(std::string_view text) {
        buffer made = with_capacity(text.size());
        made.append(text);
        return made;
    }

    [[nodiscard]] std::byte* data() noexcept { return bytes_.get(); }
    [[nodiscard]] const std::byte* data() const noexcept { return bytes_.get(); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] std::size_t spare() const noexcept { return capacity_ - size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data(), size_}; }
    [[nodiscard]] std::span<std::byte> bytes() noexcept { return {data(), size_}; }
    [[nodiscard]] std::string_view view() const noexcept {
        return {reinterpret_cast<const char*>(data()), size_};
    }

    /// Gives the room behind the bytes in use; `commit` makes written bytes of it part of them.
    [[nodiscard]] std::span<std::byte> spare_bytes() noexcept { return {data() + size_, spare()}; }

    /// Adds `count` bytes that were written to `spare_bytes()`. *Requires*: `count <= spare()`.
    void commit(std::size_t count) noexcept { size_ += count; }

    /// Forgets the bytes and keeps the memory.
    void clear() noexcept { size_ = 0; }

    /// Cuts to the first `size` bytes. *Requires*: `size <= size()`.
    void truncate(std::size_t size) noexcept { size_ = size; }

    /// Removes the first `count` bytes, moving the rest to the front.
    /// *Requires*: `count <= size()`.
    void consume(std::size_t count) noexcept {
        size_ -= count;
        if (size_ != 0) { std::memmove(bytes_.get(), bytes_.get() + count, size_); }
    }

    /// Makes room for `capacity` bytes in all, moving them if need be.
    /// *Errors*: throws `std::bad_alloc`.
    void reserve(std::size_t capacity) {
        if (capacity <= capacity_) { return; }
        auto grown = std::make_unique_for_overwrite<std::byte[]>(capacity);
        if (size_ != 0) { std::memcpy(grown.get(), bytes_.get(), size_); }
        bytes_ = std::move(grown);
        capacity_ = capacity;
    }

    /// Appends bytes, growing geometrically. *Errors*: throws `std::bad_alloc`.
    /// *Requires*: `more` is not a part of this buffer.
    void append(std::span<const std::byte> more) {
        if (more.empty()) { return; }
        if (spare() < more.size()) {
            const std::size_t doubled = capacity_ * 2;
            const std::size_t needed = size_ + more.size();
            reserve(doubled < needed ? needed : doubled);
        }
        std::memcpy(bytes_.get() + size_, more.data(), more.size());
        size_ += more.size();
    }

    /// Appends the bytes of a text.
    void append(std::string_view text) { append(std::as_bytes(std::span(text))); }

private:
    std::unique_ptr<std::byte[]> bytes_;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace heph::rt
