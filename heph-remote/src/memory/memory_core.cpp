#include "memory/memory_core.hpp"

#include <algorithm>
#include <utility>

namespace heph::remote::detail {

namespace {

// As many as a socket's backlog may have.
constexpr std::size_t waiting_max = 1024;

std::error_code error_of(std::errc why) { return std::make_error_code(why); }

}  // namespace

std::vector<std::shared_ptr<memory_link>> memory_core::links_of(place& at) {
    std::vector<std::shared_ptr<memory_link>> open;
    std::erase_if(at.links, [&open](const auto& each) {
        auto link = each.lock();
        if (!link) { return true; }
        open.push_back(std::move(link));
        return false;
    });
    return open;
}

void memory_core::late_wakes::add(memory_link& of) {
    for (memory_pipe* each : {&of.from_dialer, &of.to_dialer}) {
        add(each->reader);
        add(each->writer);
    }
}

std::expected<std::shared_ptr<memory_link>, std::error_code> memory_core::connect(
    std::string_view name) {
    late_wakes woken;
    std::vector<std::shared_ptr<memory_link>> open;  // Goes outside of the lock.
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(name);
    if (found == places_.end() || !found->second.is_listening || found->second.refuses ||
        found->second.waiting.size() >= waiting_max) {
        return std::unexpected(error_of(std::errc::connection_refused));
    }
    place& at = found->second;
    auto made = std::make_shared<memory_link>();
    made->name = name;
    open = links_of(at);  // Forgets those that are gone.
    at.links.push_back(made);
    at.waiting.push_back(made);
    woken.add(at.acceptor);
    return made;
}

std::error_code memory_core::listen(std::string_view name) {
    const std::lock_guard lock(mutex_);
    place& at = places_[std::string(name)];
    if (std::exchange(at.is_listening, true)) { return error_of(std::errc::address_in_use); }
    return {};
}

void memory_core::stop_listening(std::string_view name) {
    std::deque<std::shared_ptr<memory_link>> refused;  // Goes outside of the lock.
    waker acceptor;                                    // And so does what waited for more.
    late_wakes woken;
    const std::lock_guard lock(mutex_);
    place& at = places_.find(name)->second;
    at.is_listening = false;
    acceptor = std::exchange(at.acceptor, waker());
    refused.swap(at.waiting);
    for (const auto& each : refused) {
        each->is_reset = true;
        woken.add(*each);
    }
}

std::shared_ptr<memory_link> memory_core::accept(std::string_view name, const waker& waker) {
    heph::waker replaced;  // Goes outside of the lock.
    const std::lock_guard lock(mutex_);
    place& at = places_.find(name)->second;
    if (at.waiting.empty()) {
        replaced = std::exchange(at.acceptor, waker);
        return nullptr;
    }
    auto next = std::move(at.waiting.front());
    at.waiting.pop_front();
    return next;
}

memory_core::received memory_core::receive(memory_link& of, bool dialed, steady_time now,
                                           const waker& waker) {
    late_wakes woken;
    heph::waker replaced;  // Goes outside of the lock.
    const std::lock_guard lock(mutex_);
    const place& at = places_.find(of.name)->second;
    memory_pipe& from = dialed ? of.to_dialer : of.from_dialer;
    received result;
    if (of.is_reset) {
        result.failed = error_of(std::errc::connection_reset);
        return result;
    }
    const bool is_stalled = dialed ? at.stalls_to_dialer : at.stalls_from_dialer;
    if (!is_stalled && !from.in_transit.empty() && from.in_transit.front().due <= now) {
        result.is_there = true;
        result.bytes = std::move(from.in_transit.front().bytes);
        from.in_transit.pop_front();
        from.bytes -= result.bytes.size();
        woken.add(from.writer);
        return result;
    }
    if (from.is_left || (!is_stalled && from.in_transit.empty() && from.is_closed)) {
        result.is_there = true;
        return result;
    }
    replaced = std::exchange(from.reader, waker);
    if (!is_stalled && !from.in_transit.empty()) { result.due = from.in_transit.front().due; }
    return result;
}

std::expected<std::size_t, std::error_code> memory_core::send(memory_link& of, bool dialed,
                                                              std::span<const std::byte> bytes,
                                                              steady_time now, const waker& waker) {
    late_wakes woken;
    heph::waker replaced;  // Goes outside of the lock.
    const std::lock_guard lock(mutex_);
    const place& at = places_.find(of.name)->second;
    memory_pipe& to = dialed ? of.from_dialer : of.to_dialer;
    if (of.is_reset) { return std::unexpected(error_of(std::errc::connection_reset)); }
    if (to.is_closed) { return std::unexpected(error_of(std::errc::broken_pipe)); }
    const std::size_t room = at.buffer_bytes - std::min(to.bytes, at.buffer_bytes);
    const std::size_t count = std::min(room, bytes.size());
    if (count == 0) {
        replaced = std::exchange(to.writer, waker);
        return 0;
    }
    auto copy = rt::buffer::with_capacity(count);
    copy.append(bytes.first(count));
    // What was sent before arrives before, also when the delay has become shorter.
    const steady_time due =
        to.in_transit.empty() ? now + at.delay : std::max(now + at.delay, to.in_transit.back().due);
    to.in_transit.push_back(memory_pipe::piece(std::move(copy), due));
    to.bytes += count;
    woken.add(to.reader);
    return count;
}

void memory_core::close(memory_link& of, bool dialed, bool both_ways) {
    late_wakes woken;
    const std::lock_guard lock(mutex_);
    memory_pipe& sends = dialed ? of.from_dialer : of.to_dialer;
    sends.is_closed = true;
    if (both_ways) {
        memory_pipe& takes = dialed ? of.to_dialer : of.from_dialer;
        takes.is_closed = true;
        takes.is_left = true;
    }
    woken.add(of);
}

void memory_core::cut(std::string_view name) {
    late_wakes woken;
    std::vector<std::shared_ptr<memory_link>> open;  // Goes outside of the lock.
    const std::lock_guard lock(mutex_);
    open = links_of(places_[std::string(name)]);
    for (const auto& each : open) {
        each->is_reset = true;
        woken.add(*each);
    }
}

std::size_t memory_core::connections(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(name);
    if (found == places_.end()) { return 0; }
    return static_cast<std::size_t>(
        std::ranges::count_if(found->second.links, [](const auto& each) {
            const auto link = each.lock();
            return link && !link->is_reset &&
                   !(link->from_dialer.is_closed && link->to_dialer.is_closed);
        }));
}

}  // namespace heph::remote::detail
