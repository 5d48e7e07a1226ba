#pragma once

// Unix sockets: listeners and streams between processes of one machine.

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/inbox/future.hpp>
#include <heph/rt/io_future.hpp>
#include <heph/rt/net/descriptors.hpp>
#include <heph/rt/net/stream.hpp>

namespace heph::rt::detail {
template <typename Listener>
class stop_accepting;
class socket_file;
}  // namespace heph::rt::detail

namespace heph::rt::net {

/// Names a Unix socket: by a path in the file system, by an abstract name, or not at all.
class unix_address {
public:
    /// Makes the address of a socket without a name, such as that of a client.
    unix_address() noexcept = default;

    /// Names a path.
    /// *Errors*: `filename_too_long` above 108 bytes; `invalid_argument` when it is empty or has a
    /// zero byte.
    [[nodiscard]] static std::expected<unix_address, std::error_code> path(std::string_view path);
    /// Names a socket in the abstract name space of Linux, which needs no file and goes with the
    /// last socket of that name.
    /// *Errors*: `filename_too_long` above 107 bytes; `invalid_argument` when it is empty.
    [[nodiscard]] static std::expected<unix_address, std::error_code> abstract(
        std::string_view name);

    [[nodiscard]] bool is_unnamed() const noexcept { return name_.empty(); }
    [[nodiscard]] bool is_abstract() const noexcept { return abstract_; }
    /// Gives the path, or the abstract name.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Writes a path as it is, an abstract name behind `@`, and `(unnamed)`.
    [[nodiscard]] std::string to_string() const;

    bool operator==(const unix_address&) const noexcept = default;

private:
    unix_address(std::string name, bool is_abstract)
        : name_(std::move(name)), abstract_(is_abstract) {}

    std::string name_;
    bool abstract_ = false;
};

/// Who is at the other end of a Unix socket, as the kernel knows it: at the time when it connected
/// or listened.
class peer_credentials {
public:
    peer_credentials(std::int32_t process, std::uint32_t user, std::uint32_t group) noexcept
        : process_(process), user_(user), group_(group) {}
    [[nodiscard]] std::int32_t process_id() const noexcept { return process_; }
    [[nodiscard]] std::uint32_t user_id() const noexcept { return user_; }
    [[nodiscard]] std::uint32_t group_id() const noexcept { return group_; }

private:
    std::int32_t process_;
    std::uint32_t user_;
    std::uint32_t group_;
};

class unix_stream;

/// Connects to a Unix socket.
class [[nodiscard]] unix_connect_future {
public:
    using value_type = std::expected<unix_stream, std::error_code>;
    explicit unix_connect_future(unix_address to) noexcept : to_(std::move(to)) {}
    polled<value_type> poll(const waker& waker);

private:
    unix_address to_;
    detail::connecting state_;
};

/// A connection over a Unix socket.
///
/// *Errors*: as `byte_stream`, and `no_such_file_or_directory`, `connection_refused`,
/// `permission_denied`, ….
/// *Thread safety*: unsafe. It may be moved to another worker before its first `next()`.
class [[nodiscard]] unix_stream : public byte_stream {
public:
    unix_stream() noexcept = default;
    /// Takes over a connected socket.
    explicit unix_stream(socket_handle socket) noexcept
        : byte_stream(detail::watched_socket(std::move(socket))) {}

    /// Connects to `to`; waits while the listener's backlog is full. *Cancellation*: the attempt is
    /// given up.
    static unix_connect_future connect(unix_address to) noexcept {
        return unix_connect_future(std::move(to));
    }
    /// Makes two streams that are connected to each other. Does not wait.
    [[nodiscard]] static std::expected<std::pair<unix_stream, unix_stream>, std::error_code> pair();

    /// Sends all of the buffer's bytes, at least one, and copies of descriptors with the first.
    /// They are closed here then; to keep one, send a `duplicate` of it. *Errors*: as `send_all`;
    /// `invalid_argument` without bytes or with more than `descriptors_max`.
    io_future<buffer> send_with_descriptors(buffer bytes,
                                            std::vector<descriptor_handle> descriptors);
    /// Receives once into the buffer's spare room, and at most `most` descriptors. A receive does
    /// not go beyond the bytes that descriptors came with. Those that arrive while another kind of
    /// receive is used are lost. Excludes `next()`, as `recv` does.
    io_future<message_with_descriptors> recv_with_descriptors(buffer into, std::size_t most);

    [[nodiscard]] std::expected<peer_credentials, std::error_code> credentials() const;
    [[nodiscard]] std::expected<unix_address, std::error_code> local_address() const;
    [[nodiscard]] std::expected<unix_address, std::error_code> peer_address() const;
};

/// Waits for the next connection of a Unix listener. Borrows the listener.
class [[nodiscard]] unix_accept_future {
public:
    using value_type = std::expected<unix_stream, std::error_code>;
    explicit unix_accept_future(class unix_listener& listener) noexcept : listener_(&listener) {}
    polled<value_type> poll(const waker& waker);

private:
    unix_listener* listener_;
};

/// How to listen on a Unix socket.
struct unix_listen_options {
    int backlog = 1024;
    /// Takes over a path at which nobody listens any more, as a killed server leaves it. Of several
    /// who do that at the same moment one succeeds: the directory is locked (`flock`) meanwhile,
    /// where it can be read and locked.
    ///
    /// Who listens does not learn of that, and is never replaced, whoever opened the socket.
    bool replace_stale = false;
    /// Permissions of the file, such as 0660, whatever the umask is, and before anybody can
    /// connect: who may write to it may. `invalid_argument` for an abstract name, which has none.
    std::optional<unsigned> mode = {};
    /// Removes the file of a path as the listener goes, and its duplicates, unless it is another's
    /// by then; `keep_file` leaves it there after all.
    bool remove_file = false;
    /// How long to wait, and to block the thread, while another process seems to listen, before
    /// `replace_stale` gives `address_in_use`. The kernel closes the listener of a killed process
    /// that used io_uring only some milliseconds after that has ended, and who starts the next
    /// server at once would be refused.
    std::chrono::milliseconds in_use_wait{1'000};
};

/// Accepts connections over a Unix socket.
///
/// The file of a path stays when the listener goes, unless `unix_listen_options::remove_file` says
/// otherwise: the next one may replace it.
/// Once asked for a connection, it takes up to 64 more ahead, which a dropped listener closes: take
/// them with `accept` before; servers do. Those that the kernel still has are for who else has the
/// socket.
/// *Thread safety*: unsafe. It may be moved to another worker before its first `accept()`.
class [[nodiscard]] unix_listener {
public:
    /// Binds and listens. Does not wait.
    /// *Errors*: `address_in_use`, `permission_denied`, `no_such_file_or_directory`, …;
    /// `invalid_argument` for no name.
    static std::expected<unix_listener, std::error_code> bind(
        const unix_address& local, const unix_listen_options& options = {});

    /// Takes over a socket that listens already, such as one that the service manager opened.
    /// *Errors*: `invalid_argument` when it is no Unix stream socket that listens; it is closed
    /// then.
    static std::expected<unix_listener, std::error_code> adopt(socket_handle socket);

    /// Makes another listener of the same socket, for another worker.
    /// *Errors*: `too_many_files_open`.
    [[nodiscard]] std::expected<unix_listener, std::error_code> duplicate() const;

    /// Leaves the file of its path there when it goes, as for a process that the socket was handed
    /// over to. *Thread safety*: safe.
    void keep_file() const noexcept;

    /// Waits for the next connection, taken by one multishot operation.
    ///
    /// *Errors*: `too_many_files_open` and the like are given once each; back off (a timer), then
    /// call it again. *Cancellation*: loses nothing.
    unix_accept_future accept() noexcept { return unix_accept_future(*this); }

    /// Has connections become direct descriptors, from the next `accept()` on, while more than
    /// 1,024 of them are free, or half of a smaller table, and ordinary ones otherwise. When more
    /// than that come at once, one of them may be lost: the kernel closes the one for which it
    /// finds no room. See `setup::direct_descriptors`.
    void accept_direct(bool on = true) noexcept { socket_.accepts_direct = on; }

    [[nodiscard]] std::expected<unix_address, std::error_code> local_address() const;
    [[nodiscard]] int descriptor() const noexcept { return socket_.handle.get(); }

private:
    friend class unix_accept_future;
    template <typename>
    friend class detail::stop_accepting;
    template <typename, typename>
    friend class basic_server;
    explicit unix_listener(socket_handle socket,
                           std::shared_ptr<detail::socket_file> file = nullptr) noexcept
        : socket_(std::move(socket)), file_(std::move(file)) {}
    // Takes a connection that was accepted already.
    std::optional<socket_handle> take_accepted() noexcept;
    // Waits until the kernel takes no more connections for it.
    polled<void> poll_stop_accepting(const waker& waker);

    detail::watched_socket socket_;
    std::shared_ptr<detail::socket_file> file_;  // Goes first: who looks finds the socket taken.
};

}  // namespace heph::rt::net
