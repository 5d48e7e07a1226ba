#include "etcd/process_mark.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fstream>
#include <sstream>
#include <vector>

#include <unistd.h>

namespace heph::remote::etcd::detail {

namespace {

std::string boot_of_this_machine() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string boot;
    file >> boot;
    return boot;
}

std::string link_of(const char* path) {
    std::array<char, 64> text{};
    const ssize_t size = ::readlink(path, text.data(), text.size());
    return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : std::string();
}

// Pids mean nothing in other namespaces, nor do times.
std::string own_namespaces() {
    return link_of("/proc/self/ns/pid") + ',' + link_of("/proc/self/ns/time");
}

// What /proc says of a process (proc(5), /proc/[pid]/stat).
struct process_state {
    char state = '?';
    std::string threads;
    std::string began;
};

std::optional<process_state> state_of(::pid_t process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string line;
    if (!std::getline(file, line)) { return std::nullopt; }
    // The name, in parentheses, may have anything in it.
    const auto name_end = line.rfind(')');
    if (name_end == std::string::npos) { return std::nullopt; }
    std::istringstream rest(line.substr(name_end + 1));
    std::vector<std::string> fields;
    for (std::string field; rest >> field;) { fields.push_back(std::move(field)); }
    // The first one here is the third one there.
    constexpr std::size_t threads_at = 20 - 3;
    constexpr std::size_t began_at = 22 - 3;
    if (fields.size() <= began_at || fields[0].size() != 1) { return std::nullopt; }
    return process_state{fields[0][0], fields[threads_at], fields[began_at]};
}

}  // namespace

std::optional<process_mark> process_mark::of(::pid_t process) {
    process_mark made;
    made.boot_ = boot_of_this_machine();
    made.namespaces_ = own_namespaces();
    made.process_ = process;
    const auto state = state_of(process);
    if (!state || made.boot_.empty() || made.namespaces_.size() <= 1) { return std::nullopt; }
    made.began_ = state->began;
    return made;
}

std::optional<process_mark> process_mark::own() { return of(::getpid()); }

std::optional<process_mark> process_mark::parse(std::string_view text) {
    std::istringstream words{std::string(text)};
    process_mark read;
    std::string pid;
    std::string more;
    if (!(words >> read.boot_ >> read.namespaces_ >> pid >> read.began_)) { return std::nullopt; }
    if (words >> read.lock_ && (!read.lock_.contains(':') || words >> more)) {
        return std::nullopt;
    }
    const auto [end, failed] = std::from_chars(pid.data(), pid.data() + pid.size(), read.process_);
    if (failed != std::errc() || end != pid.data() + pid.size() || read.process_ <= 0) {
        return std::nullopt;
    }
    return read;
}

std::string process_mark::to_string() const {
    std::string text = boot_ + ' ' + namespaces_ + ' ' + std::to_string(process_) + ' ' + began_;
    if (!lock_.empty()) { text += ' ' + lock_; }
    return text;
}

// A lock is one of its machine, as long as that runs. What has none of it says nothing.
bool process_mark::is_followed_by(const process_mark& holder) const {
    const bool is_other =
        namespaces_ != holder.namespaces_ || process_ != holder.process_ || began_ != holder.began_;
    return is_other && !lock_.empty() && lock_ == holder.lock_ && boot_ == holder.boot_;
}

bool process_mark::is_near() const {
    return boot_ == boot_of_this_machine() && namespaces_ == own_namespaces();
}

bool process_mark::has_ended() const {
    if (!is_near()) { return false; }
    // /proc may hide the processes of others; this does not.
    if (::kill(process_, 0) != 0 && errno == ESRCH) { return true; }
    const auto state = state_of(process_);
    if (!state) { return false; }
    // Its pid is another one's, or it waits to be taken note of, and runs no more: without the
    // first of its threads the others may.
    return state->began != began_ ||
           ((state->state == 'Z' || state->state == 'X') && state->threads == "1");
}

}  // namespace heph::remote::etcd::detail
