#pragma once

// The system calls on sockets, and the one place where a simulation takes the kernel's.
//
// What the library asks of a socket outside of its drivers goes through `calls`: the kernel
// answers, or on a thread that runs a host of a simulation that host's sockets do. Who is not
// simulated pays one look at a variable of the thread, and a branch that always goes the same way.

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include <heph/rt/net/endpoint.hpp>

#include "../direct_descriptor.hpp"
#include "../direct_table.hpp"

namespace heph::rt::detail {

/// Sockets that are none of the kernel's. Each function is the system call of its name; it gives a
/// negative errno when it fails, and none blocks.
///
/// *Thread safety*: used by the thread it is set for.
class socket_calls {
public:
    virtual int socket(int family, int type) noexcept = 0;
    virtual int socketpair(int family, int type, int* made) noexcept = 0;
    virtual int bind(int descriptor, const sockaddr* address, socklen_t bytes) noexcept = 0;
    virtual int listen(int descriptor, int backlog) noexcept = 0;
    virtual int connect(int descriptor, const sockaddr* address, socklen_t bytes) noexcept = 0;
    virtual int getsockname(int descriptor, sockaddr* address, socklen_t* bytes) noexcept = 0;
    virtual int getpeername(int descriptor, sockaddr* address, socklen_t* bytes) noexcept = 0;
    virtual int setsockopt(int descriptor, int level, int option, const void* value,
                           socklen_t bytes) noexcept = 0;
    virtual int getsockopt(int descriptor, int level, int option, void* value,
                           socklen_t* bytes) noexcept = 0;
    virtual int shutdown(int descriptor, int how) noexcept = 0;
    virtual ssize_t sendmsg(int descriptor, const msghdr* message) noexcept = 0;
    virtual ssize_t recvmsg(int descriptor, msghdr* message, int flags) noexcept = 0;
    /// Tells whether a descriptor is ready to be read, or written.
    virtual bool is_ready(int descriptor, bool to_read) noexcept = 0;
    /// Closes any descriptor.
    virtual void close(int descriptor) noexcept = 0;
    /// Fills bytes with what stands for the system's random ones.
    virtual void fill_randomly(std::span<std::byte> bytes) noexcept = 0;
    /// Gives the address of a host by its name.
    virtual std::optional<net::endpoint> look_up(const std::string& host) = 0;

protected:
    ~socket_calls() = default;
};

/// The sockets of the simulated host that this thread runs, or null: the kernel's.
extern constinit thread_local socket_calls* this_thread_sockets;

namespace calls {

/// Gives a result as the system's functions do.
template <typename Result>
[[nodiscard]] Result as_system(Result result) noexcept {
    if (result >= 0) { return result; }
    errno = static_cast<int>(-result);
    return -1;
}

inline int socket(int family, int type, int protocol) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        return as_system(simulated->socket(family, type));
    }
    return ::socket(family, type, protocol);
}
inline int socketpair(int family, int type, int protocol, int* made) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        return as_system(simulated->socketpair(family, type, made));
    }
    return ::socketpair(family, type, protocol, made);
}
inline int bind(int descriptor, const sockaddr* address, socklen_t bytes) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        return as_system(simulated->bind(descriptor, address, bytes));
    }
    return ::bind(ordinary_descriptor(descriptor).get(), address, bytes);
}
inline int listen(int descriptor, int backlog) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        return as_system(simulated->listen(descriptor, backlog));
    }
    return ::listen(ordinary_descriptor(descriptor).get(), backlog);
}
inline int connect(int descriptor, const sockaddr* address, socklen_t bytes) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        return as_system(simulated->connect(descriptor, address, bytes));
    }
    return ::connect(ordinary_descriptor(descriptor).get(), address, bytes);
}
inline int getsockname(int descriptor, sockaddr* address, socklen_t* bytes) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        return as_system(simulated->getsockname(descriptor, address, bytes));
    }
    return ::getsockname(ordinary_descriptor(descriptor).get(), address, bytes);
}
inline int getpeername(int descriptor, sockaddr* address, socklen_t* bytes) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        return as_system(simulated->getpeername(descriptor, address, bytes));
    }
    return ::getpeername(ordinary_descriptor(descriptor).get(), address, bytes);
}
inline int setsockopt(int descriptor, int level, int option, const void* value,
                      socklen_t bytes) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        return as_system(simulated->setsockopt(descriptor, level, option, value, bytes));
    }
    return ::setsockopt(ordinary_descriptor(descriptor).get(), level, option, value, bytes);
}
inline int getsockopt(int descriptor, int level, int option, void* value,
                      socklen_t* bytes) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        return as_system(simulated->getsockopt(descriptor, level, option, value, bytes));
    }
    return ::getsockopt(ordinary_descriptor(descriptor).get(), level, option, value, bytes);
}
inline int shutdown(int descriptor, int how) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        return as_system(simulated->shutdown(descriptor, how));
    }
    return ::shutdown(ordinary_descriptor(descriptor).get(), how);
}
inline ssize_t sendmsg(int descriptor, const msghdr* message, int flags) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        return as_system(simulated->sendmsg(descriptor, message));
    }
    return ::sendmsg(descriptor, message, flags);
}
inline ssize_t recvmsg(int descriptor, msghdr* message, int flags) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        return as_system(simulated->recvmsg(descriptor, message, flags));
    }
    return ::recvmsg(descriptor, message, flags);
}
inline ssize_t send(int descriptor, const void* bytes, std::size_t count, int flags) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        iovec part{const_cast<void*>(bytes), count};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        return as_system(simulated->sendmsg(descriptor, &message));
    }
    return ::send(descriptor, bytes, count, flags);
}
inline ssize_t recv(int descriptor, void* bytes, std::size_t count, int flags) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        iovec part{bytes, count};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        return as_system(simulated->recvmsg(descriptor, &message, flags));
    }
    return ::recv(descriptor, bytes, count, flags);
}
/// Closes a descriptor that no operation uses.
inline void close(int descriptor) noexcept {
    if (auto* const simulated = this_thread_sockets) [[unlikely]] {
        simulated->close(descriptor);
    } else if (is_direct(descriptor)) [[unlikely]] {
        drop_direct(descriptor);
    } else {
        ::close(descriptor);
    }
}

}  // namespace calls

}  // namespace heph::rt::detail
