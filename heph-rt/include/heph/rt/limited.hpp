#pragma once

// Receives and reads that take at most so many bytes, into a buffer or what else holds bytes.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/rt/buffer.hpp>
#include <heph/rt/detail/io_call.hpp>

namespace heph::rt {

/// What may be received into: a `buffer`, a text or a vector of bytes, which grows by what comes;
/// or a span, of which as much is used.
template <typename T>
concept byte_container =
    std::same_as<T, buffer> || std::same_as<T, std::string> ||
    std::same_as<T, std::vector<std::byte>> || std::same_as<T, std::vector<char>> ||
    std::same_as<T, std::vector<unsigned char>> || std::same_as<T, std::span<std::byte>>;

/// Holds what is to be received into, and how many bytes may be added to it. Made by `limit`.
template <byte_container Bytes>
class limited {
public:
    limited(Bytes into, std::size_t most) noexcept : bytes_(std::move(into)), most_(most) {}

    [[nodiscard]] Bytes& bytes() noexcept { return bytes_; }
    [[nodiscard]] std::size_t most() const noexcept { return most_; }

private:
    Bytes bytes_;
    std::size_t most_;
};

/// Allows at most `most` more bytes to be received into `into`, for which it makes room; into a
/// span, at most as many as it has. *Errors*: what takes it throws what `into` does for want of
/// memory, also where `most` is more than there can be.
///
///     auto head = co_await stream.recv(heph::rt::limit(std::string(), 512));
///
/// It is moved into the operation and comes back with what came appended: a span as the part of it
/// that was filled.
/// *Lifetime*: the memory of a span has to outlive the runtime, as the kernel may write to it after
/// the receive was dropped; see `static_storage` for one that is given out once at a time.
template <byte_container Bytes>
[[nodiscard]] limited<Bytes> limit(Bytes into, std::size_t most) noexcept {
    return limited<Bytes>(std::move(into), most);
}

namespace detail {

/// Room to receive into, at an address that stays.
class room {
public:
    room() noexcept = default;
    room(const room&) = delete;
    room& operator=(const room&) = delete;
    virtual ~room() = default;

    [[nodiscard]] virtual std::span<std::byte> spare() noexcept = 0;
    /// Notes that bytes were written to the beginning of the room. Called once at most.
    virtual void commit(std::size_t bytes) noexcept = 0;
};

/// The room that a limit leaves.
template <byte_container Bytes>
class limited_room final : public room {
public:
    /// *Errors*: throws what the container does for want of memory.
    explicit limited_room(limited<Bytes> into)
        : bytes_(std::move(into.bytes())), most_(into.most()) {
        if constexpr (std::same_as<Bytes, buffer>) {
            before_ = bytes_.size();
            bytes_.reserve(wanted());
        } else if constexpr (std::same_as<Bytes, std::span<std::byte>>) {
            if (most_ < bytes_.size()) { bytes_ = bytes_.first(most_); }
            most_ = bytes_.size();
        } else {
            before_ = bytes_.size();
            bytes_.resize(wanted());
        }
    }

    [[nodiscard]] std::span<std::byte> spare() noexcept override {
        return {reinterpret_cast<std::byte*>(bytes_.data()) + before_, most_};
    }
    void commit(std::size_t bytes) noexcept override { filled_ = bytes; }

    /// Gives the container back, with what came.
    [[nodiscard]] Bytes take() {
        if constexpr (std::same_as<Bytes, buffer>) {
            bytes_.commit(filled_);
        } else if constexpr (std::same_as<Bytes, std::span<std::byte>>) {
            bytes_ = bytes_.first(filled_);
        } else {
            bytes_.resize(before_ + filled_);
        }
        return std::move(bytes_);
    }

private:
    // The sum must not begin anew at zero: the kernel would be told of room that is not there.
    [[nodiscard]] std::size_t wanted() const {
        if (most_ > std::numeric_limits<std::size_t>::max() - before_) { throw std::bad_alloc(); }
        return before_ + most_;
    }

    Bytes bytes_;
    std::size_t most_;
    std::size_t before_ = 0;
    std::size_t filled_ = 0;
};

// What receives and reads into a room; and the room of it, later.
[[nodiscard]] std::unique_ptr<io_call> receive_into(int socket, std::unique_ptr<room> into);
[[nodiscard]] std::unique_ptr<io_call> read_into(int descriptor, std::unique_ptr<room> into);
[[nodiscard]] std::unique_ptr<io_call> read_into_at(int file, std::unique_ptr<room> into,
                                                    std::uint64_t offset);
[[nodiscard]] room& room_of(io_call& call) noexcept;

/// Takes the container with what came. Of `io_future`.
template <byte_container Bytes>
[[nodiscard]] std::expected<Bytes, std::error_code> take_room(io_call& call,
                                                              std::int32_t /*result*/) {
    return static_cast<limited_room<Bytes>&>(room_of(call)).take();
}

}  // namespace detail

}  // namespace heph::rt
