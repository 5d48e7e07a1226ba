#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>
#include <expected>
#include <string>
#include <system_error>

#include <heph/rt/detail/io_call.hpp>
#include <heph/rt/fs/metadata.hpp>

namespace heph::rt::detail {

/// Asks for metadata: of a path, or of an open file.
class metadata_call final : public io_call {
public:
    metadata_call(std::string path, int flags)
        : io_call(-1, waits::on_thread, true), path_(std::move(path)), flags_(flags) {}
    explicit metadata_call(int descriptor)
        : io_call(descriptor, waits::on_thread, true), flags_(AT_EMPTY_PATH) {}

    [[nodiscard]] std::int32_t perform() noexcept override;
    void submit(io_uring_sqe& entry) noexcept override;

    [[nodiscard]] fs::metadata result() const noexcept;

private:
    [[nodiscard]] int from() const noexcept { return descriptor() < 0 ? AT_FDCWD : descriptor(); }

    std::string path_;
    int flags_;
    struct statx known_{};
};

[[nodiscard]] std::expected<fs::metadata, std::error_code> take_metadata(io_call& call,
                                                                         std::int32_t result);

/// Gives the type that the file type bits of a mode stand for.
[[nodiscard]] fs::file_type type_of_mode(std::uint32_t mode) noexcept;

}  // namespace heph::rt::detail
