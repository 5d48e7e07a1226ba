#pragma once

// What is done to files and directories by their paths.
//
// Each takes its paths by value and refers to nothing of the caller's. *Errors* of all: the
// system's: `no_such_file_or_directory`, `permission_denied`, `not_a_directory`,
// `filename_too_long`, `too_many_symbolic_link_levels`, `read_only_file_system`,
// `invalid_argument` for a path with a zero byte, ….
// *Cancellation* of all: it may have been done all the same.

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include <heph/rt/buffer.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/fs/metadata.hpp>
#include <heph/rt/io_future.hpp>

namespace heph::rt::fs {

using path = std::filesystem::path;

/// Asks what there is at a path, behind symbolic links.
[[nodiscard]] io_future<metadata> metadata_of(path at);
/// Asks what there is at a path; a symbolic link itself, if it is one.
[[nodiscard]] io_future<metadata> symlink_metadata_of(path at);

/// Renames a file or directory; replaces a file, or an empty directory, of the new name, at once.
/// *Errors*: `cross_device_link`: another file system.
[[nodiscard]] io_future<void> rename(path from, path to);
/// Renames unless there is something of the new name. *Errors*: `file_exists`.
[[nodiscard]] io_future<void> rename_new(path from, path to);

/// Removes a file, link, pipe or socket. *Errors*: `is_a_directory`.
[[nodiscard]] io_future<void> remove_file(path at);
/// Removes an empty directory. *Errors*: `directory_not_empty`.
[[nodiscard]] io_future<void> remove_directory(path at);
/// Removes what is at a path and, of a directory, all that is in it, on a thread. Gives how many
/// files and directories were removed; none when there is nothing. Symbolic links are removed and
/// never followed, also when somebody puts one in the place of a directory meanwhile.
///
/// It takes 34 descriptors at most, however deep the tree is. After an error a part is gone.
/// *Errors*: `invalid_argument`, and nothing is removed, where the last part is `.` or `..`, or
/// there is none but `/`; `directory_not_empty` when others fill it all the time;
/// `device_or_resource_busy` when others move or remove deep directories meanwhile, ….
/// *Cancellation*: it goes on.
[[nodiscard]] io_future<std::uint64_t> remove_all(path at);

/// Creates a directory, with the permissions less the process's umask. *Errors*: `file_exists`.
[[nodiscard]] io_future<void> create_directory(path at, unsigned permissions = 0755);
/// Creates a directory and those above it that are missing. It may be there already.
[[nodiscard]] io_future<void> create_directories(path at, unsigned permissions = 0755);

/// Gives a file another name. *Errors*: `file_exists`.
[[nodiscard]] io_future<void> hard_link(path existing, path made);
/// Makes a symbolic link with the given text. *Errors*: `file_exists`.
[[nodiscard]] io_future<void> symlink(path target, path made);
/// Reads the text of a symbolic link. *Errors*: `invalid_argument`: it is none.
[[nodiscard]] io_future<path> read_symlink(path at);
/// Sets the permission bits of what is at a path, behind symbolic links.
[[nodiscard]] io_future<void> set_permissions(path at, unsigned permissions);

/// Reads a whole file, on a thread. *Errors*: `file_too_large`: it has more bytes than `bytes_max`.
/// Of a named pipe it waits for who writes, and keeps the thread for as long, also when it is given
/// up.
[[nodiscard]] io_future<buffer> read_file(path at, std::size_t bytes_max);
/// Creates a file, or cuts it to nothing, and writes the bytes to it, on a thread. Gives them back.
/// Who reads meanwhile, or after a crash, may see a part; see `replace_file`.
[[nodiscard]] io_future<buffer> write_file(path at, buffer bytes, unsigned permissions = 0644);
/// Puts a file with these bytes in the place of another, or of none, on a thread: who reads sees
/// the old or the new one, also after a crash. It is written beside it under another name, synced
/// and renamed, and the directory synced. Gives the bytes back.
[[nodiscard]] io_future<buffer> replace_file(path at, buffer bytes, unsigned permissions = 0644);

/// An open file and what it is called.
class named_file {
public:
    named_file(file opened, path name) noexcept
        : opened_(std::move(opened)), name_(std::move(name)) {}
    [[nodiscard]] file& opened() noexcept { return opened_; }
    [[nodiscard]] const path& name() const noexcept { return name_; }

private:
    file opened_;
    path name_;
};

/// Creates a file without a name, for reading and writing, that goes with its last descriptor.
/// *Errors*: `operation_not_supported` (by the file system), ….
[[nodiscard]] open_future create_unnamed(path directory);
/// Creates a file with a name that nothing else has, for reading and writing by this user, on a
/// thread. The name begins with `prefix`; removing it is left to the caller.
[[nodiscard]] io_future<named_file> create_temporary(path directory, std::string prefix = "tmp-");

}  // namespace heph::rt::fs
