#include <heph/rt/systemd.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <heph/core/either.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "net/predecessor.hpp"
#include "system_call.hpp"

namespace heph::rt::systemd {

namespace {

using detail::last_error;

constexpr int first_descriptor = 3;  // SD_LISTEN_FDS_START.
constexpr int descriptors_max = 4096;

std::error_code invalid() noexcept { return std::make_error_code(std::errc::invalid_argument); }

std::string_view variable(const char* name) noexcept {
    const char* value = std::getenv(name);
    return value != nullptr ? value : std::string_view();
}

template <typename Number>
std::optional<Number> number(std::string_view text) noexcept {
    Number value{};
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed != std::errc() || end != text.data() + text.size()) { return {}; }
    return value;
}

bool is_us(std::string_view process) noexcept { return number<pid_t>(process) == ::getpid(); }

// Without a process they are those of somebody above, who passed his environment on, or come from a
// predecessor, which cannot know the number.
bool sockets_are_for_us() noexcept {
    const std::string_view process = variable("LISTEN_PID");
    return process.empty() ? !variable(net::predecessor_variable).empty() : is_us(process);
}

bool watchdog_is_for_us() noexcept {
    const std::string_view process = variable("WATCHDOG_PID");
    return process.empty() || is_us(process);
}

std::vector<std::string> split_names(std::string_view text) {
    std::vector<std::string> names;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(':'), text.size());
        names.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return names;
}

}  // namespace

struct notifier::state {
    int descriptor = -1;
    sockaddr_un address{};
    socklen_t bytes = 0;

    state() = default;
    state(const state&) = delete;
    state& operator=(const state&) = delete;
    ~state() {
        if (descriptor >= 0) { ::close(descriptor); }
    }
};

std::expected<notifier, std::error_code> notifier::from_environment() {
    notifier made;
    const std::string_view path = variable("NOTIFY_SOCKET");
    if (!path.empty()) {
        auto shared = std::make_shared<state>();
        sockaddr_un& address = shared->address;
        if (path.starts_with("vsock")) {
            return std::unexpected(std::make_error_code(std::errc::address_family_not_supported));
        }
        const bool is_name = path.front() == '/' || path.front() == '@';
        if (!is_name || path.size() < 2 || path.size() >= sizeof(address.sun_path)) {
            return std::unexpected(invalid());
        }
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        if (path.front() == '@') { address.sun_path[0] = '\0'; }
        // The name's zero byte counts for a path only.
        shared->bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() +
                                               (path.front() == '/' ? 1 : 0));
        shared->descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (shared->descriptor < 0) { return std::unexpected(last_error()); }
        made.state_ = std::move(shared);
    }
    const auto interval = number<std::int64_t>(variable("WATCHDOG_USEC"));
    if (interval && *interval > 0 && watchdog_is_for_us() && made.state_) {
        made.watchdog_ = std::chrono::microseconds(*interval);
    }
    return made;
}

std::error_code notifier::send(std::string_view assignments) const {
    if (!state_) { return {}; }
    const ssize_t sent = ::sendto(
        state_->descriptor, assignments.data(), assignments.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
        reinterpret_cast<const sockaddr*>(&state_->address), state_->bytes);
    return sent < 0 ? last_error() : std::error_code();
}

std::error_code notifier::reloading() const {
    // The time tells a Type=notify-reload service's manager which reload is meant.
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const std::int64_t microseconds = std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
    return send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds));
}

std::error_code notifier::status(std::string_view text) const {
    std::string line = "STATUS=";
    line += text;
    std::ranges::replace(line, '\n', ' ');
    return send(line);
}

task<> keep_watchdog(notifier notify, std::function<task<bool>()> check) {
    rt::stopping stop;
    const auto interval = notify.watchdog_interval();
    while (interval) {
        bool alive = true;
        if (check) {
            auto checking = check();
            auto first = co_await either(checking, stop);
            if (first.index() == 1) { break; }
            alive = std::get<0>(first);
        }
        if (alive) { (void)notify.alive(); }
        const auto half = std::max(std::chrono::duration_cast<clock::duration>(*interval / 2),
                                   clock::duration(std::chrono::milliseconds(1)));
        auto paused = co_await either(rt::timer(half), stop);
        if (paused.index() == 1) { break; }
    }
    if (!interval) { co_await stop; }
    (void)notify.stopping();
}

std::expected<std::vector<inherited_socket>, std::error_code> inherited_sockets() {
    std::vector<inherited_socket> found;
    const std::string count_text(variable("LISTEN_FDS"));
    const std::string names_text(variable("LISTEN_FDNAMES"));
    if (count_text.empty() || !sockets_are_for_us()) { return found; }
    for (const char* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID"}) {
        ::unsetenv(name);
    }
    const auto count = number<int>(count_text);
    if (!count || *count < 0 || *count > descriptors_max) { return std::unexpected(invalid()); }
    const std::vector<std::string> names = split_names(names_text);
    if (!names.empty() && names.size() != static_cast<std::size_t>(*count)) {
        return std::unexpected(invalid());
    }
    for (int i = 0; i < *count; ++i) {
        const int descriptor = first_descriptor + i;
        const int flags = ::fcntl(descriptor, F_GETFD);
        if (flags < 0) { return std::unexpected(last_error()); }
        (void)::fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC);
        found.emplace_back(names.empty() ? "unknown" : names[static_cast<std::size_t>(i)],
                           net::socket_handle(descriptor));
    }
    return found;
}

}  // namespace heph::rt::systemd
