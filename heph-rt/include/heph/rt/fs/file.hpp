#pragma once

// Files, read and written through the ring.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/inbox/future.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/detail/operation.hpp>
#include <heph/rt/fs/metadata.hpp>
#include <heph/rt/io_future.hpp>
#include <heph/rt/limited.hpp>
#include <heph/rt/net/pool_receiver.hpp>

namespace heph::rt::fs {

class file;

/// How to open a file. Made by chaining: `open_options().write().create()`.
class open_options {
public:
    open_options() noexcept = default;
    /// Allows reading. The default when nothing else is allowed.
    open_options& read(bool on = true) noexcept { return set(read_, on); }
    /// Allows writing.
    open_options& write(bool on = true) noexcept { return set(write_, on); }
    /// Makes each write go to the end of the file; implies `write`.
    open_options& append(bool on = true) noexcept { return set(append_, on); }
    /// Creates the file when it is not there, with `mode()` less the process's umask.
    open_options& create(bool on = true) noexcept { return set(create_, on); }
    /// Creates the file and fails with `file_exists` when it is there.
    open_options& create_new(bool on = true) noexcept { return set(create_new_, on); }
    /// Cuts the file to nothing.
    open_options& truncate(bool on = true) noexcept { return set(truncate_, on); }
    /// Opens a directory, so that it can be synced.
    open_options& directory(bool on = true) noexcept { return set(directory_, on); }
    /// Makes reads and writes pass by the page cache; addresses, sizes and offsets then have to be
    /// multiples of the device's block.
    open_options& direct(bool on = true) noexcept { return set(direct_, on); }
    /// Makes each write durable by the time it is done.
    open_options& synchronous(bool on = true) noexcept { return set(synchronous_, on); }
    /// Fails with `too_many_symbolic_link_levels` when the path is a symbolic link itself.
    open_options& no_follow(bool on = true) noexcept { return set(no_follow_, on); }
    /// Creates a file without a name in the directory at the path; see `fs::create_unnamed`.
    open_options& unnamed(bool on = true) noexcept { return set(unnamed_, on); }
    /// Sets the permission bits of a new file; 0644 by default.
    open_options& mode(unsigned bits) noexcept {
        mode_ = bits;
        return *this;
    }

    [[nodiscard]] int flags() const noexcept;
    [[nodiscard]] unsigned mode_bits() const noexcept { return mode_; }

private:
    open_options& set(bool& field, bool on) noexcept {
        field = on;
        return *this;
    }
    bool read_ = false;
    bool write_ = false;
    bool append_ = false;
    bool create_ = false;
    bool create_new_ = false;
    bool truncate_ = false;
    bool directory_ = false;
    bool direct_ = false;
    bool synchronous_ = false;
    bool no_follow_ = false;
    bool unnamed_ = false;
    unsigned mode_ = 0644;
};

/// Opens a file. *Cancellation*: a file that was opened already is closed, one that was created
/// stays.
class [[nodiscard]] open_future {
public:
    using value_type = std::expected<file, std::error_code>;
    open_future(std::filesystem::path path, open_options options)
        : path_(std::move(path)), options_(options) {}
    polled<value_type> poll(const waker& waker);

private:
    std::filesystem::path path_;
    open_options options_;
    detail::operation operation_;
};

/// Reads once into a buffer's spare room. Gives the buffer with the bytes appended; at the end of
/// the file its size has not grown.
class [[nodiscard]] read_future {
public:
    using value_type = std::expected<buffer, std::error_code>;
    read_future(const file& from, buffer into, std::uint64_t offset) noexcept
        : file_(&from), buffer_(std::move(into)), offset_(offset) {}
    polled<value_type> poll(const waker& waker);

private:
    const file* file_;
    buffer buffer_;
    std::uint64_t offset_;
    detail::operation operation_;
};

/// Writes all of a buffer's bytes. Gives the buffer back.
/// *Errors*: `no_space_on_device` and so on; a part may have been written by then.
/// *Cancellation*: a part may have been written.
class [[nodiscard]] write_future {
public:
    using value_type = std::expected<buffer, std::error_code>;
    write_future(const file& to, buffer bytes, std::uint64_t offset) noexcept
        : file_(&to), buffer_(std::move(bytes)), offset_(offset) {}
    polled<value_type> poll(const waker& waker);

private:
    const file* file_;
    buffer buffer_;
    std::uint64_t offset_;
    std::size_t written_ = 0;
    detail::operation operation_;
};

/// Makes what was written durable.
class [[nodiscard]] sync_future {
public:
    using value_type = std::expected<void, std::error_code>;
    sync_future(const file& to, bool data_only) noexcept : file_(&to), data_only_(data_only) {}
    polled<value_type> poll(const waker& waker);

private:
    const file* file_;
    bool data_only_;
    detail::operation operation_;
};

/// Says how a file will be read, so that the system can do better.
enum class access_pattern : std::uint8_t {
    normal,
    sequential,
    random,
    needed_soon,  ///< Begins to read it.
    not_needed,   ///< Drops it from the page cache.
    once,
};

/// Owns an open file; closes it through the ring when destroyed on a worker.
///
/// *Lifetime*: it outlives its futures: what is left of a write that the system did in part goes to
/// the file that they were made of.
/// *Errors*: the system's codes, `errc::closed`, `errc::no_worker`.
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class [[nodiscard]] file {
public:
    /// Makes a closed file.
    file() noexcept = default;
    /// Takes over a descriptor.
    explicit file(int descriptor) noexcept : descriptor_(descriptor) {}
    file(file&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    file& operator=(file&& other) noexcept {
        file old(std::move(*this));
        descriptor_ = std::exchange(other.descriptor_, -1);
        return *this;
    }
    ~file();

    /// Opens the file at `path`. A FIFO whose other end is not open: io_uring does not wait for it,
    /// and gives a reader, or `no_such_device_or_address` to who writes; the epoll driver waits.
    static open_future open(std::filesystem::path path, open_options options = {}) {
        return {std::move(path), options};
    }

    /// Reads once, from `offset` bytes on, at most the buffer's spare room.
    read_future read_at(buffer into, std::uint64_t offset) const noexcept {
        return {*this, std::move(into), offset};
    }
    /// Reads once, from `offset` bytes on (`current_position` too), at most as many bytes as the
    /// limit says; see `limit`.
    template <byte_container Bytes>
    io_future<Bytes> read_at(limited<Bytes> into, std::uint64_t offset) const {
        auto room = std::make_unique<detail::limited_room<Bytes>>(std::move(into));
        if (const auto refused = may_read(room->spare().size())) {
            return io_future<Bytes>(refused);
        }
        return {detail::read_into_at(descriptor_, std::move(room), offset),
                &detail::take_room<Bytes>};
    }
    /// Reads once, from `offset` bytes on (`current_position` too), into a buffer of a pool, which
    /// with io_uring is taken when there is something to put into it. At the end it is empty.
    net::pool_recv_future<buffer> read_at(const buffer_pool& pool, std::uint64_t offset) const;
    /// Writes all of the buffer from `offset` bytes on.
    write_future write_at(buffer bytes, std::uint64_t offset) const noexcept {
        return {*this, std::move(bytes), offset};
    }
    /// Writes all of the buffer at the end of a file opened with `append`.
    write_future append(buffer bytes) const noexcept {
        return {*this, std::move(bytes), current_position};
    }
    /// Reads once, from the file's own position on, which moves along: one after the other. For
    /// pipes and terminals, too, which have none.
    read_future read(buffer into) const noexcept {
        return {*this, std::move(into), current_position};
    }
    /// Does so with at most as many bytes as the limit says; see `limit`.
    template <byte_container Bytes>
    io_future<Bytes> read(limited<Bytes> into) const {
        return read_at(std::move(into), current_position);
    }
    /// Writes all of the buffer at the file's own position, which moves along.
    write_future write_all(buffer bytes) const noexcept {
        return {*this, std::move(bytes), current_position};
    }
    /// Reads once, from `offset` bytes on, into the spare room of several buffers, one after the
    /// other (the first 1,024 that have some). At the end of the file none has grown.
    io_future<std::vector<buffer>> read_vectored_at(std::vector<buffer> into,
                                                    std::uint64_t offset) const;
    /// Writes all of several buffers from `offset` bytes on (`current_position` too), and gives
    /// them back.
    io_future<std::vector<buffer>> write_vectored_at(std::vector<buffer> bytes,
                                                     std::uint64_t offset) const;
    /// Makes the data durable, and the metadata needed to read it back (fdatasync).
    sync_future sync_data() const noexcept { return {*this, true}; }
    /// Makes data and all metadata durable (fsync).
    sync_future sync_all() const noexcept { return {*this, false}; }

    /// Asks what the system knows of the file.
    io_future<metadata> get_metadata() const;
    /// Cuts or extends the file to `size` bytes, off the worker.
    io_future<void> resize(std::uint64_t size) const;
    /// Reserves disk space, so that later writes to it do not fail for want of it. Extends the
    /// file, unless `keep_size`. *Errors*: `no_space_on_device`, `operation_not_supported`.
    io_future<void> allocate(std::uint64_t offset, std::uint64_t size,
                             bool keep_size = false) const;
    /// Gives disk space back: the bytes there read as zero then.
    io_future<void> punch_hole(std::uint64_t offset, std::uint64_t size) const;
    /// Says how a part will be read; `size` 0: up to the end. Runs on a thread.
    io_future<void> advise(std::uint64_t offset, std::uint64_t size, access_pattern pattern) const;

    /// Gives a name to a file that was made without one (`fs::create_unnamed`), or one more to
    /// another. *Errors*: `file_exists`, `cross_device_link`, ….
    io_future<void> give_name(std::filesystem::path name) const;

    /// Closes the file and tells how that went: file systems over a network may tell only then that
    /// what was written is lost. The file is closed at once, as far as the program is concerned,
    /// and also after an error.
    /// *Cancellation*: it is closed all the same.
    io_future<void> close();

    /// Gives the size in bytes. Does not wait.
    [[nodiscard]] std::expected<std::uint64_t, std::error_code> size() const noexcept;
    /// Cuts or extends the file to `size` bytes. A system call on the calling thread, which may
    /// wait for the disk: for set-up and recovery, not for the hot path.
    std::error_code truncate(std::uint64_t size) const noexcept;

    /// Moves the file into the table of direct descriptors of this worker's io_uring, to which it
    /// then belongs, and back; see `net::byte_stream::make_direct`. Unlike `close`, destroying a
    /// direct one does not make file systems over a network, or of user space, write what is left.
    /// *Requires*: no operation on it is under way.
    std::error_code make_direct() noexcept;
    std::error_code make_ordinary() noexcept;
    [[nodiscard]] bool is_direct() const noexcept { return rt::is_direct(descriptor_); }

    [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
    /// Gives the descriptor, or what stands for a direct one, which no system call takes.
    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

    /// The offset that stands for the file's own position: its end, when opened with `append`.
    static constexpr std::uint64_t current_position = ~std::uint64_t{0};

private:
    // Tells what speaks against a read into so many bytes of room.
    [[nodiscard]] std::error_code may_read(std::size_t room) const noexcept;

    int descriptor_ = -1;
};

}  // namespace heph::rt::fs
