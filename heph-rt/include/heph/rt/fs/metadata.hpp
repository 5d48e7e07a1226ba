#pragma once

#include <chrono>
#include <cstdint>

namespace heph::rt::fs {

/// Kinds of what a path may name.
enum class file_type : std::uint8_t {
    unknown,
    regular,
    directory,
    symbolic_link,
    pipe,
    socket,
    character_device,
    block_device,
};

/// What the system knows of a file or directory, at the time when it was asked.
class metadata {
public:
    using time_point = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

    /// Is made by the operations that ask for it.
    struct fields {
        std::uint64_t size = 0;
        std::uint64_t allocated = 0;
        std::uint64_t inode = 0;
        std::uint64_t device = 0;
        std::uint32_t mode = 0;
        std::uint32_t links = 0;
        std::uint32_t user = 0;
        std::uint32_t group = 0;
        file_type type = file_type::unknown;
        time_point accessed;
        time_point modified;
        time_point changed;
        time_point created;
    };
    explicit metadata(const fields& known) noexcept : known_(known) {}

    [[nodiscard]] file_type type() const noexcept { return known_.type; }
    [[nodiscard]] bool is_regular() const noexcept { return type() == file_type::regular; }
    [[nodiscard]] bool is_directory() const noexcept { return type() == file_type::directory; }
    [[nodiscard]] bool is_symbolic_link() const noexcept {
        return type() == file_type::symbolic_link;
    }
    /// Gives the size in bytes.
    [[nodiscard]] std::uint64_t size() const noexcept { return known_.size; }
    /// Gives the bytes that it takes on the disk.
    [[nodiscard]] std::uint64_t allocated_bytes() const noexcept { return known_.allocated; }
    /// Gives the permission bits, such as 0644.
    [[nodiscard]] std::uint32_t permissions() const noexcept { return known_.mode & 07777U; }
    [[nodiscard]] std::uint32_t user_id() const noexcept { return known_.user; }
    [[nodiscard]] std::uint32_t group_id() const noexcept { return known_.group; }
    [[nodiscard]] std::uint32_t hard_links() const noexcept { return known_.links; }
    /// The inode and the device together name a file, whatever its paths are.
    [[nodiscard]] std::uint64_t inode() const noexcept { return known_.inode; }
    [[nodiscard]] std::uint64_t device() const noexcept { return known_.device; }
    [[nodiscard]] time_point accessed() const noexcept { return known_.accessed; }
    [[nodiscard]] time_point modified() const noexcept { return known_.modified; }
    /// Gives when the metadata changed last.
    [[nodiscard]] time_point changed() const noexcept { return known_.changed; }
    /// Gives when it was created; the epoch where the file system does not know.
    [[nodiscard]] time_point created() const noexcept { return known_.created; }

private:
    fields known_;
};

}  // namespace heph::rt::fs
