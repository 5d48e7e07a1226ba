#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/rt/fs/file.hpp>

namespace heph::http::detail {

using file_time = std::chrono::sys_time<std::chrono::nanoseconds>;

/// A file that was opened, and what it was like then.
struct opened_file {
    rt::fs::file file;
    file_time modified;
    std::uint64_t size = 0;
    bool is_folder = false;
};

/// A folder whose files are opened beneath it, and nowhere else.
///
/// *Thread safety*: safe.
class folder {
public:
    /// *Errors*: throws `std::system_error`.
    explicit folder(const std::filesystem::path& path);

    /// Opens a file or a folder for reading. `path` is relative, `.` for the folder itself. Where
    /// the kernel knows the path already it does not wait; else a thread of the runtime's pool
    /// does. *Errors*: the system's; `no_such_file_or_directory` for what is neither.
    [[nodiscard]] task<std::expected<opened_file, std::error_code>> open(std::string path) const;

private:
    std::shared_ptr<const rt::fs::file> root_;
};

}  // namespace heph::http::detail
