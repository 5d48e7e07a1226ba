#include <heph/rt/net/connect.hpp>

#include <algorithm>
#include <optional>

namespace heph::rt::net {

namespace {

// Tells whether an error says only that an address cannot be reached from here at all.
bool is_of_the_network(std::error_code failure) noexcept {
    return failure == std::errc::network_unreachable || failure == std::errc::host_unreachable ||
           failure == std::errc::address_not_available ||
           failure == std::errc::address_family_not_supported ||
           failure == std::errc::network_down || failure == std::errc::timed_out;
}

}  // namespace

std::vector<endpoint> interleave_families(std::vector<endpoint> addresses) {
    std::vector<endpoint> first;  // Those of the family that the best address is of.
    std::vector<endpoint> second;
    for (const endpoint& each : addresses) {
        (each.is_v6() == addresses.front().is_v6() ? first : second).push_back(each);
    }
    std::vector<endpoint> ordered;
    ordered.reserve(addresses.size());
    for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
        if (i < first.size()) { ordered.push_back(first[i]); }
        if (i < second.size()) { ordered.push_back(second[i]); }
    }
    return ordered;
}

void connect_any_future::note(std::error_code failure) noexcept {
    if (!failure_ || (is_of_the_network(failure_) && !is_of_the_network(failure))) {
        failure_ = failure;
    }
}

// Polls those that are under way; tells whether one has connected, and is given in `first`.
bool connect_any_future::poll_attempts(const waker& waker, value_type& first) {
    for (auto at = attempts_.begin(); at != attempts_.end();) {
        auto connected = at->poll(waker);
        if (!connected.is_ready()) {
            ++at;
            continue;
        }
        auto outcome = std::move(connected).value();
        if (outcome) {
            first = std::move(outcome);
            return true;
        }
        note(outcome.error());
        at = attempts_.erase(at);
        // Nothing is to be waited for: the next one's turn is now.
        delay_.reset(rt::clock::duration::zero());
    }
    return false;
}

polled<connect_any_future::value_type> connect_any_future::poll(const waker& waker) {
    value_type first(std::unexpect, std::error_code());
    const std::size_t most = std::min(addresses_.size(), options_.attempts_max);
    for (;;) {
        if (poll_attempts(waker, first)) {
            attempts_.clear();
            return first;
        }
        if (tried_ == most) {
            if (!attempts_.empty()) { return pending; }
            if (!failure_) { note(std::make_error_code(std::errc::address_not_available)); }
            return value_type(std::unexpect, failure_);
        }
        if (!attempts_.empty() && !delay_.poll(waker).is_ready()) { return pending; }
        attempts_.emplace_back(addresses_[tried_++]);
        delay_.reset(options_.attempt_delay);
    }
}

polled<connect_host_future::value_type> connect_host_future::poll(const waker& waker) {
    if (step_.index() == 0) {
        auto found = std::get<0>(step_).poll(waker);
        if (!found.is_ready()) { return pending; }
        resolved addresses = std::move(found).value();
        if (!addresses) { return value_type(std::unexpect, addresses.error()); }
        step_.emplace<1>(std::move(*addresses), options_);
    }
    return std::get<1>(step_).poll(waker);
}

}  // namespace heph::rt::net
