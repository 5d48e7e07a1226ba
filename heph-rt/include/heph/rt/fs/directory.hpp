#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <heph/inbox/future.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/fs/metadata.hpp>
#include <heph/rt/io_future.hpp>

namespace heph::rt::fs {

/// What a directory says of one of its entries.
class directory_entry {
public:
    directory_entry(std::string name, file_type type, std::uint64_t inode) noexcept
        : name_(std::move(name)), type_(type), inode_(inode) {}

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Gives the type; `unknown` where the file system does not keep it with the name.
    [[nodiscard]] file_type type() const noexcept { return type_; }
    [[nodiscard]] std::uint64_t inode() const noexcept { return inode_; }

private:
    std::string name_;
    file_type type_;
    std::uint64_t inode_;
};

class directory;

/// Opens a directory. *Cancellation*: as of opening a file.
class [[nodiscard]] open_directory_future {
public:
    using value_type = std::expected<directory, std::error_code>;
    explicit open_directory_future(std::filesystem::path at)
        : opening_(std::move(at), open_options().read().directory()) {}
    polled<value_type> poll(const waker& waker);

private:
    open_future opening_;
};

/// Lists a directory, in batches of limited size, on a thread:
///
///     auto here = co_await fs::directory::open(".");
///     for (;;) {
///         auto batch = co_await here->next();
///         if (!batch) { ... }
///         if (batch->empty()) { break; }
///         for (const auto& entry : *batch) { ... }
///     }
///
/// Entries come in no order, without `.` and `..`. Whether those that come or go meanwhile are
/// among them is left open.
/// *Thread safety*: unsafe. *Lifetime*: it outlives its futures.
class [[nodiscard]] directory {
public:
    /// Makes a closed one.
    directory() noexcept = default;
    explicit directory(file opened) noexcept : opened_(std::move(opened)) {}

    /// *Errors*: `not_a_directory`, `no_such_file_or_directory`, `permission_denied`, ….
    static open_directory_future open(std::filesystem::path at) {
        return open_directory_future(std::move(at));
    }

    /// Gives the next entries, as many as fit into 32 KiB (some hundreds); none at the end.
    /// *Cancellation*: loses a batch; `rewind` begins again.
    [[nodiscard]] io_future<std::vector<directory_entry>> next() const;
    /// Begins again. Does not wait.
    std::error_code rewind() noexcept;
    /// Makes new and removed names durable (fsync).
    sync_future sync() const noexcept { return opened_.sync_all(); }

    [[nodiscard]] bool is_open() const noexcept { return opened_.is_open(); }
    [[nodiscard]] int descriptor() const noexcept { return opened_.descriptor(); }

private:
    file opened_;
};

}  // namespace heph::rt::fs
