#pragma once

#include <expected>
#include <system_error>
#include <utility>

namespace heph::rt {

/// Owns a descriptor of a socket, a pipe or the like; when destroyed on a worker, the worker closes
/// it soon. Files have `fs::file`, whose closing may take its time.
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

    [[nodiscard]] int get() const noexcept { return descriptor_; }
    [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
    /// Gives the descriptor up; the caller closes it.
    [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, -1); }

private:
    int descriptor_ = -1;
};

/// Makes another descriptor for what `descriptor` stands for. A child does not inherit it.
/// *Errors*: `bad_file_descriptor`, `too_many_files_open`.
[[nodiscard]] std::expected<descriptor_handle, std::error_code> duplicate(int descriptor) noexcept;

}  // namespace heph::rt
