#include <heph/rt/fs/paths.hpp>

#include <fcntl.h>
#include <liburing.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "../readiness_call.hpp"
#include "../system_call.hpp"
#include "metadata_call.hpp"

namespace heph::rt::fs {

namespace {

using detail::io_call;
using detail::retry;

bool has_zero(const std::string& text) noexcept { return text.find('\0') != std::string::npos; }

/// An operation on one path or two; each kind is a pair of functions.
class path_call final : public io_call {
public:
    struct functions {
        int (*perform)(const path_call& call) noexcept;  // As a system call: -1 and errno.
        void (*submit)(io_uring_sqe& entry, const path_call& call) noexcept;  // Or null.
    };

    path_call(const functions& how, path first, path second = {}, unsigned number = 0)
        : io_call(-1, waits::on_thread, how.submit != nullptr),
          first_(std::move(first).string()),
          second_(std::move(second).string()),
          number_(number),
          how_(how) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        return retry([this] { return how_.perform(*this); });
    }
    void submit(io_uring_sqe& entry) noexcept override { how_.submit(entry, *this); }

    [[nodiscard]] bool is_sound() const noexcept { return !has_zero(first_) && !has_zero(second_); }
    [[nodiscard]] const char* first() const noexcept { return first_.c_str(); }
    [[nodiscard]] const char* second() const noexcept { return second_.c_str(); }
    [[nodiscard]] unsigned number() const noexcept { return number_; }

private:
    std::string first_;
    std::string second_;
    unsigned number_;
    functions how_;
};

constexpr path_call::functions rename_functions{
    [](const path_call& call) noexcept {
        return ::renameat2(AT_FDCWD, call.first(), AT_FDCWD, call.second(), call.number());
    },
    [](io_uring_sqe& entry, const path_call& call) noexcept {
        io_uring_prep_renameat(&entry, AT_FDCWD, call.first(), AT_FDCWD, call.second(),
                               call.number());
    }};

constexpr path_call::functions remove_functions{
    [](const path_call& call) noexcept {
        return ::unlinkat(AT_FDCWD, call.first(), static_cast<int>(call.number()));
    },
    [](io_uring_sqe& entry, const path_call& call) noexcept {
        io_uring_prep_unlinkat(&entry, AT_FDCWD, call.first(), static_cast<int>(call.number()));
    }};

constexpr path_call::functions directory_functions{
    [](const path_call& call) noexcept { return ::mkdir(call.first(), call.number()); },
    [](io_uring_sqe& entry, const path_call& call) noexcept {
        io_uring_prep_mkdirat(&entry, AT_FDCWD, call.first(), call.number());
    }};

constexpr path_call::functions hard_link_functions{
    [](const path_call& call) noexcept { return ::link(call.first(), call.second()); },
    [](io_uring_sqe& entry, const path_call& call) noexcept {
        io_uring_prep_linkat(&entry, AT_FDCWD, call.first(), AT_FDCWD, call.second(), 0);
    }};

constexpr path_call::functions symlink_functions{
    [](const path_call& call) noexcept { return ::symlink(call.first(), call.second()); },
    [](io_uring_sqe& entry, const path_call& call) noexcept {
        io_uring_prep_symlinkat(&entry, call.first(), AT_FDCWD, call.second());
    }};

constexpr path_call::functions permission_functions{
    [](const path_call& call) noexcept { return ::chmod(call.first(), call.number()); }, nullptr};

bool is_directory(const char* at) noexcept {
    struct stat known{};
    return ::stat(at, &known) == 0 && S_ISDIR(known.st_mode);
}

// Creates a directory, unless there is one.
int create_if_missing(const char* at, unsigned permissions) noexcept {
    if (::mkdir(at, permissions) == 0) { return 0; }
    const int failed = errno;
    if (is_directory(at)) { return 0; }
    errno = failed;
    return -1;
}

int create_all(const path_call& call) noexcept {
    if (create_if_missing(call.first(), call.number()) == 0) { return 0; }
    if (errno != ENOENT) { return -1; }
    // Those above it, from the root on.
    std::string above;
    try {
        above = call.first();
    } catch (const std::bad_alloc&) {
        errno = ENOMEM;
        return -1;
    }
    for (std::size_t slash = above.find('/', 1); slash != std::string::npos;
         slash = above.find('/', slash + 1)) {
        above[slash] = '\0';
        if (create_if_missing(above.c_str(), call.number()) != 0) { return -1; }
        above[slash] = '/';
    }
    return create_if_missing(call.first(), call.number());
}

constexpr path_call::functions directories_functions{&create_all, nullptr};

io_future<void> start(std::unique_ptr<path_call> call) {
    if (!call->is_sound()) {
        return io_future<void>(std::make_error_code(std::errc::invalid_argument));
    }
    return {std::move(call), &detail::take_nothing};
}

io_future<metadata> ask(path at, int flags) {
    std::string text = std::move(at).string();
    if (has_zero(text)) {
        return io_future<metadata>(std::make_error_code(std::errc::invalid_argument));
    }
    return {std::make_unique<detail::metadata_call>(std::move(text), flags),
            &detail::take_metadata};
}

class read_symlink_call final : public io_call {
public:
    explicit read_symlink_call(path at)
        : io_call(-1, waits::on_thread, false),
          path_(std::move(at).string()),
          text_(PATH_MAX, '\0') {}
    [[nodiscard]] std::int32_t perform() noexcept override {
        return retry([this] { return ::readlink(path_.c_str(), text_.data(), text_.size()); });
    }
    [[nodiscard]] path take(std::int32_t size) {
        text_.resize(static_cast<std::size_t>(size));
        return path(std::move(text_));
    }

private:
    std::string path_;
    std::string text_;
};

}  // namespace

io_future<metadata> metadata_of(path at) { return ask(std::move(at), 0); }

io_future<metadata> symlink_metadata_of(path at) { return ask(std::move(at), AT_SYMLINK_NOFOLLOW); }

io_future<void> rename(path from, path to) {
    return start(std::make_unique<path_call>(rename_functions, std::move(from), std::move(to)));
}

io_future<void> rename_new(path from, path to) {
    return start(std::make_unique<path_call>(rename_functions, std::move(from), std::move(to),
                                             RENAME_NOREPLACE));
}

io_future<void> remove_file(path at) {
    return start(std::make_unique<path_call>(remove_functions, std::move(at)));
}

io_future<void> remove_directory(path at) {
    return start(
        std::make_unique<path_call>(remove_functions, std::move(at), path(), AT_REMOVEDIR));
}

io_future<void> create_directory(path at, unsigned permissions) {
    return start(
        std::make_unique<path_call>(directory_functions, std::move(at), path(), permissions));
}

io_future<void> create_directories(path at, unsigned permissions) {
    return start(
        std::make_unique<path_call>(directories_functions, std::move(at), path(), permissions));
}

io_future<void> hard_link(path existing, path made) {
    return start(
        std::make_unique<path_call>(hard_link_functions, std::move(existing), std::move(made)));
}

io_future<void> symlink(path target, path made) {
    return start(
        std::make_unique<path_call>(symlink_functions, std::move(target), std::move(made)));
}

io_future<path> read_symlink(path at) {
    if (has_zero(at.native())) {
        return io_future<path>(std::make_error_code(std::errc::invalid_argument));
    }
    return {std::make_unique<read_symlink_call>(std::move(at)),
            [](io_call& call, std::int32_t size) -> std::expected<path, std::error_code> {
                return static_cast<read_symlink_call&>(call).take(size);
            }};
}

io_future<void> set_permissions(path at, unsigned permissions) {
    return start(
        std::make_unique<path_call>(permission_functions, std::move(at), path(), permissions));
}

}  // namespace heph::rt::fs
