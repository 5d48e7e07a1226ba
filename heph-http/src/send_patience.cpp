#include "send_patience.hpp"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>

namespace heph::http::detail {

namespace {

// So often a peer is looked at within the pause that it may make.
constexpr int looks_in_a_pause = 8;

std::uint64_t interval_ms(const send_bounds& bounds) noexcept {
    const auto interval = bounds.pause / looks_in_a_pause;
    return static_cast<std::uint64_t>(std::max<long long>(interval.count(), 1));
}

}  // namespace

bool alarm::passed(std::uint64_t deadline_ms, const waker& waker) {
    if (node_.armed() && node_.when <= deadline_ms) {
        node_.waker = waker;
        return false;
    }
    if (rt::detail::worker_now_ms() >= deadline_ms) { return true; }
    node_.arm(deadline_ms, waker);
    return false;
}

void send_progress::begin(std::uint64_t now_ms, send_bounds bounds) noexcept {
    bounds_ = bounds;
    began_ms_ = now_ms;
    progressed_ms_ = now_ms;
    looked_ = false;
}

bool send_progress::is_too_slow(std::uint64_t now_ms, std::optional<std::uint64_t> taken) noexcept {
    if (taken && (!looked_ || *taken != last_)) {
        if (!looked_) { first_ = *taken; }
        looked_ = true;
        last_ = *taken;
        progressed_ms_ = now_ms;
    }
    const auto pause = static_cast<std::uint64_t>(std::max<long long>(bounds_.pause.count(), 0));
    if (now_ms - progressed_ms_ >= pause) { return true; }
    if (!looked_ || bounds_.bytes_per_second_min == 0) { return false; }
    // In whole units first, as many bytes times a thousand may not fit.
    const std::uint64_t rate = bounds_.bytes_per_second_min;
    const std::uint64_t bytes = last_ - first_;
    const std::uint64_t earned_ms = bytes / rate * 1000 + bytes % rate * 1000 / rate;
    return now_ms - began_ms_ > pause + earned_ms;
}

bool send_patience::passed(int socket, alarm& wakes, const waker& waker) {
    if (!begun_) {
        begun_ = true;
        const std::uint64_t now = rt::detail::worker_coarse_ms();
        progress_.begin(now, bounds_);
        next_look_ms_ = now + interval_ms(bounds_);
    }
    while (wakes.passed(next_look_ms_, waker)) {
        const std::uint64_t now = rt::detail::worker_now_ms();
        if (progress_.is_too_slow(now, acknowledged_bytes(socket))) { return true; }
        next_look_ms_ = now + interval_ms(progress_.bounds());
    }
    return false;
}

std::optional<std::uint64_t> acknowledged_bytes(int socket) noexcept {
    tcp_info info{};
    socklen_t size = sizeof(info);
    if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) { return {}; }
    // Older kernels tell less.
    constexpr std::size_t needed =
        offsetof(tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked);
    if (size < needed) { return {}; }
    return info.tcpi_bytes_acked;
}

std::optional<std::uint64_t> accepted_bytes(int socket) noexcept {
    const auto acknowledged = acknowledged_bytes(socket);
    int waiting = 0;
    if (!acknowledged || ::ioctl(socket, SIOCOUTQ, &waiting) != 0) { return {}; }
    return *acknowledged + static_cast<std::uint64_t>(std::max(waiting, 0));
}

}  // namespace heph::http::detail
