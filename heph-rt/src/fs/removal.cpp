// The removal of a directory with all that is in it, on a thread.
//
// Each directory is opened as an entry of the one above, and not through a symbolic link, and what
// is in it is removed by its descriptor: who puts a link in the place of a directory meanwhile
// cannot have anything removed that lies elsewhere.

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <heph/rt/fs/paths.hpp>

#include "../system_call.hpp"

namespace heph::rt::fs {

namespace {

struct directory_closer {
    void operator()(DIR* open) const noexcept { ::closedir(open); }
};
using open_directory = std::unique_ptr<DIR, directory_closer>;

// Opens a directory that is an entry of another. Gives a positive errno in `failed`.
open_directory open_entry(int above, const char* name, int& failed) noexcept {
    const std::int32_t descriptor = detail::retry(
        [&] { return ::openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); });
    if (descriptor < 0) {
        failed = -descriptor;
        return nullptr;
    }
    open_directory opened(::fdopendir(descriptor));
    if (opened == nullptr) {
        failed = errno;
        ::close(descriptor);
    }
    return opened;
}

bool is_itself_or_above(const char* name) noexcept {
    return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0;
}

class remove_all_call final : public detail::io_call {
public:
    explicit remove_all_call(std::string at)
        : io_call(-1, waits::on_thread, false), path_(std::move(at)) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        try {
            const int failed = remove_entry(AT_FDCWD, path_);
            // There is nothing, as it was asked for.
            return failed == ENOENT ? 0 : -failed;
        } catch (const std::bad_alloc&) { return -ENOMEM; }
    }

    [[nodiscard]] std::uint64_t removed() const noexcept { return removed_; }

private:
    // A directory that is being emptied.
    struct level {
        open_directory opened;  // Null while it is closed, for the sake of those below it.
        std::string name;       // In the one above.
        dev_t device;
        ino_t file;
    };

    // So many of the lowest levels are open at a time: a tree may be deeper than a process may have
    // descriptors.
    static constexpr std::size_t open_levels_max = 32;

    // Removes what is no directory, or an empty one. Gives a positive errno, or 0.
    [[nodiscard]] int remove_plainly(int above, const char* name, int flags) noexcept {
        if (::unlinkat(above, name, flags) != 0) { return errno; }
        ++removed_;
        return 0;
    }

    // Removes an entry, and all below it, without stack for the levels. Gives a positive errno, or
    // 0.
    [[nodiscard]] int remove_entry(int above, const std::string& name) {
        std::vector<level> levels;
        int failed = begin(above, name, levels);
        while (failed == 0 && !levels.empty()) {
            const int here = ::dirfd(levels.back().opened.get());
            errno = 0;
            const dirent* const entry = ::readdir(levels.back().opened.get());
            if (entry != nullptr) {
                if (is_itself_or_above(entry->d_name)) { continue; }
                failed = begin(here, entry->d_name, levels);
                // Somebody else was quicker.
                if (failed == ENOENT) { failed = 0; }
                continue;
            }
            failed = errno;
            if (failed == 0) { failed = end(above, levels); }
        }
        return failed;
    }

    // Removes an entry, or begins with what is in it.
    [[nodiscard]] int begin(int above, const std::string& name, std::vector<level>& levels) {
        int failed = remove_plainly(above, name.c_str(), 0);
        // EPERM is what POSIX wants for directories.
        if (failed != EISDIR && failed != EPERM) { return failed; }
        int not_opened = 0;
        open_directory opened = open_entry(above, name.c_str(), not_opened);
        if (opened == nullptr) {
            // One that must not be read may be empty.
            if (not_opened == EACCES && remove_plainly(above, name.c_str(), AT_REMOVEDIR) == 0) {
                return 0;
            }
            // No directory after all: the first error tells more.
            return not_opened == ENOTDIR || not_opened == ELOOP ? failed : not_opened;
        }
        struct stat found{};
        if (::fstat(::dirfd(opened.get()), &found) != 0) { return errno; }
        levels.push_back({std::move(opened), name, found.st_dev, found.st_ino});
        if (levels.size() > open_levels_max) {
            levels[levels.size() - 1 - open_levels_max].opened.reset();
        }
        return 0;
    }

    // Opens a level that was closed, from the one below it. Gives a positive errno, or 0.
    [[nodiscard]] static int open_again(level& closed, int below) noexcept {
        int failed = 0;
        open_directory opened = open_entry(below, "..", failed);
        // Somebody else has removed the one below: there is no way up from it.
        if (failed == ENOENT) { failed = EBUSY; }
        if (opened == nullptr) { return failed; }
        struct stat found{};
        if (::fstat(::dirfd(opened.get()), &found) != 0) { return errno; }
        // Who has moved the one below out of it cannot have anything removed elsewhere.
        if (found.st_dev != closed.device || found.st_ino != closed.file) { return EBUSY; }
        closed.opened = std::move(opened);
        return 0;
    }

    // Removes the last level, which is empty.
    [[nodiscard]] int end(int above, std::vector<level>& levels) {
        int parent = above;
        if (levels.size() > 1) {
            level& higher = levels[levels.size() - 2];
            if (higher.opened == nullptr) {
                const int failed = open_again(higher, ::dirfd(levels.back().opened.get()));
                if (failed != 0) { return failed; }
            }
            parent = ::dirfd(higher.opened.get());
        }
        const std::string name = std::move(levels.back().name);
        // It may have got new entries, which stay in the way only if they come again and again.
        const int failed = remove_plainly(parent, name.c_str(), AT_REMOVEDIR);
        if (failed == ENOTEMPTY && rounds_-- > 0) {
            ::rewinddir(levels.back().opened.get());
            levels.back().name = name;
            return 0;
        }
        levels.pop_back();
        return failed == ENOENT ? 0 : failed;
    }

    std::string path_;
    std::uint64_t removed_ = 0;
    int rounds_ = 100;  // So often it looks again at directories that did not stay empty.
};

}  // namespace

io_future<std::uint64_t> remove_all(path at) {
    std::string name = std::move(at).string();
    // The last part is what is removed, and not what a link of that name leads to.
    while (!name.empty() && name.back() == '/') { name.pop_back(); }
    // What the root, "." and ".." name has no entry here that could go: all in it would be lost
    // before that is found out.
    const std::size_t last = name.rfind('/') + 1;  // Also where there is none.
    if (name.empty() || name.find('\0') != std::string::npos ||
        is_itself_or_above(name.c_str() + last)) {
        return io_future<std::uint64_t>(std::make_error_code(std::errc::invalid_argument));
    }
    return {std::make_unique<remove_all_call>(std::move(name)),
            [](detail::io_call& call,
               std::int32_t /*result*/) -> std::expected<std::uint64_t, std::error_code> {
                return static_cast<remove_all_call&>(call).removed();
            }};
}

}  // namespace heph::rt::fs
