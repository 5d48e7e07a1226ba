#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <heph/rt/buffer.hpp>

namespace heph::rt::detail {

/// One buffer or a list of them, as what the kernel gathers from or scatters over.
class buffer_parts {
public:
    explicit buffer_parts(buffer bytes) noexcept : single_(std::move(bytes)) {}
    explicit buffer_parts(std::vector<buffer> bytes) : several_(std::move(bytes)), vectored_(true) {
        parts_.resize(several_.size());
    }

    /// Gives what was put in. *Requires*: it is of that type.
    template <typename Bytes>
    [[nodiscard]] Bytes take() noexcept {
        if constexpr (std::is_same_v<Bytes, buffer>) {
            return std::move(single_);
        } else {
            return std::move(several_);
        }
    }

    /// Gives the bytes that are left to be sent, in at most so many parts.
    [[nodiscard]] std::span<iovec> to_send(std::size_t parts_max) noexcept {
        const std::size_t taken = std::min(count() - first_, parts_max);
        for (std::size_t i = 0; i < taken; ++i) {
            buffer& each = at(first_ + i);
            const std::size_t skipped = i == 0 ? sent_ : 0;
            part(i) = iovec{each.data() + skipped, each.size() - skipped};
        }
        return std::span(&part(0), taken);
    }
    /// Notes that bytes were sent. Tells whether more are left.
    [[nodiscard]] bool note_sent(std::size_t bytes) noexcept {
        sent_ += bytes;
        while (first_ < count() && sent_ >= at(first_).size()) {
            sent_ -= at(first_).size();
            ++first_;
        }
        return first_ < count();
    }

    /// Gives the index of the first buffer that is not sent whole.
    [[nodiscard]] std::size_t index() const noexcept { return first_; }

    /// Gives the spare room, in at most so many parts, each of at least one byte: what the kernel
    /// has no room for reads as the end.
    [[nodiscard]] std::span<iovec> to_fill(std::size_t parts_max) noexcept {
        std::size_t taken = 0;
        for (std::size_t i = 0; i < count() && taken < parts_max; ++i) {
            if (at(i).spare() == 0) { continue; }
            part(taken++) = iovec{at(i).spare_bytes().data(), at(i).spare()};
        }
        return std::span(&part(0), taken);
    }
    /// Adds bytes that were written to the room to the buffers.
    void commit(std::size_t bytes) noexcept {
        for (std::size_t i = 0; i < count() && bytes != 0; ++i) {
            const std::size_t here = std::min(bytes, at(i).spare());
            at(i).commit(here);
            bytes -= here;
        }
    }

private:
    [[nodiscard]] std::size_t count() const noexcept { return vectored_ ? several_.size() : 1; }
    [[nodiscard]] buffer& at(std::size_t index) noexcept {
        return vectored_ ? several_[index] : single_;
    }
    [[nodiscard]] iovec& part(std::size_t index) noexcept {
        return parts_.empty() ? only_ : parts_[index];
    }

    buffer single_;
    std::vector<buffer> several_;
    bool vectored_ = false;
    std::vector<iovec> parts_;
    iovec only_{};
    std::size_t first_ = 0;  // The first buffer that is not sent whole, and
    std::size_t sent_ = 0;   // so many bytes of it are.
};

/// The kernel takes so many parts in one call.
inline constexpr std::size_t parts_max = 1024;

}  // namespace heph::rt::detail
