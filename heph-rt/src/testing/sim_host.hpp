#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include <heph/rt/net/endpoint.hpp>

#include "../driver.hpp"
#include "../net/socket_calls.hpp"
#include "sim_socket.hpp"

namespace heph::rt::detail {

class sim_driver;
class sim_network;

[[nodiscard]] bool is_any_address(const net::endpoint& address) noexcept;
[[nodiscard]] bool is_loopback(const net::endpoint& address) noexcept;
/// Compares addresses without their ports.
[[nodiscard]] bool same_address(const net::endpoint& one, const net::endpoint& other) noexcept;

/// A host of a simulated network, as its kernel: it answers what programs ask of sockets.
///
/// *Thread safety*: unsafe. *Lifetime*: the network's; it outlives every worker of the host.
class sim_host final : public socket_calls, public driver_source {
public:
    sim_host(sim_network& network, std::string name, const net::endpoint& address,
             std::size_t index);
    sim_host(const sim_host&) = delete;
    sim_host& operator=(const sim_host&) = delete;
    ~sim_host();

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const net::endpoint& address() const noexcept { return address_; }
    [[nodiscard]] std::size_t index() const noexcept { return index_; }
    [[nodiscard]] bool is_at(const net::endpoint& address) const noexcept {
        return same_address(address, address_);
    }
    [[nodiscard]] sim_network& network() const noexcept { return network_; }

    // Whether it runs. One that does not keeps its name and address.
    [[nodiscard]] bool is_up() const noexcept { return up_; }
    void set_up(bool up) noexcept { up_ = up; }

    [[nodiscard]] std::unique_ptr<driver> make_driver(worker_link& link,
                                                      const driver_settings& settings) override;
    void forget_driver() noexcept { driver_ = nullptr; }
    /// Says that something happened to a descriptor.
    void note_ready(int descriptor);

    [[nodiscard]] bool knows(int descriptor) noexcept;
    /// Takes the next connection. Gives its descriptor, or a negative errno.
    [[nodiscard]] int accept(int descriptor);

    int socket(int family, int type) noexcept override;
    int socketpair(int family, int type, int* made) noexcept override;
    int bind(int descriptor, const sockaddr* address, socklen_t bytes) noexcept override;
    int listen(int descriptor, int backlog) noexcept override;
    int connect(int descriptor, const sockaddr* address, socklen_t bytes) noexcept override;
    int getsockname(int descriptor, sockaddr* address, socklen_t* bytes) noexcept override;
    int getpeername(int descriptor, sockaddr* address, socklen_t* bytes) noexcept override;
    int setsockopt(int descriptor, int level, int option, const void* value,
                   socklen_t bytes) noexcept override;
    int getsockopt(int descriptor, int level, int option, void* value,
                   socklen_t* bytes) noexcept override;
    int shutdown(int descriptor, int how) noexcept override;
    ssize_t sendmsg(int descriptor, const msghdr* message) noexcept override;
    ssize_t recvmsg(int descriptor, msghdr* message, int flags) noexcept override;
    bool is_ready(int descriptor, bool to_read) noexcept override;
    void close(int descriptor) noexcept override;
    void fill_randomly(std::span<std::byte> bytes) noexcept override;
    std::optional<net::endpoint> look_up(const std::string& host) override;

private:
    [[nodiscard]] sim_socket* find(int descriptor) noexcept;
    /// False when none is free.
    [[nodiscard]] bool bind_to_any_port(sim_socket& socket) noexcept;
    [[nodiscard]] ssize_t send_datagram(sim_socket& from, const msghdr& message);
    [[nodiscard]] ssize_t receive_datagram(sim_socket& at, msghdr& message, int flags);
    [[nodiscard]] int answer_option(const sim_socket& of, int level, int option) noexcept;

    sim_network& network_;
    std::string name_;
    net::endpoint address_;
    std::size_t index_;
    bool up_ = true;
    sim_driver* driver_ = nullptr;  // The worker's.
    std::uint16_t last_port_ = 49'151;
};

}  // namespace heph::rt::detail
