#pragma once

#include <expected>
#include <system_error>
#include <utility>

namespace heph::rt {

/// The least number of a direct descriptor: no ordinary one is as large.
inline constexpr int first_direct = 1 << 30;

/// Tells whether a number stands for a direct descriptor: a place in a table of the io_uring of one
/// worker. No system call takes it (`bad_file_descriptor`), nor does another worker.
[[nodiscard]] constexpr bool is_direct(int descriptor) noexcept {
    return descriptor >= first_direct;
}

/// Owns a descriptor of a socket, a pipe or the like, ordinary or direct; when destroyed on a
/// worker, the worker closes it soon. Files have `fs::file`, whose closing may take its time.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class descriptor_handle {
public:
    descriptor_handle() noexcept = default;
    explicit descriptor_handle(int descriptor) noexcept : descriptor_(descriptor) {}
    descriptor_handle(descriptor_handle&& other) noexcept
        : descriptor_(std::exchange(other.descriptor_, -1)) {}
    descriptor_handle& operator=(descriptor_handle&& other) noexcept {
        descriptor_handle old(std::move(*this));
        descriptor_ = std::exchange(other.descriptor_, -1);
        return *this;
    }
    ~descriptor_handle();

    /// Gives the descriptor, or what stands for a direct one: see `is_direct`.
    [[nodiscard]] int get() const noexcept { return descriptor_; }
    [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
    /// Gives the descriptor up; the caller closes it.
    [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, -1); }

    /// Moves what it stands for into the table of this worker's ring, and back. See
    /// `net::byte_stream::make_direct`.
    std::error_code make_direct() noexcept;
    std::error_code make_ordinary() noexcept;

private:
    int descriptor_ = -1;
};

/// Makes another descriptor for what `descriptor` stands for, an ordinary one of a direct one, too.
/// A child does not inherit it.
/// *Errors*: `bad_file_descriptor`, `too_many_files_open`; of a direct one `errc::no_worker` and
/// `errc::wrong_worker`, as only its worker can do it.
[[nodiscard]] std::expected<descriptor_handle, std::error_code> duplicate(int descriptor) noexcept;

}  // namespace heph::rt
