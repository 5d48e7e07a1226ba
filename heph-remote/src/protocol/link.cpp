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

// What the containers of a link take for one actor, or one watch, about.
constexpr std::size_t account_entry_bytes = 96;

// Watches that one frame tells of at most: half of what a frame may have.
constexpr std::size_t ended_in_a_frame = 4096;

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

std::pair<id128, std::uint64_t> link::choose(const hello& heard,
                                             const id128& offered) const noexcept {
    if (session_ && peer_incarnation_ == heard.incarnation &&
        (session_->id() == heard.session || session_->id() == heard.fresh)) {
        return {session_->id(), session_->received()};
    }
    if (!offered.is_zero() && heard.session == offered) { return {offered, 0}; }
    return {heard.fresh, 0};
}

bool link::is_outdated(const hello& heard) const noexcept {
    if (!session_ || peer_incarnation_ != heard.incarnation) { return false; }
    if (session_->id() == heard.session) { return heard.received < session_->acknowledged(); }
    // It offers as fresh what its sender has begun since, as what came of it here shows.
    return session_->id() == heard.fresh &&
           (session_->acknowledged() != 0 || session_->received() != 0);
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
    version_ = with.version;
    pings_wanted_ = false;
    pong_owed_ = false;
    goodbye_.reset();
    return {};
}

void link::disconnect() noexcept {
    if (session_) { session_->detach(); }
}

// All of it or, when something throws for want of memory, nothing: what is lost is told in any
// case.
void link::lose(failure why) {
    if (!session_) { return; }
    std::list<event> told;
    for (const std::uint64_t token : session_->tags()) {
        told.emplace_back(message_failed{token, why});
    }
    for (const parts_header& each : parts_.left()) {
        if (each.kind == data_kind::message && each.number != nobody) {
            told.emplace_back(message_failed{each.number, why});
        }
    }
    for (const std::uint64_t call : open_calls_) { told.emplace_back(call_failed{call, why}); }
    for (const std::uint64_t search : open_searches_) {
        told.emplace_back(find_failed{search, why});
    }
    for (const std::uint64_t watch : open_watches_) { told.emplace_back(watch_ended{watch, why}); }
    for (const std::uint64_t watch : watched_) { told.emplace_back(unwatch_arrived{watch}); }
    for (const std::uint64_t call : called_) { told.emplace_back(call_cancelled{call}); }
    for (const auto& [actor, to] : outgoing_) {
        // Who waits for credit tries again, and learns that the link is down.
        if (to.refused) { told.emplace_back(credit_arrived{actor}); }
    }
    if (no_room_was_told_) { told.emplace_back(room_arrived()); }
    news_.splice(news_.end(), told);
    no_room_was_told_ = false;
    parts_ = outgoing_parts();
    assembling_.clear();
    session_.reset();
    open_calls_.clear();
    open_searches_.clear();
    called_.clear();
    open_watches_.clear();
    watched_.clear();
    ended_.clear();
    outgoing_.clear();
    incoming_.clear();
    granted_.clear();
    grants_press_ = false;
}

std::optional<event> link::next_news() {
    if (news_.empty()) { return std::nullopt; }
    event first = std::move(news_.front());
    news_.pop_front();
    return first;
}

std::size_t link::frame_bytes_max() const noexcept {
    if (version_ >= 2) { return frame_bytes_least + frame_overhead_bytes; }
    return std::max<std::size_t>(own_.message_bytes_max, frame_bytes_least) + frame_overhead_bytes;
}

template <typename Body>
void link::push(data_kind kind, std::uint64_t tag, Body body) {
    std::vector<std::byte> bytes;
    bytes.reserve(framed_payload::room_bytes);
    auto frame = session_->begin_frame(bytes);
    frame.u8(static_cast<std::uint8_t>(kind));
    body(frame);
    frame.end();
    session_->push(std::move(bytes), tag);
}

void link::push(std::uint64_t tag, const parts_header& what, framed_payload& payload) {
    std::vector<std::byte> bytes = std::move(payload).take();
    field_filler frame(bytes);
    frame.u32(static_cast<std::uint32_t>(bytes.size() - frame_header_bytes));
    frame.u8(static_cast<std::uint8_t>(frame_type::data));
    frame.u64(session_->next_sequence());
    frame.u8(static_cast<std::uint8_t>(what.kind));
    frame.u64(what.actor);
    frame.u64(what.number);
    frame.u16(what.type);
    session_->push(std::move(bytes), tag);
}

// A reply says less before its payload than the room has place for: it begins within the room.
void link::push_reply(std::uint64_t call, framed_payload& payload) {
    constexpr std::size_t said_bytes = frame_header_bytes + 1 + 8 + 1 + 8;
    constexpr std::size_t begin = framed_payload::room_bytes - said_bytes;
    std::vector<std::byte> bytes = std::move(payload).take();
    field_filler frame(std::span<std::byte>(bytes).subspan(begin));
    frame.u32(static_cast<std::uint32_t>(bytes.size() - begin - frame_header_bytes));
    frame.u8(static_cast<std::uint8_t>(frame_type::data));
    frame.u64(session_->next_sequence());
    frame.u8(static_cast<std::uint8_t>(data_kind::reply));
    frame.u64(call);
    session_->push_from(begin, std::move(bytes), nobody);
}

// Its bytes stay where the payload has them.
void link::push_part(const outgoing_parts::step& step) {
    // The message is there when its last part is.
    const bool told = step.last && step.what.kind == data_kind::message;
    std::vector<std::byte> head;
    head.reserve(framed_payload::room_bytes);
    auto frame = session_->begin_frame(head);
    frame.u8(static_cast<std::uint8_t>(data_kind::part));
    frame.u64(step.stream);
    frame.end(step.count);
    session_->push_with(std::move(head), step.of, step.at, step.count,
                        told ? step.what.number : nobody);
}

std::optional<refusal> link::admit(std::uint64_t actor, std::size_t payload_bytes) {
    if (!session_) { return refusal::down; }
    if (payload_bytes > peer_.message_bytes_max) { return refusal::too_large; }
    if (!session_->has_room()) { return refusal::full; }
    const bool cut = is_cut(payload_bytes);
    if (cut && parts_.bytes() - parts_.reply_bytes() >= session_limits_.bytes_max) {
        no_room_was_told_ = true;
        return refusal::no_room;
    }
    account& to = outgoing_[actor];
    // One message goes in any case, lest a window smaller than it stop it for ever.
    if (to.in_parts || to.messages >= peer_.window_messages ||
        (to.messages > 0 && to.bytes + payload_bytes > peer_.window_bytes)) {
        to.refused = true;
        return refusal::no_credit;
    }
    ++to.messages;
    to.bytes += payload_bytes;
    to.in_parts = cut;
    return std::nullopt;
}

std::uint32_t link::credit_left(std::uint64_t actor) const noexcept {
    const auto to = outgoing_.find(actor);
    if (to == outgoing_.end()) { return peer_.window_messages; }
    if (to->second.in_parts || to->second.messages >= peer_.window_messages) { return 0; }
    return peer_.window_messages - to->second.messages;
}

void link::want_credit(std::uint64_t actor) noexcept {
    const auto to = outgoing_.find(actor);
    if (to != outgoing_.end()) { to->second.refused = true; }
}

std::expected<void, refusal> link::send(std::uint64_t actor, std::uint64_t token,
                                        std::uint16_t type, std::span<const std::byte> payload) {
    framed_payload framed(payload);
    return send(actor, token, type, framed);
}

std::expected<void, refusal> link::send(std::uint64_t actor, std::uint64_t token,
                                        std::uint16_t type, framed_payload& payload) {
    const auto bytes = payload.payload();
    if (const auto refused = admit(actor, bytes.size())) { return std::unexpected(*refused); }
    const parts_header what{data_kind::message, actor, token, type};
    is_cut(bytes.size()) ? parts_.add(what, std::move(payload).share(), framed_payload::room_bytes)
                         : push(token, what, payload);
    return {};
}

std::expected<std::uint64_t, refusal> link::call(std::uint64_t actor, std::uint16_t type,
                                                 std::span<const std::byte> payload) {
    framed_payload framed(payload);
    return call(actor, type, framed);
}

std::expected<std::uint64_t, refusal> link::call(std::uint64_t actor, std::uint16_t type,
                                                 framed_payload& payload) {
    const auto bytes = payload.payload();
    if (const auto refused = admit(actor, bytes.size())) { return std::unexpected(*refused); }
    const std::uint64_t number = next_number_++;
    open_calls_.insert(number);
    const parts_header what{data_kind::call, actor, number, type};
    is_cut(bytes.size()) ? parts_.add(what, std::move(payload).share(), framed_payload::room_bytes)
                         : push(nobody, what, payload);
    return number;
}

void link::cancel(std::uint64_t call) {
    if (open_calls_.erase(call) == 0) { return; }
    if (drop_parts(data_kind::call, call)) { return; }
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
    framed_payload framed(payload);
    return reply(call, framed);
}

bool link::reply(std::uint64_t call, framed_payload& payload) {
    if (!called_.contains(call)) { return false; }
    const std::size_t size = payload.payload().size();
    if (size > peer_.message_bytes_max) {
        fail_call(call, failure::too_large);
        return false;
    }
    if (is_cut(size)) {
        // One goes in any case.
        const std::size_t waiting = parts_.reply_bytes();
        if (waiting != 0 && waiting + size > session_limits_.hard_bytes_max) {
            fail_call(call, failure::full);
            return false;
        }
        parts_.add(parts_header{data_kind::reply, 0, call, 0}, std::move(payload).share(),
                   framed_payload::room_bytes);
        called_.erase(call);
        return true;
    }
    push_reply(call, payload);
    called_.erase(call);  // Not before: should there be no memory, the call can be failed.
    return true;
}

std::size_t link::account_bytes() const noexcept {
    std::size_t entries = incoming_.size();
    for (const auto& [why, watches] : ended_) { entries += watches.size(); }
    return entries * account_entry_bytes;
}

bool link::may_push_part() const noexcept {
    return session_ && !parts_.empty() &&
           session_->kept_frames() < session_limits_.frames_max / 2 + 1 &&
           session_->kept_bytes() < session_limits_.bytes_max / 2;
}

// What throws, for want of memory, leaves the part to be sent again, or to be told as lost.
void link::push_next_part() {
    const auto step = parts_.peek(peer_.parts_bytes_max);
    HEPH_ASSERT(step.has_value());
    const parts_header& what = step->what;
    if (step->begin) {
        push(data_kind::parts_begin, nobody, [&](frame_writer& frame) {
            frame.u64(step->stream);
            frame.u32(step->bytes_in_all);
            frame.u8(static_cast<std::uint8_t>(what.kind));
            frame.u64(what.actor);
            frame.u64(what.number);
            frame.u16(what.type);
        });
        parts_.announced();
    }
    push_part(*step);
    parts_.sent(*step);
    if (!step->last) { return; }
    if (what.kind != data_kind::reply) { parts_left_no_more(what.actor); }
}

void link::parts_left_no_more(std::uint64_t actor) {
    const auto to = outgoing_.find(actor);
    if (to != outgoing_.end()) {
        to->second.in_parts = false;
        if (to->second.refused) { news_.push_back(credit_arrived{actor}); }
        to->second.refused = false;
        if (to->second.messages == 0) { outgoing_.erase(to); }
    }
    if (no_room_was_told_) { news_.push_back(room_arrived()); }
    no_room_was_told_ = false;
}

bool link::drop_parts(data_kind kind, std::uint64_t call) {
    const auto dropped = parts_.drop(kind, call);
    if (!dropped) { return false; }
    if (dropped->begun) {
        push(data_kind::parts_end, nobody,
             [&](frame_writer& frame) { frame.u64(dropped->stream); });
    }
    if (kind == data_kind::reply) { return true; }
    const auto to = outgoing_.find(dropped->what.actor);
    if (!dropped->begun && to != outgoing_.end()) {
        // Nobody will grant it.
        --to->second.messages;
        to->second.bytes -= dropped->bytes_in_all;
    }
    parts_left_no_more(dropped->what.actor);
    return true;
}

void link::fail_call(std::uint64_t call, failure why) {
    if (called_.erase(call) != 0) { push_call_failed(call, why); }
}

void link::push_call_failed(std::uint64_t call, failure why) {
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

std::expected<std::uint64_t, refusal> link::watch(std::uint64_t actor) {
    if (!session_) { return std::unexpected(refusal::down); }
    if (version_ < 2) { return std::unexpected(refusal::unsupported); }
    if (open_watches_.size() >= peer_.watches_max) { return std::unexpected(refusal::too_many); }
    if (!session_->has_room()) { return std::unexpected(refusal::full); }
    const std::uint64_t number = next_number_++;
    open_watches_.insert(number);
    push(data_kind::watch, nobody, [&](frame_writer& frame) {
        frame.u64(number);
        frame.u64(actor);
    });
    return number;
}

void link::unwatch(std::uint64_t watch) {
    if (open_watches_.erase(watch) == 0) { return; }
    push(data_kind::unwatch, nobody, [&](frame_writer& frame) { frame.u64(watch); });
}

void link::tell_ended(std::uint64_t watch, failure why) {
    if (watched_.erase(watch) == 0) { return; }
    ended_[why].insert(watch);
}

void link::push_ended() {
    for (const auto& [why, watches] : std::exchange(ended_, {})) {
        for (auto at = watches.begin(); at != watches.end();) {
            push(data_kind::ended, nobody, [&](frame_writer& frame) {
                frame.u8(static_cast<std::uint8_t>(why));
                for (std::size_t i = 0; i < ended_in_a_frame && at != watches.end(); ++i, ++at) {
                    frame.u64(*at);
                }
            });
        }
    }
}

void link::grant(std::uint64_t actor, std::size_t payload_bytes) {
    if (!session_) { return; }
    // From an older session, which took its accounts with it.
    const auto found = incoming_.find(actor);
    if (found == incoming_.end()) { return; }
    incoming_account& from = found->second;
    if (from.messages == 0 || from.bytes < payload_bytes) { return; }
    --from.messages;
    from.bytes -= payload_bytes;
    if (from.granted_messages == 0) { granted_.push_back(actor); }
    ++from.granted_messages;
    from.granted_bytes += payload_bytes;
    grants_press_ = grants_press_ || is_worth_a_frame(from);
}

bool link::is_worth_a_frame(const incoming_account& from) const noexcept {
    return from.granted_messages >= own_.window_messages / 4 ||
           from.granted_bytes >= own_.window_bytes / 4;
}

void link::push_grants() {
    grants_press_ = false;
    std::erase_if(granted_, [this](std::uint64_t actor) {
        const auto found = incoming_.find(actor);
        incoming_account& from = found->second;
        // A quarter of the window is worth a frame. When nothing more is under way, the grant is
        // sent so that neither end has to remember the actor.
        if (!is_worth_a_frame(from) && from.messages != 0) { return false; }
        push(data_kind::credit, nobody, [&](frame_writer& frame) {
            frame.u64(actor);
            frame.u32(from.granted_messages);
            frame.u64(from.granted_bytes);
        });
        from.granted_messages = 0;
        from.granted_bytes = 0;
        if (from.messages == 0) { incoming_.erase(found); }
        return true;
    });
}

void link::write_to(byte_sink& out, std::size_t bytes_max) {
    if (current() != state::up) { return; }
    push_grants();
    push_ended();
    std::vector<std::byte> signs;
    if (std::exchange(pong_owed_, false)) { frame_writer(signs, frame_type::pong).end(); }
    if (std::exchange(pings_wanted_, false)) { frame_writer(signs, frame_type::ping).end(); }
    if (!signs.empty()) { out.put(signs); }
    std::size_t written = signs.size();
    written += session_->write_to(out, bytes_max - std::min(bytes_max, written));
    while (written < bytes_max && may_push_part()) {
        push_next_part();
        written += session_->write_to(out, bytes_max - written);
    }
    if (goodbye_) {
        std::vector<std::byte> said;
        frame_writer frame(said, frame_type::goodbye);
        frame.u8(static_cast<std::uint8_t>(*goodbye_));
        frame.end();
        out.put(said);
        goodbye_.reset();
    }
}

void link::write_to(std::vector<std::byte>& out, std::size_t out_bytes_max) {
    vector_sink to(out);
    write_to(to, out_bytes_max - std::min(out_bytes_max, out.size()));
}

bool link::has_output() const noexcept {
    return current() == state::up &&
           (session_->has_output() || may_push_part() || pong_owed_ || pings_wanted_ || goodbye_ ||
            !granted_.empty() || !ended_.empty());
}

bool link::is_pressing() const noexcept {
    return current() == state::up &&
           (session_->is_pressing() || may_push_part() || pong_owed_ || pings_wanted_ || goodbye_ ||
            grants_press_ || !ended_.empty());
}

}  // namespace heph::remote::protocol
