#pragma once

// Buffers that receives take as data arrives, instead of one for each that waits.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <system_error>
#include <utility>

namespace heph::rt {

namespace detail {
class pool_state;
}  // namespace detail

/// What becomes of a receive when all buffers of its pool are in use.
enum class when_exhausted : std::uint8_t {
    wait,  ///< It waits until one comes back.
    fail,  ///< It fails with `no_buffer_space`.
};

/// How to make a pool of buffers.
struct buffer_pool_options {
    std::size_t count = 64;    ///< Of buffers: a power of two, at most 32,768.
    std::size_t bytes = 4096;  ///< Of each. For datagrams with the 44 bytes that theirs need, too.
    when_exhausted exhausted = when_exhausted::wait;
};

/// A pool of buffers of one size, for receives that have none of their own: a connection that waits
/// holds no memory. With io_uring the kernel takes them, from a ring that it shares with the pool.
///
///     auto pool = heph::rt::buffer_pool::make({.count = 256, .bytes = 2048});
///     auto received = co_await stream.recv(*pool);  // a `buffer` like any other
///
/// What is received is a `buffer` over the pool's memory. It may be read, written, cut and sent, by
/// any thread; it goes back to the pool when it is destroyed, and what is moved into it.
///
/// It belongs to the worker that receives into it first: `errc::wrong_worker` elsewhere.
/// *Thread safety*: unsafe. Copies share the buffers.
/// *Lifetime*: may go at any time; the buffers stay for as long as something has them.
class buffer_pool {
public:
    /// Takes the memory, of which the system gives what is used.
    /// *Errors*: `not_enough_memory`; `invalid_argument` for a count that is no power of two or too
    /// large, or for no bytes, or more than 2^31.
    [[nodiscard]] static std::expected<buffer_pool, std::error_code> make(
        const buffer_pool_options& options = {});

    [[nodiscard]] std::size_t buffer_count() const noexcept;
    [[nodiscard]] std::size_t buffer_bytes() const noexcept;
    /// Tells how many hold something that was received. *Thread safety*: safe.
    [[nodiscard]] std::size_t buffers_in_use() const noexcept;

    /// Gives what it is made of. Of no use but to the library.
    [[nodiscard]] const std::shared_ptr<detail::pool_state>& state() const noexcept {
        return state_;
    }

private:
    explicit buffer_pool(std::shared_ptr<detail::pool_state> state) noexcept
        : state_(std::move(state)) {}

    std::shared_ptr<detail::pool_state> state_;
};

}  // namespace heph::rt
