#include <heph/remote/protocol/link.hpp>

#include <algorithm>

#include <heph/inbox/assert.hpp>
#include <heph/remote/codec/codec.hpp>

namespace heph::remote::protocol {

namespace {

// Besides a message's bytes: frame type, sequence, kind, actor, token, type.
constexpr std::size_t frame_overhead_bytes = 1 + 8 + 1 + 8 + 8 + 2;
// What other frames, such as the list of an actor's types, may have in any case.
constexpr std::size_t frame_bytes_least = 64 * 1024;

// Tags of what is not a message; a message's token is its tag.
constexpr std::uint64_t nobody = 0;

}  // namespace

link::state link::current() const noexcept {
    if (!session_) { return state::down; }
    return session_->is_attached() ? state::up : state::away;
}

session_offer link::offer(const id128& fresh) const noexcept {
    session_offer offered;
    offered.fresh = fresh;
    if (session_) {
        offered.session = session_->id();
        offered.received = session_->received();
        offered.links = session_->links();
    }
    return offered;
}

std::pair<id128, std::uint64_t> link::choose(const hello& heard) const noexcept {
    if (session_ && peer_incarnation_ == heard.incarnation &&
        (session_->id() == heard.session || session_->id() == heard.fresh)) {
        return {session_->id(), session_->received()};
    }
    return {heard.fresh, 0};
}

std::expected<void, error> link::connect(const handshake_result& with) {
    const bool goes_on =
        session_ && session_->id() == with.session && peer_incarnation_ == with.incarnation;
    if (goes_on) {
        const auto attached = session_->attach(with.peer_received);
        if (!attached) { return attached; }
    } else {
        if (with.peer_received != 0) { return std::unexpected(error::bad_ack); }
        lose(failure::node_down);
        session_.emplace(with.session, session_limits_);
        const auto attached = session_->attach(0);
        HEPH_ASSERT(attached.has_value());
    }
    peer_ = with.peer_limits;
    peer_incarnation_ = with.incarnation;
    pings_wanted_ = false;
    pong_owed_ = false;
    goodbye_.reset();
    return {};
}

void link::disconnect() noexcept {
    if (session_) { session_->detach(); }
}

void link::lose(failure why) {
    if (!session_) { return; }
    for (const std::uint64_t token : session_->abandon()) {
        losses_.push_back(message_failed{token, why});
    }
    for (const std::uint64_t call : open_calls_) { losses_.push_back(call_failed{call, why}); }
    for (const std::uint64_t search : open_searches_) {
        losses_.push_back(find_failed{search, why});
    }
    for (const std::uint64_t call : called_) { losses_.push_back(call_cancelled{call}); }
    for (const auto& [actor, to] : outgoing_) {
        // Who waits for credit tries again, and learns that the link is down.
        if (to.refused) { losses_.push_back(credit_arrived{actor}); }
    }
    session_.reset();
    open_calls_.clear();
    open_searches_.clear();
    called_.clear();
    outgoing_.clear();
    incoming_.clear();
    grants_.clear();
}

std::optional<event> link::next_loss() {
    if (losses_.empty()) { return std::nullopt; }
    event first = std::move(losses_.front());
    losses_.pop_front();
    return first;
}

std::size_t link::frame_bytes_max() const noexcept {
    return std::max<std::size_t>(own_.message_bytes_max, frame_bytes_least) + frame_overhead_bytes;
}

template <typename Body>
void link::push(data_kind kind, std::uint64_t tag, Body body) {
    std::vector<std::byte> bytes;
    auto frame = session_->begin_frame(bytes);
    frame.u8(static_cast<std::uint8_t>(kind));
    body(frame);
    frame.end();
    session_->push(std::move(bytes), tag);
}

std::optional<refusal> link::admit(std::uint64_t actor, std::size_t payload_bytes) {
    if (!session_) { return refusal::down; }
    if (payload_bytes > peer_.message_bytes_max) { return refusal::too_large; }
    if (!session_->has_room()) { return refusal::full; }
    account& to = outgoing_[actor];
    // One message goes in any case, lest a window smaller than it stop it for ever.
    if (to.messages >= peer_.window_messages ||
        (to.messages > 0 && to.bytes + payload_bytes > peer_.window_bytes)) {
        to.refused = true;
        return refusal::no_credit;
    }
    ++to.messages;
    to.bytes += payload_bytes;
    return std::nullopt;
}

std::expected<void, refusal> link::send(std::uint64_t actor, std::uint64_t token,
                                        std::uint16_t type, std::span<const std::byte> payload) {
    if (const auto refused = admit(actor, payload.size())) { return std::unexpected(*refused); }
    push(data_kind::message, token, [&](frame_writer& frame) {
        frame.u64(actor);
        frame.u64(token);
        frame.u16(type);
        frame.bytes(payload);
    });
    return {};
}

std::expected<std::uint64_t, refusal> link::call(std::uint64_t actor, std::uint16_t type,
                                                 std::span<const std::byte> payload) {
    if (const auto refused = admit(actor, payload.size())) { return std::unexpected(*refused); }
    const std::uint64_t number = next_number_++;
    open_calls_.insert(number);
    push(data_kind::call, nobody, [&](frame_writer& frame) {
        frame.u64(actor);
        frame.u64(number);
        frame.u16(type);
        frame.bytes(payload);
    });
    return number;
}

void link::cancel(std::uint64_t call) {
    if (open_calls_.erase(call) == 0) { return; }
    push(data_kind::cancel, nobody, [&](frame_writer& frame) { frame.u64(call); });
}

std::expected<std::uint64_t, refusal> link::find(std::string_view name) {
    if (!session_) { return std::unexpected(refusal::down); }
    if (name.size() > name_bytes_max) { return std::unexpected(refusal::too_large); }
    if (!session_->has_room()) { return std::unexpected(refusal::full); }
    const std::uint64_t number = next_number_++;
    open_searches_.insert(number);
    push(data_kind::find, nobody, [&](frame_writer& frame) {
        frame.u64(number);
        encode_to(frame.out(), std::string(name));
    });
    return number;
}

bool link::reply(std::uint64_t call, std::span<const std::byte> payload) {
    if (!called_.contains(call)) { return false; }
    if (payload.size() > peer_.message_bytes_max) {
        fail_call(call, failure::too_large);
        return false;
    }
    called_.erase(call);
    push(data_kind::reply, nobody, [&](frame_writer& frame) {
        frame.u64(call);
        frame.bytes(payload);
    });
    return true;
}

void link::fail_call(std::uint64_t call, failure why) {
    if (called_.erase(call) == 0) { return; }
    push(data_kind::call_failed, nobody, [&](frame_writer& frame) {
        frame.u64(call);
        frame.u8(static_cast<std::uint8_t>(why));
    });
}

void link::fail_message(std::uint64_t token, failure why) {
    if (!session_ || token == nobody) { return; }
    push(data_kind::message_failed, nobody, [&](frame_writer& frame) {
        frame.u64(token);
        frame.u8(static_cast<std::uint8_t>(why));
    });
}

void link::answer_find(std::uint64_t request, std::uint64_t actor,
                       const std::vector<std::string>& types) {
    if (!session_) { return; }
    push(data_kind::found, nobody, [&](frame_writer& frame) {
        frame.u64(request);
        frame.u64(actor);
        encode_to(frame.out(), types);
    });
}

void link::fail_find(std::uint64_t request, failure why) {
    if (!session_) { return; }
    push(data_kind::find_failed, nobody, [&](frame_writer& frame) {
        frame.u64(request);
        frame.u8(static_cast<std::uint8_t>(why));
    });
}

void link::grant(std::uint64_t actor, std::size_t payload_bytes) {
    if (!session_) { return; }
    // From an older session, which took its accounts with it.
    const auto from = incoming_.find(actor);
    if (from == incoming_.end() || from->second.bytes < payload_bytes) { return; }
    --from->second.messages;
    from->second.bytes -= payload_bytes;
    if (from->second.messages == 0) { incoming_.erase(from); }
    account& granted = grants_[actor];
    ++granted.messages;
    granted.bytes += payload_bytes;
}

void link::push_grants() {
    std::erase_if(grants_, [this](const auto& entry) {
        const auto& [actor, granted] = entry;
        // A quarter of the window is worth a frame. When nothing more is under way, the grant is
        // sent so that neither end has to remember the actor.
        if (granted.messages < own_.window_messages / 4 && granted.bytes < own_.window_bytes / 4 &&
            incoming_.contains(actor)) {
            return false;
        }
        push(data_kind::credit, nobody, [&](frame_writer& frame) {
            frame.u64(actor);
            frame.u32(granted.messages);
            frame.u64(granted.bytes);
        });
        return true;
    });
}

void link::write_to(std::vector<std::byte>& out, std::size_t out_bytes_max) {
    if (current() != state::up) { return; }
    push_grants();
    if (std::exchange(pong_owed_, false)) { frame_writer(out, frame_type::pong).end(); }
    if (std::exchange(pings_wanted_, false)) { frame_writer(out, frame_type::ping).end(); }
    session_->write_to(out, out_bytes_max);
    if (goodbye_) {
        frame_writer frame(out, frame_type::goodbye);
        frame.u8(static_cast<std::uint8_t>(*goodbye_));
        frame.end();
        goodbye_.reset();
    }
}

bool link::has_output() const noexcept {
    return current() == state::up &&
           (session_->has_output() || pong_owed_ || pings_wanted_ || goodbye_ || !grants_.empty());
}

}  // namespace heph::remote::protocol
