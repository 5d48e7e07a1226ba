#include "sync_threads.hpp"

#include <system_error>
#include <utility>

#include "coordinator.hpp"
#include "runtime_core.hpp"

namespace heph::rt::detail {

sync_threads::~sync_threads() {
    // None runs: each keeps the core. That may go on the thread that ended last.
    if (!last_) { return; }
    if (last_->is_current()) {
        last_->detach();
    } else {
        last_->join();
    }
}

void sync_threads::configure(const std::string& runtime_name, bool handles_signals,
                             bool pins_workers, std::shared_ptr<trace_log> trace) {
    trace_ = std::move(trace);
    default_name_ = runtime_name.substr(0, 13) + "-s";
    handles_signals_ = handles_signals;
    cpus_ = thread_cpus::of_this_thread(pins_workers);
}

std::expected<void, std::error_code> sync_threads::start(std::string name, std::size_t stack_size,
                                                         std::unique_ptr<sync_main> main) {
    if (refused_) { return std::unexpected(make_error_code(std::errc::operation_not_supported)); }
    std::string thread_name = name.empty() ? default_name_ : name;
    // Signals are the coordinator's: a thread begins with the mask of who starts it.
    std::optional<blocked_signals> blocked;
    if (handles_signals_) { blocked.emplace(); }
    // Held meanwhile: one that is faster waits in `leave` until its handle is here.
    const std::lock_guard lock(mutex_);
    running_.push_back({std::move(name), std::nullopt, main.get()});
    const auto place = std::prev(running_.end());
    main->place = place;
    auto started =
        heph::detail::os_thread::start(std::move(thread_name), stack_size, std::move(main));
    if (!started) {
        running_.erase(place);
        return std::unexpected(started.error());
    }
    place->thread.emplace(std::move(*started));
    return {};
}

void sync_threads::enter() const noexcept {
    if (handles_signals_) { block_write_signals(); }  // As on workers, which do in any case.
    cpus_.apply();
}

void sync_threads::forget_actor(std::list<sync_entry>::iterator place) noexcept {
    const std::lock_guard lock(mutex_);
    place->main = nullptr;
}

void sync_threads::describe(std::vector<process_snapshot>& into) {
    const std::lock_guard lock(mutex_);
    for (const sync_entry& each : running_) {
        if (each.main == nullptr) { continue; }
        const actor_counts counts = each.main->counts();
        process_snapshot described;
        described.name = each.name;
        described.state = process_state::on_own_thread;
        described.run_time = each.thread->cpu_time();
        described.inbox_depth = counts.queued;
        described.received = counts.received;
        described.restarts = counts.restarts;
        into.push_back(std::move(described));
    }
}

void sync_threads::leave(std::list<sync_entry>::iterator place) noexcept {
    std::optional<heph::detail::os_thread> before;
    std::list<sync_entry> ended;
    {
        const std::lock_guard lock(mutex_);
        ended.splice(ended.end(), running_, place);
        if (!left_alone_) {
            if (last_) { before.emplace(std::move(*last_)); }
            last_.emplace(std::move(*place->thread));
        }
        one_ended_.notify_all();
    }
    if (before) { before->join(); }
}

std::vector<std::string> sync_threads::wait_until(std::chrono::steady_clock::time_point until) {
    std::vector<std::string> names;
    {
        std::unique_lock lock(mutex_);
        if (!one_ended_.wait_until(lock, until, [this] { return running_.empty(); })) {
            left_alone_ = true;
            for (sync_entry& each : running_) {
                each.thread->detach();
                names.push_back(each.name);
            }
        }
    }
    join_last();
    return names;
}

void sync_threads::join_last() noexcept {
    std::optional<heph::detail::os_thread> last;
    {
        const std::lock_guard lock(mutex_);
        if (!last_) { return; }
        last.emplace(std::move(*last_));
        last_.reset();
    }
    last->join();
}

// What the header needs.

std::expected<void, std::error_code> start_sync(const std::shared_ptr<runtime_core>& runtime,
                                                std::string name, std::size_t stack_size,
                                                std::unique_ptr<sync_main> main) {
    if (!runtime->add_reason_unless_finished()) {
        return std::unexpected(std::make_error_code(std::errc::operation_canceled));
    }
    main->runtime = runtime;
    try {
        auto started = runtime->sync().start(std::move(name), stack_size, std::move(main));
        if (!started) { runtime->drop_reason(); }
        return started;
    } catch (...) {
        runtime->drop_reason();
        throw;
    }
}

sync_main::~sync_main() = default;

void sync_main::run() noexcept {
    runtime->sync().enter();
    const heph::detail::thread_stop stop(runtime->sync().stop());
    {
        const sync_trace traced(runtime->sync().trace(), runtime->sync().next_stream(),
                                reinterpret_cast<std::uintptr_t>(this), place->name);
        run_actor();
        runtime->sync().forget_actor(place);
        destroy_actor();
    }
    runtime->sync().leave(place);
    runtime->drop_reason();
}

}  // namespace heph::rt::detail
