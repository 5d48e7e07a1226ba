#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <zlib.h>

namespace heph::http::ws::detail {

/// What came of a step of an `inflater`.
enum class inflate_outcome : std::uint8_t { good, more, broken, too_big };

/// Decompresses the messages of one direction (RFC 7692, 7.2.2). Takes no memory before the first.
///
/// *Thread safety*: unsafe.
class inflater {
public:
    using outcome = inflate_outcome;

    inflater(int window_bits, bool forgets) noexcept
        : window_bits_(window_bits), forgets_(forgets) {}
    inflater(const inflater&) = delete;
    inflater& operator=(const inflater&) = delete;
    ~inflater();

    /// Appends what `bytes` stand for to `out`, which never grows beyond `size_max`; also what
    /// comes before something that is broken or too big. Gives `more` when it has appended about
    /// `slice` bytes and is not done: to be called again with what it has left in `bytes`.
    /// *Errors*: throws `std::bad_alloc`.
    outcome add(std::string_view& bytes, std::string& out, std::size_t size_max, std::size_t slice);
    /// Ends a message.
    outcome end(std::string& out, std::size_t size_max);

private:
    bool begin_again() noexcept;

    z_stream stream_{};
    int window_bits_;
    bool forgets_;
    bool begun_ = false;
    bool ended_ = false;  // A block said that it is the last one.
    bool fed_ = false;    // The message has a byte.
    bool full_ = false;   // There may be more output without further input.
};

/// Compresses the messages of one direction (RFC 7692, 7.2.1). Takes no memory before the first.
///
/// *Thread safety*: unsafe.
class deflater {
public:
    deflater(int window_bits, bool forgets, int level) noexcept
        : window_bits_(window_bits), level_(level), forgets_(forgets) {}
    deflater(const deflater&) = delete;
    deflater& operator=(const deflater&) = delete;
    ~deflater();

    /// Gives a message compressed. *Errors*: throws `std::bad_alloc`.
    [[nodiscard]] std::string message(std::string_view text);

private:
    z_stream stream_{};
    int window_bits_;
    int level_;
    bool forgets_;
    bool begun_ = false;
};

}  // namespace heph::http::ws::detail
