#pragma once

// Direct descriptors where an ordinary one is needed, and the reverse.

#include <expected>
#include <system_error>

#include <heph/rt/descriptor.hpp>

namespace heph::rt::detail {

/// Gives a system call an ordinary descriptor: that which it was made of; or, of a direct one of
/// this worker, another for the same socket or file, until this is destroyed. Keeps `errno`.
///
/// *Thread safety*: used by the worker's thread.
class ordinary_descriptor {
public:
    explicit ordinary_descriptor(int descriptor) noexcept : descriptor_(descriptor) {
        if (is_direct(descriptor)) [[unlikely]] { install(); }
    }
    ordinary_descriptor(const ordinary_descriptor&) = delete;
    ordinary_descriptor& operator=(const ordinary_descriptor&) = delete;
    ~ordinary_descriptor() {
        if (is_own_) [[unlikely]] { close(); }
    }

    /// Gives -1 when none is to be had.
    [[nodiscard]] int get() const noexcept { return descriptor_; }

private:
    void install() noexcept;
    void close() const noexcept;

    int descriptor_;
    bool is_own_ = false;
};

/// Makes an ordinary descriptor for what a direct one of this worker stands for.
/// *Errors*: `errc::no_worker`, `errc::wrong_worker`, `too_many_files_open`.
[[nodiscard]] std::expected<descriptor_handle, std::error_code> to_ordinary(int direct) noexcept;

/// Puts what a descriptor stands for into the table of this worker's ring, and closes the
/// descriptor; leaves it where there is no table, or no room.
[[nodiscard]] std::error_code make_direct(int& descriptor) noexcept;
/// Does the reverse.
[[nodiscard]] std::error_code make_ordinary(int& descriptor) noexcept;

}  // namespace heph::rt::detail
