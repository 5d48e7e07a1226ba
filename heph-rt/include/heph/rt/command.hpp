#pragma once

// Child processes: starting, waiting, signalling.

#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/rt/descriptor.hpp>
#include <heph/rt/io_future.hpp>
#include <heph/rt/pipe.hpp>

namespace heph::rt {

namespace detail {
class child_process;
struct spawn_plan;
}  // namespace detail

/// Tells how a child ended.
class exit_status {
public:
    exit_status(bool by_signal, int number) noexcept : by_signal_(by_signal), number_(number) {}

    /// Tells whether it ended by itself, with code 0.
    [[nodiscard]] bool success() const noexcept { return !by_signal_ && number_ == 0; }
    /// Gives its exit code, if it ended by itself.
    [[nodiscard]] std::optional<int> code() const noexcept {
        return by_signal_ ? std::nullopt : std::optional(number_);
    }
    /// Gives the signal that ended it, if one did.
    [[nodiscard]] std::optional<int> signal() const noexcept {
        return by_signal_ ? std::optional(number_) : std::nullopt;
    }
    /// Says it for people: `exited with code 1`, `ended by signal 9`.
    [[nodiscard]] std::string to_string() const;

    bool operator==(const exit_status&) const noexcept = default;

private:
    bool by_signal_;
    int number_;
};

/// Says what a child's input, output or error output is.
class stdio {
public:
    /// The same as this process's.
    [[nodiscard]] static stdio inherit() noexcept { return stdio(kind::inherit); }
    /// Nothing: `/dev/null`.
    [[nodiscard]] static stdio null() noexcept { return stdio(kind::null); }
    /// A pipe, the other end of which is the `child`'s.
    [[nodiscard]] static stdio pipe() noexcept { return stdio(kind::pipe); }
    /// A descriptor, such as that of a file; closed here once the child has it.
    [[nodiscard]] static stdio from(descriptor_handle descriptor) noexcept {
        stdio made(kind::descriptor);
        made.descriptor_ = std::move(descriptor);
        return made;
    }

private:
    friend struct detail::spawn_plan;
    friend class command;
    enum class kind : std::uint8_t { inherit, null, pipe, descriptor };
    explicit stdio(kind what) noexcept : kind_(what) {}

    kind kind_;
    descriptor_handle descriptor_;
};

/// A child process.
///
/// Destroyed before it ended, the child is killed (see `command::kill_on_drop`), and its end is
/// awaited in the background: it does not stay as a zombie.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class [[nodiscard]] child {
public:
    /// Is made by `command::spawn`.
    child(std::shared_ptr<detail::child_process> process, byte_writer input, byte_reader output,
          byte_reader error) noexcept
        : process_(std::move(process)),
          input_(std::move(input)),
          output_(std::move(output)),
          error_(std::move(error)) {}

    /// Gives the process id. After its end another process may have it: signal by `signal`.
    [[nodiscard]] int id() const noexcept;

    /// Waits for the end. May be asked again, also after it was dropped, and gives the same.
    /// *Errors*: `no_child_process` when something else in the program took the child's status, or
    /// has had SIGCHLD ignored since the start.
    /// *Lifetime*: the future may outlive the child object; the child is killed when both are gone.
    [[nodiscard]] io_future<exit_status> wait() const;

    /// Sends a signal; not to another process, whatever happened.
    /// *Errors*: `no_such_process` after the end.
    std::error_code signal(int number) const noexcept;
    /// Ends it by SIGKILL. *Errors*: as `signal`.
    std::error_code kill() const noexcept;
    /// Lets it live when this is destroyed.
    void detach() const noexcept;

    // Ends of pipes, where the command asked for them; else closed ones.
    [[nodiscard]] byte_writer& input() noexcept { return input_; }
    [[nodiscard]] byte_reader& output() noexcept { return output_; }
    [[nodiscard]] byte_reader& error() noexcept { return error_; }
    /// Closes the child's input, which tells it that there is no more.
    void close_input() noexcept { input_ = byte_writer(); }

private:
    std::shared_ptr<detail::child_process> process_;
    byte_writer input_;
    byte_reader output_;
    byte_reader error_;
};

/// Says what to start, and how:
///
///     auto sort = heph::rt::command("sort").argument("-n")
///                     .input(stdio::pipe()).output(stdio::pipe()).spawn();
///
/// The child gets the three standard streams, what `pass` names, and no other descriptor, whether
/// that one is marked to be closed or not. No signal is blocked in it, and SIGPIPE ends it again.
///
/// Where the process ignores SIGCHLD, or has SA_NOCLDWAIT set for it, which a program may inherit,
/// the kernel forgets how children ended: starting one takes either back, and leaves a handler.
class [[nodiscard]] command {
public:
    /// Names a program: by its path, or to be looked for in `PATH` of this process's environment.
    explicit command(std::string program);
    command(command&&) noexcept;
    command& operator=(command&&) noexcept;
    ~command();

    command& argument(std::string value);
    command& arguments(std::vector<std::string> values);
    /// Sets a variable of the environment, which is this process's otherwise.
    command& environment(std::string name, std::string value);
    command& remove_environment(std::string name);
    /// Begins with an empty environment.
    command& clear_environment();
    /// Sets the working directory, in which also a relative path of the program is looked for.
    command& directory(std::filesystem::path path);

    command& input(stdio what);   ///< Inherited by default.
    command& output(stdio what);  ///< Inherited by default.
    command& error(stdio what);   ///< Inherited by default.
    /// Gives the child a descriptor under a number from 3 to 255; closed here once it has it.
    command& pass(descriptor_handle descriptor, int number);

    /// Says whether the child is killed when its `child` is destroyed; it is by default.
    command& kill_on_drop(bool on);
    /// Makes it the leader of a process group of its own, which terminal signals do not reach.
    command& new_process_group();
    /// Makes it the leader of a session of its own, without a terminal; of a process group, too.
    command& new_session();

    /// Starts the child, on a thread of the worker's. The command is empty afterwards.
    ///
    /// *Errors*: those of executing: `no_such_file_or_directory` (program or directory),
    /// `permission_denied`, `executable_format_error`, …; `resource_unavailable_try_again` (too
    /// many processes), `too_many_files_open`; `invalid_argument`: a number given twice or out of
    /// range, a zero byte in a text, or a variable whose name is empty or has a `=`;
    /// `errc::closed`: a descriptor that is to be the child's is closed.
    /// *Cancellation*: a child that was started already is killed, unless `kill_on_drop(false)`.
    [[nodiscard]] io_future<child> spawn();

private:
    std::unique_ptr<detail::spawn_plan> plan_;
};

}  // namespace heph::rt
