// What open files do besides plain reads, writes and syncs.

#include <fcntl.h>
#include <liburing.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <heph/rt/descriptor.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/fs/file.hpp>

#include "../buffer_parts.hpp"
#include "../busy_descriptors.hpp"
#include "../readiness_call.hpp"
#include "../system_call.hpp"
#include "../tsan_hooks.hpp"
#include "metadata_call.hpp"

namespace heph::rt::fs {

namespace {

using detail::buffer_parts;
using detail::io_call;
using detail::parts_max;
using detail::retry;
using buffers = std::vector<buffer>;

class vectored_read_call final : public io_call {
public:
    vectored_read_call(int descriptor, buffers into, std::uint64_t offset)
        : io_call(descriptor, waits::on_thread, true), bytes(std::move(into)), offset_(offset) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        const auto parts = bytes.to_fill(parts_max);
        return retry([&] {
            return ::preadv2(descriptor(), parts.data(), static_cast<int>(parts.size()),
                             static_cast<off_t>(offset_), 0);
        });
    }
    void submit(io_uring_sqe& entry) noexcept override {
        const auto parts = bytes.to_fill(parts_max);
        io_uring_prep_readv(&entry, descriptor(), parts.data(), static_cast<unsigned>(parts.size()),
                            offset_);
    }

    buffer_parts bytes;

private:
    std::uint64_t offset_;
};

class vectored_write_call final : public io_call {
public:
    vectored_write_call(int descriptor, buffers from, std::uint64_t offset)
        : io_call(descriptor, waits::on_thread, true), bytes(std::move(from)), offset_(offset) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        const auto parts = bytes.to_send(parts_max);
        return retry([&] {
            return ::pwritev2(descriptor(), parts.data(), static_cast<int>(parts.size()),
                              static_cast<off_t>(offset_), 0);
        });
    }
    void submit(io_uring_sqe& entry) noexcept override {
        const auto parts = bytes.to_send(parts_max);
        io_uring_prep_writev(&entry, descriptor(), parts.data(),
                             static_cast<unsigned>(parts.size()), offset_);
    }
    [[nodiscard]] bool again(std::int32_t& result) noexcept override {
        if (result < 0) { return false; }
        const auto written = static_cast<std::size_t>(result);
        if (offset_ != file::current_position) { offset_ += written; }
        const std::size_t before = bytes.index();
        const bool more = bytes.note_sent(written);
        // Without progress it would go on for ever.
        if (more && written == 0 && bytes.index() == before) {
            result = -ENOSPC;
            return false;
        }
        return more;
    }

    buffer_parts bytes;

private:
    std::uint64_t offset_;
};

template <typename Call>
std::expected<buffers, std::error_code> take_buffers(io_call& call, std::int32_t result) {
    auto& done = static_cast<Call&>(call);
    if constexpr (std::is_same_v<Call, vectored_read_call>) {
        done.bytes.commit(static_cast<std::size_t>(result));
    }
    return done.bytes.template take<buffers>();
}

/// An operation on an open file with two numbers; each kind is a pair of functions.
class range_call final : public io_call {
public:
    struct functions {
        int (*perform)(const range_call& call) noexcept;                       // -1 and errno.
        void (*submit)(io_uring_sqe& entry, const range_call& call) noexcept;  // Or null.
    };
    range_call(int descriptor, const functions& how, std::uint64_t from, std::uint64_t bytes,
               int how_exactly) noexcept
        : io_call(descriptor, waits::on_thread, how.submit != nullptr),
          offset(static_cast<off_t>(from)),
          size(static_cast<off_t>(bytes)),
          mode(how_exactly),
          how_(how) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        return retry([this] { return how_.perform(*this); });
    }
    void submit(io_uring_sqe& entry) noexcept override { how_.submit(entry, *this); }

    const off_t offset;
    const off_t size;
    const int mode;

private:
    functions how_;
};

constexpr range_call::functions allocate_functions{
    [](const range_call& call) noexcept {
        return ::fallocate(call.descriptor(), call.mode, call.offset, call.size);
    },
    [](io_uring_sqe& entry, const range_call& call) noexcept {
        io_uring_prep_fallocate(&entry, call.descriptor(), call.mode, call.offset, call.size);
    }};

constexpr range_call::functions advise_functions{
    [](const range_call& call) noexcept {
        const int failed = ::posix_fadvise(call.descriptor(), call.offset, call.size, call.mode);
        errno = failed;
        return failed == 0 ? 0 : -1;
    },
    nullptr};

// The ring has it from 6.9 on.
constexpr range_call::functions resize_functions{
    [](const range_call& call) noexcept { return ::ftruncate(call.descriptor(), call.size); },
    nullptr};

/// Closes a file, whatever becomes of it.
///
///     made --submitted, or begun by a thread--> the kernel's --cancelled before it began--> made
///     destroyed while made: closed then
class close_call final : public io_call {
public:
    // It has no descriptor for others: nobody waits for it any more, nor holds it.
    explicit close_call(int file) noexcept : io_call(-1, waits::on_thread, true), file_(file) {}
    ~close_call() override {
        if (file_ >= 0 && !detail::close_when_let_go(file_)) { ::close(file_); }
    }

    [[nodiscard]] std::int32_t perform() noexcept override {
        const int file = std::exchange(file_, -1);
        // Another thread still works on it, for what was dropped: it closes it.
        if (detail::close_when_let_go(file)) { return 0; }
        // Not again after an interruption: the descriptor is gone then, too.
        return ::close(file) == 0 || errno == EINTR ? 0 : -errno;
    }
    void submit(io_uring_sqe& entry) noexcept override {
        given_ = std::exchange(file_, -1);
        if (given_ < 0) {
            io_uring_prep_nop(&entry);  // Once more, after an interruption.
        } else {
            detail::about_to_close(given_);
            io_uring_prep_close(&entry, given_);
        }
    }
    void note_cancelled() noexcept override {
        if (file_ < 0) { file_ = std::exchange(given_, -1); }
    }

private:
    int file_;
    int given_ = -1;
};

/// Gives an open file a name, by that which the system has for the descriptor.
class name_call final : public io_call {
public:
    name_call(descriptor_handle own, std::string name) noexcept
        : io_call(-1, waits::on_thread, false), file_(std::move(own)), name_(std::move(name)) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        std::array<char, 32> open_file{};
        (void)std::snprintf(open_file.data(), open_file.size(), "/proc/self/fd/%d", file_.get());
        return retry([&] {
            return ::linkat(AT_FDCWD, open_file.data(), AT_FDCWD, name_.c_str(), AT_SYMLINK_FOLLOW);
        });
    }

private:
    descriptor_handle file_;  // Its own: the file may be closed meanwhile.
    std::string name_;
};

/// Makes a call that needs an ordinary descriptor; of a direct file it gets one of its own.
template <typename Call, typename T, typename... Args>
io_future<T> start_ordinary(int descriptor,
                            std::expected<T, std::error_code> (*take)(io_call&, std::int32_t),
                            const Args&... args) {
    if (!is_direct(descriptor)) { return {std::make_unique<Call>(descriptor, args...), take}; }
    auto own = duplicate(descriptor);
    if (!own) { return io_future<T>(own.error()); }
    auto call = std::make_unique<Call>(own->get(), args...);
    call->own(std::move(*own));
    return {std::move(call), take};
}

io_future<void> start(const range_call::functions& how, int descriptor, std::uint64_t offset,
                      std::uint64_t size, int mode) {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
    if (descriptor < 0) { return io_future<void>(make_error_code(errc::closed)); }
    if (offset > most || size > most) {
        return io_future<void>(std::make_error_code(std::errc::invalid_argument));
    }
    if (how.submit == nullptr) {
        return start_ordinary<range_call>(descriptor, &detail::take_nothing, how, offset, size,
                                          mode);
    }
    return {std::make_unique<range_call>(descriptor, how, offset, size, mode),
            &detail::take_nothing};
}

int to_advice(access_pattern pattern) noexcept {
    switch (pattern) {
        case access_pattern::normal: return POSIX_FADV_NORMAL;
        case access_pattern::sequential: return POSIX_FADV_SEQUENTIAL;
        case access_pattern::random: return POSIX_FADV_RANDOM;
        case access_pattern::needed_soon: return POSIX_FADV_WILLNEED;
        case access_pattern::not_needed: return POSIX_FADV_DONTNEED;
        case access_pattern::once: return POSIX_FADV_NOREUSE;
    }
    return POSIX_FADV_NORMAL;
}

}  // namespace

net::pool_recv_future<buffer> file::read_at(const buffer_pool& pool, std::uint64_t offset) const {
    using result = net::pool_recv_future<buffer>;
    if (!is_open()) { return result(detail::pool_receiving(make_error_code(errc::closed))); }
    return result(
        detail::pool_receiving(pool, descriptor_, detail::pool_source::file, false, offset));
}

std::error_code file::may_read(std::size_t room) const noexcept {
    if (!is_open()) { return errc::closed; }
    if (room == 0) { return std::make_error_code(std::errc::invalid_argument); }
    return {};
}

io_future<void> file::close() {
    if (!is_open()) { return io_future<void>(make_error_code(errc::closed)); }
    // The end of an ordinary one tells of errors.
    if (const auto failed = make_ordinary()) { return io_future<void>(failed); }
    auto call = std::make_unique<close_call>(descriptor_);
    descriptor_ = -1;
    return {std::move(call), &detail::take_nothing};
}

io_future<void> file::give_name(std::filesystem::path name) const {
    std::string text = std::move(name).string();
    if (!is_open()) { return io_future<void>(make_error_code(errc::closed)); }
    if (text.find('\0') != std::string::npos) {
        return io_future<void>(std::make_error_code(std::errc::invalid_argument));
    }
    auto own = duplicate(descriptor_);
    if (!own) { return io_future<void>(own.error()); }
    return {std::make_unique<name_call>(std::move(*own), std::move(text)), &detail::take_nothing};
}

io_future<buffers> file::read_vectored_at(buffers into, std::uint64_t offset) const {
    if (!is_open()) { return io_future<buffers>(make_error_code(errc::closed)); }
    std::size_t room = 0;
    for (const buffer& each : into) { room += each.spare(); }
    if (room == 0) { return io_future<buffers>(std::make_error_code(std::errc::invalid_argument)); }
    return {std::make_unique<vectored_read_call>(descriptor_, std::move(into), offset),
            &take_buffers<vectored_read_call>};
}

io_future<buffers> file::write_vectored_at(buffers bytes, std::uint64_t offset) const {
    if (!is_open()) { return io_future<buffers>(make_error_code(errc::closed)); }
    return {std::make_unique<vectored_write_call>(descriptor_, std::move(bytes), offset),
            &take_buffers<vectored_write_call>};
}

io_future<metadata> file::get_metadata() const {
    if (!is_open()) { return io_future<metadata>(make_error_code(errc::closed)); }
    return start_ordinary<detail::metadata_call>(descriptor_, &detail::take_metadata);
}

io_future<void> file::resize(std::uint64_t size) const {
    return start(resize_functions, descriptor_, 0, size, 0);
}

io_future<void> file::allocate(std::uint64_t offset, std::uint64_t size, bool keep_size) const {
    return start(allocate_functions, descriptor_, offset, size,
                 keep_size ? FALLOC_FL_KEEP_SIZE : 0);
}

io_future<void> file::punch_hole(std::uint64_t offset, std::uint64_t size) const {
    return start(allocate_functions, descriptor_, offset, size,
                 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
}

io_future<void> file::advise(std::uint64_t offset, std::uint64_t size,
                             access_pattern pattern) const {
    return start(advise_functions, descriptor_, offset, size, to_advice(pattern));
}

}  // namespace heph::rt::fs
