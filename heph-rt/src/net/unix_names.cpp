#include "unix_names.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "in_use.hpp"
#include "socket_calls.hpp"
#include "sockets.hpp"

namespace heph::rt::detail {

unsigned to_sockaddr(const net::unix_address& from, sockaddr_un& to) noexcept {
    to = {};
    to.sun_family = AF_UNIX;
    if (from.is_unnamed()) { return offsetof(sockaddr_un, sun_path); }
    const std::size_t first = from.is_abstract() ? 1 : 0;
    std::memcpy(to.sun_path + first, from.name().data(), from.name().size());
    const std::size_t used = offsetof(sockaddr_un, sun_path) + 1 + from.name().size();
    return static_cast<unsigned>(std::min(used, sizeof(to)));
}

net::unix_address from_sockaddr(const sockaddr_un& from, std::size_t bytes) {
    using net::unix_address;
    bytes = std::min(bytes, sizeof(from));
    if (bytes <= offsetof(sockaddr_un, sun_path)) { return {}; }
    const std::size_t used = bytes - offsetof(sockaddr_un, sun_path);
    // Of so many bytes, none of these is refused.
    if (from.sun_path[0] == '\0') {
        return unix_address::abstract({from.sun_path + 1, used - 1}).value_or(unix_address());
    }
    return unix_address::path({from.sun_path, ::strnlen(from.sun_path, used)})
        .value_or(unix_address());
}

std::expected<net::unix_address, std::error_code> ask_unix_address(int descriptor,
                                                                   int (*query)(int, sockaddr*,
                                                                                socklen_t*)) {
    sockaddr_un address{};
    socklen_t bytes = sizeof(address);
    if (query(descriptor, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) {
        return std::unexpected(last_error());
    }
    return from_sockaddr(address, bytes);
}

std::expected<net::peer_credentials, std::error_code> ask_credentials(int descriptor) {
    ucred known{};
    socklen_t bytes = sizeof(known);
    if (calls::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &known, &bytes) != 0) {
        return std::unexpected(last_error());
    }
    return net::peer_credentials(known.pid, known.uid, known.gid);
}

namespace {

enum class path_state : std::uint8_t {
    missing,
    other,  // Is no socket.
    stale,  // Is a socket that nobody has any more.
    taken,
};

path_state look_at(const char* path, const sockaddr_un& address, unsigned bytes,
                   int type) noexcept {
    // A connection to another file is refused, too.
    struct stat status{};
    if (::lstat(path, &status) != 0) {
        return errno == ENOENT ? path_state::missing : path_state::taken;
    }
    if (!S_ISSOCK(status.st_mode)) { return path_state::other; }
    // By a socket of another type: whoever is there refuses that without learning of it. To ask
    // who that is would take a connection, which may start a service, and tell of the process that
    // once listened, but not of who has the socket now.
    const int other = type == SOCK_DGRAM ? SOCK_STREAM : SOCK_DGRAM;
    const int probe = ::socket(AF_UNIX, other | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) { return path_state::taken; }
    const bool refused =
        ::connect(probe, reinterpret_cast<const sockaddr*>(&address), bytes) != 0 &&
        errno == ECONNREFUSED;
    ::close(probe);
    return refused ? path_state::stale : path_state::taken;
}

// Binding to a path that may have to be replaced.
class replacing_bind {
public:
    replacing_bind(int descriptor, int type, const std::string& path, const sockaddr_un& address,
                   unsigned bytes) noexcept
        : descriptor_(descriptor), type_(type), path_(&path), address_(&address), bytes_(bytes) {}

    [[nodiscard]] std::error_code bind() const noexcept {
        return calls::bind(descriptor_, &general(), bytes_) == 0 ? std::error_code() : last_error();
    }
    // Binds; gives `address_in_use` also while somebody else may be replacing it. At the last
    // attempt it does without the lock: the directory may be locked for something else, for long.
    [[nodiscard]] std::error_code replace(bool is_last) const {
        const folder_lock lock(*path_);
        if (lock.result() == folder_lock::outcome::busy && !is_last) {
            return std::make_error_code(std::errc::address_in_use);
        }
        const std::error_code failed = bind();
        if (failed != std::errc::address_in_use || !is_stale()) { return failed; }
        if (::unlink(path_->c_str()) != 0 && errno != ENOENT) { return last_error(); }
        return bind();
    }
    // Tells whether it may be free soon, without anything that this thread does.
    [[nodiscard]] bool may_wait() const noexcept {
        return look() != path_state::other && !is_bound_here(general(), bytes_, type_);
    }

private:
    const sockaddr& general() const noexcept {
        return reinterpret_cast<const sockaddr&>(*address_);
    }
    path_state look() const noexcept { return look_at(path_->c_str(), *address_, bytes_, type_); }
    bool is_stale() const noexcept {
        if (look() != path_state::stale) { return false; }
        // To bind makes the file first, and then leads to the socket: who does so without the lock
        // seems to have gone for a moment.
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return look() == path_state::stale;
    }

    int descriptor_;
    int type_;
    const std::string* path_;
    const sockaddr_un* address_;
    unsigned bytes_;
};

}  // namespace

std::error_code bind_to(int descriptor, int type, const net::unix_address& local,
                        bool replace_stale, std::chrono::milliseconds in_use_wait) {
    sockaddr_un address{};
    const unsigned bytes = to_sockaddr(local, address);
    const replacing_bind binding(descriptor, type, local.name(), address, bytes);
    // A simulated socket has no file that could be stale.
    if (!replace_stale || local.is_abstract() || this_thread_sockets != nullptr) {
        return binding.bind();
    }
    bounded_pauses patience(in_use_wait);
    for (;;) {
        const bool is_last = !patience.is_left();
        const std::error_code failed = binding.replace(is_last);
        if (failed != std::errc::address_in_use || is_last || !binding.may_wait()) {
            return failed;
        }
        (void)patience.pause();
    }
}

namespace {

// Gives the file of a socket that listens not yet its permissions. *Requires*: they were asked of
// the socket before it was bound, which is enough unless the umask takes some.
std::error_code complete_mode(const char* path, unsigned mode) noexcept {
    struct stat status{};
    if (::lstat(path, &status) == 0 && (status.st_mode & 07777U) == mode) { return {}; }
    return set_mode(path, mode);
}

}  // namespace

std::expected<listening_socket, std::error_code> listen_at(
    int type, const net::unix_address& local, const net::unix_listen_options& options) {
    if (local.is_unnamed() || (local.is_abstract() && options.mode)) {
        return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    }
    listening_socket made;
    made.socket = net::socket_handle(calls::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    if (!made.socket.is_open()) { return std::unexpected(last_error()); }
    const bool has_file = !local.is_abstract() && this_thread_sockets == nullptr;
    const unsigned mode = options.mode.value_or(0) & 07777U;
    if (has_file && options.mode && ::fchmod(made.socket.get(), mode) != 0) {
        return std::unexpected(last_error());
    }
    if (const auto failed =
            bind_to(made.socket.get(), type, local, options.replace_stale, options.in_use_wait)) {
        return std::unexpected(failed);
    }
    // From here on an error removes it.
    if (has_file) { made.file = std::make_shared<socket_file>(local.name()); }
    // Nobody can connect before it listens.
    if (has_file && options.mode) {
        if (const auto failed = complete_mode(local.name().c_str(), mode)) {
            return std::unexpected(failed);
        }
    }
    if (calls::listen(made.socket.get(), options.backlog) != 0) {
        return std::unexpected(last_error());
    }
    if (made.file && !options.remove_file) {
        made.file->keep();
        made.file.reset();
    }
    return made;
}

}  // namespace heph::rt::detail
