#pragma once

// Forms with files (multipart/form-data), the files written to disk as they come.
//
//     http::upload_options how;
//     how.folder = "/var/lib/photos";
//     auto form = co_await http::receive_upload(request, how);
//     if (!form) { co_return http::response::problem(form.error()); }
//     const auto title = form->fields().get("title");
//     for (http::uploaded_file& file : form->files()) {
//         auto kept = co_await file.keep_as("/var/lib/photos/" + make_name());
//         …
//     }
//
// A file has no name in the file system until it is kept: what is dropped half-way, of a client
// that went or a handler that failed, leaves nothing behind, after a crash of the program neither.
//
// `multipart_reader` is what reads the form, for whoever wants the pieces.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/http/error.hpp>
#include <heph/http/form.hpp>
#include <heph/http/request.hpp>
#include <heph/rt/fs/file.hpp>

namespace heph::http {

/// What an upload may cost, and where its files are.
struct upload_options {
    /// Where the files are until they are kept: on the file system where they are to stay, as they
    /// are not copied. It has to be one that has files without names (O_TMPFILE), as ext4, XFS,
    /// Btrfs, overlayfs and tmpfs do.
    std::filesystem::path folder = "/tmp";
    std::uint64_t bytes_max = 64 * 1024 * 1024;       ///< Of the whole body.
    std::uint64_t file_bytes_max = 64 * 1024 * 1024;  ///< Of one file.
    std::size_t files_max = 16;
    std::size_t fields_max = 100;
    std::size_t field_bytes_max = 64 * 1024;  ///< Of one field, which is held in memory.
};

/// A file that came with a form. It is gone with this object, unless it was kept.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class uploaded_file {
public:
    uploaded_file(std::string field, std::string filename, std::string content_type,
                  rt::fs::file content, std::uint64_t size)
        : field_(std::move(field)),
          filename_(std::move(filename)),
          content_type_(std::move(content_type)),
          content_(std::move(content)),
          size_(size) {}

    /// Gives the name of the form's field.
    [[nodiscard]] const std::string& field() const noexcept { return field_; }
    /// Gives what the client calls the file: never a path to write to.
    [[nodiscard]] const std::string& filename() const noexcept { return filename_; }
    /// Gives what the client says it is: not to be trusted either.
    [[nodiscard]] const std::string& content_type() const noexcept { return content_type_; }
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    /// Gives the file, to be read and written.
    [[nodiscard]] rt::fs::file& content() noexcept { return content_; }

    /// Gives the file a name, so that it stays, readable for its owner only. Durable once
    /// `content().sync_all()` was awaited before, and the folder was synced behind it.
    /// *Errors*: `file_exists`, `cross_device_link`: not the file system of `folder`;
    /// `no_such_file_or_directory`, `permission_denied`, ….
    /// *Cancellation*: it may have got the name all the same.
    task<std::expected<void, std::error_code>> keep_as(std::filesystem::path path);

private:
    std::string field_;
    std::string filename_;
    std::string content_type_;
    rt::fs::file content_;
    std::uint64_t size_;
};

/// A form that was received, with its files.
class uploaded_form {
public:
    [[nodiscard]] const form& fields() const noexcept { return fields_; }
    /// Gives the files in their order. A field for a file that the user left empty has none.
    [[nodiscard]] std::vector<uploaded_file>& files() noexcept { return files_; }
    /// Gives the first file of a field; null when there is none.
    [[nodiscard]] uploaded_file* file(std::string_view field) noexcept;

private:
    friend class upload_receiver;

    form fields_;
    std::vector<uploaded_file> files_;
};

/// Receives the form in a request's body, and writes its files to disk. Memory: 64 KiB, and the
/// fields.
///
/// It sets the request's `body_limit` to `bytes_max`; the server's `streamed_body_bytes_max` bounds
/// that. *Requires*: a worker of heph-rt.
/// *Errors*: `bad_multipart`, `too_many_fields`, also for too many files; `body_too_large`, for a
/// field, a file, or all; what `body_reader::next` gives; `handler_failed` when a file cannot be
/// written (no space, no such folder): the log says why.
/// *Cancellation*: nothing is left behind. *Lifetime*: the request outlives it.
task<std::expected<uploaded_form, error>> receive_upload(request& from,
                                                         upload_options options = {});

}  // namespace heph::http
