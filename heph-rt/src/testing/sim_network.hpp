#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/rt/testing/network_conditions.hpp>
#include <heph/rt/testing/simulation.hpp>
#include <heph/rt/time_source.hpp>

#include "sim_random.hpp"
#include "sim_socket.hpp"

namespace heph::rt::detail {

class sim_host;

/// What the hosts of a simulation share: the time, the seed's numbers, the sockets, what is on its
/// way between them, and the trace.
///
/// Everything that happens later is an event: a function that runs when its time has come. Events
/// of the same time run in the order in which they were made.
///
/// Invariants
///     1. The time never goes back, and goes on only when nothing is left to be done at it.
///     2. Whatever may differ between two runs comes from `random`, and nothing is asked for in an
///        order that depends on addresses in memory.
///
/// *Thread safety*: unsafe.
class sim_network {
public:
    using duration = clock::duration;
    using time_point = clock::time_point;

    explicit sim_network(const testing::simulation_options& options);
    sim_network(const sim_network&) = delete;
    sim_network& operator=(const sim_network&) = delete;
    ~sim_network();

    // Time.
    [[nodiscard]] time_point now() const noexcept { return now_; }
    [[nodiscard]] time_point start() const noexcept { return start_; }
    void advance_to(time_point when) noexcept;
    void after(duration delay, std::move_only_function<void()> what);
    [[nodiscard]] std::optional<time_point> next_event() const;
    /// Runs the events whose time has come.
    void run_due();

    [[nodiscard]] sim_random& random() noexcept { return random_; }
    [[nodiscard]] const testing::simulation_options& options() const noexcept { return options_; }
    void set_faults(const testing::fault_rates& rates) noexcept { options_.faults = rates; }

    // The trace.
    void note(const sim_host* host, std::string_view what);
    [[nodiscard]] std::uint64_t fingerprint() const noexcept { return fingerprint_; }
    [[nodiscard]] const std::deque<std::string>& lines() const noexcept { return lines_; }

    // Hosts and links.
    void add_host(sim_host& host) { hosts_.push_back(&host); }
    [[nodiscard]] sim_host* find_host(const net::endpoint& address) const noexcept;
    [[nodiscard]] sim_host* find_host(std::string_view name) const noexcept;
    void block(const sim_host& from, const sim_host& to);
    void unblock(const sim_host& from, const sim_host& to);
    void unblock_all() noexcept { blocked_.clear(); }
    void set_link(const sim_host& one, const sim_host& other, const testing::link_conditions& how);
    /// Resets every connection between two hosts.
    void reset_between(const sim_host& one, const sim_host& other);
    /// Forgets all sockets of a host, of which nobody is told.
    void forget_sockets_of(const sim_host& host);

    // Sockets.
    [[nodiscard]] sim_socket& make_socket(sim_host& host, int family, int type);
    [[nodiscard]] sim_socket* find(std::uint32_t id) noexcept;
    [[nodiscard]] sim_socket* find_descriptor(int descriptor) noexcept;
    /// Gives the one that takes what comes to an address of a host, or null.
    [[nodiscard]] sim_socket* find_bound(const sim_host& host, int type, const net::endpoint& at,
                                         const net::endpoint* from = nullptr) noexcept;
    [[nodiscard]] sim_socket* find_named(const sim_host& host, const std::string& name) noexcept;
    /// Tells whether an address is another socket's.
    [[nodiscard]] bool is_taken(const sim_socket& by) noexcept;

    // Streams; a negative errno when they fail.
    [[nodiscard]] int connect(sim_socket& from, sim_host& to);
    [[nodiscard]] int connect_unix(sim_socket& from);
    void join(sim_socket& one, sim_socket& other);
    [[nodiscard]] std::ptrdiff_t send(sim_socket& from, std::span<const std::byte> bytes);
    [[nodiscard]] std::ptrdiff_t receive(sim_socket& at, std::span<std::byte> into);
    void end_sending(sim_socket& from);
    void close(sim_socket& closed);
    [[nodiscard]] std::size_t room(const sim_socket& from) noexcept;

    /// Sends a datagram, which may be lost.
    void send_datagram(sim_socket& from, const net::endpoint& to, std::span<const std::byte> bytes);

    void forget(std::uint32_t id) { sockets_.erase(id); }

private:
    struct event {
        time_point when;
        std::uint64_t number;
        std::shared_ptr<std::move_only_function<void()>> what;
        bool operator>(const event& other) const noexcept {
            return when != other.when ? when > other.when : number > other.number;
        }
    };

    [[nodiscard]] const testing::link_conditions& link(const sim_host& from,
                                                       const sim_host& to) const noexcept;
    [[nodiscard]] bool passes(const sim_host& from, const sim_host& to) noexcept;
    [[nodiscard]] duration latency(const sim_host& from, const sim_host& to, int family) noexcept;

    void begin_handshake(std::uint32_t id);
    void knock(std::uint32_t id);
    void knock_again(sim_socket& from);
    void answer(std::uint32_t id, std::uint32_t accepted);
    void refuse(std::uint32_t id);
    void wait_to_be_accepted(std::uint32_t id);
    void pump(sim_socket& from);
    void deliver(std::uint32_t id);
    void hand_over(sim_socket& from, sim_socket* to, sim_piece piece);
    void fail(sim_socket& failed, int error);
    void send_reset(sim_socket& from);
    void send_reset_to(const sim_host& from, std::uint32_t to);
    void drop_waiting(sim_socket& listener);
    static void wake(const sim_socket& ready);

    testing::simulation_options options_;
    sim_random random_;
    time_point start_;
    time_point now_;
    std::uint64_t events_ = 0;
    std::priority_queue<event, std::vector<event>, std::greater<>> queue_;
    std::vector<sim_host*> hosts_;
    std::set<std::pair<std::size_t, std::size_t>> blocked_;
    std::map<std::pair<std::size_t, std::size_t>, testing::link_conditions> links_;
    std::map<std::uint32_t, std::unique_ptr<sim_socket>> sockets_;
    std::uint32_t last_socket_ = 0;
    std::uint64_t fingerprint_ = 0xcbf2'9ce4'8422'2325U;
    std::deque<std::string> lines_;
};

}  // namespace heph::rt::detail
