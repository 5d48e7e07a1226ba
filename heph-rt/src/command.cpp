#include <heph/rt/command.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>

#include <heph/rt/error.hpp>

#include "child_process.hpp"
#include "child_signals.hpp"
#include "readiness_call.hpp"
#include "system_call.hpp"
#include "worker_core.hpp"

namespace heph::rt {

namespace detail {

/// What a command collects, and what starting it takes.
struct spawn_plan {
    struct passed {
        descriptor_handle descriptor;
        int number;
    };

    std::string program;
    std::vector<std::string> arguments;
    std::vector<std::string> environment;  // Each as NAME=value.
    bool own_environment = false;
    bool odd_variable = false;  // A name that no variable can have was given.
    std::string directory;
    std::array<stdio, 3> streams{stdio::inherit(), stdio::inherit(), stdio::inherit()};
    std::vector<passed> extra;
    bool kill_on_drop = true;
    short flags = 0;

    [[nodiscard]] std::error_code check() const noexcept;
    [[nodiscard]] std::error_code open_pipes(std::array<descriptor_handle, 3>& ours);
    [[nodiscard]] bool is_null(std::size_t stream) const noexcept {
        return streams[stream].kind_ == stdio::kind::null;
    }
    [[nodiscard]] int source(std::size_t stream) const noexcept {
        return streams[stream].descriptor_.get();
    }
    void own_the_environment();
};

}  // namespace detail

namespace {

using detail::child_process;
using detail::io_call;
using detail::spawn_plan;
using detail::system_error;

constexpr int number_max = 255;

bool has_zero(const std::string& text) noexcept { return text.find('\0') != std::string::npos; }

/// The actions and attributes of posix_spawn, destroyed in the end.
class spawn_request {
public:
    spawn_request() noexcept {
        ::posix_spawn_file_actions_init(&actions_);
        ::posix_spawnattr_init(&attributes_);
    }
    spawn_request(const spawn_request&) = delete;
    spawn_request& operator=(const spawn_request&) = delete;
    ~spawn_request() {
        ::posix_spawn_file_actions_destroy(&actions_);
        ::posix_spawnattr_destroy(&attributes_);
    }

    // Each gives a positive errno, or 0.

    [[nodiscard]] int set_attributes(short flags) noexcept {
        int all = flags | detail::reset_signals(attributes_);
        // The leader of a session leads a process group, and may not be given one.
        if ((all & POSIX_SPAWN_SETSID) != 0) { all &= ~POSIX_SPAWN_SETPGROUP; }
        return ::posix_spawnattr_setflags(&attributes_, static_cast<short>(all));
    }

    [[nodiscard]] int set_descriptors(const spawn_plan& plan) {
        int highest = 2;
        for (const auto& each : plan.extra) { highest = std::max(highest, each.number); }
        std::vector<bool> used(static_cast<std::size_t>(highest) + 1);
        for (std::size_t stream = 0; stream < plan.streams.size(); ++stream) {
            used[stream] = true;
            const int number = static_cast<int>(stream);
            int failed = 0;
            if (plan.is_null(stream)) {
                failed =
                    ::posix_spawn_file_actions_addopen(&actions_, number, "/dev/null", O_RDWR, 0);
            } else if (plan.source(stream) >= 0) {
                failed = place(plan.source(stream), number, highest);
            }
            if (failed != 0) { return failed; }
        }
        for (const auto& each : plan.extra) {
            used[static_cast<std::size_t>(each.number)] = true;
            if (const int failed = place(each.descriptor.get(), each.number, highest)) {
                return failed;
            }
        }
        for (int number = 3; number < highest; ++number) {
            if (used[static_cast<std::size_t>(number)]) { continue; }
            const int failed = ::posix_spawn_file_actions_addclose(&actions_, number);
            if (failed != 0) { return failed; }
        }
        return ::posix_spawn_file_actions_addclosefrom_np(&actions_, highest + 1);
    }

    [[nodiscard]] int set_directory(const std::string& path) noexcept {
        return path.empty() ? 0 : ::posix_spawn_file_actions_addchdir_np(&actions_, path.c_str());
    }

    [[nodiscard]] int start(const spawn_plan& plan, int& id) const {
        std::vector<char*> arguments = pointers(plan.arguments, &plan.program);
        std::vector<char*> environment = pointers(plan.environment, nullptr);
        return ::posix_spawnp(&id, plan.program.c_str(), &actions_, &attributes_, arguments.data(),
                              plan.own_environment ? environment.data() : environ);
    }

private:
    // Gives a descriptor a number in the child. It is copied here first, to beyond all numbers in
    // use: so the order of the copies in the child does not matter.
    [[nodiscard]] int place(int descriptor, int number, int highest) {
        const int copy = ::fcntl(descriptor, F_DUPFD_CLOEXEC, highest + 1);
        if (copy < 0) { return errno; }
        copies_.emplace_back(copy);
        return ::posix_spawn_file_actions_adddup2(&actions_, copy, number);
    }

    static std::vector<char*> pointers(const std::vector<std::string>& texts,
                                       const std::string* first) {
        std::vector<char*> made;
        made.reserve(texts.size() + 2);
        if (first != nullptr) { made.push_back(const_cast<char*>(first->c_str())); }
        for (const std::string& each : texts) { made.push_back(const_cast<char*>(each.c_str())); }
        made.push_back(nullptr);
        return made;
    }

    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
    std::vector<descriptor_handle> copies_;
};

/// Starts a child, on a thread: the system calls may take their time, exec above all.
class spawn_call final : public io_call {
public:
    spawn_call(std::unique_ptr<spawn_plan> plan, std::array<descriptor_handle, 3> ours) noexcept
        : io_call(-1, waits::on_thread, false), plan_(std::move(plan)), ours_(std::move(ours)) {}

    [[nodiscard]] std::int32_t perform() noexcept override {
        try {
            return -spawn();
        } catch (const std::bad_alloc&) { return -ENOMEM; }
    }

    [[nodiscard]] child take() {
        return child(std::move(process_), byte_writer(std::move(ours_[0])),
                     byte_reader(std::move(ours_[1])), byte_reader(std::move(ours_[2])));
    }

private:
    int spawn() {
        spawn_request request;
        int failed = request.set_attributes(plan_->flags);
        if (failed == 0) { failed = request.set_descriptors(*plan_); }
        // Of numbers alone, which are beyond what the process may have open.
        if (failed == EBADF) { failed = EMFILE; }
        if (failed == 0) { failed = request.set_directory(plan_->directory); }
        int id = -1;
        if (failed == 0) {
            detail::keep_ended_children();
            failed = request.start(*plan_, id);
        }
        if (failed != 0) { return failed; }
        descriptor_handle process = detail::hold_child(id, failed);
        if (!process.is_open()) { return failed; }
        process_ = std::make_shared<child_process>(id, std::move(process), plan_->kill_on_drop);
        plan_.reset();  // The child has its descriptors.
        return 0;
    }

    std::unique_ptr<spawn_plan> plan_;
    std::array<descriptor_handle, 3> ours_;
    std::shared_ptr<child_process> process_;
};

std::expected<child, std::error_code> take_child(io_call& call, std::int32_t /*result*/) {
    return static_cast<spawn_call&>(call).take();
}

/// Waits until a child has ended.
class wait_call final : public detail::readable_call {
public:
    explicit wait_call(std::shared_ptr<child_process> process) noexcept
        : readable_call(process->descriptor()), process_(std::move(process)) {}

    [[nodiscard]] child_process& process() noexcept { return *process_; }

private:
    std::shared_ptr<child_process> process_;
};

std::expected<exit_status, std::error_code> take_status(io_call& call, std::int32_t /*result*/) {
    auto ended = static_cast<wait_call&>(call).process().collect();
    if (!ended) { return std::unexpected(ended.error()); }
    // It was readable: it has ended.
    if (!*ended) { return std::unexpected(std::make_error_code(std::errc::no_child_process)); }
    return **ended;
}

}  // namespace

namespace detail {

std::error_code spawn_plan::check() const noexcept {
    const auto invalid = std::make_error_code(std::errc::invalid_argument);
    if (program.empty()) { return std::make_error_code(std::errc::no_such_file_or_directory); }
    if (has_zero(program) || has_zero(directory)) { return invalid; }
    if (std::ranges::any_of(arguments, has_zero) || std::ranges::any_of(environment, has_zero)) {
        return invalid;
    }
    if (odd_variable) { return invalid; }
    for (const stdio& each : streams) {
        if (each.kind_ == stdio::kind::descriptor && !each.descriptor_.is_open()) {
            return make_error_code(errc::closed);
        }
    }
    std::array<bool, number_max + 1> used{};
    for (const passed& each : extra) {
        if (!each.descriptor.is_open()) { return make_error_code(errc::closed); }
        if (each.number < 3 || each.number > number_max) { return invalid; }
        bool& taken = used[static_cast<std::size_t>(each.number)];
        if (std::exchange(taken, true)) { return invalid; }
    }
    return {};
}

std::error_code spawn_plan::open_pipes(std::array<descriptor_handle, 3>& ours) {
    worker_core* worker = current_worker();
    const bool by_readiness = worker != nullptr && worker->driver().kind() == driver_kind::epoll;
    for (std::size_t i = 0; i < streams.size(); ++i) {
        if (streams[i].kind_ != stdio::kind::pipe) { continue; }
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) { return system_error(errno); }
        const std::size_t theirs = i == 0 ? 0 : 1;
        streams[i].descriptor_ = descriptor_handle(ends[theirs]);
        ours[i] = descriptor_handle(ends[1 - theirs]);
        if (by_readiness) { (void)::fcntl(ours[i].get(), F_SETFL, O_NONBLOCK); }
    }
    return {};
}

void spawn_plan::own_the_environment() {
    if (std::exchange(own_environment, true)) { return; }
    for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
        environment.emplace_back(*each);
    }
}

}  // namespace detail

std::string exit_status::to_string() const {
    return (by_signal_ ? "ended by signal " : "exited with code ") + std::to_string(number_);
}

int child::id() const noexcept { return process_->id(); }

io_future<exit_status> child::wait() const {
    return {std::make_unique<wait_call>(process_), &take_status};
}

std::error_code child::signal(int number) const noexcept { return process_->signal(number); }

std::error_code child::kill() const noexcept { return signal(SIGKILL); }

void child::detach() const noexcept { process_->detach(); }

command::command(std::string program) : plan_(std::make_unique<spawn_plan>()) {
    plan_->program = std::move(program);
}
command::command(command&&) noexcept = default;
command& command::operator=(command&&) noexcept = default;
command::~command() = default;

command& command::argument(std::string value) {
    plan_->arguments.push_back(std::move(value));
    return *this;
}

command& command::arguments(std::vector<std::string> values) {
    for (std::string& each : values) { plan_->arguments.push_back(std::move(each)); }
    return *this;
}

command& command::environment(std::string name, std::string value) {
    if (name.empty() || name.find('=') != std::string::npos) { plan_->odd_variable = true; }
    remove_environment(name);
    plan_->environment.push_back(std::move(name) + '=' + value);
    return *this;
}

command& command::remove_environment(std::string name) {
    plan_->own_the_environment();
    name += '=';
    std::erase_if(plan_->environment, [&](const auto& each) { return each.starts_with(name); });
    return *this;
}

command& command::clear_environment() {
    plan_->own_environment = true;
    plan_->environment.clear();
    return *this;
}

command& command::directory(std::filesystem::path path) {
    plan_->directory = path.string();
    return *this;
}

command& command::input(stdio what) {
    plan_->streams[0] = std::move(what);
    return *this;
}

command& command::output(stdio what) {
    plan_->streams[1] = std::move(what);
    return *this;
}

command& command::error(stdio what) {
    plan_->streams[2] = std::move(what);
    return *this;
}

command& command::pass(descriptor_handle descriptor, int number) {
    plan_->extra.push_back({std::move(descriptor), number});
    return *this;
}

command& command::kill_on_drop(bool on) {
    plan_->kill_on_drop = on;
    return *this;
}

command& command::new_process_group() {
    plan_->flags |= POSIX_SPAWN_SETPGROUP;
    return *this;
}

command& command::new_session() {
    plan_->flags |= POSIX_SPAWN_SETSID;
    return *this;
}

io_future<child> command::spawn() {
    auto plan = std::exchange(plan_, std::make_unique<spawn_plan>());
    std::array<descriptor_handle, 3> ours;
    if (const auto failed = plan->check()) { return io_future<child>(failed); }
    if (const auto failed = plan->open_pipes(ours)) { return io_future<child>(failed); }
    return {std::make_unique<spawn_call>(std::move(plan), std::move(ours)), &take_child};
}

}  // namespace heph::rt
