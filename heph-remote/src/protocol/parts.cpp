#include <heph/remote/protocol/parts.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

#include <heph/inbox/assert.hpp>

namespace heph::remote::protocol {

namespace {

// Of what was announced of a payload, memory for so many times what arrived is taken at most: few
// steps, and few bytes to move with each.
constexpr std::size_t growth = 8;

}  // namespace

void outgoing_parts::add(const parts_header& what, shared_bytes bytes, std::size_t at) {
    HEPH_ASSERT(bytes && at <= bytes->size() && bytes->size() - at > part_bytes);
    payload added;
    added.stream = next_stream_;
    added.what = what;
    added.bytes = std::move(bytes);
    added.begin = at;
    const std::size_t size = added.size();
    waiting_.push_back(std::move(added));
    ++next_stream_;
    bytes_ += size;
    if (what.kind == data_kind::reply) { reply_bytes_ += size; }
}

std::optional<outgoing_parts::step> outgoing_parts::peek(std::uint64_t peer_bytes_max) const {
    const bool begins =
        !waiting_.empty() &&
        (begun_.empty() || begun_bytes_ + waiting_.front().size() <= peer_bytes_max);
    if (!begins && begun_.empty()) { return std::nullopt; }
    const payload& turn = begins ? waiting_.front() : begun_.front();
    step found;
    if (begins) { found.begin = turn.what; }
    found.stream = turn.stream;
    found.what = turn.what;
    found.bytes_in_all = static_cast<std::uint32_t>(turn.size());
    found.of = turn.bytes;
    found.at = turn.begin + turn.sent;
    found.count = std::min(part_bytes, turn.size() - turn.sent);
    found.last = turn.sent + found.count == turn.size();
    return found;
}

void outgoing_parts::announced() noexcept {
    begun_bytes_ += waiting_.front().size();
    begun_.splice(begun_.begin(), waiting_, waiting_.begin());
}

void outgoing_parts::sent(const step& what) noexcept {
    payload& turn = begun_.front();
    HEPH_ASSERT(turn.stream == what.stream);
    turn.sent += what.count;
    if (what.last) {
        forget(turn);
        begun_bytes_ -= turn.size();
        begun_.pop_front();
    } else {
        begun_.splice(begun_.end(), begun_, begun_.begin());
    }
}

std::optional<outgoing_parts::step> outgoing_parts::next(std::uint64_t peer_bytes_max) {
    auto found = peek(peer_bytes_max);
    if (!found) { return found; }
    if (found->begin) { announced(); }
    sent(*found);
    return found;
}

void outgoing_parts::forget(const payload& which) noexcept {
    bytes_ -= which.size();
    if (which.what.kind == data_kind::reply) { reply_bytes_ -= which.size(); }
}

std::optional<outgoing_parts::dropped> outgoing_parts::drop(data_kind kind, std::uint64_t call) {
    const auto is_it = [&](const payload& each) {
        return each.what.kind == kind && each.what.number == call;
    };
    dropped found;
    if (const auto at = std::ranges::find_if(begun_, is_it); at != begun_.end()) {
        found = {at->stream, true, at->what, at->size()};
        forget(*at);
        begun_bytes_ -= at->size();
        begun_.erase(at);
        return found;
    }
    if (const auto at = std::ranges::find_if(waiting_, is_it); at != waiting_.end()) {
        found = {at->stream, false, at->what, at->size()};
        forget(*at);
        waiting_.erase(at);
        return found;
    }
    return std::nullopt;
}

std::vector<parts_header> outgoing_parts::left() const {
    std::vector<parts_header> all;
    for (const payload& each : begun_) { all.push_back(each.what); }
    for (const payload& each : waiting_) { all.push_back(each.what); }
    return all;
}

std::vector<parts_header> outgoing_parts::clear() {
    auto lost = left();
    *this = outgoing_parts();
    return lost;
}

std::expected<void, error> incoming_parts::begin(std::uint64_t stream, const parts_header& what,
                                                 std::uint32_t bytes_in_all, bool wanted) {
    // What is not larger is not cut: so each of what is open stands for some memory, and there
    // cannot be many.
    if (bytes_in_all <= part_bytes) { return std::unexpected(error::malformed); }
    if (bytes_in_all > message_bytes_max_) { return std::unexpected(error::frame_too_large); }
    if (!payloads_.empty() && announced_ + bytes_in_all > bytes_max_) {
        return std::unexpected(error::window_exceeded);
    }
    payload begun;
    begun.what = what;
    begun.bytes_in_all = bytes_in_all;
    begun.wanted = wanted;
    if (wanted && spare_.size() >= bytes_in_all) {
        begun.bytes = std::exchange(spare_, {});
        begun.bytes.resize(bytes_in_all);
    }
    if (!payloads_.try_emplace(stream, std::move(begun)).second) {
        return std::unexpected(error::malformed);
    }
    announced_ += bytes_in_all;
    return {};
}

// Memory that is used again is as large as the payload from the start: it need not be cleared.
// Else there are as many bytes as arrived, and those of a part whose connection broke: they are
// written over.
std::span<std::byte> incoming_parts::room_in(payload& of, std::size_t count) {
    const std::size_t needed = of.arrived + count;
    if (of.bytes.size() < needed) {
        if (of.bytes.capacity() < needed) {
            // Never more than there will be.
            of.bytes.reserve(
                std::max(needed, std::min<std::size_t>(of.bytes_in_all, of.arrived * growth)));
        }
        of.bytes.resize(needed);
    }
    of.placed = static_cast<std::uint32_t>(count);
    return std::span(of.bytes).subspan(of.arrived, count);
}

std::optional<incoming_parts::whole> incoming_parts::take(payloads::iterator at,
                                                          std::size_t count) {
    payload& of = at->second;
    of.arrived += static_cast<std::uint32_t>(count);
    of.placed = 0;
    if (of.arrived < of.bytes_in_all) { return std::nullopt; }
    HEPH_ASSERT(!of.wanted || of.bytes.size() == of.bytes_in_all);
    announced_ -= of.bytes_in_all;
    std::optional<whole> done;
    if (of.wanted) { done.emplace(of.what, std::move(of.bytes)); }
    payloads_.erase(at);
    return done;
}

std::expected<std::optional<incoming_parts::whole>, error> incoming_parts::add(
    std::uint64_t stream, std::span<const std::byte> bytes) {
    const auto at = payloads_.find(stream);
    if (at == payloads_.end() || bytes.empty() ||
        bytes.size() > at->second.bytes_in_all - at->second.arrived) {
        return std::unexpected(error::malformed);
    }
    if (at->second.wanted) {
        // std::ranges::copy copies byte by byte.
        std::memcpy(room_in(at->second, bytes.size()).data(), bytes.data(), bytes.size());
    }
    return take(at, bytes.size());
}

std::span<std::byte> incoming_parts::room(std::uint64_t stream, std::size_t count) {
    const auto at = payloads_.find(stream);
    if (at == payloads_.end() || !at->second.wanted || count == 0 ||
        count > at->second.bytes_in_all - at->second.arrived) {
        return {};
    }
    return room_in(at->second, count);
}

std::size_t incoming_parts::placed(std::uint64_t stream) const noexcept {
    const auto at = payloads_.find(stream);
    return at == payloads_.end() ? 0 : at->second.placed;
}

std::expected<std::optional<incoming_parts::whole>, error> incoming_parts::commit(
    std::uint64_t stream) {
    const auto at = payloads_.find(stream);
    if (at == payloads_.end() || at->second.placed == 0) {
        return std::unexpected(error::malformed);
    }
    return take(at, at->second.placed);
}

void incoming_parts::recycle(std::vector<std::byte> memory) noexcept {
    if (memory.capacity() > spare_bytes_max || memory.size() <= spare_.size()) { return; }
    spare_ = std::move(memory);
    is_spare_new_ = true;
}

void incoming_parts::trim() noexcept {
    if (!std::exchange(is_spare_new_, false)) { spare_ = {}; }
}

std::expected<incoming_parts::ended, error> incoming_parts::end(std::uint64_t stream) {
    const auto at = payloads_.find(stream);
    if (at == payloads_.end()) { return std::unexpected(error::malformed); }
    const ended gone{at->second.what, at->second.bytes_in_all};
    announced_ -= gone.bytes_in_all;
    payloads_.erase(at);
    return gone;
}

void incoming_parts::clear() noexcept {
    payloads_.clear();
    announced_ = 0;
    spare_ = {};
}

std::size_t incoming_parts::held_bytes() const noexcept {
    std::size_t held = 0;
    for (const auto& [stream, each] : payloads_) { held += each.bytes.capacity(); }
    return held;
}

}  // namespace heph::remote::protocol
