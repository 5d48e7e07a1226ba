#pragma once

// A file that one process of this machine has, until it has ended.

#include <expected>
#include <string>

#include <heph/rt/error.hpp>

namespace heph::remote::etcd::detail {

/// Is a file that this process locks, once nobody else does, and from then on until it ends: the
/// lock is never given back. So who has the lock knows of whoever had it before that he has ended,
/// in whichever container he was.
class process_lock {
public:
    /// Opens the file, or makes it. *Errors*: those of `open`; `bad_settings` for a file system
    /// whose locks may get lost while their holder runs: one of the network, or an unknown one.
    [[nodiscard]] static std::expected<process_lock, rt::error> open(const std::string& path);

    /// Takes the lock, unless another process has it.
    [[nodiscard]] bool take() const;
    /// Names the file among those of this boot of the machine: its device and inode. As long as
    /// somebody has it open, no other file has that name.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    explicit process_lock(std::string name) noexcept : name_(std::move(name)) {}

    std::string name_;
};

}  // namespace heph::remote::etcd::detail
