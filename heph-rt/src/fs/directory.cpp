#include <heph/rt/fs/directory.hpp>

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

#include <heph/rt/error.hpp>

#include "../system_call.hpp"

namespace heph::rt::fs {

namespace {

using detail::io_call;

file_type type_of(unsigned char kind) noexcept {
    switch (kind) {
        case DT_REG: return file_type::regular;
        case DT_DIR: return file_type::directory;
        case DT_LNK: return file_type::symbolic_link;
        case DT_FIFO: return file_type::pipe;
        case DT_SOCK: return file_type::socket;
        case DT_CHR: return file_type::character_device;
        case DT_BLK: return file_type::block_device;
        default: return file_type::unknown;
    }
}

/// Takes the next entries, without those for the directory itself and the one above.
class list_call final : public io_call {
public:
    explicit list_call(int descriptor) noexcept : io_call(descriptor, waits::on_thread, false) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        alignas(dirent64) std::array<char, 32 * 1024> bytes;
        // Until there is an entry that counts: none means the end.
        while (entries_.empty()) {
            const std::int32_t size = detail::retry([&] {
                return ::syscall(SYS_getdents64, descriptor(), bytes.data(), bytes.size());
            });
            if (size <= 0) { return size; }
            try {
                take(bytes.data(), static_cast<std::size_t>(size));
            } catch (const std::bad_alloc&) { return -ENOMEM; }
        }
        return 0;
    }

    [[nodiscard]] std::vector<directory_entry>& entries() noexcept { return entries_; }

private:
    void take(const char* bytes, std::size_t size) {
        for (std::size_t at = 0; at < size;) {
            const auto* const entry = reinterpret_cast<const dirent64*>(bytes + at);
            at += entry->d_reclen;
            const std::string_view name = entry->d_name;
            if (name == "." || name == "..") { continue; }
            entries_.emplace_back(std::string(name), type_of(entry->d_type), entry->d_ino);
        }
    }

    std::vector<directory_entry> entries_;
};

}  // namespace

polled<open_directory_future::value_type> open_directory_future::poll(const waker& waker) {
    auto opened = opening_.poll(waker);
    if (!opened.is_ready()) { return pending; }
    auto made = std::move(opened).value();
    if (!made) { return value_type(std::unexpect, made.error()); }
    return value_type(std::in_place, std::move(*made));
}

io_future<std::vector<directory_entry>> directory::next() const {
    using result = std::vector<directory_entry>;
    if (!is_open()) { return io_future<result>(make_error_code(errc::closed)); }
    return {std::make_unique<list_call>(descriptor()),
            [](io_call& call, std::int32_t /*result*/) -> std::expected<result, std::error_code> {
                return std::move(static_cast<list_call&>(call).entries());
            }};
}

std::error_code directory::rewind() noexcept {
    return ::lseek(descriptor(), 0, SEEK_SET) == 0 ? std::error_code() : detail::last_error();
}

}  // namespace heph::rt::fs
