#include "sim_network.hpp"

#include <algorithm>
#include <cstdio>

#include <heph/core/timing.hpp>

#include "sim_host.hpp"

namespace heph::rt::detail {

namespace {

constexpr std::chrono::microseconds own_latency_max{50};

// Longer ones the clock may not hold; a century is as good as never.
constexpr std::chrono::microseconds latency_most = std::chrono::years(100);

// The same in every run: not that of the system.
constexpr std::chrono::hours start_time{24};

}  // namespace

sim_network::sim_network(const testing::simulation_options& options)
    : options_(options),
      random_(options.seed),
      start_(std::chrono::duration_cast<duration>(start_time)),
      now_(start_) {
    // One that the clock cannot hold is as long as it can.
    options_.stream_patience = std::chrono::duration_cast<std::chrono::milliseconds>(
        heph::detail::to_clock(options.stream_patience));
}

sim_network::~sim_network() = default;

// Time.

void sim_network::advance_to(time_point when) noexcept { now_ = std::max(now_, when); }

void sim_network::after(duration delay, std::move_only_function<void()> what) {
    queue_.push({heph::detail::later(now_, delay), ++events_,
                 std::make_shared<std::move_only_function<void()>>(std::move(what))});
}

std::optional<sim_network::time_point> sim_network::next_event() const {
    return queue_.empty() ? std::nullopt : std::optional(queue_.top().when);
}

void sim_network::run_due() {
    while (!queue_.empty() && queue_.top().when <= now_) {
        const auto what = queue_.top().what;
        queue_.pop();
        (*what)();
    }
}

// The trace.

void sim_network::note(const sim_host* host, std::string_view what) {
    const auto elapsed = std::chrono::duration_cast<std::chrono::microseconds>(now_ - start_);
    std::array<char, 32> time{};
    std::snprintf(time.data(), time.size(), "%.6f",
                  static_cast<double>(elapsed.count()) / 1'000'000.0);
    std::string line(time.data());
    line += ' ';
    line += host != nullptr ? std::string_view(host->name()) : std::string_view("-");
    line += ' ';
    line += what;
    for (const char each : line) {  // FNV-1a.
        fingerprint_ = (fingerprint_ ^ static_cast<unsigned char>(each)) * 0x0000'0100'0000'01b3U;
    }
    if (options_.trace_lines == 0) { return; }
    if (lines_.size() == options_.trace_lines) { lines_.pop_front(); }
    lines_.push_back(std::move(line));
}

// Hosts and links.

sim_host* sim_network::find_host(const net::endpoint& address) const noexcept {
    for (sim_host* each : hosts_) {
        if (each->is_at(address)) { return each; }
    }
    return nullptr;
}

sim_host* sim_network::find_host(std::string_view name) const noexcept {
    for (sim_host* each : hosts_) {
        if (each->name() == name) { return each; }
    }
    return nullptr;
}

void sim_network::block(const sim_host& from, const sim_host& to) {
    if (&from != &to) { blocked_.emplace(from.index(), to.index()); }
}

void sim_network::unblock(const sim_host& from, const sim_host& to) {
    blocked_.erase({from.index(), to.index()});
}

void sim_network::set_link(const sim_host& one, const sim_host& other,
                           const testing::link_conditions& how) {
    links_[{one.index(), other.index()}] = how;
    links_[{other.index(), one.index()}] = how;
}

const testing::link_conditions& sim_network::link(const sim_host& from,
                                                  const sim_host& to) const noexcept {
    const auto found = links_.find({from.index(), to.index()});
    return found != links_.end() ? found->second : options_.link;
}

bool sim_network::passes(const sim_host& from, const sim_host& to) noexcept {
    if (&from == &to) { return true; }
    return to.is_up() && !blocked_.contains({from.index(), to.index()}) &&
           !random_.chance(link(from, to).loss);
}

sim_network::duration sim_network::latency(const sim_host& from, const sim_host& to,
                                           int family) noexcept {
    if (family == AF_UNIX) { return duration::zero(); }
    std::chrono::microseconds least{1};
    std::chrono::microseconds most = own_latency_max;
    if (&from != &to) {
        least = std::clamp(link(from, to).latency_min, std::chrono::microseconds(0), latency_most);
        most = std::clamp(link(from, to).latency_max, least, latency_most);
    }
    const auto choices = static_cast<std::uint64_t>((most - least).count()) + 1;
    return least + std::chrono::microseconds(random_.below(choices));
}

void sim_network::reset_between(const sim_host& one, const sim_host& other) {
    std::vector<std::uint32_t> broken;
    for (const auto& [id, each] : sockets_) {
        const bool joins = (each->host == &one && each->other_host == &other) ||
                           (each->host == &other && each->other_host == &one);
        if (joins && each->now == sim_socket::state::connected) { broken.push_back(id); }
    }
    for (const std::uint32_t id : broken) {
        if (sim_socket* const each = find(id)) { fail(*each, ECONNRESET); }
    }
}

void sim_network::forget_sockets_of(const sim_host& host) {
    std::erase_if(sockets_, [&host](const auto& each) { return each.second->host == &host; });
}

// Sockets.

sim_socket& sim_network::make_socket(sim_host& host, int family, int type) {
    auto made = std::make_unique<sim_socket>();
    made->id = ++last_socket_;
    made->host = &host;
    made->family = family;
    made->type = type;
    return *sockets_.emplace(last_socket_, std::move(made)).first->second;
}

sim_socket* sim_network::find(std::uint32_t id) noexcept {
    const auto found = sockets_.find(id);
    return found != sockets_.end() ? found->second.get() : nullptr;
}

sim_socket* sim_network::find_descriptor(int descriptor) noexcept {
    if (descriptor < sim_descriptor_base) { return nullptr; }
    sim_socket* const found = find(static_cast<std::uint32_t>(descriptor - sim_descriptor_base));
    return found != nullptr && !found->orphaned ? found : nullptr;
}

sim_socket* sim_network::find_bound(const sim_host& host, int type, const net::endpoint& at,
                                    const net::endpoint* from) noexcept {
    std::vector<sim_socket*> found;
    for (const auto& [id, each] : sockets_) {
        if (each->host != &host || each->type != type || !each->bound || each->family == AF_UNIX ||
            each->local.port() != at.port()) {
            continue;
        }
        if (type == SOCK_STREAM && each->now != sim_socket::state::listening) { continue; }
        if (!is_any_address(each->local) && !same_address(each->local, at)) { continue; }
        if (each->has_peer && (from == nullptr || !(each->peer == *from))) { continue; }
        found.push_back(each.get());
    }
    if (found.empty()) { return nullptr; }
    return found[found.size() == 1 ? 0 : random_.below(found.size())];
}

sim_socket* sim_network::find_named(const sim_host& host, const std::string& name) noexcept {
    for (const auto& [id, each] : sockets_) {
        if (each->host == &host && each->family == AF_UNIX && each->bound &&
            each->local_name == name) {
            return each.get();
        }
    }
    return nullptr;
}

bool sim_network::is_taken(const sim_socket& by) noexcept {
    for (const auto& [id, each] : sockets_) {
        if (each.get() == &by || each->host != by.host || each->type != by.type || !each->bound ||
            each->orphaned || each->local.port() != by.local.port()) {
            continue;
        }
        // What is connected shares the port of its listener, but not with another one to its peer.
        if (each->now == sim_socket::state::connected && each->peer != by.peer) { continue; }
        if (each->reuse_port && by.reuse_port) { continue; }
        if (is_any_address(each->local) || is_any_address(by.local) ||
            same_address(each->local, by.local)) {
            return true;
        }
    }
    return false;
}

void sim_network::wake(const sim_socket& ready) {
    if (!ready.orphaned) { ready.host->note_ready(ready.descriptor()); }
}

// Datagrams.

void sim_network::send_datagram(sim_socket& from, const net::endpoint& to,
                                std::span<const std::byte> bytes) {
    constexpr std::size_t queue_bytes_max = 212'992;
    sim_host* const target = is_loopback(to) ? from.host : find_host(to);
    if (target == nullptr) {
        note(from.host, "datagram to nobody at " + to.to_string());
        return;
    }
    net::endpoint sender = is_any_address(from.local) || is_loopback(to)
                               ? (is_loopback(to) ? to : from.host->address())
                               : from.local;
    sender.set_port(from.local.port());
    const int copies =
        target != from.host && random_.chance(link(*from.host, *target).duplication) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
        auto content = std::vector<std::byte>(bytes.begin(), bytes.end());
        after(
            latency(*from.host, *target, from.family),
            [this, source = from.host, target, to, sender, content = std::move(content)]() mutable {
                if (!passes(*source, *target)) {
                    note(target, "a datagram of " + sender.to_string() + " is lost");
                    return;
                }
                sim_socket* const at = find_bound(*target, SOCK_DGRAM, to, &sender);
                if (at == nullptr || at->datagram_bytes + content.size() > queue_bytes_max) {
                    note(target, "a datagram of " + sender.to_string() + " is not wanted");
                    return;
                }
                note(target, "a datagram of " + sender.to_string() + " arrives");
                at->datagram_bytes += content.size();
                at->datagrams.push_back({sender, std::move(content)});
                wake(*at);
            });
    }
}

}  // namespace heph::rt::detail
