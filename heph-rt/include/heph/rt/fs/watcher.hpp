#pragma once

// Watching files and directories for changes (inotify).

#include <cstddef>
#include <cstdint>
#include <deque>
#include <expected>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include <heph/inbox/future.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/io_future.hpp>

namespace heph::rt::fs {

/// What to watch for, and what happened; combined by `|`.
enum class change : std::uint32_t {
    none = 0,
    accessed = 1U << 0U,    ///< It was read.
    modified = 1U << 1U,    ///< It was written to or cut.
    metadata = 1U << 2U,    ///< Permissions, times, owners, links.
    written = 1U << 3U,     ///< It was closed by somebody who could write: complete, perhaps.
    created = 1U << 4U,     ///< In a watched directory.
    removed = 1U << 5U,     ///< From a watched directory.
    moved_away = 1U << 6U,  ///< From a watched directory; `pair()` finds the other half.
    moved_here = 1U << 7U,  ///< Into a watched directory.
    self_removed = 1U << 8U,
    self_moved = 1U << 9U,
    // Only in what happened.
    overflow = 1U << 10U,     ///< Events were lost: look at everything again. Of no watch.
    watch_ended = 1U << 11U,  ///< What was watched is gone, or its watch was removed.
    unmounted = 1U << 12U,    ///< So is its file system; `watch_ended` follows.

    /// What changes the contents of a directory or file.
    all_changes = modified | metadata | written | created | removed | moved_away | moved_here |
                  self_removed | self_moved,
};

[[nodiscard]] constexpr change operator|(change left, change right) noexcept {
    return static_cast<change>(static_cast<std::uint32_t>(left) |
                               static_cast<std::uint32_t>(right));
}
[[nodiscard]] constexpr change operator&(change left, change right) noexcept {
    return static_cast<change>(static_cast<std::uint32_t>(left) &
                               static_cast<std::uint32_t>(right));
}

/// Names what is watched, within its watcher.
enum class watch_id : int {};

/// Tells of one change.
class watch_event {
public:
    watch_event(watch_id watch, change what, std::uint32_t pair, bool is_directory,
                std::string name) noexcept
        : watch_(watch),
          what_(what),
          pair_(pair),
          is_directory_(is_directory),
          name_(std::move(name)) {}

    /// Gives what it is about; not of `overflow`.
    [[nodiscard]] watch_id watch() const noexcept { return watch_; }
    [[nodiscard]] bool has(change asked) const noexcept { return (what_ & asked) != change::none; }
    [[nodiscard]] change what() const noexcept { return what_; }
    /// Gives the name within the watched directory; empty if it is about the watched itself.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] bool is_directory() const noexcept { return is_directory_; }
    /// Gives the same number, other than 0, for `moved_away` and `moved_here` of one move.
    [[nodiscard]] std::uint32_t pair() const noexcept { return pair_; }

private:
    watch_id watch_;
    change what_;
    std::uint32_t pair_;
    bool is_directory_;
    std::string name_;
};

/// Watches any number of files and directories (not what is below those).
///
/// *Thread safety*: unsafe; may be used on any worker, on one at a time.
class [[nodiscard]] watcher {
public:
    /// Makes a closed one.
    watcher() noexcept = default;
    /// *Errors*: `too_many_files_open`: also the system's limit of watchers.
    [[nodiscard]] static std::expected<watcher, std::error_code> make();

    /// Watches what is at a path. The same file again replaces what it is watched for. A system
    /// call that does not wait but for the path's file system.
    /// *Errors*: `no_such_file_or_directory`, `permission_denied`; `no_space_on_device`: the
    /// system's limit of watches (fs.inotify.max_user_watches).
    [[nodiscard]] std::expected<watch_id, std::error_code> add(
        const std::filesystem::path& at, change changes = change::all_changes) noexcept;
    /// Ends a watch. Events that have come are still given, and `watch_ended`.
    std::error_code remove(watch_id watch) noexcept;

    /// Waits for the next event. *Cancellation*: loses nothing. *Lifetime*: the watcher outlives
    /// the future. *Errors*: `errc::closed`.
    class [[nodiscard]] next_future;
    next_future next() noexcept;

    [[nodiscard]] int descriptor() const noexcept { return descriptor_.get(); }

private:
    explicit watcher(descriptor_handle descriptor) noexcept : descriptor_(std::move(descriptor)) {}
    [[nodiscard]] std::error_code take_events();

    descriptor_handle descriptor_;
    std::deque<watch_event> events_;
};

class [[nodiscard]] watcher::next_future {
public:
    using value_type = std::expected<watch_event, std::error_code>;
    explicit next_future(watcher& from) noexcept;
    polled<value_type> poll(const waker& waker);

private:
    watcher* from_;
    io_future<void> readiness_;
    bool waiting_ = false;
};

}  // namespace heph::rt::fs
