#pragma once

// Bytes that are handed to the kernel and come back with the result.

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace heph::rt {

/// Owns bytes: a size, a capacity, and no initialisation of what is not used yet; or has memory
/// that somebody else keeps, for itself (`in_memory`) or shared with others who read it
/// (`of_shared`, `of_static`).
///
/// It is moved into an operation and comes back with the operation's result, so that the kernel is
/// never left with memory that the program has freed. Receives append to it, within its capacity.
///
/// *Thread safety*: distinct objects: safe, also those that share bytes. Shared objects: unsafe.
class buffer {
public:
    /// Makes an empty buffer without memory.
    buffer() noexcept = default;

    buffer(buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)),
          capacity_(std::exchange(other.capacity_, 0)),
          owner_(std::move(other.owner_)) {}
    buffer& operator=(buffer&& other) noexcept {
        if (this == &other) { return *this; }
        if (owner_ == nullptr) { delete[] data_; }
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
        capacity_ = std::exchange(other.capacity_, 0);
        owner_ = std::move(other.owner_);
        return *this;
    }
    ~buffer() {
        if (owner_ == nullptr) { delete[] data_; }
    }

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

    /// Makes a buffer of bytes that `owner` keeps, without a copy: to send the same bytes to many,
    /// or a part of a large text. It has no room to receive into; what is appended to it makes it a
    /// copy of its own first.
    ///
    /// *Requires*: `owner` is not null, nobody changes the bytes while the buffer or an operation
    /// has it, and nobody writes through `data()` or `bytes()`.
    /// *Lifetime*: it keeps `owner` until it is cleared or destroyed.
    [[nodiscard]] static buffer of_shared(std::shared_ptr<const void> owner,
                                          std::string_view bytes) noexcept {
        buffer made;
        if (bytes.empty()) { return made; }
        made.data_ = reinterpret_cast<std::byte*>(const_cast<char*>(bytes.data()));
        made.size_ = bytes.size();
        made.capacity_ = bytes.size();
        made.owner_ = std::move(owner);
        return made;
    }

    /// Makes a buffer of bytes that are there until the program ends, such as those of a string
    /// literal, without a copy. As `of_shared` otherwise.
    [[nodiscard]] static buffer of_static(std::string_view bytes) noexcept {
        // Owns nothing, and yet is not null.
        return of_shared(std::shared_ptr<const void>(std::shared_ptr<const void>(), bytes.data()),
                         bytes);
    }

    /// Makes an empty buffer with room in memory that `owner` keeps: of a pool, or static memory.
    /// It is used as if it were the buffer's own; what does not fit into it any more makes the
    /// buffer take memory of its own.
    ///
    /// *Requires*: `owner` is not null, and nobody else uses the memory while the buffer or an
    /// operation has it. *Lifetime*: as `of_shared`, but that it is kept when cleared.
    [[nodiscard]] static buffer in_memory(std::shared_ptr<const void> owner,
                                          std::span<std::byte> memory) noexcept {
        buffer made;
        made.data_ = memory.data();
        made.capacity_ = memory.size();
        // What it points to tells that nobody else reads the bytes.
        made.owner_ = std::shared_ptr<const void>(std::move(owner), &alone);
        return made;
    }

    [[nodiscard]] std::byte* data() noexcept { return data_; }
    [[nodiscard]] const std::byte* data() const noexcept { return data_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] std::size_t spare() const noexcept { return capacity_ - size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    /// Tells whether others may read the same bytes.
    [[nodiscard]] bool is_shared() const noexcept {
        return owner_ != nullptr && owner_.get() != &alone;
    }

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data(), size_}; }
    [[nodiscard]] std::span<std::byte> bytes() noexcept { return {data(), size_}; }
    [[nodiscard]] std::string_view view() const noexcept {
        return {reinterpret_cast<const char*>(data()), size_};
    }

    /// Gives the room behind the bytes in use; `commit` makes written bytes of it part of them.
    [[nodiscard]] std::span<std::byte> spare_bytes() noexcept { return {data() + size_, spare()}; }

    /// Adds `count` bytes that were written to `spare_bytes()`. *Requires*: `count <= spare()`.
    void commit(std::size_t count) noexcept { size_ += count; }

    /// Forgets the bytes and keeps the memory, unless it is shared.
    void clear() noexcept {
        if (is_shared()) {
            *this = buffer();
            return;
        }
        size_ = 0;
    }

    /// Cuts to the first `size` bytes. *Requires*: `size <= size()`.
    void truncate(std::size_t size) noexcept {
        size_ = size;
        if (is_shared()) { capacity_ = size; }
    }

    /// Removes the first `count` bytes, moving the rest to the front unless they are shared.
    /// *Requires*: `count <= size()`.
    void consume(std::size_t count) noexcept {
        size_ -= count;
        if (is_shared()) {
            data_ += count;
            capacity_ = size_;
        } else if (size_ != 0) {
            std::memmove(data_, data_ + count, size_);
        }
    }

    /// Makes room for `capacity` bytes in all, moving them if need be.
    /// *Errors*: throws `std::bad_alloc`.
    void reserve(std::size_t capacity) {
        if (capacity <= capacity_) { return; }
        buffer grown;
        grown.data_ = std::make_unique_for_overwrite<std::byte[]>(capacity).release();
        if (size_ > capacity) { std::unreachable(); }  // For g++ 12, which warns otherwise.
        grown.size_ = size_;
        grown.capacity_ = capacity;
        if (size_ != 0) { std::memcpy(grown.data_, data_, size_); }
        *this = std::move(grown);
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
        std::memcpy(data_ + size_, more.data(), more.size());
        size_ += more.size();
    }

    /// Appends the bytes of a text.
    void append(std::string_view text) { append(std::as_bytes(std::span(text))); }

private:
    static constexpr char alone = 0;  // Its address counts.

    std::byte* data_ = nullptr;  // From new[], unless there is an owner.
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;           // As `size_` when it is shared.
    std::shared_ptr<const void> owner_;  // Points to `alone` when it is not.
};

}  // namespace heph::rt
