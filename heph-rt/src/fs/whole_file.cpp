// Files as a whole, and temporary ones: each a few system calls in a row on a thread.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include <heph/rt/fs/paths.hpp>

#include "../system_call.hpp"

namespace heph::rt::fs {

namespace {

using detail::io_call;
using detail::retry;

// Closes a descriptor at the end of a scope, on whatever thread.
class scoped_descriptor {
public:
    explicit scoped_descriptor(int descriptor) noexcept : descriptor_(descriptor) {}
    scoped_descriptor(const scoped_descriptor&) = delete;
    scoped_descriptor& operator=(const scoped_descriptor&) = delete;
    ~scoped_descriptor() {
        if (descriptor_ >= 0) { ::close(descriptor_); }
    }
    [[nodiscard]] int get() const noexcept { return descriptor_; }
    void reset(int descriptor) noexcept { descriptor_ = descriptor; }
    [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, -1); }

private:
    int descriptor_;
};

/// Runs on a thread; a want of memory is an error like others.
class thread_call : public io_call {
public:
    [[nodiscard]] std::int32_t perform() noexcept final {
        try {
            return run();
        } catch (const std::bad_alloc&) { return -ENOMEM; }
    }

protected:
    thread_call() noexcept : io_call(-1, waits::on_thread, false) {}
    // Gives a negative errno, or another number.
    [[nodiscard]] virtual std::int32_t run() = 0;
};

class read_file_call final : public thread_call {
public:
    read_file_call(path at, std::size_t bytes_max)
        : path_(std::move(at).string()), bytes_max_(bytes_max) {}
    [[nodiscard]] buffer& bytes() noexcept { return bytes_; }

protected:
    [[nodiscard]] std::int32_t run() override {
        const scoped_descriptor file(
            retry([this] { return ::open(path_.c_str(), O_RDONLY | O_CLOEXEC); }));
        if (file.get() < 0) { return file.get(); }
        struct stat known{};
        if (::fstat(file.get(), &known) != 0) { return -errno; }
        // One more than there should be, which tells the end. The size is a hint only: that of a
        // file of /proc is 0.
        bytes_.reserve(std::min(static_cast<std::size_t>(known.st_size), bytes_max_) + 1);
        for (;;) {
            if (bytes_.spare() == 0) {
                // As the first time, no more than it takes to find out that there is too much.
                const std::size_t more = std::max(bytes_.capacity() * 2, least_);
                bytes_.reserve(more <= bytes_max_ ? more : bytes_max_ + 1);
            }
            const std::int32_t result = retry([&] {
                return ::read(file.get(), bytes_.spare_bytes().data(),
                              std::min(bytes_.spare(), std::size_t{1} << 30U));
            });
            if (result <= 0) { return result; }
            bytes_.commit(static_cast<std::size_t>(result));
            if (bytes_.size() > bytes_max_) { return -EFBIG; }
        }
    }

private:
    static constexpr std::size_t least_ = 4096;
    std::string path_;
    std::size_t bytes_max_;
    buffer bytes_;
};

// Writes all of a buffer. Gives a negative errno, or 0.
std::int32_t write_everything(int descriptor, const buffer& bytes) noexcept {
    for (std::size_t written = 0; written < bytes.size();) {
        const std::int32_t result = retry([&] {
            return ::write(descriptor, bytes.data() + written,
                           std::min(bytes.size() - written, std::size_t{1} << 30U));
        });
        if (result < 0) { return result; }
        if (result == 0) { return -ENOSPC; }  // Without progress it would go on for ever.
        written += static_cast<std::size_t>(result);
    }
    return 0;
}

// Closes a file and gives what that says: some file systems tell only then.
std::int32_t close_written(scoped_descriptor& file) noexcept {
    return ::close(file.release()) == 0 ? 0 : -errno;
}

class write_file_call : public thread_call {
public:
    write_file_call(path at, buffer bytes, unsigned permissions)
        : path_(std::move(at).string()), bytes_(std::move(bytes)), permissions_(permissions) {}
    [[nodiscard]] buffer& bytes() noexcept { return bytes_; }

protected:
    [[nodiscard]] std::int32_t run() override { return write_to(path_, O_CREAT | O_TRUNC, false); }
    [[nodiscard]] std::int32_t write_to(const std::string& name, int flags, bool synced) {
        scoped_descriptor file(retry(
            [&] { return ::open(name.c_str(), O_WRONLY | O_CLOEXEC | flags, permissions_); }));
        if (file.get() < 0) { return file.get(); }
        if (const std::int32_t failed = write_everything(file.get(), bytes_)) { return failed; }
        if (synced && ::fsync(file.get()) != 0) { return -errno; }
        return close_written(file);
    }

    std::string path_;  // NOLINT(*-non-private-member-variables-in-classes)
    buffer bytes_;      // NOLINT(*-non-private-member-variables-in-classes)

private:
    unsigned permissions_;
};

class replace_file_call final : public write_file_call {
public:
    using write_file_call::write_file_call;

protected:
    [[nodiscard]] std::int32_t run() override {
        // The pattern is made a name without a file; nobody else takes it, or the open fails.
        for (int attempt = 0; attempt < 100; ++attempt) {
            const std::string name = name_beside();
            const std::int32_t failed = write_to(name, O_CREAT | O_EXCL, true);
            if (failed == -EEXIST) { continue; }
            const std::int32_t outcome =
                failed != 0 ? failed : retry([&] { return ::rename(name.c_str(), path_.c_str()); });
            if (outcome < 0) {
                ::unlink(name.c_str());
                return outcome;
            }
            return sync_directory();
        }
        return -EEXIST;
    }

private:
    // Also of a name that is as long as names may be.
    [[nodiscard]] std::string name_beside() const {
        constexpr std::size_t kept_bytes_max = 200;
        const path whole(path_);
        std::string name = whole.filename().string();
        if (name.size() > kept_bytes_max) {
            // Some file systems take valid UTF-8 only.
            std::size_t kept = kept_bytes_max;
            while (kept > kept_bytes_max - 4 && (name[kept] & '\xC0') == '\x80') { --kept; }
            name.resize(kept);
        }
        return (whole.parent_path() / ((name += '.') += random_letters())).string();
    }

    [[nodiscard]] static std::string random_letters() {
        std::uint64_t number = 0;
        ::arc4random_buf(&number, sizeof(number));
        std::string letters;
        for (int i = 0; i < 12; ++i, number /= 26) {
            letters += static_cast<char>('a' + number % 26);
        }
        return letters;
    }

    [[nodiscard]] std::int32_t sync_directory() const {
        const path above = path(path_).parent_path();
        const char* const name = above.empty() ? "." : above.c_str();
        const scoped_descriptor directory(
            retry([&] { return ::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
        if (directory.get() < 0) { return directory.get(); }
        return ::fsync(directory.get()) == 0 ? 0 : -errno;
    }
};

class temporary_call final : public thread_call {
public:
    temporary_call(path directory, std::string prefix)
        : name_((std::move(directory) / (std::move(prefix) + "XXXXXX")).string()) {}
    ~temporary_call() override {
        // Of one that was dropped.
        if (made_.get() >= 0) { ::unlink(name_.c_str()); }
    }
    [[nodiscard]] named_file take() {
        return named_file(file(made_.release()), path(std::move(name_)));
    }

protected:
    [[nodiscard]] std::int32_t run() override {
        scoped_descriptor made(retry([this] { return ::mkostemp(name_.data(), O_CLOEXEC); }));
        if (made.get() < 0) { return made.get(); }
        made_.reset(made.release());
        return 0;
    }

private:
    std::string name_;
    scoped_descriptor made_{-1};
};

template <typename Value, typename Call>
io_future<Value> start(std::unique_ptr<Call> call, bool sound,
                       typename io_future<Value>::taker take) {
    if (!sound) { return io_future<Value>(std::make_error_code(std::errc::invalid_argument)); }
    return {std::move(call), take};
}

bool is_sound(const std::string& text) noexcept { return text.find('\0') == std::string::npos; }

std::expected<buffer, std::error_code> take_written(io_call& call, std::int32_t /*result*/) {
    return std::move(static_cast<write_file_call&>(call).bytes());
}

}  // namespace

io_future<buffer> read_file(path at, std::size_t bytes_max) {
    const bool sound = is_sound(at.native());
    return start<buffer>(
        std::make_unique<read_file_call>(std::move(at), bytes_max), sound,
        [](io_call& call, std::int32_t /*result*/) -> std::expected<buffer, std::error_code> {
            return std::move(static_cast<read_file_call&>(call).bytes());
        });
}

io_future<buffer> write_file(path at, buffer bytes, unsigned permissions) {
    const bool sound = is_sound(at.native());
    return start<buffer>(
        std::make_unique<write_file_call>(std::move(at), std::move(bytes), permissions), sound,
        &take_written);
}

io_future<buffer> replace_file(path at, buffer bytes, unsigned permissions) {
    const bool sound = is_sound(at.native());
    return start<buffer>(
        std::make_unique<replace_file_call>(std::move(at), std::move(bytes), permissions), sound,
        &take_written);
}

open_future create_unnamed(path directory) {
    return {std::move(directory), open_options().read().write().unnamed().mode(0600)};
}

io_future<named_file> create_temporary(path directory, std::string prefix) {
    const bool sound =
        is_sound(directory.native()) && is_sound(prefix) && prefix.find('/') == std::string::npos;
    return start<named_file>(
        std::make_unique<temporary_call>(std::move(directory), std::move(prefix)), sound,
        [](io_call& call, std::int32_t /*result*/) -> std::expected<named_file, std::error_code> {
            return static_cast<temporary_call&>(call).take();
        });
}

}  // namespace heph::rt::fs
