#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include <heph/rt/buffer.hpp>

namespace heph::rt {

namespace detail {
class buffer_pool;
void give_back(buffer_pool& pool, std::uint16_t id) noexcept;
}  // namespace detail

namespace net {

/// Holds bytes that arrived: mostly one of the worker's provided buffers, which goes back to the
/// worker when the chunk is destroyed. An empty chunk is the end of the stream.
///
/// The buffers are shared by all connections of a worker: copy what is to be kept for long.
///
/// *Thread safety*: distinct objects: safe, on any thread. Shared objects: unsafe.
class [[nodiscard]] chunk {
public:
    /// Makes the end of the stream.
    chunk() noexcept = default;
    /// Takes over a provided buffer that holds `size` bytes.
    chunk(detail::buffer_pool& pool, std::uint16_t id, const std::byte* data,
          std::size_t size) noexcept
        : pool_(&pool), data_(data), size_(size), id_(id) {}
    /// Takes over bytes.
    explicit chunk(buffer owned) noexcept
        : owned_(std::move(owned)), data_(owned_.data()), size_(owned_.size()) {}

    chunk(chunk&& other) noexcept
        : owned_(std::move(other.owned_)),
          pool_(std::exchange(other.pool_, nullptr)),
          data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)),
          id_(other.id_) {}
    chunk& operator=(chunk&& other) noexcept {
        if (this != &other) {
            release();
            owned_ = std::move(other.owned_);
            pool_ = std::exchange(other.pool_, nullptr);
            data_ = std::exchange(other.data_, nullptr);
            size_ = std::exchange(other.size_, 0);
            id_ = other.id_;
        }
        return *this;
    }
    ~chunk() { release(); }

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
    [[nodiscard]] std::string_view view() const noexcept {
        return {reinterpret_cast<const char*>(data_), size_};
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

    /// Leaves out the first `count` bytes, which were dealt with. *Requires*: `count <= size()`.
    void consume(std::size_t count) noexcept {
        data_ += count;
        size_ -= count;
    }

private:
    void release() noexcept {
        if (pool_ != nullptr) { detail::give_back(*std::exchange(pool_, nullptr), id_); }
    }

    buffer owned_;
    detail::buffer_pool* pool_ = nullptr;
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    std::uint16_t id_ = 0;
};

}  // namespace net
}  // namespace heph::rt
