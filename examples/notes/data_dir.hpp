#pragma once

// The directory that holds a node's notes on disk.

#include <chrono>
#include <expected>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include <heph/rt/fs/file.hpp>

#include "note_log.hpp"
#include "note_table.hpp"

namespace notes {

/// Is a log that was read, cut to its good part, and is ready to be appended to.
struct opened_log {
    heph::rt::fs::file file;
    std::filesystem::path path;
    recovery found;
};

/// Owns the directory: no other process can open it at the same time.
class data_dir {
public:
    /// Creates the directory if need be, and locks it; where it is locked, waits for that so long.
    /// Blocks the thread. *Errors*: one line that says why.
    [[nodiscard]] static std::expected<data_dir, std::string> open(
        std::filesystem::path path, std::chrono::milliseconds patience = {});

    data_dir(data_dir&& other) noexcept;
    data_dir& operator=(data_dir&& other) noexcept;
    ~data_dir();

    /// Reads the log of the node `node`, gives each record to `apply`, and cuts off what a crash
    /// left unfinished; makes a new log if there is none. The log is locked as long as its file is
    /// open anywhere, which it is until the last write of a process that was killed is done: that
    /// is waited for, for as long as a disk may take. Blocks the thread.
    /// *Errors*: one line that names the file, the offset and the reason.
    [[nodiscard]] std::expected<opened_log, std::string> open_log(
        std::string_view node, const std::function<void(const record&)>& apply,
        std::chrono::milliseconds patience = std::chrono::seconds(5)) const;

    /// Replaces the log by one that holds these notes and nothing else. The old one stays until the
    /// new one is on disk. Blocks the thread.
    /// *Errors*: one line that says why; the old log is there, then.
    [[nodiscard]] std::expected<opened_log, std::string> rewrite_log(std::string_view node,
                                                                     const note_table& table) const;

private:
    data_dir(std::filesystem::path path, int lock) noexcept;

    std::filesystem::path path_;
    int lock_ = -1;
};

/// Tells whether so much of a log is of notes that were replaced or removed since that rewriting it
/// pays.
[[nodiscard]] bool is_worth_rewriting(const recovery& found, const note_table& table) noexcept;

}  // namespace notes
