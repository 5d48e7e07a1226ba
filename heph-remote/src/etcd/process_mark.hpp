#pragma once

// Which run of a program had something: told from all others, also from those that get its pid.

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <sys/types.h>

namespace heph::remote::etcd::detail {

/// Names a process by the boot of its machine, its namespaces of pids and of time, its pid, and
/// when it began. Of two processes of one mark there is none.
class process_mark {
public:
    /// Gives the mark of a process of this machine; nothing where /proc does not tell.
    [[nodiscard]] static std::optional<process_mark> of(::pid_t process);
    [[nodiscard]] static std::optional<process_mark> own();
    /// Reads what `to_string` wrote; nothing for anything else.
    [[nodiscard]] static std::optional<process_mark> parse(std::string_view text);
    [[nodiscard]] std::string to_string() const;
    /// Adds the name of a lock that the process has until it ends (`process_lock`).
    void set_lock(std::string name) { lock_ = std::move(name); }

    /// Tells whether the process has ended for certain. It is never certain of one of another
    /// machine or container, or of one that cannot be looked at.
    [[nodiscard]] bool has_ended() const;
    /// Tells whether it is for this process to say whether that one has ended.
    [[nodiscard]] bool is_near() const;
    /// Tells whether it has ended for certain since the lock that it had is another process's now.
    /// *Requires*: that is this process, which has the lock of its mark.
    [[nodiscard]] bool is_followed_by(const process_mark& holder) const;

    bool operator==(const process_mark&) const noexcept = default;

private:
    std::string boot_;
    std::string namespaces_;  // Of this process; others are not looked at.
    ::pid_t process_ = 0;
    std::string began_;  // In ticks since the boot.
    std::string lock_;   // Empty: none.
};

}  // namespace heph::remote::etcd::detail
