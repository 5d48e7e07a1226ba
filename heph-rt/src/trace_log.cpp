#include "trace_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <new>
#include <system_error>
#include <utility>

#include <heph/core/log.hpp>
#include <heph/rt/trace.hpp>

#include "worker_core.hpp"

namespace heph::rt {

namespace detail {

namespace {

constexpr std::size_t large_bytes = 16'384;
constexpr std::size_t pending_bytes_max = 1'048'576;

}  // namespace

std::expected<std::shared_ptr<trace_log>, error> trace_log::open(const std::string& path) {
    const auto fail = [&path](int code) {
        const std::error_code why(code, std::generic_category());
        return std::unexpected(
            error(why, "the trace file " + path + " cannot be made: " + why.message()));
    };
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0) { return fail(errno); }
    std::shared_ptr<trace_log> made(new trace_log(file));
    std::string first;
    append_trace_epoch(first, std::chrono::system_clock::now().time_since_epoch());
    if (const int code = made->write_all(first); code != 0) {
        ::unlink(path.c_str());
        return fail(code);
    }
    return made;
}

trace_log::~trace_log() { ::close(file_); }

int trace_log::write_all(std::string_view packets) noexcept {
    while (!packets.empty()) {
        const auto written = ::write(file_, packets.data(), packets.size());
        if (written < 0) {
            if (errno == EINTR) { continue; }
            return errno;
        }
        packets.remove_prefix(static_cast<std::size_t>(written));
    }
    return 0;
}

void trace_log::write(std::string_view packets) noexcept {
    const std::lock_guard lock(writing_);
    if (has_failed()) { return; }
    const int code = write_all(packets);
    if (code == 0) { return; }
    failed_.store(true, std::memory_order_relaxed);
    try {
        log(log_level::error,
            "the trace cannot be written, and ends here: " + std::generic_category().message(code));
    } catch (const std::bad_alloc&) {}  // No memory for a message.
}

void trace_stream::add(std::uint64_t substream, time_point start, std::string_view description,
                       std::span<const trace_attribute> attributes) noexcept {
    const std::uint32_t number = counter_++;
    if (log_->has_failed()) { return; }
    const std::size_t before = pending_.size();
    try {
        const auto since = [this](time_point when) {
            return std::max(std::chrono::nanoseconds(when - log_->epoch()),
                            std::chrono::nanoseconds::zero());
        };
        const auto now = std::chrono::steady_clock::now();
        append_trace_event(pending_,
                           {stream_, number, substream, since(start), since(std::max(start, now))},
                           description, attributes);
    } catch (const std::bad_alloc&) { pending_.resize(before); }
    if (pending_.size() >= pending_bytes_max) { flush(); }
}

void trace_stream::flush() noexcept {
    if (!pending_.empty()) { log_->write(pending_); }
    pending_.clear();
}

bool trace_stream::is_large() const noexcept { return pending_.size() >= large_bytes; }

bool trace_stream::flush_at_leisure(time_point now) noexcept {
    if (now - flushed_ < leisure) { return pending_.empty(); }
    flushed_ = now;
    flush();
    return true;
}

namespace {

thread_local sync_trace* trace_of_thread = nullptr;

}  // namespace

sync_trace::sync_trace(std::shared_ptr<trace_log> log, std::uint32_t stream,
                       std::uint64_t substream, std::string_view name)
    : substream_(substream), name_(name) {
    if (log == nullptr) { return; }
    stream_.emplace(std::move(log), stream);
    start_ = std::chrono::steady_clock::now();
    trace_of_thread = this;
}

sync_trace::~sync_trace() {
    if (!stream_) { return; }
    const std::array<trace_attribute, 2> attributes{trace_attribute("name", name_),
                                                    trace_attribute("finished", true)};
    stream_->add(substream_, start_, "running", attributes);
    trace_of_thread = nullptr;
}

sync_trace* sync_trace::of_thread() noexcept { return trace_of_thread; }

void sync_trace::add(trace_stream::time_point start, std::string_view description,
                     std::span<const trace_attribute> attributes) noexcept {
    stream_->add(substream_, start, description, attributes);
    (void)stream_->flush_at_leisure(std::chrono::steady_clock::now());
}

}  // namespace detail

trace_timing start_trace() noexcept {
    const detail::worker_core* worker = detail::current_worker();
    const bool traced =
        worker != nullptr ? worker->trace() != nullptr : detail::sync_trace::of_thread() != nullptr;
    return traced ? trace_timing(std::chrono::steady_clock::now()) : trace_timing();
}

void finish_trace(const trace_timing& timing, std::string_view description,
                  std::initializer_list<trace_attribute> attributes) noexcept {
    if (!timing.is_traced()) { return; }
    detail::worker_core* worker = detail::current_worker();
    if (worker == nullptr) {
        detail::sync_trace* const here = detail::sync_trace::of_thread();
        if (here != nullptr) {
            here->add(timing.start(), description, {attributes.begin(), attributes.size()});
        }
        return;
    }
    if (worker->trace() == nullptr) { return; }
    worker->trace()->add(detail::substream_of(worker->polled_process()), timing.start(),
                         description, {attributes.begin(), attributes.size()});
}

}  // namespace heph::rt
