#include <heph/rt/fs/watcher.hpp>

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <heph/rt/error.hpp>

#include "../readiness_call.hpp"
#include "../system_call.hpp"

namespace heph::rt::fs {

namespace {

using detail::system_error;

struct names {
    change ours;
    std::uint32_t theirs;
};
constexpr std::array<names, 13> table{{
    {change::accessed, IN_ACCESS},
    {change::modified, IN_MODIFY},
    {change::metadata, IN_ATTRIB},
    {change::written, IN_CLOSE_WRITE},
    {change::created, IN_CREATE},
    {change::removed, IN_DELETE},
    {change::moved_away, IN_MOVED_FROM},
    {change::moved_here, IN_MOVED_TO},
    {change::self_removed, IN_DELETE_SELF},
    {change::self_moved, IN_MOVE_SELF},
    {change::overflow, IN_Q_OVERFLOW},
    {change::watch_ended, IN_IGNORED},
    {change::unmounted, IN_UNMOUNT},
}};

std::uint32_t to_mask(change changes) noexcept {
    std::uint32_t mask = 0;
    for (const names& each : table) {
        if ((changes & each.ours) != change::none) { mask |= each.theirs; }
    }
    return mask & ~static_cast<std::uint32_t>(IN_Q_OVERFLOW | IN_IGNORED | IN_UNMOUNT);
}

change from_mask(std::uint32_t mask) noexcept {
    change changes = change::none;
    for (const names& each : table) {
        if ((mask & each.theirs) != 0) { changes = changes | each.ours; }
    }
    return changes;
}

}  // namespace

std::expected<watcher, std::error_code> watcher::make() {
    descriptor_handle made(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!made.is_open()) { return std::unexpected(system_error(errno)); }
    return watcher(std::move(made));
}

std::expected<watch_id, std::error_code> watcher::add(const std::filesystem::path& at,
                                                      change changes) noexcept {
    if (at.native().find('\0') != std::string::npos) {
        return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    }
    const int watch = ::inotify_add_watch(descriptor_.get(), at.c_str(), to_mask(changes));
    if (watch < 0) { return std::unexpected(system_error(errno)); }
    return static_cast<watch_id>(watch);
}

std::error_code watcher::remove(watch_id watch) noexcept {
    return ::inotify_rm_watch(descriptor_.get(), static_cast<int>(watch)) == 0
               ? std::error_code()
               : system_error(errno);
}

watcher::next_future watcher::next() noexcept { return next_future(*this); }

// Reads what there is, without waiting.
std::error_code watcher::take_events() {
    alignas(inotify_event) std::array<char, 16 * 1024> bytes;
    const std::int32_t size =
        detail::retry([&] { return ::read(descriptor_.get(), bytes.data(), bytes.size()); });
    if (size < 0) { return size == -EAGAIN ? std::error_code() : system_error(-size); }
    for (std::int32_t at = 0; at < size;) {
        inotify_event head{};
        std::memcpy(&head, bytes.data() + at, sizeof(head));
        const char* const name = bytes.data() + at + sizeof(head);
        events_.emplace_back(static_cast<watch_id>(head.wd), from_mask(head.mask), head.cookie,
                             (head.mask & IN_ISDIR) != 0,
                             std::string(name, ::strnlen(name, head.len)));
        at += static_cast<std::int32_t>(sizeof(head) + head.len);
    }
    return {};
}

watcher::next_future::next_future(watcher& from) noexcept
    : from_(&from), readiness_(make_error_code(errc::closed)) {}

polled<watcher::next_future::value_type> watcher::next_future::poll(const waker& waker) {
    if (from_->descriptor() < 0) { return value_type(std::unexpect, errc::closed); }
    for (;;) {
        if (from_->events_.empty()) {
            if (const auto failed = from_->take_events()) {
                return value_type(std::unexpect, failed);
            }
        }
        if (!from_->events_.empty()) {
            watch_event first = std::move(from_->events_.front());
            from_->events_.pop_front();
            return value_type(std::in_place, std::move(first));
        }
        if (!waiting_) {
            auto call = std::make_unique<detail::readable_call>(from_->descriptor());
            readiness_ = io_future<void>(std::move(call), &detail::take_nothing);
            waiting_ = true;
        }
        auto readable = readiness_.poll(waker);
        if (!readable.is_ready()) { return pending; }
        waiting_ = false;
        const auto outcome = std::move(readable).value();
        if (!outcome) { return value_type(std::unexpect, outcome.error()); }
    }
}

}  // namespace heph::rt::fs
