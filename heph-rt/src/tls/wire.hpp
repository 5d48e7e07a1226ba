#pragma once

// The two ends of the wire, as OpenSSL reads and writes them: memory, without an I/O call.

#include <cstddef>
#include <span>

#include <heph/rt/buffer.hpp>

#include "kernel_keys.hpp"
#include "openssl.hpp"

namespace heph::rt::tls {

/// Holds what arrived and was not read yet, and what is to be sent.
///
/// An idle connection holds no memory here: what is read to its end is freed. *Lifetime*: it
/// outlives the BIO that refers to it, and does not move.
class wire {
public:
    wire() noexcept = default;
    wire(const wire&) = delete;
    wire& operator=(const wire&) = delete;

    /// Makes the BIO through which OpenSSL reads the input and writes the output; null without
    /// memory.
    [[nodiscard]] BIO* make_bio() noexcept;

    /// Adds bytes that arrived. *Errors*: throws `std::bad_alloc`.
    void feed(std::span<const std::byte> bytes);
    /// Borrows bytes that arrived, until `keep`. *Errors*: throws `std::bad_alloc`.
    void lend(std::span<const std::byte> bytes);
    /// Copies what was lent and not read. *Errors*: throws `std::bad_alloc`; it is lent yet.
    void keep();
    [[nodiscard]] std::size_t unread() const noexcept {
        return input_.size() - read_ + lent_.size();
    }
    /// Copies input out; gives how much there was.
    std::size_t read(std::span<std::byte> out) noexcept;

    /// Makes room for so many bytes of plain text in records, at once: growing from one record to
    /// the next would copy the first ones again and again. Without memory, nothing happens yet.
    void expect_output(std::size_t plain_bytes) noexcept;

    /// Lets what leaves be looked at; null for not.
    void watch_output(sent_records* by) noexcept { watcher_ = by; }
    /// Forgets what OpenSSL writes from now on.
    void drop_output() noexcept { drops_output_ = true; }
    /// Takes what OpenSSL writes. *Errors*: throws `std::bad_alloc`.
    void write(std::span<const std::byte> bytes) {
        if (drops_output_) { return; }
        output_.append(bytes);
        if (watcher_ != nullptr) { watcher_->note_output(bytes); }
    }

    [[nodiscard]] buffer& output() noexcept { return output_; }
    [[nodiscard]] const buffer& output() const noexcept { return output_; }

private:
    void append(std::span<const std::byte> bytes);

    buffer input_;
    std::size_t read_ = 0;             // Bytes at the front of `input_` that were read.
    std::span<const std::byte> lent_;  // Behind those of `input_`.
    buffer output_;
    sent_records* watcher_ = nullptr;
    bool drops_output_ = false;
};

}  // namespace heph::rt::tls
