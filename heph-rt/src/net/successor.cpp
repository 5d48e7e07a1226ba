#include <heph/rt/net/successor.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "../child_process.hpp"
#include "../child_signals.hpp"
#include "predecessor.hpp"

extern char** environ;  // NOLINT: the environment has no other name.

namespace heph::rt::net {

namespace {

constexpr int first_descriptor = 3;  // As systemd has it: sd_listen_fds(3).

std::error_code system_code(int number) noexcept { return {number, std::system_category()}; }

// Descriptors for the child, at numbers that the child's own do not reach.
class lifted {
public:
    lifted() = default;
    lifted(const lifted&) = delete;
    lifted& operator=(const lifted&) = delete;
    ~lifted() {
        for (const int each : all_) { ::close(each); }
    }
    std::error_code add(int descriptor, int above) {
        const int copy = ::fcntl(descriptor, F_DUPFD_CLOEXEC, above);
        if (copy < 0) { return system_code(errno); }
        all_.push_back(copy);
        return {};
    }
    [[nodiscard]] const std::vector<int>& all() const noexcept { return all_; }

private:
    std::vector<int> all_;
};

// Tells whether a variable, as NAME=value, is one of those that hand sockets over.
bool hands_over(std::string_view variable) noexcept {
    constexpr std::array<std::string_view, 5> names{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
                                                    "LISTEN_PIDFDID", predecessor_variable};
    const std::string_view name = variable.substr(0, variable.find('='));
    return std::ranges::find(names, name) != names.end();
}

std::vector<std::string> make_environment(const std::vector<handed_over>& sockets) {
    std::vector<std::string> made;
    for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
        if (!hands_over(*at)) { made.emplace_back(*at); }
    }
    std::string names;
    for (const handed_over& each : sockets) { names += (names.empty() ? "" : ":") + each.name(); }
    made.push_back("LISTEN_FDS=" + std::to_string(sockets.size()));
    made.push_back("LISTEN_FDNAMES=" + names);
    made.push_back(std::string(predecessor_variable) + '=' +
                   std::to_string(first_descriptor + static_cast<int>(sockets.size())));
    return made;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> made;
    for (std::string& each : texts) { made.push_back(each.data()); }
    made.push_back(nullptr);
    return made;
}

// The actions and attributes of posix_spawn, destroyed in the end. Each step gives a positive
// errno, or 0.
class successor_request {
public:
    successor_request() noexcept {
        ::posix_spawn_file_actions_init(&actions_);
        ::posix_spawnattr_init(&attributes_);
    }
    successor_request(const successor_request&) = delete;
    successor_request& operator=(const successor_request&) = delete;
    ~successor_request() {
        ::posix_spawn_file_actions_destroy(&actions_);
        ::posix_spawnattr_destroy(&attributes_);
    }

    [[nodiscard]] int reset_signals() noexcept {
        return ::posix_spawnattr_setflags(&attributes_, detail::reset_signals(attributes_));
    }

    [[nodiscard]] int place(const std::vector<int>& descriptors) noexcept {
        int number = first_descriptor;
        for (const int each : descriptors) {
            const int failed = ::posix_spawn_file_actions_adddup2(&actions_, each, number++);
            if (failed != 0) { return failed; }
        }
        return 0;
    }

    [[nodiscard]] int start(const char* program, char* const* arguments, char* const* environment,
                            pid_t& id) const noexcept {
        return ::posix_spawn(&id, program, &actions_, &attributes_, arguments, environment);
    }

private:
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
};

}  // namespace

std::expected<successor, std::error_code> successor::start(
    const std::vector<std::string>& command, const std::vector<handed_over>& sockets) {
    for (const handed_over& each : sockets) {
        if (each.name().find(':') != std::string::npos || each.name().empty()) {
            return std::unexpected(std::make_error_code(std::errc::invalid_argument));
        }
    }
    std::array<int, 2> line{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line.data()) != 0) {
        return std::unexpected(system_code(errno));
    }
    unix_stream ours{socket_handle(line[0])};
    lifted theirs;
    const int above = first_descriptor + static_cast<int>(sockets.size()) + 1;
    std::error_code failed;
    for (const handed_over& each : sockets) {
        if (!failed) { failed = theirs.add(each.descriptor(), above); }
    }
    if (!failed) { failed = theirs.add(line[1], above); }
    ::close(line[1]);
    if (failed) { return std::unexpected(failed); }

    std::vector<std::string> arguments = command;
    std::vector<std::string> environment = make_environment(sockets);
    const std::vector<char*> argument_pointers = pointers_to(arguments);
    const std::vector<char*> environment_pointers = pointers_to(environment);
    successor_request request;
    pid_t id = -1;
    int number = request.reset_signals();
    if (number == 0) { number = request.place(theirs.all()); }
    if (number == 0) {
        detail::keep_ended_children();
        number = request.start(command.front().c_str(), argument_pointers.data(),
                               environment_pointers.data(), id);
    }
    if (number != 0) { return std::unexpected(system_code(number)); }
    descriptor_handle process = detail::hold_child(id, number);
    if (!process.is_open()) { return std::unexpected(system_code(number)); }
    return successor(id, std::move(process), std::move(ours));
}

successor& successor::operator=(successor&& other) noexcept {
    successor old(std::move(*this));
    process_id_ = other.process_id_;
    process_ = std::move(other.process_);
    line_ = std::move(other.line_);
    return *this;
}

successor::~successor() {
    if (process_.is_open()) { detail::reap_in_background(std::move(process_)); }
}

task<bool> successor::wait_until_ready() {
    const auto word = co_await line_.next();
    co_return word && !word->empty();
}

void tell_predecessor() noexcept {
    const char* text = std::getenv(predecessor_variable);
    if (text == nullptr) { return; }
    int descriptor = -1;
    const char* end = text + std::strlen(text);
    const auto [at, failed] = std::from_chars(text, end, descriptor);
    const bool good = failed == std::errc() && at == end && descriptor >= first_descriptor;
    ::unsetenv(predecessor_variable);
    if (!good) { return; }
    constexpr char word = '1';
    (void)::send(descriptor, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    ::close(descriptor);
}

}  // namespace heph::rt::net
