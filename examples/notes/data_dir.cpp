#include "data_dir.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <random>
#include <system_error>
#include <thread>
#include <utility>

namespace notes {

namespace {

std::string why() { return std::system_category().message(errno); }

// Closes a descriptor unless it was released.
class descriptor {
public:
    explicit descriptor(int number) noexcept : number_(number) {}
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    ~descriptor() {
        if (number_ >= 0) { ::close(number_); }
    }
    [[nodiscard]] int get() const noexcept { return number_; }
    [[nodiscard]] int release() noexcept { return std::exchange(number_, -1); }

private:
    int number_;
};

class file_source final : public log_source {
public:
    explicit file_source(int file) noexcept : file_(file) {
        const off_t end = ::lseek(file, 0, SEEK_END);
        size_ = end < 0 ? 0 : static_cast<std::uint64_t>(end);
    }
    [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }
    std::expected<void, std::error_code> read_at(std::uint64_t offset,
                                                 std::span<std::byte> out) override {
        while (!out.empty()) {
            const ssize_t got = ::pread(file_, out.data(), out.size(), static_cast<off_t>(offset));
            if (got < 0 && errno == EINTR) { continue; }
            if (got <= 0) {
                return std::unexpected(got < 0 ? std::error_code(errno, std::system_category())
                                               : std::make_error_code(std::errc::io_error));
            }
            out = out.subspan(static_cast<std::size_t>(got));
            offset += static_cast<std::uint64_t>(got);
        }
        return {};
    }

private:
    int file_;
    std::uint64_t size_ = 0;
};

// Locks an open file for all that have it open as this process has it. Null, or why it cannot.
const char* lock_file(int file, std::chrono::milliseconds patience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (::flock(file, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR) { continue; }
        if (errno != EWOULDBLOCK) { return "cannot be locked"; }
        if (std::chrono::steady_clock::now() >= until) { return "is in use by another process"; }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return nullptr;
}

bool sync_directory(const std::filesystem::path& path) {
    const descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return directory.get() >= 0 && ::fsync(directory.get()) == 0;
}

bool write_all(int file, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t done = ::write(file, bytes.data(), bytes.size());
        if (done < 0 && errno == EINTR) { continue; }
        if (done < 0) { return false; }
        bytes = bytes.subspan(static_cast<std::size_t>(done));
    }
    return true;
}

// Writes the notes, in as few frames as they fit into.
bool write_notes(int file, std::uint64_t salt, const note_table& table, recovery& made) {
    bool good = true;
    frame_builder frame(salt, made.next_sequence);
    const auto write_frame = [&] {
        made.records += frame.records();
        made.next_sequence += frame.records();
        const auto bytes = std::move(frame).finish();
        made.good_bytes += bytes.size();
        good = good && write_all(file, bytes.bytes());
        frame = frame_builder(salt, made.next_sequence);
    };
    table.for_each([&](const std::string& id, const note& stored) {
        const record added{record_kind::put, id, stored.content_type, stored.body};
        if (!frame.has_room_for(added)) { write_frame(); }
        frame.add(added);
    });
    if (frame.records() != 0) { write_frame(); }
    return good;
}

// Makes a log that is whole from the start: all of it is on disk before it has its name.
std::expected<opened_log, std::string> create_log(const std::filesystem::path& folder,
                                                  const std::filesystem::path& path,
                                                  std::string_view node, const note_table& table) {
    std::random_device random;
    recovery made;
    made.salt = static_cast<std::uint64_t>(random()) << 32 | random();
    const auto header = make_log_header(made.salt, node);
    made.good_bytes = header.size();
    auto unfinished = path;
    unfinished += ".new";
    descriptor file(::open(unfinished.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const bool written = file.get() >= 0 && write_all(file.get(), header.bytes()) &&
                         write_notes(file.get(), made.salt, table, made) &&
                         ::fsync(file.get()) == 0 && lock_file(file.get(), {}) == nullptr &&
                         ::rename(unfinished.c_str(), path.c_str()) == 0 && sync_directory(folder);
    if (!written) { return std::unexpected(path.string() + " cannot be written: " + why()); }
    return opened_log{heph::rt::fs::file(file.release()), path, std::move(made)};
}

}  // namespace

data_dir::data_dir(std::filesystem::path path, int lock) noexcept
    : path_(std::move(path)), lock_(lock) {}

data_dir::data_dir(data_dir&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

data_dir& data_dir::operator=(data_dir&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(lock_, other.lock_);
    return *this;
}

data_dir::~data_dir() {
    if (lock_ >= 0) { ::close(lock_); }
}

std::expected<data_dir, std::string> data_dir::open(std::filesystem::path path,
                                                    std::chrono::milliseconds patience) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) {
        return std::unexpected("the data directory " + path.string() +
                               " cannot be created: " + error.message());
    }
    descriptor lock(::open((path / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (lock.get() < 0) {
        return std::unexpected("the data directory " + path.string() +
                               " is not writable: " + why());
    }
    if (const char* refused = lock_file(lock.get(), patience)) {
        return std::unexpected("the data directory " + path.string() + ' ' + refused);
    }
    return data_dir(std::move(path), lock.release());
}

std::expected<opened_log, std::string> data_dir::open_log(
    std::string_view node, const std::function<void(const record&)>& apply,
    std::chrono::milliseconds patience) const {
    const auto path = path_ / "notes.log";
    descriptor log(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (log.get() < 0 && errno != ENOENT) {
        return std::unexpected(path.string() + " cannot be opened: " + why());
    }
    if (log.get() >= 0) {
        if (const char* refused = lock_file(log.get(), patience)) {
            return std::unexpected(path.string() + ' ' + refused);
        }
    }
    // No name, or a name without content: nothing was ever acknowledged.
    if (log.get() < 0 || file_source(log.get()).size() == 0) {
        return create_log(path_, path, node, note_table());
    }
    file_source source(log.get());
    auto found = recover(source, node, apply);
    if (!found) {
        return std::unexpected(path.string() + " " + found.error().reason + " (at byte " +
                               std::to_string(found.error().offset) + ")");
    }
    if (found->good_bytes < log_header_bytes) {
        return std::unexpected(path.string() + " has an incomplete header: remove it, it is empty");
    }
    if (found->tail && (::ftruncate(log.get(), static_cast<off_t>(found->good_bytes)) != 0 ||
                        ::fsync(log.get()) != 0)) {
        return std::unexpected(path.string() + " cannot be cut to its good part: " + why());
    }
    return opened_log{heph::rt::fs::file(log.release()), path, std::move(*found)};
}

std::expected<opened_log, std::string> data_dir::rewrite_log(std::string_view node,
                                                             const note_table& table) const {
    return create_log(path_, path_ / "notes.log", node, table);
}

bool is_worth_rewriting(const recovery& found, const note_table& table) noexcept {
    constexpr std::uint64_t garbage_bytes_min = 16 * 1024 * 1024;
    return found.good_bytes > garbage_bytes_min + 2 * table.content_bytes();
}

}  // namespace notes
